//! The rules.

use registry_token::{Access, AccessEntry, Action, Actions, Meta, RepositoryName, Resource, Scope};

use super::{Snapshot, Subject};
use crate::accounts::place::{HeldRole, is_own};
use crate::accounts::{Grant, Project, Visibility};

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
    /// Somebody was given this right in the project.
    Grant(&'a Grant),
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
            Self::Grant(grant) => grant.actions,
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

impl Decision<'_> {
    /// The mightiest rule that grants the action, if the credential lets it through.
    #[must_use]
    pub fn rule_for(&self, action: Action) -> Option<Rule<'_>> {
        let granting = |rule: &&Rule<'_>| rule.actions().contains(action);
        let rule = self.rules.iter().find(granting).copied();
        rule.filter(|_| self.limit.contains(action))
    }
}

impl Snapshot {
    /// Decides about one scope. Whether the repository exists does not matter and is not told.
    #[must_use]
    pub fn decide<'a>(&'a self, scope: &'a Scope) -> Decision<'a> {
        let (rules, project) = match &scope.resource {
            Resource::Repository(name) => {
                let project = self.places.project_of(name);
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
            if is_own(user, name) {
                rules.push(Rule::OwnNamespace);
            }
        }
        let Some(project) = project else {
            return rules;
        };
        match &self.subject {
            Subject::User(_) | Subject::PersonalToken { .. } => {
                if let Some((place, held)) = self.places.role_at(&project.path, self.now) {
                    let path = &place.path;
                    rules.push(Rule::Role { held, path });
                }
            }
            Subject::Token(token) if token.reaches(project, name) => rules.push(Rule::Token {
                actions: token.actions,
                path: &token.path,
            }),
            Subject::Anonymous | Subject::Token(_) => {}
        }
        let grants = self.grants.iter();
        let applying = grants.filter(|grant| grant.applies(project, name, self.now));
        rules.extend(applying.map(Rule::Grant));
        match (project.visibility, self.subject.user()) {
            (Visibility::Public, _) => rules.push(Rule::PublicProject),
            // A deploy or job token is for what it was made for, not for the whole house.
            (Visibility::Internal, Some(_)) => rules.push(Rule::InternalProject),
            (Visibility::Internal, None) | (Visibility::Private, _) => {}
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
                meta: decision.project.map(|project| self.meta(project)),
            })
            .collect()
    }

    fn meta(&self, project: &Project) -> Meta {
        let root = self.places.at(project.path.namespace());
        Meta {
            project_path: Some(project.path.to_string()),
            project_id: Some(project.number),
            root_namespace_id: root.map(|root| root.number),
            ..Meta::default()
        }
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
