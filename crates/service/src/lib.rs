//! What every server needs around its own work.
//!
//! - [`config`]: a YAML file, environment variables over it, errors that name line and key.

pub mod config;
