//! [`State`]: what the handlers share.

use database::Database;

use crate::accounts::{PasswordPolicy, Passwords, User};
use crate::audit::{Actor, Origin};
use crate::clock::Clock;
use crate::context::Context;
use crate::token::Issuer;

/// One per application. Cheap to clone, as all its parts are.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub database: Database,
    pub clock: Clock,
    pub passwords: Passwords,
    pub password_policy: PasswordPolicy,
    pub issuer: Issuer,
}

impl State {
    /// What a change takes that this user asks for.
    pub fn context(&self, user: &User) -> Context {
        Context {
            database: self.database.clone(),
            clock: self.clock.clone(),
            origin: Origin::local(Actor::user(user)),
        }
    }
}
