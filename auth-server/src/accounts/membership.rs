//! Memberships: who is what in a group or project.

use chrono::{DateTime, Utc};
use database::{Database, Tx};
use registry_token::RepositoryName;
use serde::Serialize;

use super::{Caller, Expected, Page, PageRequest, Put, Role, UserId, Username};
use crate::audit::{Action, Event, Subject};
use crate::context::Context;
use crate::store;

/// What a user is at one path. Serialized as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema, sqlx::FromRow)]
pub struct Membership {
    /// The group or project.
    #[sqlx(try_from = "String")]
    #[schema(value_type = String)]
    pub path: RepositoryName,
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    #[schema(value_type = String)]
    pub username: Username,
    pub role: Role,
    /// `None`: for good.
    pub expires_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Counts the changes.
    pub version: i64,
}

impl Membership {
    #[must_use]
    pub fn is_held(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    fn is_owner_for_good(&self) -> bool {
        self.role == Role::Owner && self.expires_at.is_none()
    }

    fn as_subject(&self) -> Subject {
        let name = format!("{}:{}", self.path, self.username);
        Subject::new("member", Some(self.user_id.0), name)
    }
}

/// A user, and all that makes them a member. Serialized as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Member {
    #[schema(value_type = uuid::Uuid)]
    pub user_id: UserId,
    #[schema(value_type = String)]
    pub username: Username,
    /// The greatest that they hold now; `None`: all have expired.
    pub role: Option<Role>,
    /// In the group or project itself, and in the groups above.
    pub memberships: Vec<Membership>,
}

/// What a user is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewMembership {
    pub role: Role,
    /// `None`: for good.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Which members are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFilter {
    /// Those of the groups above too.
    pub inherited: bool,
    /// Part of the username.
    pub search: Option<String>,
}

/// Why a membership could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    #[error("there is no such group or project")]
    NotFound,
    #[error("there is no user `{0}`")]
    UserNotFound(Username),
    #[error("`{username}` is no member of `{path}`")]
    NoMember {
        path: RepositoryName,
        username: Username,
    },
    /// Where the change is for a membership that there is.
    #[error("`{username}` is no member of `{path}` yet")]
    NotYet {
        path: RepositoryName,
        username: Username,
    },
    /// Where the change is for one that there is not.
    #[error("`{username}` is a member of `{path}` already")]
    Already {
        path: RepositoryName,
        username: Username,
    },
    #[error("a membership cannot expire in the past")]
    Expired,
    #[error(
        "`{username}` is the last owner of `{path}`: make somebody else one first, for good, or ask \
         an administrator"
    )]
    LastOwner {
        path: RepositoryName,
        username: Username,
    },
    #[error("somebody else has changed the membership since you have read it")]
    Outdated,
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Makes a user a member, or changes what they are: there is one membership for a user and a
/// path. What is so already is no change.
///
/// That the caller may manage the members is settled before.
pub async fn set(
    context: &Context,
    caller: Caller<'_>,
    path: &RepositoryName,
    username: &Username,
    new: NewMembership,
    expected: Expected,
) -> Result<Put<Membership>, MemberError> {
    let now = context.clock.now();
    if new.expires_at.is_some_and(|end| end <= now) {
        return Err(MemberError::Expired);
    }
    let mut tx = context.database.begin().await?;
    let (number, user) = lock(&mut tx, path, username).await?;
    let before = store::memberships::find(&mut tx, number, user).await?;
    if !expected.is_met(before.as_ref().map(|before| before.version)) {
        return Err(match (&before, expected) {
            (None, _) => MemberError::NotYet {
                path: path.clone(),
                username: username.clone(),
            },
            (Some(_), Expected::Nothing) => MemberError::Already {
                path: path.clone(),
                username: username.clone(),
            },
            (Some(_), _) => MemberError::Outdated,
        });
    }
    match &before {
        None => {
            let (role, end) = (new.role, new.expires_at);
            store::memberships::insert(&mut tx, number, user, role, end, now).await?;
        }
        Some(before) if before.role == new.role && before.expires_at == new.expires_at => {
            return Ok(Put {
                object: before.clone(),
                is_new: false,
            });
        }
        Some(before) => {
            let stays_owner = new.role == Role::Owner && new.expires_at.is_none();
            if before.is_owner_for_good() && !stays_owner {
                refuse_last_owner(&mut tx, caller, before).await?;
            }
            store::memberships::update(&mut tx, number, user, new.role, new.expires_at).await?;
        }
    }
    let after = store::memberships::find(&mut tx, number, user)
        .await?
        .ok_or(MemberError::Outdated)?;
    let is_new = before.is_none();
    let event = Event::success(Action::MemberSet, after.as_subject()).after(&after);
    let event = match before {
        Some(before) => event.before(before),
        None => event,
    };
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(Put {
        object: after,
        is_new,
    })
}

