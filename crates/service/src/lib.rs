//! What every server needs around its own work.
//!
//! - [`config`]: a YAML file, environment variables over it, errors that name line and key.
//! - [`server`]: listeners with TLS and certificate reload, workers, drain.
//! - [`request`]: what is known of a request before any handler runs: id, client, origin.
//! - [`basic`]: Basic credentials.
//! - [`client_address`]: who is asking, when proxies stand between.
//! - [`health`]: liveness, readiness, and checks in the background.
//! - [`metrics`]: a registry for Prometheus, with HTTP and process metrics.
//! - [`occupancy`]: one server at a time works on a `SQLite` file.
//! - [`telemetry`]: logs as text or JSON.
//! - [`shutdown`]: signals, the orderly end, the wish to reload. [`watch`]: files that change.
//!
//! It knows nothing of tokens, images or users, and has no opinion on routes but its own.

pub mod basic;
pub mod client_address;
pub mod config;
mod error_body;
pub mod health;
pub mod metrics;
pub mod occupancy;
pub mod request;
pub mod request_id;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod watch;

pub use error_body::error_response;
