//! The admin API, `/api/v1`: one file per noun. JSON in and out.

pub mod me;
mod pagination;
pub mod projects;
pub mod system;
pub mod users;
