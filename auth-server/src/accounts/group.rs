//! Groups: what projects and other groups lie in, and whose members have their role in all of it.

use chrono::{DateTime, Utc};
use database::{Database, Tx};
use registry_token::RepositoryName;
use uuid::Uuid;

use super::namespace::{self, NamespaceError};
use super::{Caller, Expected, Page, PageRequest, Put, Role, UserId, Username, place};
use crate::audit::{Action, Event, Subject};
use crate::context::Context;
use crate::store;

/// Identifies a group for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, sqlx::Type)]
#[sqlx(transparent)]
pub struct GroupId(pub Uuid);

/// A group. Serialized as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema, sqlx::FromRow)]
pub struct Group {
    #[schema(value_type = Uuid)]
    pub id: GroupId,
    /// The group `platform/backend` lies in `platform`.
    #[sqlx(try_from = "String")]
    #[schema(value_type = String)]
    pub path: RepositoryName,
    /// Whether a push to a path that no project covers makes a private project.
    pub create_on_push: bool,
    pub created_at: DateTime<Utc>,
    /// Counts the changes.
    pub version: i64,
}

impl Group {
    fn as_subject(&self) -> Subject {
        Subject::new("group", Some(self.id.0), self.path.as_str())
    }
}

/// A group to be.
#[derive(Clone, Debug)]
pub struct NewGroup {
    pub path: RepositoryName,
    /// Its first member, with the role of an owner.
    pub owner: Option<Username>,
    pub create_on_push: bool,
}

/// Which groups are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFilter {
    /// Of which this user is a member, by a group above too. `None`: all.
    pub member: Option<UserId>,
    /// Memberships that have expired by then do not count.
    pub now: DateTime<Utc>,
    /// In that group, at any depth.
    pub below: Option<RepositoryName>,
    /// Part of the path.
    pub search: Option<String>,
}

impl GroupFilter {
    /// All groups that the caller may know of.
    #[must_use]
    pub fn seen_by(caller: Caller<'_>, now: DateTime<Utc>) -> Self {
        Self {
            member: caller.user().map(|user| user.id),
            now,
            below: None,
            search: None,
        }
    }
}

/// What is to become of a group; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupChange {
    pub create_on_push: Option<bool>,
}

/// Why a group could not be created, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("there is no user `{0}` to own the group")]
    OwnerNotFound(Username),
    #[error("`{path}` lies in the group: only an empty group can be deleted")]
    NotEmpty { path: String },
    #[error("there is no such group")]
    NotFound,
    #[error("this takes the role maintainer in the group `{0}`")]
    Denied(RepositoryName),
    #[error("there is a group `{0}` already")]
    Already(RepositoryName),
    #[error("there is no group `{0}` yet")]
    NotYet(RepositoryName),
    #[error("somebody else has changed the group since you have read it")]
    Outdated,
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Creates a group, if it may be there and the caller may create it.
pub async fn create(
    context: &Context,
    caller: Caller<'_>,
    new: NewGroup,
) -> Result<Group, GroupError> {
    let mut tx = context.database.begin().await?;
    let now = context.clock.now();
    namespace::claim_for_group(&mut tx, now, caller, &new.path).await?;
    let group = insert(&mut tx, context, new).await?;
    tx.commit().await?;
    Ok(group)
}

/// Adds a group whose path has been claimed.
async fn insert(tx: &mut Tx, context: &Context, new: NewGroup) -> Result<Group, GroupError> {
    let now = context.clock.now();
    let owner = match &new.owner {
        None => None,
        Some(owner) => match store::users::by_username(tx, owner).await? {
            Some(user) => Some(user.id),
            None => return Err(GroupError::OwnerNotFound(owner.clone())),
        },
    };
    let group = Group {
        id: GroupId(context.clock.uuid()),
        path: new.path,
        create_on_push: new.create_on_push,
        created_at: now,
        version: 1,
    };
    let inserted = async {
        store::groups::insert(&mut *tx, &group).await?;
        store::paths::insert_group(&mut *tx, group.path.as_str(), group.id).await
    };
    let number = inserted
        .await
        .map_err(|error| NamespaceError::of_insertion(error, &group.path))?;
    if let Some(owner) = owner {
        store::memberships::insert(tx, number, owner, Role::Owner, None, now).await?;
    }
    let event = Event::success(Action::GroupCreate, group.as_subject()).after(&group);
    context.record(tx, &event).await?;
    Ok(group)
}

/// The group of exactly this path.
pub async fn find_by_path(
    database: &Database,
    path: &RepositoryName,
) -> Result<Option<Group>, database::Error> {
    let mut tx = database.read().await?;
    store::groups::by_path(&mut tx, path).await
}

