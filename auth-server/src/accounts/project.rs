//! Projects: the visibility of the repositories at and below a path.

use chrono::{DateTime, Utc};
use database::{Database, Tx};
use registry_token::RepositoryName;
use uuid::Uuid;

use super::namespace::{self, NamespaceError};
use super::{Caller, Expected, Page, PageRequest, Put, Role, UserId, Username, place};
use crate::audit::{Action, Event, Subject};
use crate::context::Context;
use crate::store;

/// Identifies a project for good, whatever the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, sqlx::Type)]
#[sqlx(transparent)]
pub struct ProjectId(pub Uuid);

/// Who may pull from a project without being named.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
    sqlx::Type,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "TEXT", rename_all = "lowercase")]
pub enum Visibility {
    /// Nobody: the project is not even known to exist.
    Private,
    /// Every user who has logged in.
    Internal,
    /// Everybody.
    Public,
}

/// The text names no [`Visibility`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a visibility is private, internal or public")]
pub struct UnknownVisibility;

impl std::str::FromStr for Visibility {
    type Err = UnknownVisibility;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "private" => Ok(Self::Private),
            "internal" => Ok(Self::Internal),
            "public" => Ok(Self::Public),
            _ => Err(UnknownVisibility),
        }
    }
}

impl std::fmt::Display for Visibility {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Private => "private",
            Self::Internal => "internal",
            Self::Public => "public",
        })
    }
}

/// A path in the registry, and who may know of it. Serialized as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema, sqlx::FromRow)]
pub struct Project {
    #[schema(value_type = Uuid)]
    pub id: ProjectId,
    /// What tokens call the project, in GitLab's field `project_id`; never given twice.
    pub number: i64,
    /// Covers the repository of this name and all below it, unless a longer path covers them.
    #[sqlx(try_from = "String")]
    #[schema(value_type = String)]
    pub path: RepositoryName,
    pub visibility: Visibility,
    pub created_at: DateTime<Utc>,
    /// Counts the changes.
    pub version: i64,
}

impl Project {
    fn as_subject(&self) -> Subject {
        Subject::new("project", Some(self.id.0), self.path.as_str())
    }
}

/// A project to be.
#[derive(Clone, Debug)]
pub struct NewProject {
    pub path: RepositoryName,
    /// Its first member, with the role of an owner.
    pub owner: Option<Username>,
    pub visibility: Visibility,
}

/// Who looks at the list of projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Sees all.
    Administrator,
    /// Sees what is not private, what is below their name, and where they have a role or a grant.
    User { id: UserId, username: Username },
}

impl From<Caller<'_>> for Viewer {
    fn from(caller: Caller<'_>) -> Self {
        match caller {
            Caller::Administrator => Self::Administrator,
            Caller::User(user) => Self::User {
                id: user.id,
                username: user.username.clone(),
            },
        }
    }
}

/// Which projects are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFilter {
    pub viewer: Viewer,
    /// Memberships and grants that have expired by then do not count.
    pub now: DateTime<Utc>,
    pub visibility: Option<Visibility>,
    /// In that group or namespace, at any depth.
    pub below: Option<RepositoryName>,
    /// Part of the path.
    pub search: Option<String>,
}

impl ProjectFilter {
    /// All projects that the caller may know of.
    #[must_use]
    pub fn seen_by(caller: Caller<'_>, now: DateTime<Utc>) -> Self {
        Self {
            viewer: caller.into(),
            now,
            visibility: None,
            below: None,
            search: None,
        }
    }
}

/// What is to become of a project; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProjectChange {
    /// Tokens issued from now on follow it.
    pub visibility: Option<Visibility>,
}

/// Why a project could not be created or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("there is no user `{0}` to own the project")]
    OwnerNotFound(Username),
    #[error("there is no such project")]
    NotFound,
    #[error("this takes the role maintainer in the project `{0}`")]
    Denied(RepositoryName),
    #[error("there is a project `{0}` already")]
    Already(RepositoryName),
    #[error("there is no project `{0}` yet")]
    NotYet(RepositoryName),
    #[error("somebody else has changed the project since you have read it")]
    Outdated,
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Creates a project, if it may be there and the caller may create it. Repositories need no
/// creation: they come into being with their first push.
pub async fn create(
    context: &Context,
    caller: Caller<'_>,
    new: NewProject,
) -> Result<Project, ProjectError> {
    let mut tx = context.database.begin().await?;
    let now = context.clock.now();
    namespace::claim_for_project(&mut tx, now, caller, &new.path).await?;
    let project = insert(&mut tx, context, new, None).await?;
    tx.commit().await?;
    Ok(project)
}

/// Adds a project whose path has been claimed. `reason`: why, for the audit log.
pub(crate) async fn insert(
    tx: &mut Tx,
    context: &Context,
    new: NewProject,
    reason: Option<&str>,
) -> Result<Project, ProjectError> {
    let now = context.clock.now();
    let owner = match &new.owner {
        None => None,
        Some(owner) => match store::users::by_username(tx, owner).await? {
            Some(user) => Some(user.id),
            None => return Err(ProjectError::OwnerNotFound(owner.clone())),
        },
    };
    let row = store::projects::NewRow {
        id: ProjectId(context.clock.uuid()),
        path: &new.path,
        visibility: new.visibility,
        created_at: now,
    };
    let taken = |error| NamespaceError::of_insertion(error, &new.path);
    let project = store::projects::insert(tx, &row).await.map_err(taken)?;
    let number = store::paths::insert_project(tx, new.path.as_str(), project.id)
        .await
        .map_err(taken)?;
    if let Some(owner) = owner {
        store::memberships::insert(tx, number, owner, Role::Owner, None, now).await?;
    }
    let event = Event::success(Action::ProjectCreate, project.as_subject()).after(&project);
    let event = match reason {
        Some(reason) => event.because(reason),
        None => event,
    };
    context.record(tx, &event).await?;
    Ok(project)
}