/// Ends a membership. Those in groups above remain.
pub async fn remove(
    context: &Context,
    caller: Caller<'_>,
    path: &RepositoryName,
    username: &Username,
    expected: Option<i64>,
) -> Result<(), MemberError> {
    let mut tx = context.database.begin().await?;
    let (number, user) = lock(&mut tx, path, username).await?;
    let before = store::memberships::find(&mut tx, number, user)
        .await?
        .ok_or_else(|| MemberError::NoMember {
            path: path.clone(),
            username: username.clone(),
        })?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Err(MemberError::Outdated);
    }
    if before.is_owner_for_good() {
        refuse_last_owner(&mut tx, caller, &before).await?;
    }
    store::memberships::delete(&mut tx, number, user).await?;
    let event = Event::success(Action::MemberRemove, before.as_subject()).before(&before);
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(())
}

/// The membership of a user at exactly this path.
pub async fn find(
    database: &Database,
    path: &RepositoryName,
    username: &Username,
) -> Result<Option<Membership>, database::Error> {
    let mut tx = database.read().await?;
    let name = username.as_str();
    let found = store::memberships::between(&mut tx, path, false, name, name).await?;
    Ok(found.into_iter().next())
}

/// The members of a group or project, by name.
pub async fn list(
    database: &Database,
    now: DateTime<Utc>,
    path: &RepositoryName,
    filter: &MemberFilter,
    request: &PageRequest,
) -> Result<Page<Member>, database::Error> {
    let (inherited, search) = (filter.inherited, filter.search.as_deref());
    let mut tx = database.read().await?;
    let names =
        store::memberships::page_of_names(&mut tx, path, inherited, search, request).await?;
    let total = store::memberships::count_names(&mut tx, path, inherited, search).await?;
    let (Some(first), Some(last)) = (names.iter().min(), names.iter().max()) else {
        return Ok(Page::new(Vec::new(), total, request));
    };
    let memberships = store::memberships::between(&mut tx, path, inherited, first, last).await?;
    let members = names.iter().filter_map(|name| {
        let of_user = |membership: &&Membership| membership.username.as_str() == name;
        let memberships: Vec<_> = memberships.iter().filter(of_user).cloned().collect();
        let first = memberships.first()?;
        Some(Member {
            user_id: first.user_id,
            username: first.username.clone(),
            role: memberships
                .iter()
                .filter(|membership| membership.is_held(now))
                .map(|membership| membership.role)
                .max(),
            memberships,
        })
    });
    Ok(Page::new(members.collect(), total, request))
}

/// All that a user is a member of, by path.
pub async fn of_user(
    database: &Database,
    user: UserId,
) -> Result<Vec<Membership>, database::Error> {
    let mut tx = database.read().await?;
    store::memberships::of_user(&mut tx, user).await
}

/// The number of the path, locked, and the user.
async fn lock(
    tx: &mut Tx,
    path: &RepositoryName,
    username: &Username,
) -> Result<(i64, UserId), MemberError> {
    let number = store::paths::lock(tx, path.as_str())
        .await?
        .ok_or(MemberError::NotFound)?;
    let user = store::users::by_username(tx, username)
        .await?
        .ok_or_else(|| MemberError::UserNotFound(username.clone()))?;
    Ok((number, user.id))
}

/// Somebody must remain who can manage the members, and is to remain for good. An administrator
/// may leave it to administrators; what lies below a user's name is that user's anyway.
async fn refuse_last_owner(
    tx: &mut Tx,
    caller: Caller<'_>,
    before: &Membership,
) -> Result<(), MemberError> {
    if caller.is_administrator() {
        return Ok(());
    }
    let path = &before.path;
    if let Ok(namespace) = path.namespace().parse::<Username>()
        && namespace.as_str() != path.as_str()
        && store::users::by_username(tx, &namespace).await?.is_some()
    {
        return Ok(());
    }
    if store::memberships::has_other_owner(tx, path.as_str(), before.user_id).await? {
        return Ok(());
    }
    Err(MemberError::LastOwner {
        path: path.clone(),
        username: before.username.clone(),
    })
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
