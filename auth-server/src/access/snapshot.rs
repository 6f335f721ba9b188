//! What a decision depends on, loaded with one statement.

use database::Database;
use registry_token::{RepositoryName, Resource, Scope};

use crate::accounts::{Project, User};
use crate::store;

/// On whose behalf something is asked.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Nobody has logged in.
    Anonymous,
    /// A user that exists, is not disabled, and has proven to be who it says.
    User(User),
}

impl Subject {
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user),
        }
    }
}

/// A subject, and every project that covers what is asked for.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub subject: Subject,
    projects: Vec<Project>,
}

impl Snapshot {
    #[must_use]
    pub fn new(subject: Subject, projects: Vec<Project>) -> Self {
        Self { subject, projects }
    }

    /// Loads what deciding about these scopes takes: nothing, or one statement.
    pub async fn load(
        database: &Database,
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
            return Ok(Self::new(subject, Vec::new()));
        }
        let mut tx = database.read().await?;
        let projects = store::projects::at_paths(&mut tx, &paths).await?;
        Ok(Self::new(subject, projects))
    }

    /// The project that a repository belongs to: of those that contain it, the one with the
    /// longest path.
    #[must_use]
    pub fn project_of(&self, repository: &RepositoryName) -> Option<&Project> {
        self.projects
            .iter()
            .filter(|project| project.contains(repository))
            .max_by_key(|project| project.path.as_str().len())
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
