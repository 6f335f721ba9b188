//! Users: people who log in, and the namespace that each owns.

use chrono::{DateTime, Utc};
use database::{Database, Tx};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::password::PasswordHash;
use super::{Page, PageRequest, Username, session};
use crate::audit::{Action, Event, Subject};
use crate::context::Context;
use crate::store;

/// Identifies a user for good, whatever the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema, sqlx::Type)]
#[sqlx(transparent)]
pub struct UserId(pub Uuid);

/// An account. Serialized as a [`UserView`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
#[serde(into = "UserView")]
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
    /// Counts the changes that an administrator would see; logins do not count.
    pub version: i64,
}

/// A user as the admin API and the audit log show it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    #[schema(value_type = Uuid)]
    id: UserId,
    /// Also the first component of the repositories that the user owns.
    #[schema(value_type = String, examples("alice"))]
    username: Username,
    email: Option<String>,
    /// May do everything, in the registry and here.
    admin: bool,
    /// Every credential of the user is refused.
    disabled: bool,
    created_at: DateTime<Utc>,
    disabled_at: Option<DateTime<Utc>>,
    /// Exact to a minute.
    last_login_at: Option<DateTime<Utc>>,
    /// What `ETag` says, without the quotes.
    version: i64,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            disabled: user.is_disabled(),
            id: user.id,
            username: user.username,
            email: user.email,
            admin: user.is_admin,
            created_at: user.created_at,
            disabled_at: user.disabled_at,
            last_login_at: user.last_login_at,
            version: user.version,
        }
    }
}

impl User {
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.disabled_at.is_some()
    }

    fn as_subject(&self) -> Subject {
        Subject::new("user", Some(self.id.0), self.username.as_str())
    }
}

/// Which users are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    pub admin: Option<bool>,
    pub disabled: Option<bool>,
    /// Part of the name or of the address, in either case.
    pub search: Option<String>,
}

