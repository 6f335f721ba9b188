//! Projects: the visibility of the repositories at and below a path.

use chrono::{DateTime, Utc};
use database::{Database, Tx};
use registry_token::RepositoryName;
use uuid::Uuid;

use super::{Page, PageRequest, Role, Username};
use crate::audit::{Action, Event, Subject};
use crate::context::Context;
use crate::store;

/// Identifies a project for good, whatever the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, sqlx::Type)]
#[sqlx(transparent)]
pub struct ProjectId(pub Uuid);

/// Who may pull from a project without being named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::Type)]
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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Project {
    pub id: ProjectId,
    /// What tokens call the project, in GitLab's field `project_id`; never given twice.
    pub number: i64,
    /// Covers the repository of this name and all below it, unless a longer path covers them.
    #[sqlx(try_from = "String")]
    pub path: RepositoryName,
    pub visibility: Visibility,
    pub created_at: DateTime<Utc>,
    /// Counts the changes.
    pub version: i64,
}

impl Project {
    /// Whether the repository lies at or below the path of this project.
    #[must_use]
    pub fn contains(&self, repository: &RepositoryName) -> bool {
        repository
            .as_str()
            .strip_prefix(self.path.as_str())
            .is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

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

/// Why a project could not be created or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("the path `{0}` is taken")]
    PathTaken(RepositoryName),
    #[error("there is no user `{0}` to own the project")]
    OwnerNotFound(Username),
    #[error("there is no such project")]
    NotFound,
    #[error("somebody else has changed the project since you have read it")]
    Outdated,
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Creates a project. Repositories need no creation: they come into being with their first push.
pub async fn create(context: &Context, new: NewProject) -> Result<Project, ProjectError> {
    let now = context.clock.now();
    let mut tx = context.database.begin().await?;
    let owner = match &new.owner {
        None => None,
        Some(owner) => match store::users::by_username(&mut tx, owner).await? {
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
    let taken = |error| match error {
        database::Error::Conflict(_) => ProjectError::PathTaken(new.path.clone()),
        error => error.into(),
    };
    let project = store::projects::insert(&mut tx, &row)
        .await
        .map_err(taken)?;
    let number = store::paths::insert_project(&mut tx, new.path.as_str(), project.id)
        .await
        .map_err(taken)?;
    if let Some(owner) = owner {
        store::memberships::insert(&mut tx, number, owner, Role::Owner, now).await?;
    }
    let event = Event::success(Action::ProjectCreate, project.as_subject()).after(&project);
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
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

/// The projects by path.
pub async fn list(
    database: &Database,
    request: &PageRequest,
) -> Result<Page<Project>, database::Error> {
    let mut tx = database.read().await?;
    let projects = store::projects::page(&mut tx, request.after(), request.fetch()).await?;
    let total = store::projects::count(&mut tx).await?;
    Ok(Page::new(projects, total, request))
}

/// Changes who may pull without being named; tokens issued from now on follow it. `expected`: the
/// version that the change is meant for.
pub async fn set_visibility(
    context: &Context,
    id: ProjectId,
    visibility: Visibility,
    expected: Option<i64>,
) -> Result<Project, ProjectError> {
    let mut tx = context.database.begin().await?;
    let before = existing(&mut tx, id, expected).await?;
    if before.visibility == visibility {
        return Ok(before);
    }
    let after = store::projects::set_visibility(&mut tx, id, before.version, visibility)
        .await?
        .ok_or(ProjectError::Outdated)?;
    let event = Event::success(Action::ProjectUpdate, after.as_subject())
        .before(&before)
        .after(&after);
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(after)
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
