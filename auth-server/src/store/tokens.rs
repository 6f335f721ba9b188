//! The table `tokens`: personal, deploy and job tokens.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use uuid::Uuid;

use crate::accounts::{User, UserId, Username};

macro_rules! select {
    () => {
        "SELECT t.id, t.kind, t.user_id, u.username AS user, p.path, t.name, t.username, t.scopes,
                t.actions, t.pattern, c.username AS created_by, t.created_at, t.expires_at,
                t.last_used_at, t.last_used_address, t.revoked_at
         FROM tokens t LEFT JOIN users u ON u.id = t.user_id
              LEFT JOIN paths p ON p.number = t.path LEFT JOIN users c ON c.id = t.created_by"
    };
}

/// A row as it is listed.
#[derive(Debug, sqlx::FromRow)]
pub struct TokenRow {
    pub id: Uuid,
    pub kind: String,
    pub user_id: Option<UserId>,
    pub user: Option<Username>,
    pub path: Option<String>,
    pub name: String,
    pub username: Option<String>,
    pub scopes: Option<String>,
    pub actions: Option<String>,
    pub pattern: Option<String>,
    pub created_by: Option<Username>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_used_address: Option<String>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A row to be.
#[derive(Debug)]
pub struct NewToken<'a> {
    pub id: Uuid,
    pub kind: &'a str,
    pub user_id: Option<UserId>,
    pub path: Option<i64>,
    pub name: &'a str,
    pub username: Option<&'a str>,
    pub token_sha256: [u8; 32],
    pub scopes: Option<String>,
    pub actions: Option<String>,
    pub pattern: Option<&'a str>,
    pub created_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// What all tokens have that somebody shows.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Shown {
    pub token_id: Uuid,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_used_address: Option<String>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A personal token that somebody shows, and whose it is.
#[derive(Debug, sqlx::FromRow)]
pub struct ShownPersonal {
    #[sqlx(flatten)]
    pub token: Shown,
    pub scopes: String,
    #[sqlx(flatten)]
    pub user: User,
}

/// A deploy or job token that somebody shows, and what it is for.
#[derive(Debug, sqlx::FromRow)]
pub struct ShownPath {
    #[sqlx(flatten)]
    pub token: Shown,
    pub kind: String,
    pub token_username: String,
    pub path: String,
    pub of_group: bool,
    pub actions: String,
    pub pattern: Option<String>,
    /// When who made it was disabled.
    pub maker_disabled_at: Option<DateTime<Utc>>,
}

/// `Conflict`: another token has the username, or the user or path is gone.
pub async fn insert(tx: &mut Tx, new: &NewToken<'_>) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO tokens (id, kind, user_id, path, name, username, token_sha256, scopes,
                             actions, pattern, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        new.id,
        new.kind,
        new.user_id,
        new.path,
        new.name,
        new.username,
        &new.token_sha256[..],
        new.scopes.as_deref(),
        new.actions.as_deref(),
        new.pattern,
        new.created_by,
        new.created_at,
        new.expires_at
    )
    .map(drop)
}

/// How many of a user can be used then.
pub async fn count_live_of_user(
    tx: &mut Tx,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        "SELECT count(*) FROM tokens
         WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
        user,
        now
    )
    .map(|(count,)| count)
}

/// How many of a kind of a group or project can be used then.
pub async fn count_live_of_path(
    tx: &mut Tx,
    path: i64,
    kind: &str,
    now: DateTime<Utc>,
) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        "SELECT count(*) FROM tokens
         WHERE path = $1 AND kind = $2 AND revoked_at IS NULL
           AND (expires_at IS NULL OR expires_at > $3)",
        path,
        kind,
        now
    )
    .map(|(count,)| count)
}

pub async fn by_id(tx: &mut Tx, id: Uuid) -> Result<Option<TokenRow>, Error> {
    sql!(
        tx,
        fetch_optional TokenRow,
        concat!(select!(), " WHERE t.id = $1"),
        id
    )
}

