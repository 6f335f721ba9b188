//! [`explain`]: why somebody may do something, or may not, for people to read.

use chrono::{DateTime, Utc};
use database::Database;
use registry_token::{Action, RepositoryName, Resource, Scope};
use serde::Serialize;

use super::denial::{role_for, scope_for};
use super::{Decision, Rule, Snapshot, Subject};
use crate::accounts::{GrantId, Pattern, Role, Visibility};

/// Who reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// May know everything.
    Administrator,
    /// May know what the subject may: a project that is hidden from the subject looks like none.
    Subject,
}

/// The answer about one scope. Serialized as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Explanation {
    /// The user or token; `None`: nobody has logged in.
    pub subject: Option<String>,
    /// What was asked for, as it was understood.
    pub scope: String,
    /// Whether all of it is allowed.
    pub allowed: bool,
    /// To which the repository belongs.
    pub project: Option<ExplainedProject>,
    /// The project that a push would make.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub creates: Option<RepositoryName>,
    pub actions: Vec<ExplainedAction>,
}

#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ExplainedProject {
    #[schema(value_type = String)]
    pub path: RepositoryName,
    pub number: i64,
    pub visibility: Visibility,
}

#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ExplainedAction {
    pub action: &'static str,
    pub allowed: bool,
    /// In a sentence.
    pub reason: String,
    /// Every rule that would allow it, the mightiest first; there are some without effect if it is
    /// the credential that does not let the action through.
    pub rules: Vec<ExplainedRule>,
    /// What would help, if it is not allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum ExplainedRule {
    Administrator,
    OwnNamespace,
    Role {
        role: Role,
        /// Where the membership is.
        #[schema(value_type = String)]
        path: RepositoryName,
        /// Whether that is a group above the project.
        inherited: bool,
        expires_at: Option<DateTime<Utc>>,
    },
    Token {
        /// The group or project that it belongs to.
        #[schema(value_type = String)]
        path: RepositoryName,
    },
    Grant {
        #[schema(value_type = uuid::Uuid)]
        id: GrantId,
        /// `user`, `group` or `token`, and its name.
        to: crate::accounts::grant::Grantee,
        #[schema(value_type = String)]
        pattern: Pattern,
        expires_at: Option<DateTime<Utc>>,
    },
    PublicProject,
    InternalProject,
}

/// Explains what a subject may do of what a scope asks for, as the token realm would decide now.
/// Nothing is created.
pub async fn explain(
    database: &Database,
    now: DateTime<Utc>,
    subject: Subject,
    scope: &Scope,
    reader: Reader,
) -> Result<Explanation, database::Error> {
    let snapshot = match &scope.resource {
        Resource::Repository(name) => Snapshot::load_all(database, now, subject, name).await?,
        Resource::RegistryCatalog | Resource::Other { .. } => {
            Snapshot::load(database, now, subject, &[]).await?
        }
    };
    Ok(snapshot.explain(scope, reader))
}

impl Snapshot {
    fn explain(&self, scope: &Scope, reader: Reader) -> Explanation {
        let decision = self.decide(scope);
        let is_known = reader == Reader::Administrator || !decision.rules.is_empty();
        let project = decision.project.filter(|_| is_known);
        let creates = match &scope.resource {
            Resource::Repository(name) if scope.actions.contains(Action::Push) => {
                self.project_to_create(name)
            }
            Resource::Repository(_) | Resource::RegistryCatalog | Resource::Other { .. } => None,
        };
        let actions: Vec<_> = scope
            .actions
            .iter()
            .flat_map(|action| match (action, &scope.resource) {
                // What `*` means for a repository, one by one; the catalog takes it as a whole.
                (Action::All, Resource::Repository(_)) => {
                    vec![Action::Pull, Action::Push, Action::Delete, Action::All]
                }
                (action, _) => vec![action],
            })
            .map(|action| self.explain_action(&decision, action, creates.as_ref(), reader))
            .collect();
        Explanation {
            subject: self.subject.name().map(str::to_owned),
            scope: scope.to_string(),
            allowed: actions.iter().all(|action| action.allowed),
            project: project.map(|project| ExplainedProject {
                path: project.path.clone(),
                number: project.number,
                visibility: project.visibility,
            }),
            creates,
            actions,
        }
    }

    fn explain_action(
        &self,
        decision: &Decision<'_>,
        action: Action,
        creates: Option<&RepositoryName>,
        reader: Reader,
    ) -> ExplainedAction {
        let rules: Vec<_> = decision
            .rules
            .iter()
            .filter(|rule| rule.actions().contains(action))
            .collect();
        let by_creation = rules.is_empty()
            && creates.is_some_and(|path| self.actions_in_new(path).contains(action));
        let allowed = decision.rule_for(action).is_some() || by_creation;
        let reason = match (rules.first(), creates) {
            (Some(rule), _) if allowed => self.reason(rule, decision),
            (Some(rule), _) => format!(
                "{}, but the personal token lacks the scope {}",
                self.reason(rule, decision),
                scope_for(action)
            ),
            (None, Some(path)) if by_creation => {
                format!("a push creates the project {path}, where this is allowed")
            }
            (None, _) => self.why_not(decision, action, reader),
        };
        ExplainedAction {
            action: action.as_str(),
            allowed,
            reason,
            rules: rules
                .into_iter()
                .map(|rule| explained(rule, decision))
                .collect(),
            needed: (!allowed)
                .then(|| self.needed(decision, action, reader))
                .flatten(),
        }
    }

