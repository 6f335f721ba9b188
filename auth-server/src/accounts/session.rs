//! What somebody has opened by logging in: browsers' sessions, and the refresh tokens of clients
//! such as docker. One list of both, so that a user sees and ends all of them in one place.

use std::time::Duration;

use chrono::{DateTime, Utc};
use database::{Database, Tx};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::last_use::{self, Used};
use super::login::{Logins, PasswordLogin};
use super::secret::{self, TokenPrefix, TokenSecret};
use super::{Page, PageRequest, User, UserId};
use crate::audit::{self, Action, Actor, Event};
use crate::context::Context;
use crate::store;
use crate::store::refresh_tokens::NewRefreshToken;
use crate::store::sessions::{NewSession, OpenedRow};

/// What is hashed together with a session's token, to be shown to its pages.
const CSRF: &[u8] = b"portcullis csrf\0";

/// Of what a browser calls itself, in characters.
const MAX_USER_AGENT: usize = 256;

/// How long a browser stays logged in.
#[derive(Clone, Copy, Debug)]
pub struct SessionPolicy {
    /// After its last request.
    pub idle: Duration,
    /// After the login.
    pub lifetime: Duration,
}

/// A session that was opened just now.
#[derive(Debug)]
pub struct OpenedSession {
    pub id: Uuid,
    /// For the cookie.
    pub secret: TokenSecret,
    /// For the header `X-CSRF-Token` of changes.
    pub csrf: String,
    pub expires_at: DateTime<Utc>,
}

/// A session whose cookie somebody has sent.
#[derive(Debug)]
pub struct Session {
    pub id: Uuid,
    pub user: User,
    pub expires_at: DateTime<Utc>,
    csrf: String,
}

impl Session {
    /// What its pages send along with a change.
    #[must_use]
    pub fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether a change comes from one of its pages.
    #[must_use]
    pub fn has_csrf(&self, sent: &str) -> bool {
        self.csrf.as_bytes().ct_eq(sent.as_bytes()).into()
    }
}

/// A browser's session or a client's refresh token. Serialized as the admin API and the audit log
/// show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Session)]
pub struct Opened {
    pub id: Uuid,
    pub kind: OpenedKind,
    #[serde(skip)]
    pub user_id: UserId,
    /// What the browser or the client calls itself.
    pub client: Option<String>,
    /// Of the last use, exact to a minute.
    pub address: Option<String>,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = SessionKind)]
#[serde(rename_all = "lowercase")]
pub enum OpenedKind {
    /// A session, by a cookie.
    Browser,
    /// A refresh token.
    Client,
}

/// Why something opened could not be made or ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Since the password was verified, which takes time.
    #[error("the password has been changed, or the account disabled: log in again")]
    Outdated,
    #[error("there is no such session")]
    NotFound,
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Opens a session for who has just shown the right password.
pub async fn open(
    context: &Context,
    policy: SessionPolicy,
    login: &PasswordLogin,
) -> Result<OpenedSession, SessionError> {
    let secret = TokenSecret::generate(TokenPrefix::Session, &context.clock);
    let now = context.clock.now();
    let address = context.origin.address.map(|address| address.to_string());
    let agent: Option<String> = context
        .origin
        .user_agent
        .as_ref()
        .map(|agent| agent.chars().take(MAX_USER_AGENT).collect());
    let row = NewSession {
        id: context.clock.uuid(),
        user_id: login.user.id,
        token_sha256: secret.sha256(),
        created_at: now,
        expires_at: now + policy.lifetime,
        address: address.as_deref(),
        user_agent: agent.as_deref(),
    };
    let mut tx = context.database.begin().await?;
    if !store::users::lock_if_unchanged(&mut tx, login.user.id, &login.password_hash).await? {
        return Err(SessionError::Outdated);
    }
    store::sessions::insert(&mut tx, &row).await?;
    let opened = Opened {
        id: row.id,
        kind: OpenedKind::Browser,
        user_id: row.user_id,
        client: agent.clone(),
        address: address.clone(),
        created_at: now,
        last_used_at: None,
        expires_at: row.expires_at,
    };
    record_opened(context, &mut tx, &login.user, &opened).await?;
    tx.commit().await?;
    Ok(OpenedSession {
        id: row.id,
        csrf: csrf_of(secret.secret().expose_secret()),
        secret,
        expires_at: row.expires_at,
    })
}

