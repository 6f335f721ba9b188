//! Tokens in place of a password: what they may be, making, listing and revoking them.
//!
//! - Personal tokens act for a user, limited by their scopes. Any username goes with them.
//! - Deploy tokens belong to a group or project, and have a username, actions and a pattern of
//!   their own.
//! - Job tokens are the same for one pipeline run: minted by a developer, over within a day.
//!
//! Who may make one for whom is the caller's matter. That nobody makes one which may do more than
//! they may themselves is settled in [`token_rules`](super::token_rules). Using them is
//! [`login`](super::login)'s.

use chrono::{DateTime, Utc};
use database::{Database, Tx};
use registry_token::{Actions, RepositoryName};
use serde::Serialize;
use uuid::Uuid;

pub use super::bearer::{Bearer, PathBearer, PathTokenKind, PersonalBearer};
pub(crate) use super::bearer::{DEPLOY_USERNAME, JOB_USERNAME};
use super::secret::{TokenPrefix, TokenSecret};
use super::token_rules::{
    JOB_LIFETIME, MAX_DEPLOY, MAX_JOB, MAX_JOB_LIFETIME, MAX_PERSONAL, check_expiry, check_rights,
    checked_deploy_name, checked_name,
};
pub use super::token_rules::{MAX_NAME_LENGTH, TokenPolicy};
use super::{Page, PageRequest, Pattern, User, UserId, Username};
use crate::access::TokenScopes;
use crate::audit::{self, ActorKind, Event};
use crate::context::Context;
use crate::store;
use crate::store::tokens::{NewToken, TokenRow};

/// A token without its secret. Serialized as the admin API and the audit log show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Token {
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    #[serde(flatten)]
    pub bearer: Bearer,
    /// `None`: an operator, or a user who is gone.
    #[schema(value_type = Option<String>)]
    pub created_by: Option<Username>,
    pub created_at: DateTime<Utc>,
    /// `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Exact to a minute, as is the address.
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_used_address: Option<String>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A token, and its secret: to be shown now or never.
#[derive(Debug)]
pub struct CreatedToken {
    pub token: Token,
    pub secret: TokenSecret,
}

/// A personal token to be.
#[derive(Clone, Debug)]
pub struct NewPersonalToken {
    pub name: String,
    pub scopes: TokenScopes,
    /// `None`: as late as the settings allow.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A deploy or job token to be.
#[derive(Clone, Debug)]
pub struct NewPathToken {
    pub name: String,
    pub actions: Actions,
    /// `None`: all repositories at and below the path.
    pub pattern: Option<Pattern>,
    /// `None`: as late as the settings allow; for a job token, in an hour.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why a token could not be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the name of a token has 1 to {MAX_NAME_LENGTH} characters, no control characters")]
    Name,
    #[error(
        "the name of a deploy token has 1 to {MAX_NAME_LENGTH} lower-case letters and digits, \
         with `.`, `_` or `-` between them, because it becomes part of a username"
    )]
    DeployName,
    #[error(
        "a personal token needs a scope: read_registry, write_registry, delete_registry, api or \
         read_api"
    )]
    NoScopes,
    #[error("a token needs an action: pull, push or delete")]
    NoActions,
    #[error("`*` is for administrators alone; a token has the actions pull, push and delete")]
    AllActions,
    #[error("a push reads what is there already: a token that pushes needs the action pull too")]
    PushWithoutPull,
    #[error("a token cannot be given what you may not do yourself: {0}")]
    MoreThanMaker(Actions),
    #[error(
        "the pattern `{pattern}` matches nothing at or below `{path}`, where the token belongs; \
         write `{path}/**` for all of it"
    )]
    PatternElsewhere {
        pattern: Pattern,
        path: RepositoryName,
    },
    #[error("a token must expire in the future")]
    Past,
    #[error(
        "the token must expire by {}",
        .0.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    )]
    TooLate(DateTime<Utc>),
    #[error("a token of this name is there already; revoke it first, or take another name")]
    NameTaken,
    #[error(
        "there are {0} tokens here that are good: revoke those that are not needed, or let them \
         expire sooner"
    )]
    TooMany(i64),
    #[error("there is no such group or project")]
    PathNotFound,
    #[error("there is no such token")]
    NotFound,
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Makes a personal token.
pub async fn create_personal(
    context: &Context,
    policy: TokenPolicy,
    user: &User,
    new: NewPersonalToken,
) -> Result<CreatedToken, TokenError> {
    let name = checked_name(&new.name)?;
    if new.scopes.is_empty() {
        return Err(TokenError::NoScopes);
    }
    let now = context.clock.now();
    let expires_at = policy.expiry(now, new.expires_at)?;
    let bearer = Bearer::Personal(PersonalBearer {
        user: user.username.clone(),
        user_id: user.id,
        scopes: new.scopes,
    });
    let mut tx = context.database.begin().await?;
    // One after another, so that each counts those before it.
    store::users::lock(&mut tx, &user.username).await?;
    let live = store::tokens::count_live_of_user(&mut tx, user.id, now).await?;
    if live >= MAX_PERSONAL {
        return Err(TokenError::TooMany(live));
    }
    let created = insert(context, &mut tx, name, bearer, None, expires_at).await?;
    tx.commit().await?;
    Ok(created)
}

