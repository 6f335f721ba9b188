//! The API from the outside: who gets in, and what those are told who asked for the wrong thing.

mod authorization;
mod refusals;