/// The project of exactly this path.
pub async fn find_by_path(
    database: &Database,
    path: &RepositoryName,
) -> Result<Option<Project>, database::Error> {
    let mut tx = database.read().await?;
    store::projects::by_path(&mut tx, path).await
}

/// The project of this identifier.
pub async fn find_by_id(
    database: &Database,
    id: ProjectId,
) -> Result<Option<Project>, database::Error> {
    let mut tx = database.read().await?;
    store::projects::by_id(&mut tx, id).await
}

/// A page of projects.
pub async fn list(
    database: &Database,
    filter: &ProjectFilter,
    request: &PageRequest,
) -> Result<Page<Project>, database::Error> {
    let mut tx = database.read().await?;
    let projects = store::projects::page(&mut tx, filter, request).await?;
    let total = store::projects::count(&mut tx, filter).await?;
    Ok(Page::new(projects, total, request))
}

/// Changes a project, if it still is of the `expected` version. What is so already is no change.
pub async fn update(
    context: &Context,
    id: ProjectId,
    change: ProjectChange,
    expected: Option<i64>,
) -> Result<Project, ProjectError> {
    let mut tx = context.database.begin().await?;
    let before = existing(&mut tx, id, expected).await?;
    let after = replace(&mut tx, context, before, change).await?;
    tx.commit().await?;
    Ok(after)
}

async fn replace(
    tx: &mut Tx,
    context: &Context,
    before: Project,
    change: ProjectChange,
) -> Result<Project, ProjectError> {
    let visibility = change.visibility.unwrap_or(before.visibility);
    if before.visibility == visibility {
        return Ok(before);
    }
    let after = store::projects::set_visibility(tx, before.id, before.version, visibility)
        .await?
        .ok_or(ProjectError::Outdated)?;
    let event = Event::success(Action::ProjectUpdate, after.as_subject())
        .before(&before)
        .after(&after);
    context.record(tx, &event).await?;
    Ok(after)
}

/// Sees to it that there is such a project, and that it is as wanted, whether it is there already
/// or not. Who may change what is there, or create what is not, is settled here.
pub async fn put(
    context: &Context,
    caller: Caller<'_>,
    new: &NewProject,
    expected: Expected,
) -> Result<Put<Project>, ProjectError> {
    match try_put(context, caller, new, expected).await {
        // Somebody was faster between the look and the leap: now there is something to look at.
        Err(ProjectError::Namespace(NamespaceError::Taken(_)) | ProjectError::Outdated) => {
            try_put(context, caller, new, expected).await
        }
        result => result,
    }
}

async fn try_put(
    context: &Context,
    caller: Caller<'_>,
    new: &NewProject,
    expected: Expected,
) -> Result<Put<Project>, ProjectError> {
    let mut tx = context.database.begin().await?;
    let now = context.clock.now();
    let before = store::projects::by_path(&mut tx, &new.path).await?;
    let role = place::role_of(&mut tx, now, caller, &new.path).await?;
    let (object, is_new) = if let Some(before) = before.filter(|_| role.is_some()) {
        if role < Some(Role::Maintainer) {
            return Err(ProjectError::Denied(before.path));
        }
        if expected == Expected::Nothing {
            return Err(ProjectError::Already(before.path));
        }
        if !expected.is_met(Some(before.version)) {
            return Err(ProjectError::Outdated);
        }
        let change = ProjectChange {
            visibility: Some(new.visibility),
        };
        (replace(&mut tx, context, before, change).await?, false)
    } else {
        // Or none that the caller has a role in: then they may not create it either.
        namespace::claim_for_project(&mut tx, now, caller, &new.path).await?;
        if !expected.is_met(None) {
            return Err(ProjectError::NotYet(new.path.clone()));
        }
        (insert(&mut tx, context, new.clone(), None).await?, true)
    };
    tx.commit().await?;
    Ok(Put { object, is_new })
}

/// Removes the project. The images below its path stay in the registry, and fall to the next
/// shorter project or to nobody but the owner of the namespace and the administrators.
pub async fn delete(
    context: &Context,
    id: ProjectId,
    expected: Option<i64>,
) -> Result<(), ProjectError> {
    let mut tx = context.database.begin().await?;
    let before = existing(&mut tx, id, expected).await?;
    if !store::projects::delete(&mut tx, id, before.version).await? {
        return Err(ProjectError::Outdated);
    }
    let event = Event::success(Action::ProjectDelete, before.as_subject()).before(&before);
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(())
}

async fn existing(
    tx: &mut Tx,
    id: ProjectId,
    expected: Option<i64>,
) -> Result<Project, ProjectError> {
    let project = store::projects::by_id(tx, id)
        .await?
        .ok_or(ProjectError::NotFound)?;
    if expected.is_some_and(|expected| expected != project.version) {
        return Err(ProjectError::Outdated);
    }
    Ok(project)
}

#[cfg(test)]
#[path = "project_tests.rs"]
mod tests;
