//! The rules.

use registry_token::{Access, AccessEntry, Action, Actions, Meta, RepositoryName, Resource, Scope};

use super::{Snapshot, Subject};
use crate::accounts::{Project, User, Visibility};

/// What the owner of something may do with it. Not `*`: that is for administrators, and would
/// come to include actions that are yet to be invented.
const OWNER: [Action; 3] = [Action::Pull, Action::Push, Action::Delete];

/// What decided, from the mightiest to the weakest: the first that applies counts, since each
/// grants what those after it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Administrators may do everything.
    Administrator,
    /// Everybody may do everything below their own name.
    OwnNamespace,
    /// The owner of a project may do everything in it.
    ProjectOwner,
    /// Everybody may pull from a public project.
    PublicProject,
    /// Everybody who has logged in may pull from an internal project.
    InternalProject,
    /// Nothing above applies, so nothing is granted.
    Nobody,
}

impl Rule {
    /// What the rule grants at most.
    #[must_use]
    pub fn actions(self) -> Actions {
        match self {
            Self::Administrator => Actions::ALL,
            Self::OwnNamespace | Self::ProjectOwner => Actions::from(OWNER),
            Self::PublicProject | Self::InternalProject => Actions::PULL,
            Self::Nobody => Actions::NONE,
        }
    }
}

/// An answer, and why it is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    pub scope: &'a Scope,
    /// What was asked for and is permitted; may be empty.
    pub granted: Actions,
    pub rule: Rule,
    /// The project that the repository belongs to.
    pub project: Option<&'a Project>,
}

impl Snapshot {
    /// Decides about one scope. Whether the repository exists does not matter and is not told.
    #[must_use]
    pub fn decide<'a>(&'a self, scope: &'a Scope) -> Decision<'a> {
        let (rule, project) = match &scope.resource {
            Resource::Repository(name) => {
                let project = self.project_of(name);
                (rule_for(&self.subject, name, project), project)
            }
            // The catalog names every repository, hidden ones too. Resources of other kinds are
            // not ours to give.
            Resource::RegistryCatalog => match &self.subject {
                Subject::User(user) if user.is_admin => (Rule::Administrator, None),
                Subject::User(_) | Subject::Anonymous => (Rule::Nobody, None),
            },
            Resource::Other { .. } => (Rule::Nobody, None),
        };
        Decision {
            scope,
            granted: scope.actions.intersection(rule.actions()),
            rule,
            project,
        }
    }

    /// Decides about all scopes. What is left with nothing is dropped; what is granted carries
    /// the project it lies in.
    #[must_use]
    pub fn grant(&self, scopes: &[Scope]) -> Access {
        scopes
            .iter()
            .map(|scope| self.decide(scope))
            .filter(|decision| !decision.granted.is_empty())
            .map(|decision| AccessEntry {
                resource: decision.scope.resource.clone(),
                actions: decision.granted,
                meta: decision.project.map(|project| Meta {
                    project_path: Some(project.path.to_string()),
                    project_id: Some(project.number),
                    ..Meta::default()
                }),
            })
            .collect()
    }
}

fn rule_for(subject: &Subject, name: &RepositoryName, project: Option<&Project>) -> Rule {
    if let Subject::User(user) = subject {
        if user.is_admin {
            return Rule::Administrator;
        }
        if owns_namespace(user, name) {
            return Rule::OwnNamespace;
        }
        if project.is_some_and(|project| project.owner_id == Some(user.id)) {
            return Rule::ProjectOwner;
        }
    }
    match (project.map(|project| project.visibility), subject) {
        (Some(Visibility::Public), _) => Rule::PublicProject,
        (Some(Visibility::Internal), Subject::User(_)) => Rule::InternalProject,
        (Some(Visibility::Internal), Subject::Anonymous)
        | (Some(Visibility::Private) | None, _) => Rule::Nobody,
    }
}

/// `alice/app` is alice's; the bare name `alice` is nobody's.
fn owns_namespace(user: &User, name: &RepositoryName) -> bool {
    name.as_str()
        .strip_prefix(user.username.as_str())
        .is_some_and(|below| below.starts_with('/'))
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