/// In the order in which they were made, after one of them.
pub async fn page_of_user(
    tx: &mut Tx,
    user: UserId,
    after: Uuid,
    limit: i64,
) -> Result<Vec<TokenRow>, Error> {
    sql!(
        tx,
        fetch_all TokenRow,
        concat!(select!(), " WHERE t.user_id = $1 AND t.id > $2 ORDER BY t.id LIMIT $3"),
        user,
        after,
        limit
    )
}

pub async fn count_of_user(tx: &mut Tx, user: UserId) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        "SELECT count(*) FROM tokens WHERE user_id = $1",
        user
    )
    .map(|(count,)| count)
}

/// The tokens of one kind that belong to a path itself, not those below it.
pub async fn page_of_path(
    tx: &mut Tx,
    path: &str,
    kind: &str,
    after: Uuid,
    limit: i64,
) -> Result<Vec<TokenRow>, Error> {
    sql!(
        tx,
        fetch_all TokenRow,
        concat!(
            select!(),
            " WHERE p.path = $1 AND t.kind = $2 AND t.id > $3 ORDER BY t.id LIMIT $4"
        ),
        path,
        kind,
        after,
        limit
    )
}

pub async fn count_of_path(tx: &mut Tx, path: &str, kind: &str) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        "SELECT count(*) FROM tokens t JOIN paths p ON p.number = t.path
         WHERE p.path = $1 AND t.kind = $2",
        path,
        kind
    )
    .map(|(count,)| count)
}

pub async fn personal_by_hash(
    tx: &mut Tx,
    token_sha256: &[u8; 32],
) -> Result<Option<ShownPersonal>, Error> {
    sql!(
        tx,
        fetch_optional ShownPersonal,
        concat!(
            "SELECT t.id AS token_id, t.expires_at, t.last_used_at, t.last_used_address,
                    t.revoked_at, t.scopes, ", user_columns!(), "
             FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.token_sha256 = $1"
        ),
        &token_sha256[..]
    )
}

pub async fn path_token_by_hash(
    tx: &mut Tx,
    token_sha256: &[u8; 32],
) -> Result<Option<ShownPath>, Error> {
    sql!(
        tx,
        fetch_optional ShownPath,
        "SELECT t.id AS token_id, t.expires_at, t.last_used_at, t.last_used_address, t.revoked_at,
                t.kind, t.username AS token_username, p.path,
                p.group_id IS NOT NULL AS of_group, t.actions, t.pattern,
                c.disabled_at AS maker_disabled_at
         FROM tokens t JOIN paths p ON p.number = t.path LEFT JOIN users c ON c.id = t.created_by
         WHERE t.token_sha256 = $1",
        &token_sha256[..]
    )
}

/// Whether it was this call that ended the token.
pub async fn revoke(tx: &mut Tx, id: Uuid, at: DateTime<Utc>) -> Result<bool, Error> {
    sql!(
        tx,
        execute,
        "UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
        id,
        at
    )
    .map(|revoked| revoked > 0)
}

/// Ends the job tokens that a user has minted.
pub async fn revoke_jobs_of(tx: &mut Tx, user: UserId, at: DateTime<Utc>) -> Result<u64, Error> {
    sql!(
        tx,
        execute,
        "UPDATE tokens SET revoked_at = $2
         WHERE created_by = $1 AND kind = 'job' AND revoked_at IS NULL",
        user,
        at
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
        "UPDATE tokens SET last_used_at = $2, last_used_address = $3 WHERE id = $1",
        id,
        at,
        address
    )
    .map(drop)
}

/// Removes what expired or was revoked before `before`; the number of rows.
pub async fn delete_ended(tx: &mut Tx, before: DateTime<Utc>) -> Result<u64, Error> {
    sql!(
        tx,
        execute,
        "DELETE FROM tokens WHERE expires_at < $1 OR revoked_at < $1",
        before
    )
}