/// Makes a deploy token of a group or project. `may`: what its maker may do there.
pub async fn create_deploy(
    context: &Context,
    policy: TokenPolicy,
    path: &RepositoryName,
    may: Actions,
    new: NewPathToken,
) -> Result<CreatedToken, TokenError> {
    let name = checked_deploy_name(&new.name)?;
    check_rights(path, may, &new)?;
    let expires_at = policy.expiry(context.clock.now(), new.expires_at)?;
    let username = format!("{DEPLOY_USERNAME}{path}+{name}");
    let bearer = PathBearer {
        username,
        path: path.clone(),
        actions: new.actions,
        pattern: new.pattern,
    };
    create_at_path(context, name, PathTokenKind::Deploy, bearer, expires_at).await
}

/// Makes a job token for one pipeline run in a group or project. `may`: what its maker may do
/// there.
pub async fn create_job(
    context: &Context,
    path: &RepositoryName,
    may: Actions,
    new: NewPathToken,
) -> Result<CreatedToken, TokenError> {
    let name = checked_name(&new.name)?;
    check_rights(path, may, &new)?;
    let now = context.clock.now();
    let expires_at = new.expires_at.unwrap_or(now + JOB_LIFETIME);
    check_expiry(now, expires_at, now + MAX_JOB_LIFETIME)?;
    let username = format!("{JOB_USERNAME}{}", context.clock.uuid().simple());
    let bearer = PathBearer {
        username,
        path: path.clone(),
        actions: new.actions,
        pattern: new.pattern,
    };
    create_at_path(context, name, PathTokenKind::Job, bearer, expires_at).await
}

async fn create_at_path(
    context: &Context,
    name: &str,
    kind: PathTokenKind,
    bearer: PathBearer,
    expires_at: DateTime<Utc>,
) -> Result<CreatedToken, TokenError> {
    let mut tx = context.database.begin().await?;
    // One after another, so that each counts those before it.
    let number = store::paths::lock(&mut tx, bearer.path.as_str()).await?;
    let number = number.ok_or(TokenError::PathNotFound)?;
    let (max, bearer) = match kind {
        PathTokenKind::Deploy => (MAX_DEPLOY, Bearer::Deploy(bearer)),
        PathTokenKind::Job => (MAX_JOB, Bearer::Job(bearer)),
    };
    let now = context.clock.now();
    let live = store::tokens::count_live_of_path(&mut tx, number, kind.as_str(), now).await?;
    if live >= max {
        return Err(TokenError::TooMany(live));
    }
    let created = insert(context, &mut tx, name, bearer, Some(number), expires_at).await?;
    tx.commit().await?;
    Ok(created)
}

