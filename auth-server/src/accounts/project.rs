//! Projects: the visibility and ownership of the repositories at and below a path.

use chrono::{DateTime, Utc};
use database::Database;
use registry_token::RepositoryName;
use uuid::Uuid;

use super::{Page, PageRequest, UserId, Username};
use crate::clock::Clock;
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

/// A path in the registry, and who may know of it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Project {
    pub id: ProjectId,
    /// What tokens call the project, in GitLab's field `project_id`; never given twice.
    pub number: i64,
    /// Covers the repository of this name and all below it, unless a longer path covers them.
    #[sqlx(try_from = "String")]
    pub path: RepositoryName,
    pub owner_id: Option<UserId>,
    pub visibility: Visibility,
    pub created_at: DateTime<Utc>,
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
}

/// A project, and the name of who owns it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct OwnedProject {
    #[sqlx(flatten)]
    pub project: Project,
    pub owner: Option<Username>,
}

/// A project to be.
#[derive(Clone, Debug)]
pub struct NewProject {
    pub path: RepositoryName,
    /// May pull, push and delete in it.
    pub owner: Option<Username>,
    pub visibility: Visibility,
}

/// Why a project could not be created or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("a project `{0}` exists already")]
    PathTaken(RepositoryName),
    #[error("there is no user `{0}` to own the project")]
    OwnerNotFound(Username),
    #[error("there is no such project")]
    NotFound,
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Creates a project. Repositories need no creation: they come into being with their first push.
pub async fn create(
    database: &Database,
    clock: &Clock,
    new: NewProject,
) -> Result<OwnedProject, ProjectError> {
    let mut tx = database.begin().await?;
    let owner_id = match &new.owner {
        None => None,
        Some(owner) => match store::users::by_username(&mut tx, owner).await? {
            Some(user) => Some(user.id),
            None => return Err(ProjectError::OwnerNotFound(owner.clone())),
        },
    };
    let row = store::projects::NewRow {
        id: ProjectId(clock.uuid()),
        path: &new.path,
        owner_id,
        visibility: new.visibility,
        created_at: clock.now(),
    };
    let project = match store::projects::insert(&mut tx, &row).await {
        Ok(project) => project,
        Err(database::Error::Conflict(_)) => return Err(ProjectError::PathTaken(new.path)),
        Err(error) => return Err(error.into()),
    };
    tx.commit().await?;
    Ok(OwnedProject {
        project,
        owner: new.owner,
    })
}

/// The project of exactly this path.
pub async fn find_by_path(
    database: &Database,
    path: &RepositoryName,
) -> Result<Option<OwnedProject>, database::Error> {
    let mut tx = database.read().await?;
    store::projects::by_path(&mut tx, path).await
}

/// The project of this identifier.
pub async fn find_by_id(
    database: &Database,
    id: ProjectId,
) -> Result<Option<OwnedProject>, database::Error> {
    let mut tx = database.read().await?;
    store::projects::by_id(&mut tx, id).await
}

/// The projects by path.
pub async fn list(
    database: &Database,
    request: &PageRequest,
) -> Result<Page<OwnedProject>, database::Error> {
    let mut tx = database.read().await?;
    let projects = store::projects::page(&mut tx, request.after(), request.fetch()).await?;
    let total = store::projects::count(&mut tx).await?;
    Ok(Page::new(projects, total, request))
}

/// Changes who may pull without being named; tokens issued from now on follow it.
pub async fn set_visibility(
    database: &Database,
    id: ProjectId,
    visibility: Visibility,
) -> Result<Project, ProjectError> {
    let mut tx = database.begin().await?;
    let project = store::projects::set_visibility(&mut tx, id, visibility)
        .await?
        .ok_or(ProjectError::NotFound)?;
    tx.commit().await?;
    Ok(project)
}

/// Removes the project. The images below its path stay in the registry, and fall to the next
/// shorter project or to nobody but the owner of the namespace and the administrators.
pub async fn delete(database: &Database, id: ProjectId) -> Result<(), ProjectError> {
    let mut tx = database.begin().await?;
    if !store::projects::delete(&mut tx, id).await? {
        return Err(ProjectError::NotFound);
    }
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
#[path = "project_tests.rs"]
mod tests;