/// The group of this identifier.
pub async fn find_by_id(
    database: &Database,
    id: GroupId,
) -> Result<Option<Group>, database::Error> {
    let mut tx = database.read().await?;
    store::groups::by_id(&mut tx, id).await
}

/// A page of groups.
pub async fn list(
    database: &Database,
    filter: &GroupFilter,
    request: &PageRequest,
) -> Result<Page<Group>, database::Error> {
    let mut tx = database.read().await?;
    let groups = store::groups::page(&mut tx, filter, request).await?;
    let total = store::groups::count(&mut tx, filter).await?;
    Ok(Page::new(groups, total, request))
}

/// Changes a group, if it still is of the `expected` version. What is so already is no change.
pub async fn update(
    context: &Context,
    id: GroupId,
    change: GroupChange,
    expected: Option<i64>,
) -> Result<Group, GroupError> {
    let mut tx = context.database.begin().await?;
    let before = existing(&mut tx, id, expected).await?;
    let after = replace(&mut tx, context, before, change).await?;
    tx.commit().await?;
    Ok(after)
}

async fn replace(
    tx: &mut Tx,
    context: &Context,
    before: Group,
    change: GroupChange,
) -> Result<Group, GroupError> {
    let create_on_push = change.create_on_push.unwrap_or(before.create_on_push);
    if create_on_push == before.create_on_push {
        return Ok(before);
    }
    let after = store::groups::set_create_on_push(tx, before.id, before.version, create_on_push)
        .await?
        .ok_or(GroupError::Outdated)?;
    let event = Event::success(Action::GroupUpdate, after.as_subject())
        .before(&before)
        .after(&after);
    context.record(tx, &event).await?;
    Ok(after)
}

/// Sees to it that there is such a group, and that it is as wanted, whether it is there already or
/// not. Who may change what is there, or create what is not, is settled here.
pub async fn put(
    context: &Context,
    caller: Caller<'_>,
    new: &NewGroup,
    expected: Expected,
) -> Result<Put<Group>, GroupError> {
    match try_put(context, caller, new, expected).await {
        // Somebody was faster between the look and the leap: now there is something to look at.
        Err(GroupError::Namespace(NamespaceError::Taken(_)) | GroupError::Outdated) => {
            try_put(context, caller, new, expected).await
        }
        result => result,
    }
}

async fn try_put(
    context: &Context,
    caller: Caller<'_>,
    new: &NewGroup,
    expected: Expected,
) -> Result<Put<Group>, GroupError> {
    let mut tx = context.database.begin().await?;
    let now = context.clock.now();
    let before = store::groups::by_path(&mut tx, &new.path).await?;
    let role = place::role_of(&mut tx, now, caller, &new.path).await?;
    let (object, is_new) = if let Some(before) = before.filter(|_| role.is_some()) {
        if role < Some(Role::Maintainer) {
            return Err(GroupError::Denied(before.path));
        }
        if expected == Expected::Nothing {
            return Err(GroupError::Already(before.path));
        }
        if !expected.is_met(Some(before.version)) {
            return Err(GroupError::Outdated);
        }
        let change = GroupChange {
            create_on_push: Some(new.create_on_push),
        };
        (replace(&mut tx, context, before, change).await?, false)
    } else {
        // Or none that the caller may know of: then they may not create it either.
        namespace::claim_for_group(&mut tx, now, caller, &new.path).await?;
        if !expected.is_met(None) {
            return Err(GroupError::NotYet(new.path.clone()));
        }
        (insert(&mut tx, context, new.clone()).await?, true)
    };
    tx.commit().await?;
    Ok(Put { object, is_new })
}

/// Deletes a group in which nothing lies, with its memberships, tokens, and grants to it.
pub async fn delete(
    context: &Context,
    id: GroupId,
    expected: Option<i64>,
) -> Result<(), GroupError> {
    let mut tx = context.database.begin().await?;
    let before = existing(&mut tx, id, expected).await?;
    let path = before.path.as_str();
    // Whoever is about to put something into it is waited for.
    if store::paths::lock(&mut tx, path).await?.is_none() {
        return Err(GroupError::NotFound);
    }
    if let Some(path) = store::paths::first_below(&mut tx, path).await? {
        return Err(GroupError::NotEmpty { path });
    }
    if !store::groups::delete(&mut tx, id, before.version).await? {
        return Err(GroupError::Outdated);
    }
    let event = Event::success(Action::GroupDelete, before.as_subject()).before(&before);
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(())
}

async fn existing(tx: &mut Tx, id: GroupId, expected: Option<i64>) -> Result<Group, GroupError> {
    let group = store::groups::by_id(tx, id)
        .await?
        .ok_or(GroupError::NotFound)?;
    if expected.is_some_and(|expected| expected != group.version) {
        return Err(GroupError::Outdated);
    }
    Ok(group)
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
