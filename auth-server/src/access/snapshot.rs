//! What a decision depends on, loaded with one statement.

use chrono::{DateTime, Utc};
use database::Database;
use registry_token::{RepositoryName, Resource, Scope};

use super::Subject;
use crate::accounts::{Project, Role};
use crate::store;
use crate::store::paths::PathRow;

/// A path that belongs to somebody, and what the subject is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What tokens call it, in GitLab's field `root_namespace_id`.
    pub number: i64,
    pub path: RepositoryName,
    pub project: Option<Project>,
    pub membership: Option<HeldRole>,
}

/// A role, and until when it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldRole {
    pub role: Role,
    pub expires_at: Option<DateTime<Utc>>,
}

impl Place {
    /// Whether the repository is called so, or lies below.
    #[must_use]
    pub fn contains(&self, repository: &RepositoryName) -> bool {
        repository
            .as_str()
            .strip_prefix(self.path.as_str())
            .is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

impl From<PathRow> for Place {
    fn from(row: PathRow) -> Self {
        let project = row
            .project_id
            .zip(row.project_number)
            .zip(row.visibility)
            .zip(row.created_at)
            .zip(row.version)
            .map(
                |((((id, number), visibility), created_at), version)| Project {
                    id,
                    number,
                    path: row.path.clone(),
                    visibility,
                    created_at,
                    version,
                },
            );
        Self {
            number: row.number,
            path: row.path,
            project,
            membership: row.role.map(|role| HeldRole {
                role,
                expires_at: row.role_expires_at,
            }),
        }
    }
}

/// A subject, and whatever there is at and above what it asks for.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub subject: Subject,
    /// When it was taken: what has expired by then counts no more.
    pub now: DateTime<Utc>,
    places: Vec<Place>,
}

impl Snapshot {
    #[must_use]
    pub fn new(subject: Subject, now: DateTime<Utc>, places: Vec<Place>) -> Self {
        Self {
            subject,
            now,
            places,
        }
    }

    /// Loads what deciding about these scopes takes: nothing, or one statement.
    pub async fn load(
        database: &Database,
        now: DateTime<Utc>,
        subject: Subject,
        scopes: &[Scope],
    ) -> Result<Self, database::Error> {
        let mut paths: Vec<&str> = scopes
            .iter()
            .filter_map(|scope| match &scope.resource {
                Resource::Repository(name) => Some(name),
                Resource::RegistryCatalog | Resource::Other { .. } => None,
            })
            .flat_map(covering_paths)
            .collect();
        paths.sort_unstable();
        paths.dedup();
        if paths.is_empty() {
            return Ok(Self::new(subject, now, Vec::new()));
        }
        let mut tx = database.read().await?;
        let user = subject.user().map(|user| user.id);
        let rows = store::paths::at(&mut tx, &paths, user).await?;
        let places = rows.into_iter().map(Place::from).collect();
        Ok(Self::new(subject, now, places))
    }

    /// The project that a repository belongs to: of those that contain it, the one with the
    /// longest path.
    #[must_use]
    pub fn project_of(&self, repository: &RepositoryName) -> Option<&Project> {
        self.above(repository)
            .filter_map(|place| place.project.as_ref())
            .max_by_key(|project| project.path.as_str().len())
    }

    /// The greatest role that the subject holds in this project: as its member, or as a member of
    /// a group above. What lies in another project is another project's, though it lies below.
    #[must_use]
    pub fn role_in(&self, project: &Project) -> Option<(&Place, HeldRole)> {
        self.above(&project.path)
            .filter(|place| place.project.is_none() || place.path == project.path)
            .filter_map(|place| Some((place, place.membership?)))
            .filter(|(_, held)| held.expires_at.is_none_or(|end| self.now < end))
            .max_by_key(|(place, held)| (held.role, place.path.as_str().len()))
    }

    fn above(&self, repository: &RepositoryName) -> impl Iterator<Item = &Place> {
        self.places
            .iter()
            .filter(move |place| place.contains(repository))
    }
}

/// The paths at which a project would contain the repository: its own, and all above it.
fn covering_paths(repository: &RepositoryName) -> impl Iterator<Item = &str> {
    let name = repository.as_str();
    name.match_indices('/')
        .map(|(slash, _)| &name[..slash])
        .chain(std::iter::once(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_covered_by_its_own_path_and_all_above() {
        let name: RepositoryName = "team/app/worker".parse().unwrap();
        assert_eq!(
            covering_paths(&name).collect::<Vec<_>>(),
            ["team", "team/app", "team/app/worker"]
        );
        let name: RepositoryName = "app".parse().unwrap();
        assert_eq!(covering_paths(&name).collect::<Vec<_>>(), ["app"]);
    }
}
