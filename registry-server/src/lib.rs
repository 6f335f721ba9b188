//! An OCI distribution registry. It knows nothing of users: it verifies a token and does what the
//! token allows.
//!
//! - [`config`]: the configuration file and what follows from it.
//! - [`Application`]: the registry as a whole, to be mounted on a listener.
//! - [`http`] → [`registry`] → [`metadata`] and [`blob_store`]: calls go down only. [`auth`] makes
//!   the proofs that `registry` asks for; [`oci`] has the values that all of them speak of.
//! - [`identity`]: storage and database know each other.
//! - [`jobs`]: what happens without a request.
//! - [`metrics`]: what the storage is asked for.

mod application;
pub mod auth;
pub mod blob_store;
mod checks;
mod clock;
pub mod config;
mod error;
mod http;
pub mod identity;
pub mod jobs;
pub mod metadata;
mod metrics;
pub mod oci;
pub mod registry;
mod state;
#[cfg(test)]
mod testing;

pub use self::application::Application;
pub use self::auth::htpasswd::FIRST_USER;
pub use self::clock::Clock;
pub use self::error::StartError;

/// What the database of a registry must have.
#[must_use]
pub fn schema() -> database::Schema {
    database::Schema {
        sqlite: &metadata::SQLITE_MIGRATIONS,
        postgres: &metadata::POSTGRES_MIGRATIONS,
    }
}
