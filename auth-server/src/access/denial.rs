//! Sentences for those who get less than they asked for: what is missing, and whom to ask.
//!
//! A sentence tells what the subject may know anyway, and nothing else. Of a project that the
//! subject may not know of it says what it would say if there were none: it depends on the name
//! that was asked for alone.

use registry_token::{Action, Actions, RepositoryName, Resource};

use super::creation::first_below;
use super::{Decision, Rule, Snapshot, Subject, TokenScope};
use crate::accounts::place::{Place, is_at_or_below};
use crate::accounts::{Project, Role, User, Visibility};

/// In the order in which they are told: who may not pull cannot push either, but wants to hear of
/// what they came for.
const ACTIONS: [Action; 3] = [Action::Push, Action::Delete, Action::Pull];

impl Snapshot {
    /// Why a repository was not granted all that was asked for. Nothing is said to those who have
    /// not logged in: their client asks them to, which comes first.
    #[must_use]
    pub fn denial(&self, decision: &Decision<'_>) -> Option<String> {
        let Resource::Repository(name) = &decision.scope.resource else {
            return None;
        };
        let action = ACTIONS.into_iter().find(|action| {
            decision.scope.actions.contains(*action) && !decision.granted.contains(*action)
        })?;
        self.denial_of(decision, name, action)
    }

    /// The same about one action.
    pub(super) fn denial_of(
        &self,
        decision: &Decision<'_>,
        name: &RepositoryName,
        action: Action,
    ) -> Option<String> {
        match &self.subject {
            Subject::Anonymous => None,
            Subject::User(user) => Some(self.to_user(decision, user, name, action)),
            Subject::PersonalToken { user, .. } => {
                let scope = scope_for(action);
                let permitted = decision
                    .rules
                    .iter()
                    .any(|rule| rule.actions().contains(action));
                // The other reason first: a token with more scopes would not help.
                Some(if permitted {
                    format!("this personal token lacks the scope {scope}")
                } else {
                    self.to_user(decision, user, name, action)
                })
            }
            Subject::Token(token) => {
                let within = token.of_group && is_at_or_below(name, &token.path);
                Some(match (decision.project, within) {
                    (None, true) => self.no_project(name, Some(&token.path)),
                    (None, false) | (Some(_), _) => format!(
                        "{} allows {} in {}{}, and not {} {name}",
                        token.username,
                        token.actions,
                        token.path,
                        token
                            .pattern
                            .as_ref()
                            .map(|pattern| format!(" for {pattern}"))
                            .unwrap_or_default(),
                        phrase(action),
                    ),
                })
            }
        }
    }

    fn to_user(
        &self,
        decision: &Decision<'_>,
        user: &User,
        name: &RepositoryName,
        action: Action,
    ) -> String {
        if name.as_str() == user.username.as_str() {
            return format!("{name} is your name and no repository: use {name}/NAME");
        }
        match decision.project {
            // Some rule applies, so the project is no secret.
            Some(project) if !decision.rules.is_empty() => {
                in_project(project, &decision.rules, action)
            }
            Some(_) => unknown(name, action),
            None => match self.group_with_role(name) {
                // Who has a role in the nearest group has it in all projects below, so it is no
                // secret either that there is none.
                Some(group) => self.no_project(name, Some(&group.path)),
                None => unknown(name, action),
            },
        }
    }

    /// The nearest group, if the subject is something in it.
    fn group_with_role<'a>(&'a self, name: &'a RepositoryName) -> Option<&'a Place> {
        let group = self.places.group_of(name)?;
        let is_member = self.places.role_at(&group.path, self.now).is_some();
        is_member.then_some(group)
    }

    fn no_project(&self, name: &RepositoryName, group: Option<&RepositoryName>) -> String {
        let example = group.and_then(|group| first_below(group, name));
        let Some((group, example)) = group.zip(example) else {
            return format!("{name} is a group and no repository: use {name}/NAME");
        };
        let role = self
            .places
            .role_at(group, self.now)
            .map(|(_, held)| held.role);
        if role >= Some(Role::Maintainer) {
            format!("no project covers {name}: create one, for example {example}, and try again")
        } else {
            format!(
                "no project covers {name}: ask a maintainer of the group {group} to create one, for \
                 example {example}"
            )
        }
    }
}

fn in_project(project: &Project, rules: &[Rule<'_>], action: Action) -> String {
    let needed = role_for(action);
    let path = &project.path;
    let role = rules.iter().find_map(|rule| match rule {
        Rule::Role { held, .. } => Some(held.role),
        _ => None,
    });
    match (role, project.visibility) {
        (Some(role), _) => format!(
            "your role in the project {path} is {role}, and this takes a {needed}: ask one of its \
             owners"
        ),
        (None, Visibility::Public | Visibility::Internal) => format!(
            "the project {path} is {}, and this takes a {needed}: ask one of its owners",
            project.visibility
        ),
        (None, Visibility::Private) => {
            format!("your grants in the project {path} do not cover this: ask a maintainer")
        }
    }
}

/// Depends on nothing but what was asked.
fn unknown(name: &RepositoryName, action: Action) -> String {
    let (needed, phrase) = (role_for(action), phrase(action));
    let Some((namespace, below)) = name.as_str().split_once('/') else {
        return format!(
            "you may not {phrase} {name}: ask an administrator for a project or a role"
        );
    };
    let project = below.split('/').next().unwrap_or(below);
    match action {
        Action::Push => format!(
            "you may not {phrase} {name}: ask whoever owns {namespace} to make you a {needed}, or to \
             create the project {namespace}/{project} first"
        ),
        Action::Pull | Action::Delete | Action::All => format!(
            "you may not {phrase} {name}, or it does not exist: ask whoever owns {namespace} to make \
             you a {needed}"
        ),
    }
}

fn phrase(action: Action) -> &'static str {
    match action {
        Action::Pull => "pull from",
        Action::Push => "push to",
        Action::Delete => "delete from",
        Action::All => "do everything in",
    }
}

/// The least role that does it.
pub(super) fn role_for(action: Action) -> Role {
    Role::ALL
        .into_iter()
        .find(|role| role.actions().contains(action))
        .unwrap_or(Role::Owner)
}

/// The least that a personal token needs for it.
pub(super) fn scope_for(action: Action) -> &'static str {
    let lets_through = |scope: &TokenScope| scope.actions().contains_all(Actions::from(action));
    TokenScope::ALL
        .into_iter()
        .find(lets_through)
        .map_or("", TokenScope::as_str)
}
