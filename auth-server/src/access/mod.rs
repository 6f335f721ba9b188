//! Who may do what: requested scopes ∩ permissions.
//!
//! [`authorize`] answers a token request. [`explain`](explain()) tells people why.
//!
//! [`Snapshot::load`] fetches what the decision depends on; [`Snapshot::decide`] is a pure
//! function over it and says by which [`Rule`]s it decided. Who somebody is has been settled
//! before, in [`accounts`](crate::accounts).

mod authorize;
mod creation;
mod denial;
pub mod explain;
mod policy;
mod snapshot;
mod subject;

pub use self::authorize::{Authorization, Refused, authorize};
pub use self::explain::{Explanation, Reader, explain};
pub use self::policy::{Decision, Rule};
pub use self::snapshot::Snapshot;
pub use self::subject::{PathToken, Subject, TokenScope, TokenScopes, UnknownTokenScope};
