//! The admin API, `/api/v1`: one file per noun. JSON in and out.
//!
//! - [`document`]: what there is, as OpenAPI, gathered from the handlers.
//! - [`listing`], [`conditional`], [`merge`]: lists, conditional requests, changes.

mod conditional;
pub mod document;
pub mod grants;
pub mod groups;
mod listing;
pub mod me;
pub mod members;
mod merge;
pub mod projects;
pub mod system;
mod time;
pub mod users;
