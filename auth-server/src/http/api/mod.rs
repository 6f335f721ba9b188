//! The admin API, `/api/v1`: one file per noun. JSON in and out.
//!
//! - [`document`]: what there is, as OpenAPI, gathered from the handlers.
//! - [`listing`], [`conditional`], [`merge`]: lists, conditional requests, changes.

mod conditional;
pub mod document;
mod listing;
pub mod me;
mod merge;
pub mod projects;
pub mod system;
pub mod users;