async fn insert(
    context: &Context,
    tx: &mut Tx,
    name: &str,
    bearer: Bearer,
    path: Option<i64>,
    expires_at: DateTime<Utc>,
) -> Result<CreatedToken, TokenError> {
    let secret = TokenSecret::generate(TokenPrefix::Access, &context.clock);
    let maker = Some(&context.origin.actor).filter(|actor| actor.kind == ActorKind::User);
    let token = Token {
        id: context.clock.uuid(),
        name: name.to_owned(),
        bearer,
        created_by: maker.and_then(|actor| actor.name.parse().ok()),
        created_at: context.clock.now(),
        expires_at: Some(expires_at),
        last_used_at: None,
        last_used_address: None,
        revoked_at: None,
    };
    let row = NewToken {
        id: token.id,
        kind: token.bearer.kind(),
        user_id: None,
        path,
        name,
        username: None,
        token_sha256: secret.sha256(),
        scopes: None,
        actions: None,
        pattern: None,
        created_by: maker.and_then(|actor| actor.id).map(UserId),
        created_at: token.created_at,
        expires_at,
    };
    let row = match &token.bearer {
        Bearer::Personal(personal) => NewToken {
            user_id: Some(personal.user_id),
            scopes: Some(personal.scopes.to_string()),
            ..row
        },
        Bearer::Deploy(at) | Bearer::Job(at) => NewToken {
            username: Some(&at.username),
            actions: Some(at.actions.to_string()),
            pattern: at.pattern.as_ref().map(Pattern::as_str),
            ..row
        },
    };
    match store::tokens::insert(tx, &row).await {
        Ok(()) => {}
        Err(database::Error::Conflict(_)) => return Err(TokenError::NameTaken),
        Err(error) => return Err(error.into()),
    }
    let event = Event::success(audit::Action::TokenCreate, token.subject()).after(&token);
    context.record(tx, &event).await?;
    Ok(CreatedToken { token, secret })
}

/// The token of this id, ended or not. Whose it is, and so who may know of it, stands in it.
pub async fn find(database: &Database, id: Uuid) -> Result<Option<Token>, database::Error> {
    let mut tx = database.read().await?;
    let row = store::tokens::by_id(&mut tx, id).await?;
    row.map(Token::try_from).transpose()
}

/// The personal tokens of a user in the order in which they were made, those that have ended
/// lately among them. A page goes on after an id.
pub async fn list_personal(
    database: &Database,
    user: UserId,
    request: &PageRequest,
) -> Result<Page<Token>, database::Error> {
    let mut tx = database.read().await?;
    let rows = store::tokens::page_of_user(&mut tx, user, after(request), request.fetch()).await?;
    let total = store::tokens::count_of_user(&mut tx, user).await?;
    Ok(Page::new(tokens(rows)?, total, request))
}

/// The deploy or job tokens of one group or project, not of those below it, likewise.
pub async fn list_of_path(
    database: &Database,
    path: &RepositoryName,
    kind: PathTokenKind,
    request: &PageRequest,
) -> Result<Page<Token>, database::Error> {
    let mut tx = database.read().await?;
    let (path, kind) = (path.as_str(), kind.as_str());
    let rows =
        store::tokens::page_of_path(&mut tx, path, kind, after(request), request.fetch()).await?;
    let total = store::tokens::count_of_path(&mut tx, path, kind).await?;
    Ok(Page::new(tokens(rows)?, total, request))
}

/// Ends a token: the next request that shows it is refused. Revoking twice keeps the first time.
pub async fn revoke(context: &Context, id: Uuid) -> Result<Token, TokenError> {
    let now = context.clock.now();
    let mut tx = context.database.begin().await?;
    let row = store::tokens::by_id(&mut tx, id).await?;
    let before = Token::try_from(row.ok_or(TokenError::NotFound)?)?;
    if !store::tokens::revoke(&mut tx, id, now).await? {
        return Ok(before);
    }
    let after = Token {
        revoked_at: Some(now),
        ..before.clone()
    };
    let event = Event::success(audit::Action::TokenRevoke, after.subject())
        .before(&before)
        .after(&after);
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(after)
}

impl Token {
    /// Whether it opens nothing any more.
    #[must_use]
    pub fn has_ended(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_some() || self.expires_at.is_some_and(|expiry| expiry <= now)
    }

    /// What the audit log calls it.
    fn subject(&self) -> audit::Subject {
        let name = match &self.bearer {
            Bearer::Personal(personal) => format!("{}/{}", personal.user, self.name),
            Bearer::Deploy(at) | Bearer::Job(at) => at.username.clone(),
        };
        audit::Subject::new("token", Some(self.id), name)
    }
}

impl TryFrom<TokenRow> for Token {
    type Error = database::Error;

    fn try_from(row: TokenRow) -> Result<Self, Self::Error> {
        let bearer = Bearer::of(&row)?;
        Ok(Self {
            id: row.id,
            name: row.name,
            bearer,
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            last_used_address: row.last_used_address,
            revoked_at: row.revoked_at,
        })
    }
}

fn tokens(rows: Vec<TokenRow>) -> Result<Vec<Token>, database::Error> {
    rows.into_iter().map(Token::try_from).collect()
}

/// An id that is none comes before all.
fn after(request: &PageRequest) -> Uuid {
    request.after().parse().unwrap_or(Uuid::nil())
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
