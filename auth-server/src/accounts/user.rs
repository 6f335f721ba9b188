//! Users: people who log in, and the namespace that each owns.

use chrono::{DateTime, Utc};
use database::Database;
use uuid::Uuid;

use super::password::PasswordHash;
use super::{Page, PageRequest, Username};
use crate::clock::Clock;
use crate::store;

/// Identifies a user for good, whatever the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, sqlx::Type)]
#[sqlx(transparent)]
pub struct UserId(pub Uuid);

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct User {
    pub id: UserId,
    pub username: Username,
    pub email: Option<String>,
    /// May do everything, in the registry and in the admin API.
    pub is_admin: bool,
    pub created_at: DateTime<Utc>,
    /// Set: every credential of the user is refused.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Exact to a minute.
    pub last_login_at: Option<DateTime<Utc>>,
}

impl User {
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.disabled_at.is_some()
    }
}

/// A user to be.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub username: Username,
    pub email: Option<Email>,
    pub is_admin: bool,
    /// `None`: the user cannot log in with a password until one is set.
    pub password: Option<PasswordHash>,
}

/// An address that could be one. Only a message sent there could tell more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

/// Why a text is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an e-mail address is written as name@host, in at most {} bytes",
    Email::MAX_LENGTH
)]
pub struct InvalidEmail;

impl Email {
    /// RFC 5321, section 4.5.3.1.3, less the angle brackets.
    pub const MAX_LENGTH: usize = 254;
}

impl std::str::FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plausible = text.len() <= Self::MAX_LENGTH
            && !text.chars().any(|c| c.is_whitespace() || c.is_control())
            && text
                .rsplit_once('@')
                .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
        if plausible {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidEmail)
        }
    }
}

/// Why a user could not be created or changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("the username `{0}` is taken")]
    UsernameTaken(Username),
    #[error("another account has this e-mail address")]
    EmailTaken,
    /// The new user would own what others have put there.
    #[error("`{path}` lies in the namespace `{username}`; who gets this username would own it")]
    NamespaceInUse { username: Username, path: String },
    #[error("there is no user `{0}`")]
    NotFound(Username),
    #[error("`{0}` is the last administrator that can log in")]
    LastAdministrator(Username),
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Creates a user.
pub async fn create(database: &Database, clock: &Clock, new: NewUser) -> Result<User, UserError> {
    let user = User {
        id: UserId(clock.uuid()),
        username: new.username,
        email: new.email.map(|email| email.0),
        is_admin: new.is_admin,
        created_at: clock.now(),
        disabled_at: None,
        last_login_at: None,
    };
    let mut tx = database.begin().await?;
    if store::users::by_username(&mut tx, &user.username)
        .await?
        .is_some()
    {
        return Err(UserError::UsernameTaken(user.username));
    }
    if let Some(email) = &user.email
        && store::users::email_exists(&mut tx, email).await?
    {
        return Err(UserError::EmailTaken);
    }
    let username = user.username.as_str();
    if let Some(path) = store::paths::first_at_or_below(&mut tx, username).await? {
        return Err(UserError::NamespaceInUse {
            username: user.username,
            path,
        });
    }
    let inserted = async {
        store::users::insert(&mut tx, &user, new.password.as_ref()).await?;
        store::paths::insert_user(&mut tx, &user.username, user.id).await
    };
    match inserted.await {
        Ok(()) => {}
        // Somebody was faster between the look and the leap; the address is the rarer clash.
        Err(database::Error::Conflict(_)) => return Err(UserError::UsernameTaken(user.username)),
        Err(error) => return Err(error.into()),
    }
    tx.commit().await?;
    Ok(user)
}

/// The user of this name.
pub async fn find(
    database: &Database,
    username: &Username,
) -> Result<Option<User>, database::Error> {
    let mut tx = database.read().await?;
    store::users::by_username(&mut tx, username).await
}

/// The users by name.
pub async fn list(
    database: &Database,
    request: &PageRequest,
) -> Result<Page<User>, database::Error> {
    let mut tx = database.read().await?;
    let users = store::users::page(&mut tx, request.after(), request.fetch()).await?;
    let total = store::users::count(&mut tx).await?;
    Ok(Page::new(users, total, request))
}

/// Refuses every credential of the user from now on, and ends the refresh tokens; a bearer token
/// that was issued before works until it expires. Disabling twice keeps the first time.
pub async fn disable(
    database: &Database,
    clock: &Clock,
    username: &Username,
) -> Result<User, UserError> {
    let now = clock.now();
    let mut tx = database.begin().await?;
    let mut user = existing(&mut tx, username).await?;
    if user.is_disabled() {
        return Ok(user);
    }
    if user.is_admin {
        let admins = store::users::lock_enabled_admins(&mut tx).await?;
        if admins.iter().all(|admin| *admin == user.id) {
            return Err(UserError::LastAdministrator(user.username));
        }
    }
    store::users::set_disabled(&mut tx, user.id, Some(now)).await?;
    store::refresh_tokens::revoke_all(&mut tx, user.id, now).await?;
    tx.commit().await?;
    user.disabled_at = Some(now);
    Ok(user)
}

/// Lets a disabled user log in again, with the old password. Refresh tokens stay ended.
pub async fn enable(database: &Database, username: &Username) -> Result<User, UserError> {
    let mut tx = database.begin().await?;
    let mut user = existing(&mut tx, username).await?;
    store::users::set_disabled(&mut tx, user.id, None).await?;
    tx.commit().await?;
    user.disabled_at = None;
    Ok(user)
}

/// Replaces the password, and ends the refresh tokens that the old one has opened.
pub async fn set_password(
    database: &Database,
    clock: &Clock,
    username: &Username,
    password: &PasswordHash,
) -> Result<User, UserError> {
    let mut tx = database.begin().await?;
    let user = existing(&mut tx, username).await?;
    store::users::set_password(&mut tx, user.id, password).await?;
    store::refresh_tokens::revoke_all(&mut tx, user.id, clock.now()).await?;
    tx.commit().await?;
    Ok(user)
}

async fn existing(tx: &mut database::Tx, username: &Username) -> Result<User, UserError> {
    store::users::by_username(tx, username)
        .await?
        .ok_or_else(|| UserError::NotFound(username.clone()))
}

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;