    fn reason(&self, rule: &Rule<'_>, decision: &Decision<'_>) -> String {
        let who = self.subject.name().unwrap_or("nobody");
        let until = |end: Option<DateTime<Utc>>| match end {
            Some(end) => format!(
                " until {}",
                end.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            ),
            None => String::new(),
        };
        match rule {
            Rule::Administrator => format!("{who} is an administrator"),
            Rule::OwnNamespace => format!("what lies below {who}/ belongs to {who}"),
            Rule::Role { held, path } => {
                let of = match decision.project {
                    Some(project) if project.path == **path => "the project",
                    Some(_) | None => "the group",
                };
                format!(
                    "{who} is {} of {of} {path}{}",
                    held.role,
                    until(held.expires_at)
                )
            }
            Rule::Token { path, .. } => format!("{who} is a token of {path} for this"),
            Rule::Grant(grant) => format!(
                "a grant gives {} on {} in the project {}{}",
                grant.actions,
                grant.pattern,
                grant.project,
                until(grant.expires_at)
            ),
            Rule::PublicProject => "the project is public".to_owned(),
            Rule::InternalProject => {
                "the project is internal, and {who} has logged in".replace("{who}", who)
            }
        }
    }

    fn why_not(&self, decision: &Decision<'_>, action: Action, reader: Reader) -> String {
        let who = self
            .subject
            .name()
            .unwrap_or("somebody who has not logged in");
        match (&decision.scope.resource, decision.project) {
            (Resource::RegistryCatalog, _) => "the catalog is for administrators".to_owned(),
            (Resource::Other { .. }, _) => "there are rights on repositories alone".to_owned(),
            (Resource::Repository(_), _) if action == Action::All => {
                "everything, whatever may be invented yet, is for administrators".to_owned()
            }
            (Resource::Repository(_), Some(project))
                if reader == Reader::Administrator || !decision.rules.is_empty() =>
            {
                let path = &project.path;
                match self.places.role_at(path, self.now) {
                    Some((_, held)) => {
                        format!(
                            "{who} is {} in the project {path}, which is too little",
                            held.role
                        )
                    }
                    None => format!("no role and no grant gives {who} this in the project {path}"),
                }
            }
            (Resource::Repository(name), None) if reader == Reader::Administrator => {
                format!("no project covers {name}")
            }
            (Resource::Repository(name), _) => match &self.subject {
                Subject::Anonymous => "log in first".to_owned(),
                Subject::User(_) | Subject::PersonalToken { .. } | Subject::Token(_) => self
                    .denial_of(decision, name, action)
                    .unwrap_or_else(|| "nothing allows it".to_owned()),
            },
        }
    }

    fn needed(&self, decision: &Decision<'_>, action: Action, reader: Reader) -> Option<String> {
        let Resource::Repository(name) = &decision.scope.resource else {
            return None;
        };
        if action == Action::All {
            return None;
        }
        let permitted = decision
            .rules
            .iter()
            .any(|rule| rule.actions().contains(action));
        Some(match &self.subject {
            Subject::PersonalToken { .. } if permitted => {
                format!("a personal token with the scope {}", scope_for(action))
            }
            Subject::Token(_) => format!("a token or a grant with the action {action}"),
            Subject::Anonymous | Subject::User(_) | Subject::PersonalToken { .. } => {
                let role = role_for(action);
                // Nobody else may learn whether there is a project.
                if reader == Reader::Administrator && decision.project.is_none() {
                    format!("a project that covers {name}, and the role {role} in it")
                } else {
                    format!("the role {role} or more, or a grant")
                }
            }
        })
    }
}

fn explained(rule: &Rule<'_>, decision: &Decision<'_>) -> ExplainedRule {
    match rule {
        Rule::Administrator => ExplainedRule::Administrator,
        Rule::OwnNamespace => ExplainedRule::OwnNamespace,
        Rule::Role { held, path } => ExplainedRule::Role {
            role: held.role,
            path: (*path).clone(),
            inherited: decision
                .project
                .is_none_or(|project| project.path != **path),
            expires_at: held.expires_at,
        },
        Rule::Token { path, .. } => ExplainedRule::Token {
            path: (*path).clone(),
        },
        Rule::Grant(grant) => ExplainedRule::Grant {
            id: grant.id,
            to: grant.to.clone(),
            pattern: grant.pattern.clone(),
            expires_at: grant.expires_at,
        },
        Rule::PublicProject => ExplainedRule::PublicProject,
        Rule::InternalProject => ExplainedRule::InternalProject,
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
