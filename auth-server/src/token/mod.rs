//! Tokens: issuing the registry's bearer tokens, the refresh tokens that stand for a password, and
//! the keys that sign.
//!
//! - [`issue`]: credentials and scopes into a token. [`refresh`]: refresh tokens.
//! - [`signing_key`]: what a key goes through. [`key_ring`]: the keys of this server.
//!   [`key_settings`]: what it is told about them. [`key_start`]: which of them there are at the beginning. [`rotation`]: how they change. `upkeep`: what time brings.
//! - [`key_files`], [`sealed`]: private keys at rest. `mounted`: those that somebody else takes care of. [`jwks`]: public keys as verifiers take them.
//!
//! What a token may allow is decided in [`access`](crate::access); its format is
//! [`registry_token`]'s.

pub mod issue;
pub mod jwks;
pub mod key_files;
pub(crate) mod key_metrics;
pub(crate) mod key_owner;
pub mod key_ring;
pub mod key_settings;
pub mod key_start;
#[cfg(test)]
mod key_testing;
pub(crate) mod mounted;
pub mod refresh;
pub mod rotation;
pub mod sealed;
pub mod signing_key;
pub(crate) mod upkeep;

pub use self::issue::{Credentials, IssueError, IssuedToken, Issuer, TokenRequest};
pub use self::jwks::PublishedKeys;
pub use self::key_ring::KeyRing;
pub use self::refresh::RefreshError;