/// What is to become of a user; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// `Some(None)`: no address any more.
    pub email: Option<Option<Email>>,
    pub is_admin: Option<bool>,
    /// Disabling refuses every credential of the user from now on, and ends sessions and refresh
    /// tokens; a bearer token that was issued before works until it expires. Enabling lets the
    /// user in again, with the old password; what has ended stays ended.
    pub disabled: Option<bool>,
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
    #[error("`{path}` belongs to `{username}`: delete it first, or disable the user")]
    StillHasProjects { username: Username, path: String },
    #[error("there is no user `{0}`")]
    NotFound(Username),
    #[error("`{0}` is the last administrator that can log in")]
    LastAdministrator(Username),
    #[error("the user `{0}` has been changed since; read it again")]
    Outdated(Username),
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Creates a user.
pub async fn create(context: &Context, new: NewUser) -> Result<User, UserError> {
    let user = User {
        id: UserId(context.clock.uuid()),
        username: new.username,
        email: new.email.map(|email| email.0),
        is_admin: new.is_admin,
        created_at: context.clock.now(),
        disabled_at: None,
        last_login_at: None,
        version: 1,
    };
    let mut tx = context.database.begin().await?;
    if store::users::by_username(&mut tx, &user.username)
        .await?
        .is_some()
    {
        return Err(UserError::UsernameTaken(user.username));
    }
    refuse_taken_email(&mut tx, user.email.as_deref()).await?;
    let username = user.username.as_str();
    if let Some(path) = store::paths::first_at_or_below(&mut tx, username).await? {
        // By a group, or by a user of a moment ago.
        if path == username {
            return Err(UserError::UsernameTaken(user.username));
        }
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
    let event = Event::success(Action::UserCreate, user.as_subject()).after(&user);
    context.record(&mut tx, &event).await?;
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

/// A page of users.
pub async fn list(
    database: &Database,
    filter: &UserFilter,
    request: &PageRequest,
) -> Result<Page<User>, database::Error> {
    let mut tx = database.read().await?;
    let users = store::users::page(&mut tx, filter, request).await?;
    let total = store::users::count(&mut tx, filter).await?;
    Ok(Page::new(users, total, request))
}

/// Changes a user, if it still is of the `expected` version. What is so already is no change:
/// disabling twice keeps the first time.
pub async fn update(
    context: &Context,
    username: &Username,
    change: UserChange,
    expected: Option<i64>,
) -> Result<User, UserError> {
    let now = context.clock.now();
    let mut tx = context.database.begin().await?;
    let takes_rights = change.disabled == Some(true) || change.is_admin == Some(false);
    let before = if takes_rights {
        lock_unless_last_administrator(&mut tx, username, expected).await
    } else {
        lock(&mut tx, username, expected).await
    }?;
    let mut after = before.clone();
    let mut actions = Vec::new();
    if let Some(email) = change.email {
        after.email = email.map(|email| email.0);
    }
    if let Some(is_admin) = change.is_admin {
        after.is_admin = is_admin;
    }
    if after != before {
        actions.push(Action::UserUpdate);
    }
    match change.disabled {
        Some(true) if !before.is_disabled() => {
            after.disabled_at = Some(now);
            actions.push(Action::UserDisable);
        }
        Some(false) if before.is_disabled() => {
            after.disabled_at = None;
            actions.push(Action::UserEnable);
        }
        None | Some(_) => {}
    }
    if actions.is_empty() {
        return Ok(before);
    }
    if after.email.as_ref().map(|email| email.to_lowercase())
        != before.email.as_ref().map(|email| email.to_lowercase())
    {
        refuse_taken_email(&mut tx, after.email.as_deref()).await?;
    }
    after.version += 1;
    match store::users::update(&mut tx, &after).await {
        Ok(()) => {}
        Err(database::Error::Conflict(_)) => return Err(UserError::EmailTaken),
        Err(error) => return Err(error.into()),
    }
    if actions.contains(&Action::UserDisable) {
        session::end_all(&mut tx, after.id, now).await?;
    }
    for action in actions {
        let event = Event::success(action, after.as_subject())
            .before(&before)
            .after(&after);
        context.record(&mut tx, &event).await?;
    }
    tx.commit().await?;
    Ok(after)
}

/// Deletes a user with all memberships, tokens and sessions. One who has projects below their name
/// stays: without the user nobody but administrators would be left to own them.
pub async fn delete(
    context: &Context,
    username: &Username,
    expected: Option<i64>,
) -> Result<(), UserError> {
    let mut tx = context.database.begin().await?;
    let user = lock_unless_last_administrator(&mut tx, username, expected).await?;
    if let Some(path) = store::paths::first_below(&mut tx, username.as_str()).await? {
        return Err(UserError::StillHasProjects {
            username: user.username,
            path,
        });
    }
    // Deploy tokens belong to their projects; a job runs for who has minted its token.
    store::tokens::revoke_jobs_of(&mut tx, user.id, context.clock.now()).await?;
    store::users::delete(&mut tx, user.id).await?;
    let event = Event::success(Action::UserDelete, user.as_subject()).before(&user);
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(())
}

/// Replaces the password, and ends the sessions and refresh tokens that the old one has opened.
pub async fn set_password(
    context: &Context,
    username: &Username,
    password: &PasswordHash,
) -> Result<(), UserError> {
    let mut tx = context.database.begin().await?;
    let user = lock(&mut tx, username, None).await?;
    store::users::set_password(&mut tx, user.id, password).await?;
    session::end_all(&mut tx, user.id, context.clock.now()).await?;
    let event = Event::success(Action::UserSetPassword, user.as_subject());
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(())
}

async fn refuse_taken_email(tx: &mut Tx, email: Option<&str>) -> Result<(), UserError> {
    match email {
        Some(email) if store::users::email_exists(tx, email).await? => Err(UserError::EmailTaken),
        None | Some(_) => Ok(()),
    }
}

/// The user, of the expected version if one is expected, and of no other until the transaction
/// ends.
async fn lock(tx: &mut Tx, username: &Username, expected: Option<i64>) -> Result<User, UserError> {
    let user = store::users::lock(tx, username)
        .await?
        .ok_or_else(|| UserError::NotFound(username.clone()))?;
    if expected.is_some_and(|expected| expected != user.version) {
        return Err(UserError::Outdated(user.username));
    }
    Ok(user)
}

/// The same for a change after which the user is no administrator that can log in.
async fn lock_unless_last_administrator(
    tx: &mut Tx,
    username: &Username,
    expected: Option<i64>,
) -> Result<User, UserError> {
    // Before the user: two administrators that disable each other would wait for each other.
    let admins = store::users::lock_enabled_admins(tx).await?;
    let user = lock(tx, username, expected).await?;
    if admins == [user.id] {
        return Err(UserError::LastAdministrator(user.username));
    }
    Ok(user)
}

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;
