//! What a decision depends on.

use chrono::{DateTime, Utc};
use database::{Database, Error, Tx};
use registry_token::{RepositoryName, Resource, Scope};

use super::Subject;
use crate::accounts::Grant;
use crate::accounts::place::Places;
use crate::store;

/// A subject, whatever there is at and above what it asks for, and what it has been granted there.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub subject: Subject,
    /// When it was taken: what has expired by then counts no more.
    pub now: DateTime<Utc>,
    pub places: Places,
    /// To the subject, in the projects at hand.
    pub grants: Vec<Grant>,
}

impl Snapshot {
    /// Loads what answering these scopes takes: one statement, or two if what is asked for is more
    /// than roles and visibility allow. Nothing is loaded for no repository.
    pub async fn load(
        database: &Database,
        now: DateTime<Utc>,
        subject: Subject,
        scopes: &[Scope],
    ) -> Result<Self, Error> {
        let mut snapshot = Self {
            subject,
            now,
            places: Places::default(),
            grants: Vec::new(),
        };
        let repositories: Vec<&RepositoryName> = scopes.iter().filter_map(repository_of).collect();
        if repositories.is_empty() {
            return Ok(snapshot);
        }
        let mut tx = database.read().await?;
        let user = snapshot.subject.user().map(|user| user.id);
        snapshot.places = Places::load(&mut tx, repositories.iter().copied(), user).await?;
        let wanting: Vec<&RepositoryName> = scopes
            .iter()
            .filter(|scope| snapshot.decide(scope).granted != scope.actions)
            .filter_map(repository_of)
            .collect();
        snapshot.load_grants(&mut tx, &wanting).await?;
        Ok(snapshot)
    }

    /// The same with all grants, whether they make a difference or not.
    pub async fn load_all(
        database: &Database,
        now: DateTime<Utc>,
        subject: Subject,
        repository: &RepositoryName,
    ) -> Result<Self, Error> {
        let mut tx = database.read().await?;
        let user = subject.user().map(|user| user.id);
        let mut snapshot = Self {
            places: Places::load(&mut tx, [repository], user).await?,
            subject,
            now,
            grants: Vec::new(),
        };
        snapshot.load_grants(&mut tx, &[repository]).await?;
        Ok(snapshot)
    }

    async fn load_grants(
        &mut self,
        tx: &mut Tx,
        repositories: &[&RepositoryName],
    ) -> Result<(), Error> {
        let (user, token) = match &self.subject {
            Subject::Anonymous => return Ok(()),
            Subject::User(user) | Subject::PersonalToken { user, .. } => (Some(user.id), None),
            Subject::Token(token) => (None, Some(token.id)),
        };
        let projects: Vec<&str> = repositories
            .iter()
            .filter_map(|repository| self.places.project_of(repository))
            .map(|project| project.path.as_str())
            .collect();
        if !projects.is_empty() {
            self.grants = store::grants::to(tx, &projects, user, token, self.now).await?;
        }
        Ok(())
    }
}

fn repository_of(scope: &Scope) -> Option<&RepositoryName> {
    match &scope.resource {
        Resource::Repository(name) => Some(name),
        Resource::RegistryCatalog | Resource::Other { .. } => None,
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
