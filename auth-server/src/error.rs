//! [`StartError`]: why there is no application. What goes wrong in a request is
//! [`http::error`](crate::http)'s.

use crate::accounts::bootstrap::BootstrapError;
use crate::token::key_ring::KeyError;

/// Why the auth-server cannot start. Its `Display` is what the operator should read.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Database(#[from] database::StartError),
    #[error("no signing key: {0}")]
    Key(#[from] KeyError),
    #[error("password.argon2: {0}")]
    Passwords(#[from] argon2::Error),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
}
