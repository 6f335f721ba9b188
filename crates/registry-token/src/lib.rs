//! What the auth-server and the registry-server must agree on about Docker registry tokens.
//!
//! The signed token is the whole contract between the two servers, so this crate is the only
//! thing they share that has rules in it:
//!
//! - [`RepositoryName`], [`Action`] and [`Actions`], [`Resource`], [`Scope`]: what a client asks for;
//! - [`Access`] with its [`Meta`], [`Claims`]: what a token grants;
//! - [`SigningKey`]: the issuer's side;
//! - [`PublicKey`], [`Certificate`], [`Jwk`], [`TrustedKeys`], [`Verifier`]: the other side,
//!   with [`KeySource`] to keep it supplied with keys.
//!
//! It knows no HTTP framework and no database, and reads no clock: whoever calls says what time
//! it is.
//!
//! Tokens are taken apart and checked here rather than by a general JWT library, because what is
//! hard about registry tokens is finding the right key (certificate chains, two kinds of key id,
//! keys of one type under several names) and such a library begins where that is done. The
//! cryptography is aws-lc's.

mod access;
mod action;
mod algorithm;
mod certificate;
mod claims;
mod denials;
mod jwk;
mod key_id;
mod key_origin;
mod key_source;
mod meta;
mod public_key;
mod repository_name;
mod resource;
mod scope;
mod signing_key;
mod text;
mod trusted_keys;
mod verifier;
mod verify_error;

pub use access::{Access, AccessEntry, MAX_ACCESS_ENTRIES};
pub use action::{Action, Actions, UnknownAction};
pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use certificate::{BundleError, Certificate, CertificateError};
pub use claims::{Audience, Claims};
pub use denials::{Denials, MAX_DENIAL_LENGTH, MAX_DENIALS};
pub use jwk::{Jwk, JwkSet, JwksError};
pub use key_id::KeyIdForm;
pub use key_source::{
    ContentError, KeyLocation, KeyOrigin, KeySource, KeySourceError, KeySourceSettings,
    KeySourceStatus, OriginStatus,
};
pub use meta::{Meta, TagPatterns};
pub use public_key::{KeyKind, PublicKey, PublicKeyError};
pub use repository_name::{MAX_REPOSITORY_NAME_LENGTH, RepositoryName, RepositoryNameError};
pub use resource::Resource;
pub use scope::{MAX_SCOPES, Scope, ScopeError, parse_scopes};
pub use signing_key::{RsaKeySize, SignError, SigningAlgorithm, SigningKey, SigningKeyError};
pub use text::ShownText;
pub use trusted_keys::TrustedKeys;
pub use verifier::{MAX_TOKEN_LENGTH, Verifier, VerifierSettings};
pub use verify_error::VerifyError;
