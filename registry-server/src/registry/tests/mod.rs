//! The rules, without HTTP.

mod content;
mod sweeping;
mod uploads;
