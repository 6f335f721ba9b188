//! Tokens: issuing the registry's bearer tokens, the refresh tokens that stand for a password, and
//! the key that signs.
//!
//! What a token may allow is decided in [`access`](crate::access); its format is
//! [`registry_token`]'s.

pub mod issue;
pub mod jwks;
pub mod refresh;
pub mod signing_key;

pub use self::issue::{Credentials, IssueError, IssuedToken, Issuer, TokenRequest};
pub use self::jwks::PublishedKeys;
pub use self::refresh::{RefreshError, RefreshToken};
