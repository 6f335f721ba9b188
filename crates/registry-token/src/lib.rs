//! What the auth-server and the registry-server must agree on about Docker registry tokens.
//!
//! The signed token is the whole contract between the two servers, so this crate is the only
//! thing they share that has rules in it:
//!
//! - [`RepositoryName`], [`Action`] and [`Actions`], [`Resource`], [`Scope`]: what a client asks for;
//! - [`Access`] with its [`Meta`], [`Claims`]: what a token grants.
//!
//! It knows no HTTP framework and no database, and reads no clock: whoever calls says what time
//! it is.

mod access;
mod action;
mod claims;
mod meta;
mod repository_name;
mod resource;
mod scope;
mod text;

pub use access::{Access, AccessEntry, MAX_ACCESS_ENTRIES};
pub use action::{Action, Actions, UnknownAction};
pub use claims::{Audience, Claims};
pub use meta::{Meta, TagPatterns};
pub use repository_name::{MAX_REPOSITORY_NAME_LENGTH, RepositoryName, RepositoryNameError};
pub use resource::Resource;
pub use scope::{MAX_SCOPES, Scope, ScopeError, parse_scopes};
pub use text::ShownText;
