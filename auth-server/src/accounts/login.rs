//! Logging in with a username and a password.

use chrono::TimeDelta;
use database::Database;
use registry_token::ShownText;
use secrecy::SecretString;

use super::password::PasswordHash;
use super::{PasswordError, Passwords, User, Username};
use crate::clock::Clock;
use crate::store;

/// `last_login_at` is written this seldom: a client that logs in for every request should not
/// turn reads into writes.
pub(crate) const LAST_USE_PRECISION: TimeDelta = TimeDelta::minutes(1);

/// Who has just shown the right password.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: User,
    /// What was verified, so that what follows from the login can insist that it still holds.
    pub password_hash: PasswordHash,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Does not tell which of the two.
    #[error("wrong username or password")]
    WrongCredentials,
    /// Told only to who knows the password.
    #[error("this account is disabled")]
    Disabled,
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Verifies a password. A user that does not exist, is disabled or has no password takes as
/// long as any other.
pub async fn with_password(
    database: &Database,
    clock: &Clock,
    passwords: &Passwords,
    username: &str,
    password: SecretString,
) -> Result<Login, LoginError> {
    let found = match username.parse::<Username>() {
        // The connection goes back before the slow part begins.
        Ok(username) => {
            let mut tx = database.read().await?;
            store::users::with_password(&mut tx, &username).await?
        }
        Err(_) => None,
    };
    let (user, stored) = found.map_or((None, None), |row| (Some(row.user), row.password_hash));
    let matches = passwords.verify(stored.as_ref(), password).await?;
    let (true, Some(user), Some(password_hash)) = (matches, user, stored) else {
        tracing::info!(user = %ShownText::new(username), "login refused: wrong credentials");
        return Err(LoginError::WrongCredentials);
    };
    if user.is_disabled() {
        tracing::info!(user = %user.username, "login refused: the account is disabled");
        return Err(LoginError::Disabled);
    }
    remember(database, clock, &user).await;
    Ok(Login {
        user,
        password_hash,
    })
}

/// A database that cannot be written to must not keep people out.
async fn remember(database: &Database, clock: &Clock, user: &User) {
    let now = clock.now();
    if user
        .last_login_at
        .is_some_and(|last| now - last < LAST_USE_PRECISION)
    {
        return;
    }
    let written = async {
        let mut tx = database.begin().await?;
        store::users::set_last_login(&mut tx, user.id, now).await?;
        tx.commit().await
    };
    if let Err(error) = written.await {
        tracing::warn!(
            user = %user.username,
            error = &error as &dyn std::error::Error,
            "the time of a login could not be kept"
        );
    }
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
