//! [`State`]: what the handlers share.

use std::time::Duration;

use database::Database;

use crate::accounts::login::Logins;
use crate::accounts::session::SessionPolicy;
use crate::accounts::{PasswordPolicy, Passwords, TokenPolicy};
use crate::clock::Clock;
use crate::operator::Operator;
use crate::token::Issuer;

/// One per application. Cheap to clone, as all its parts are.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub database: Database,
    pub clock: Clock,
    pub passwords: Passwords,
    pub password_policy: PasswordPolicy,
    pub audit_retention: Duration,
    pub logins: Logins,
    pub session_policy: SessionPolicy,
    pub token_policy: TokenPolicy,
    pub issuer: Issuer,
    /// Set in a command that serves the API to itself.
    pub operator: Option<Operator>,
}
