//! The first start: an administrator, so that somebody can log in at all.

use database::Database;
use secrecy::SecretString;

use super::password::WeakPassword;
use super::user::{self, NewUser};
use super::{
    InvalidUsername, NewPassword, PasswordError, PasswordPolicy, Passwords, UserError, Username,
};
use crate::audit::{Actor, Origin};
use crate::clock::Clock;
use crate::context::Context;
use crate::store;

/// The name of the first administrator.
pub const ADMINISTRATOR: &str = "admin";

/// Why there is still nobody who could log in.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error("admin.password is refused: {0}")]
    Weak(#[from] WeakPassword),
    #[error("`{ADMINISTRATOR}` is no username: {0}")]
    Username(#[from] InvalidUsername),
    #[error("the password of the first administrator cannot be hashed: {0}")]
    Password(#[from] PasswordError),
    #[error("the first administrator cannot be created: {0}")]
    User(#[from] UserError),
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Creates the administrator if there is no user at all, with the configured password or a
/// generated one. Returns the generated one: whoever calls shows it, once.
pub async fn ensure_administrator(
    database: &Database,
    clock: &Clock,
    passwords: &Passwords,
    policy: PasswordPolicy,
    configured: Option<&SecretString>,
) -> Result<Option<SecretString>, BootstrapError> {
    let mut tx = database.read().await?;
    let exists = store::users::any(&mut tx).await?;
    drop(tx);
    if exists {
        return Ok(None);
    }
    let username: Username = ADMINISTRATOR.parse()?;
    let (password, generated) = if let Some(configured) = configured {
        let checked = NewPassword::check(configured.clone(), &username, policy)?;
        (checked, None)
    } else {
        let generated = NewPassword::generate(clock);
        (generated.clone(), Some(generated.into_secret()))
    };
    let new = NewUser {
        username,
        email: None,
        is_admin: true,
        password: Some(passwords.hash(password, clock).await?),
    };
    let context = Context {
        database: database.clone(),
        clock: clock.clone(),
        origin: Origin::local(Actor::system()),
    };
    match user::create(&context, new).await {
        Ok(_) => Ok(generated),
        // Another process started at the same time and shows the password that counts.
        Err(UserError::UsernameTaken(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
#[path = "bootstrap_tests.rs"]
mod tests;