/// The session that a cookie stands for, if it is still open and its user may log in. Notes the
/// use.
pub async fn find(
    context: &Context,
    logins: &Logins,
    policy: SessionPolicy,
    token: &SecretString,
) -> Result<Option<Session>, database::Error> {
    let token = token.expose_secret();
    if !TokenPrefix::Session.begins(token) {
        return Ok(None);
    }
    let mut tx = context.database.read().await?;
    let found = store::sessions::by_hash(&mut tx, &secret::sha256(token)).await?;
    drop(tx);
    let now = context.clock.now();
    let open = found.filter(|found| {
        let used_at = found.last_used_at.unwrap_or(found.opened_at);
        now < found.expires_at && now < used_at + policy.idle && !found.user.is_disabled()
    });
    let Some(found) = open else {
        return Ok(None);
    };
    if last_use::is_due(now, found.last_used_at) {
        let used = Used::Session(found.session_id);
        logins.last_uses().note(context.clone(), used, None);
    }
    Ok(Some(Session {
        id: found.session_id,
        user: found.user,
        expires_at: found.expires_at,
        csrf: csrf_of(token),
    }))
}

/// What a user has open, oldest first. A page goes on after an id.
pub async fn list(
    context: &Context,
    policy: SessionPolicy,
    user: UserId,
    request: &PageRequest,
) -> Result<Page<Opened>, database::Error> {
    let now = context.clock.now();
    let idle = now - policy.idle;
    let after = request.after().parse().unwrap_or(Uuid::nil());
    let mut tx = context.database.read().await?;
    let rows =
        store::sessions::page_of_user(&mut tx, user, now, idle, after, request.fetch()).await?;
    let total = store::sessions::count_of_user(&mut tx, user, now, idle).await?;
    let opened = rows.into_iter().map(Opened::from).collect();
    Ok(Page::new(opened, total, request))
}

/// What is open under this id. Whose it is, and so who may know of it, stands in it.
pub async fn find_opened(database: &Database, id: Uuid) -> Result<Option<Opened>, database::Error> {
    let mut tx = database.read().await?;
    let row = store::sessions::opened_by_id(&mut tx, id).await?;
    Ok(row.map(Opened::from))
}

/// Ends a session or a refresh token: the next request that shows it is refused.
pub async fn revoke(context: &Context, id: Uuid) -> Result<(), SessionError> {
    let mut tx = context.database.begin().await?;
    let row = store::sessions::opened_by_id(&mut tx, id).await?;
    let opened = row.map(Opened::from).ok_or(SessionError::NotFound)?;
    if store::sessions::revoke(&mut tx, id, context.clock.now()).await? {
        let event = Event::success(Action::SessionRevoke, subject(&opened)).before(&opened);
        context.record(&mut tx, &event).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Ends all that a user has open, but perhaps one: that of who asks for it. How many.
pub async fn revoke_all(
    context: &Context,
    user: &User,
    but: Option<Uuid>,
) -> Result<u64, database::Error> {
    let mut tx = context.database.begin().await?;
    let ended = store::sessions::revoke_all(&mut tx, user.id, but, context.clock.now()).await?;
    if ended > 0 {
        let whose = audit::Subject::new("user", Some(user.id.0), user.username.as_str());
        let event = Event::success(Action::SessionRevoke, whose)
            .before(serde_json::json!({ "sessions": ended }));
        context.record(&mut tx, &event).await?;
    }
    tx.commit().await?;
    Ok(ended)
}

/// Ends all that a user has open, in the transaction of what makes it necessary: a new password,
/// a disabled account.
pub(crate) async fn end_all(
    tx: &mut Tx,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<u64, database::Error> {
    store::sessions::revoke_all(tx, user, None, now).await
}

/// Records in the name of the user that something was opened.
pub(crate) async fn record_opened(
    context: &Context,
    tx: &mut Tx,
    user: &User,
    opened: &Opened,
) -> Result<(), database::Error> {
    let event = Event::success(Action::SessionCreate, subject(opened)).after(opened);
    acting(context, user).record(tx, &event).await
}

/// The same request in the name of who has turned out to send it.
pub(super) fn acting(context: &Context, user: &User) -> Context {
    let mut context = context.clone();
    context.origin.actor = Actor::user(user);
    context
}

/// Nobody can compute it without the cookie, which no page can read, and it opens nothing itself.
fn csrf_of(token: &str) -> String {
    hex::encode(
        Sha256::new()
            .chain_update(CSRF)
            .chain_update(token)
            .finalize(),
    )
}

fn subject(opened: &Opened) -> audit::Subject {
    let name = opened.client.clone().unwrap_or_default();
    audit::Subject::new("session", Some(opened.id), name)
}

impl Opened {
    /// A refresh token that was made just now.
    pub(crate) fn client(row: &NewRefreshToken<'_>) -> Self {
        Self {
            id: row.id,
            kind: OpenedKind::Client,
            user_id: row.user_id,
            client: Some(row.client_id.to_owned()),
            address: row.address.map(str::to_owned),
            created_at: row.created_at,
            last_used_at: None,
            expires_at: row.expires_at,
        }
    }
}

impl From<OpenedRow> for Opened {
    fn from(row: OpenedRow) -> Self {
        Self {
            id: row.id,
            kind: match row.kind.as_str() {
                "browser" => OpenedKind::Browser,
                _ => OpenedKind::Client,
            },
            user_id: row.user_id,
            client: row.client,
            address: row.address,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
