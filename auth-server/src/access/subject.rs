//! [`Subject`]: on whose behalf something is asked.

use registry_token::{Action, Actions, RepositoryName};
use uuid::Uuid;

use crate::accounts::token::JOB_USERNAME;
use crate::accounts::{Pattern, Project, User};
use crate::audit::{Actor, ActorKind};

/// On whose behalf something is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nobody has logged in.
    Anonymous,
    /// A user that exists, is not disabled, and has proven to be who it says.
    User(User),
    /// Such a user, by a token that may be limited.
    PersonalToken { user: User, scopes: TokenScopes },
    /// A deploy or job token: it acts for nobody but itself.
    Token(PathToken),
}

impl Subject {
    /// The user, however they have logged in.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::User(user) | Self::PersonalToken { user, .. } => Some(user),
            Self::Anonymous | Self::Token(_) => None,
        }
    }

    /// What the audit log calls it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Anonymous => Actor::anonymous(""),
            Self::User(user) | Self::PersonalToken { user, .. } => Actor::user(user),
            Self::Token(token) => Actor {
                kind: if token.username.starts_with(JOB_USERNAME) {
                    ActorKind::JobToken
                } else {
                    ActorKind::DeployToken
                },
                id: Some(token.id),
                name: token.username.clone(),
            },
        }
    }

    /// The claim `sub`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::User(user) | Self::PersonalToken { user, .. } => Some(user.username.as_str()),
            Self::Token(token) => Some(&token.username),
        }
    }

    /// What the credential lets through of what its bearer may do.
    #[must_use]
    pub fn limit(&self) -> Actions {
        match self {
            // What a deploy or job token may do is no part of what somebody else may.
            Self::Anonymous | Self::User(_) | Self::Token(_) => Actions::ALL,
            Self::PersonalToken { scopes, .. } => scopes.actions(),
        }
    }
}

/// A token of a group or project, deploy or job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathToken {
    /// The row in `tokens`.
    pub id: Uuid,
    /// `deploy+NAME` or `job+ID`, which no user can be called.
    pub username: String,
    /// The group or project that it belongs to.
    pub path: RepositoryName,
    /// Whether that is a group: then the token is for the projects below it.
    pub of_group: bool,
    pub actions: Actions,
    /// `None`: all repositories at and below the path.
    pub pattern: Option<Pattern>,
}

impl PathToken {
    /// Whether the repository is one of those that the token is for: what belongs to a project
    /// within another does not belong to the token of the outer one.
    #[must_use]
    pub fn reaches(&self, project: &Project, repository: &RepositoryName) -> bool {
        let at_or_below = project
            .path
            .as_str()
            .strip_prefix(self.path.as_str())
            .is_some_and(|below| below.is_empty() || self.of_group && below.starts_with('/'));
        let wanted = |pattern: &Pattern| pattern.matches(repository);
        at_or_below && self.pattern.as_ref().is_none_or(wanted)
    }
}

/// What a personal token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenScope {
    /// Pulling.
    ReadRegistry,
    /// Pulling and pushing.
    WriteRegistry,
    /// Pulling and deleting.
    DeleteRegistry,
    /// The admin API, for reading and changing. Gives nothing in the registry.
    Api,
    /// The admin API, for reading.
    ReadApi,
}

impl TokenScope {
    pub const ALL: [Self; 5] = [
        Self::ReadRegistry,
        Self::WriteRegistry,
        Self::DeleteRegistry,
        Self::Api,
        Self::ReadApi,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadRegistry => "read_registry",
            Self::WriteRegistry => "write_registry",
            Self::DeleteRegistry => "delete_registry",
            Self::Api => "api",
            Self::ReadApi => "read_api",
        }
    }

    /// What it lets through to the registry.
    #[must_use]
    pub fn actions(self) -> Actions {
        match self {
            Self::ReadRegistry => Actions::PULL,
            Self::WriteRegistry => Actions::PULL_PUSH,
            Self::DeleteRegistry => Actions::from([Action::Pull, Action::Delete]),
            Self::Api | Self::ReadApi => Actions::NONE,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The text names no [`TokenScope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token's scope is read_registry, write_registry, delete_registry, api or read_api")]
pub struct UnknownTokenScope;

impl std::str::FromStr for TokenScope {
    type Err = UnknownTokenScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(UnknownTokenScope)
    }
}

/// A set of them; written with spaces in between.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TokenScopes(u8);

impl TokenScopes {
    #[must_use]
    pub fn contains(self, scope: TokenScope) -> bool {
        self.0 & scope.bit() != 0
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In a fixed order.
    pub fn iter(self) -> impl Iterator<Item = TokenScope> {
        TokenScope::ALL
            .into_iter()
            .filter(move |scope| self.contains(*scope))
    }

    /// What they let through to the registry together.
    #[must_use]
    pub fn actions(self) -> Actions {
        self.iter()
            .fold(Actions::NONE, |all, scope| all.union(scope.actions()))
    }
}

impl FromIterator<TokenScope> for TokenScopes {
    fn from_iter<I: IntoIterator<Item = TokenScope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |all, scope| all | scope.bit()))
    }
}

impl std::str::FromStr for TokenScopes {
    type Err = UnknownTokenScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_whitespace().map(str::parse).collect()
    }
}

impl std::fmt::Display for TokenScopes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" ")?;
            }
            formatter.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for TokenScopes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "TokenScopes({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_scopes_survive_their_text() {
        let scopes: TokenScopes = "api  write_registry".parse().unwrap();
        assert_eq!(scopes.to_string(), "write_registry api");
        assert!(scopes.contains(TokenScope::Api) && !scopes.contains(TokenScope::ReadApi));
        assert_eq!(scopes.to_string().parse(), Ok(scopes));
        assert!("".parse::<TokenScopes>().unwrap().is_empty());
        assert_eq!("admin".parse::<TokenScopes>(), Err(UnknownTokenScope));
        assert_eq!(
            TokenScope::ALL
                .into_iter()
                .collect::<TokenScopes>()
                .iter()
                .count(),
            TokenScope::ALL.len()
        );
    }

    #[test]
    fn what_is_for_the_api_gives_nothing_in_the_registry() {
        for (text, actions) in [
            ("", ""),
            ("api read_api", ""),
            ("read_registry", "pull"),
            ("write_registry", "pull,push"),
            ("delete_registry", "pull,delete"),
            ("delete_registry write_registry api", "pull,push,delete"),
        ] {
            let scopes: TokenScopes = text.parse().unwrap();
            assert_eq!(scopes.actions().to_string(), actions, "{text:?}");
        }
    }
}
