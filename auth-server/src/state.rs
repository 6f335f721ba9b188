//! [`State`]: what the handlers share.

use crate::accounts::PasswordPolicy;
use crate::token::{Issuer, PublishedKeys};

/// One per application.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub issuer: Issuer,
    pub published: PublishedKeys,
    pub password_policy: PasswordPolicy,
}
