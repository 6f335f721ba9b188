//! [`Bearer`]: on whose behalf a token acts, and how far; as it is kept, and as it is shown.

use registry_token::{Action, Actions, RepositoryName};
use serde::{Serialize, Serializer};

use super::{Pattern, UserId, Username};
use crate::access::{TokenScope, TokenScopes};
use crate::store;
use crate::store::tokens::TokenRow;

/// On whose behalf a token acts, and how far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Bearer {
    Personal(PersonalBearer),
    Deploy(PathBearer),
    Job(PathBearer),
}

/// The user, within scopes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PersonalBearer {
    #[schema(value_type = String)]
    pub user: Username,
    #[serde(skip)]
    pub user_id: UserId,
    #[serde(serialize_with = "words")]
    #[schema(value_type = Vec<String>)]
    pub scopes: TokenScopes,
}

/// Nobody but itself, in a group or project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PathBearer {
    /// What to log in as.
    pub username: String,
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub path: RepositoryName,
    #[schema(value_type = Vec<String>)]
    pub actions: Actions,
    /// `None`: all repositories at and below the path.
    #[schema(value_type = Option<String>)]
    pub pattern: Option<Pattern>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn words<S: Serializer>(scopes: &TokenScopes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(scopes.iter().map(TokenScope::as_str))
}

fn text<S: Serializer>(path: &RepositoryName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(path.as_str())
}

/// The two kinds of tokens that belong to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathTokenKind {
    Deploy,
    Job,
}

impl PathTokenKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => DEPLOY,
            Self::Job => JOB,
        }
    }
}

/// The words of the column `kind`.
const PERSONAL: &str = "personal";
pub(crate) const DEPLOY: &str = "deploy";
pub(crate) const JOB: &str = "job";

/// What the usernames of deploy and job tokens begin with. `+` cannot be in a user's name, so
/// that nobody is taken for somebody else.
pub(crate) const DEPLOY_USERNAME: &str = "deploy+";
pub(crate) const JOB_USERNAME: &str = "job+";

impl Bearer {
    /// The column `kind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Bearer::Personal(_) => PERSONAL,
            Bearer::Deploy(_) => DEPLOY,
            Bearer::Job(_) => JOB,
        }
    }

    /// The bearer in a row.
    pub(super) fn of(row: &TokenRow) -> Result<Self, database::Error> {
        if let (PERSONAL, Some(user_id), Some(user), Some(scopes)) =
            (row.kind.as_str(), row.user_id, &row.user, &row.scopes)
        {
            return Ok(Self::Personal(PersonalBearer {
                user: user.clone(),
                user_id,
                scopes: scopes.parse().map_err(store::undecodable)?,
            }));
        }
        let path = row.path.as_deref().unwrap_or_default();
        let at = PathBearer {
            username: row.username.clone().unwrap_or_default(),
            path: path.parse().map_err(store::undecodable)?,
            actions: parse_actions(row.actions.as_deref().unwrap_or_default())?,
            pattern: parse_pattern(row.pattern.as_deref())?,
        };
        Ok(match row.kind.as_str() {
            DEPLOY => Self::Deploy(at),
            _ => Self::Job(at),
        })
    }
}

/// Reads the column `actions`.
pub(crate) fn parse_actions(text: &str) -> Result<Actions, database::Error> {
    text.split(',')
        .map(str::parse::<Action>)
        .collect::<Result<_, _>>()
        .map_err(store::undecodable)
}

/// Reads the column `pattern`.
pub(crate) fn parse_pattern(text: Option<&str>) -> Result<Option<Pattern>, database::Error> {
    text.map(str::parse).transpose().map_err(store::undecodable)
}
