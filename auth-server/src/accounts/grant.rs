//! Grants: rights in a project beside the roles of its members.

use chrono::{DateTime, Utc};
use database::{Database, Tx};
use registry_token::{Action as RegistryAction, Actions, RepositoryName};
use serde::Serialize;
use uuid::Uuid;

use super::place::{self, Places};
use super::{Caller, GroupId, Page, PageRequest, Pattern, Project, ProjectId, UserId, Username};
use crate::audit::{Action, Event, Subject};
use crate::context::Context;
use crate::store;

/// Identifies a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, sqlx::Type)]
#[sqlx(transparent)]
pub struct GrantId(pub Uuid);

/// Who may do what to which repositories of a project. Serialized as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Grant {
    #[schema(value_type = Uuid)]
    pub id: GrantId,
    #[serde(skip)]
    pub project_id: ProjectId,
    /// The path of the project: repositories that another covers are not reached.
    #[schema(value_type = String)]
    pub project: RepositoryName,
    pub to: Grantee,
    #[schema(value_type = Vec<String>)]
    pub actions: Actions,
    #[schema(value_type = String)]
    pub pattern: Pattern,
    /// `None`: for good.
    pub expires_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Counts the changes.
    pub version: i64,
}

/// To whom something is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Grantee {
    User {
        #[schema(value_type = Uuid)]
        id: UserId,
        #[schema(value_type = String)]
        name: Username,
    },
    /// Its members, and those of the groups above it.
    Group {
        #[schema(value_type = Uuid)]
        id: GroupId,
        name: String,
    },
    /// A deploy or job token.
    Token { id: Uuid, name: String },
}

impl Grant {
    /// Whether it is good for a repository that the project covers.
    #[must_use]
    pub fn applies(
        &self,
        project: &Project,
        repository: &RepositoryName,
        now: DateTime<Utc>,
    ) -> bool {
        self.project_id == project.id
            && self.expires_at.is_none_or(|end| now < end)
            && self.pattern.matches(repository)
    }

    fn as_subject(&self) -> Subject {
        Subject::new("grant", Some(self.id.0), self.project.as_str())
    }
}

/// To whom something is to be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewGrantee {
    User(Username),
    Group(RepositoryName),
    /// The identifier of a deploy or job token.
    Token(Uuid),
}

/// A grant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    pub to: NewGrantee,
    pub actions: Actions,
    pub pattern: Pattern,
    pub expires_at: Option<DateTime<Utc>>,
}

/// What is to become of a grant; `None` leaves it as it is. To whom it is does not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantChange {
    pub actions: Option<Actions>,
    pub pattern: Option<Pattern>,
    /// `Some(None)`: for good.
    pub expires_at: Option<Option<DateTime<Utc>>>,
}

/// Why a grant could not be created, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error("there is no such project")]
    ProjectNotFound,
    #[error("there is no user `{0}`")]
    UserNotFound(Username),
    /// Or the caller may not know of it.
    #[error("there is no group `{0}`")]
    GroupNotFound(RepositoryName),
    #[error("there is no deploy or job token `{0}`")]
    TokenNotFound(Uuid),
    #[error("a grant is for pull, push, delete, or some of them")]
    Actions,
    #[error("the pattern `{pattern}` matches nothing in the project `{project}`")]
    Pattern {
        pattern: Pattern,
        project: RepositoryName,
    },
    #[error("a grant cannot expire in the past")]
    Expired,
    #[error("there is no such grant")]
    NotFound,
    #[error("somebody else has changed the grant since you have read it")]
    Outdated,
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// A row to be.
#[derive(Debug)]
pub(crate) struct NewRow<'a> {
    pub id: GrantId,
    pub project: ProjectId,
    pub user: Option<UserId>,
    pub group: Option<GroupId>,
    pub token: Option<Uuid>,
    pub actions: Actions,
    pub pattern: &'a Pattern,
    pub expires_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// Grants something. That the caller may is settled before; what they may not know of does not
/// exist here either.
pub async fn create(
    context: &Context,
    caller: Caller<'_>,
    project: ProjectId,
    new: NewGrant,
) -> Result<Grant, GrantError> {
    let now = context.clock.now();
    let mut tx = context.database.begin().await?;
    let project = store::projects::by_id(&mut tx, project)
        .await?
        .ok_or(GrantError::ProjectNotFound)?;
    check(&project, new.actions, &new.pattern)?;
    check_end(new.expires_at, now)?;
    let mut row = NewRow {
        id: GrantId(context.clock.uuid()),
        project: project.id,
        user: None,
        group: None,
        token: None,
        actions: new.actions,
        pattern: &new.pattern,
        expires_at: new.expires_at,
        created_at: now,
    };
    match new.to {
        NewGrantee::User(username) => {
            let found = store::users::by_username(&mut tx, &username).await?;
            let user = found.ok_or(GrantError::UserNotFound(username))?;
            row.user = Some(user.id);
        }
        NewGrantee::Group(path) => row.group = Some(group(&mut tx, caller, now, path).await?),
        NewGrantee::Token(id) => {
            store::grants::token_username(&mut tx, id)
                .await?
                .ok_or(GrantError::TokenNotFound(id))?;
            row.token = Some(id);
        }
    }
    store::grants::insert(&mut tx, &row).await?;
    let grant = existing(&mut tx, project.id, row.id, None).await?;
    let event = Event::success(Action::GrantCreate, grant.as_subject()).after(&grant);
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(grant)
}

