//! Who may do what: from a bearer token to a proof.
//!
//! - [`access`]: [`Authorized`], the proof that its holder may pull from, push to or delete from
//!   one repository. The functions of [`registry`](crate::registry) ask for one, and nothing
//!   outside this module can make one.
//! - [`gatekeeper`]: [`Gatekeeper`], which verifies tokens and hands out proofs.
//! - [`passwords`]: who is in a file of passwords. [`htpasswd`]: such a file.
//! - [`challenge`]: what the answer to a refused request tells its client to ask for.
//!
//! Transport stays outside: the `Authorization` header is read, and `WWW-Authenticate` written, by
//! [`http`](crate::http).

pub mod access;
pub mod challenge;
pub mod gatekeeper;
pub mod htpasswd;
pub mod passwords;

pub use self::access::{
    Authenticated, Authorized, Caller, Catalog, Delete, Permission, Pull, Push, UploadProof,
};
pub use self::challenge::{Reason, Refusal};
pub use self::gatekeeper::{Gatekeeper, Presented};
pub use self::passwords::{KnownUser, Passwords};
