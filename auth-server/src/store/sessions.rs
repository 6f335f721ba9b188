//! The table `sessions`, and what it has in common with `refresh_tokens`: both are what somebody
//! has opened by logging in.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use uuid::Uuid;

use crate::accounts::{User, UserId};

/// A session, without its token.
#[derive(Debug)]
pub struct NewSession<'a> {
    pub id: Uuid,
    pub user_id: UserId,
    pub token_sha256: [u8; 32],
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub address: Option<&'a str>,
    pub user_agent: Option<&'a str>,
}

/// A session that somebody shows, and whose it is.
#[derive(Debug, sqlx::FromRow)]
pub struct ShownSession {
    pub session_id: Uuid,
    pub opened_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
    #[sqlx(flatten)]
    pub user: User,
}

/// A session or a refresh token, as it is listed.
#[derive(Debug, sqlx::FromRow)]
pub struct OpenedRow {
    pub id: Uuid,
    /// `browser` or `client`
    pub kind: String,
    pub user_id: UserId,
    pub client: Option<String>,
    pub address: Option<String>,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
}

macro_rules! opened {
    () => {
        "SELECT id, 'browser' AS kind, user_id, user_agent AS client, address, created_at,
                last_used_at, expires_at
         FROM sessions WHERE revoked_at IS NULL
         UNION ALL
         SELECT id, 'client' AS kind, user_id, client_id AS client, address, created_at,
                last_used_at, expires_at
         FROM refresh_tokens WHERE revoked_at IS NULL"
    };
}

/// Since when a session must have been used, or at least opened, not to be idle.
macro_rules! not_idle {
    ($since:literal) => {
        concat!("COALESCE(last_used_at, created_at) > ", $since)
    };
}

pub async fn insert(tx: &mut Tx, session: &NewSession<'_>) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO sessions (id, user_id, token_sha256, created_at, expires_at, address,
                               user_agent)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        session.id,
        session.user_id,
        &session.token_sha256[..],
        session.created_at,
        session.expires_at,
        session.address,
        session.user_agent
    )
    .map(drop)
}

/// A session that nobody has ended.
pub async fn by_hash(tx: &mut Tx, token_sha256: &[u8; 32]) -> Result<Option<ShownSession>, Error> {
    sql!(
        tx,
        fetch_optional ShownSession,
        concat!(
            "SELECT s.id AS session_id, s.created_at AS opened_at, s.expires_at, s.last_used_at, ",
            user_columns!(), "
             FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.token_sha256 = $1 AND s.revoked_at IS NULL"
        ),
        &token_sha256[..]
    )
}

pub async fn set_last_used(
    tx: &mut Tx,
    id: Uuid,
    at: DateTime<Utc>,
    address: Option<&str>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE sessions SET last_used_at = $2, address = $3 WHERE id = $1",
        id,
        at,
        address
    )
    .map(drop)
}

/// The open ones of a user, oldest first, after one of them. `idle`: browsers that were not used
/// since are over.
pub async fn page_of_user(
    tx: &mut Tx,
    user: UserId,
    now: DateTime<Utc>,
    idle: DateTime<Utc>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<OpenedRow>, Error> {
    sql!(
        tx,
        fetch_all OpenedRow,
        concat!(
            "SELECT id, kind, user_id, client, address, created_at, last_used_at, expires_at
             FROM (", opened!(), ") o
             WHERE user_id = $1 AND expires_at > $2 AND (kind = 'client' OR ", not_idle!("$3"), ")
                   AND id > $4
             ORDER BY id LIMIT $5"
        ),
        user,
        now,
        idle,
        after,
        limit
    )
}

pub async fn count_of_user(
    tx: &mut Tx,
    user: UserId,
    now: DateTime<Utc>,
    idle: DateTime<Utc>,
) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        concat!(
            "SELECT count(*) FROM (",
            opened!(),
            ") o
             WHERE user_id = $1 AND expires_at > $2 AND (kind = 'client' OR ",
            not_idle!("$3"),
            ")"
        ),
        user,
        now,
        idle
    )
    .map(|(count,)| count)
}

/// One of them, that nobody has ended.
pub async fn opened_by_id(tx: &mut Tx, id: Uuid) -> Result<Option<OpenedRow>, Error> {
    sql!(
        tx,
        fetch_optional OpenedRow,
        concat!(
            "SELECT id, kind, user_id, client, address, created_at, last_used_at, expires_at
             FROM (", opened!(), ") o WHERE id = $1"
        ),
        id
    )
}

/// Ends one of them. Whether it was this call that did.
pub async fn revoke(tx: &mut Tx, id: Uuid, at: DateTime<Utc>) -> Result<bool, Error> {
    let browsers = sql!(
        tx,
        execute,
        "UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
        id,
        at
    )?;
    let clients = sql!(
        tx,
        execute,
        "UPDATE refresh_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
        id,
        at
    )?;
    Ok(browsers + clients > 0)
}

/// Ends all of a user but one; how many.
pub async fn revoke_all(
    tx: &mut Tx,
    user: UserId,
    but: Option<Uuid>,
    at: DateTime<Utc>,
) -> Result<u64, Error> {
    let but = but.unwrap_or(Uuid::nil());
    let browsers = sql!(
        tx,
        execute,
        "UPDATE sessions SET revoked_at = $3
         WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL",
        user,
        but,
        at
    )?;
    let clients = sql!(
        tx,
        execute,
        "UPDATE refresh_tokens SET revoked_at = $3
         WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL",
        user,
        but,
        at
    )?;
    Ok(browsers + clients)
}

/// Removes sessions that expired or were revoked before `before`, or were last used before
/// `idle_before`; the number of rows.
pub async fn delete_ended(
    tx: &mut Tx,
    before: DateTime<Utc>,
    idle_before: DateTime<Utc>,
) -> Result<u64, Error> {
    sql!(
        tx,
        execute,
        "DELETE FROM sessions
         WHERE expires_at < $1 OR revoked_at < $1 OR COALESCE(last_used_at, created_at) < $2",
        before,
        idle_before
    )
}