/// One grant of a project.
pub async fn find(
    database: &Database,
    project: ProjectId,
    id: GrantId,
) -> Result<Option<Grant>, database::Error> {
    let mut tx = database.read().await?;
    let found = store::grants::by_id(&mut tx, id).await?;
    Ok(found.filter(|grant| grant.project_id == project))
}

/// The grants of a project, in the order of their creation.
pub async fn list(
    database: &Database,
    project: ProjectId,
    request: &PageRequest,
) -> Result<Page<Grant>, database::Error> {
    let mut tx = database.read().await?;
    let grants = store::grants::page(&mut tx, project, request).await?;
    let total = store::grants::count(&mut tx, project).await?;
    Ok(Page::new(grants, total, request))
}

/// Changes a grant, if it still is of the `expected` version. What is so already is no change.
pub async fn update(
    context: &Context,
    project: ProjectId,
    id: GrantId,
    change: GrantChange,
    expected: Option<i64>,
) -> Result<Grant, GrantError> {
    let now = context.clock.now();
    let mut tx = context.database.begin().await?;
    let before = existing(&mut tx, project, id, expected).await?;
    let project = store::projects::by_id(&mut tx, project)
        .await?
        .ok_or(GrantError::ProjectNotFound)?;
    let actions = change.actions.unwrap_or(before.actions);
    let pattern = change.pattern.unwrap_or_else(|| before.pattern.clone());
    let expires_at = change.expires_at.unwrap_or(before.expires_at);
    if (actions, &pattern, expires_at) == (before.actions, &before.pattern, before.expires_at) {
        return Ok(before);
    }
    check(&project, actions, &pattern)?;
    if expires_at != before.expires_at {
        check_end(expires_at, now)?;
    }
    let version = before.version;
    if !store::grants::update(&mut tx, id, version, actions, &pattern, expires_at).await? {
        return Err(GrantError::Outdated);
    }
    let after = existing(&mut tx, project.id, id, None).await?;
    let event = Event::success(Action::GrantUpdate, after.as_subject())
        .before(&before)
        .after(&after);
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(after)
}

/// Takes a grant back; tokens issued from now on follow it.
pub async fn delete(
    context: &Context,
    project: ProjectId,
    id: GrantId,
    expected: Option<i64>,
) -> Result<(), GrantError> {
    let mut tx = context.database.begin().await?;
    let before = existing(&mut tx, project, id, expected).await?;
    if !store::grants::delete(&mut tx, id, before.version).await? {
        return Err(GrantError::Outdated);
    }
    let event = Event::success(Action::GrantDelete, before.as_subject()).before(&before);
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(())
}

async fn existing(
    tx: &mut Tx,
    project: ProjectId,
    id: GrantId,
    expected: Option<i64>,
) -> Result<Grant, GrantError> {
    let grant = store::grants::by_id(tx, id)
        .await?
        .filter(|grant| grant.project_id == project)
        .ok_or(GrantError::NotFound)?;
    if expected.is_some_and(|expected| expected != grant.version) {
        return Err(GrantError::Outdated);
    }
    Ok(grant)
}

/// The group, if the caller may know of it.
async fn group(
    tx: &mut Tx,
    caller: Caller<'_>,
    now: DateTime<Utc>,
    path: RepositoryName,
) -> Result<GroupId, GrantError> {
    let places = Places::load(tx, [&path], caller.user().map(|user| user.id)).await?;
    let seen = place::role(&places, now, caller, &path).is_some();
    let found = places.at(path.as_str()).and_then(place::Place::group);
    match found {
        Some(group) if seen => Ok(group),
        Some(_) | None => Err(GrantError::GroupNotFound(path)),
    }
}

/// What a grant may give: never `*`, which would come to include what is yet to be invented; and
/// not nothing, which would look like something.
fn check(project: &Project, actions: Actions, pattern: &Pattern) -> Result<(), GrantError> {
    if actions.is_empty() || actions.contains(RegistryAction::All) {
        return Err(GrantError::Actions);
    }
    if !pattern.can_match_in(&project.path) {
        return Err(GrantError::Pattern {
            pattern: pattern.clone(),
            project: project.path.clone(),
        });
    }
    Ok(())
}

fn check_end(end: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), GrantError> {
    if end.is_some_and(|end| end <= now) {
        return Err(GrantError::Expired);
    }
    Ok(())
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
