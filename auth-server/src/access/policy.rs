//! The rules.

use registry_token::{Access, AccessEntry, Action, Actions, Meta, RepositoryName, Resource, Scope};

use super::{HeldRole, Snapshot, Subject};
use crate::accounts::{Project, User, Visibility};

/// What the owner of something may do with it. Not `*`: that is for administrators, and would
/// come to include actions that are yet to be invented.
const OWNER: [Action; 3] = [Action::Pull, Action::Push, Action::Delete];

/// Why something is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule<'a> {
    /// Administrators may do everything.
    Administrator,
    /// Everybody may do everything below their own name.
    OwnNamespace,
    /// Members may do what their role says, in the project or all below the group at `path`.
    Role {
        held: HeldRole,
        path: &'a RepositoryName,
    },
    /// Deploy and job tokens may do what they were made for, in what lies at and below `path`.
    Token {
        actions: Actions,
        path: &'a RepositoryName,
    },
    /// Everybody may pull from a public project.
    PublicProject,
    /// Everybody who has logged in may pull from an internal project.
    InternalProject,
}

impl Rule<'_> {
    /// What the rule grants.
    #[must_use]
    pub fn actions(self) -> Actions {
        match self {
            Self::Administrator => Actions::ALL,
            Self::OwnNamespace => Actions::from(OWNER),
            Self::Role { held, .. } => held.role.actions(),
            Self::Token { actions, .. } => actions,
            Self::PublicProject | Self::InternalProject => Actions::PULL,
        }
    }
}

/// An answer, and why it is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    pub scope: &'a Scope,
    /// What was asked for and is permitted; may be empty.
    pub granted: Actions,
    /// All that apply, the mightiest first. Together they grant what the subject may do.
    pub rules: Vec<Rule<'a>>,
    /// What the credential lets through of it.
    pub limit: Actions,
    /// The project that the repository belongs to.
    pub project: Option<&'a Project>,
}

impl Snapshot {
    /// Decides about one scope. Whether the repository exists does not matter and is not told.
    #[must_use]
    pub fn decide<'a>(&'a self, scope: &'a Scope) -> Decision<'a> {
        let (rules, project) = match &scope.resource {
            Resource::Repository(name) => {
                let project = self.project_of(name);
                (self.rules(name, project), project)
            }
            // The catalog names every repository, hidden ones too.
            Resource::RegistryCatalog if self.is_administrator() => {
                (vec![Rule::Administrator], None)
            }
            // Resources of other kinds are not ours to give.
            Resource::RegistryCatalog | Resource::Other { .. } => (Vec::new(), None),
        };
        let limit = self.subject.limit();
        let permitted = rules
            .iter()
            .fold(Actions::NONE, |all, rule| all.union(rule.actions()));
        Decision {
            scope,
            granted: scope.actions.intersection(permitted).intersection(limit),
            rules,
            limit,
            project,
        }
    }

    fn is_administrator(&self) -> bool {
        self.subject.user().is_some_and(|user| user.is_admin)
    }

    fn rules<'a>(&'a self, name: &RepositoryName, project: Option<&'a Project>) -> Vec<Rule<'a>> {
        let mut rules = Vec::new();
        if let Some(user) = self.subject.user() {
            if user.is_admin {
                rules.push(Rule::Administrator);
            }
            if owns_namespace(user, name) {
                rules.push(Rule::OwnNamespace);
            }
        }
        let Some(project) = project else {
            return rules;
        };
        match &self.subject {
            Subject::User(_) | Subject::PersonalToken { .. } => {
                if let Some((place, held)) = self.role_in(project) {
                    let path = &place.path;
                    rules.push(Rule::Role { held, path });
                }
                if project.visibility == Visibility::Internal {
                    rules.push(Rule::InternalProject);
                }
            }
            Subject::Token(token) if token.reaches(project, name) => rules.push(Rule::Token {
                actions: token.actions,
                path: &token.path,
            }),
            Subject::Anonymous | Subject::Token(_) => {}
        }
        if project.visibility == Visibility::Public {
            rules.push(Rule::PublicProject);
        }
        rules
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

/// `alice/app` is alice's; the bare name `alice` is nobody's.
fn owns_namespace(user: &User, name: &RepositoryName) -> bool {
    name.as_str()
        .strip_prefix(user.username.as_str())
        .is_some_and(|below| below.starts_with('/'))
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
