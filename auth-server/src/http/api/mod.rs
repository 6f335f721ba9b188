//! The admin API, `/api/v1`: one file per noun. JSON in and out.
//!
//! - [`document`]: what there is, as `OpenAPI`, gathered from the handlers.
//! - [`listing`], [`conditional`], [`merge`]: lists, conditional requests, changes.

pub mod audit;
mod conditional;
pub mod document;
pub mod explain;
pub mod grants;
pub mod groups;
pub mod import;
pub mod keys;
mod listing;
pub mod me;
pub mod members;
mod merge;
pub mod path_tokens;
pub mod projects;
pub mod session;
pub mod sessions;
pub mod system;
pub mod tokens;
pub mod users;
mod values;
