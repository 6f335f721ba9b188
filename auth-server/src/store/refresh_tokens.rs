//! The table `refresh_tokens`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use uuid::Uuid;

use crate::accounts::{User, UserId};

/// A refresh token, without the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRefreshToken<'a> {
    pub id: Uuid,
    pub user_id: UserId,
    pub token_sha256: [u8; 32],
    pub client_id: &'a str,
    pub service: &'a str,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub address: Option<&'a str>,
}

/// A refresh token that could be used, and whose it is.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct StoredRefreshToken {
    pub token_id: Uuid,
    pub service: String,
    pub expires_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub address: Option<String>,
    pub revoked_at: Option<DateTime<Utc>>,
    #[sqlx(flatten)]
    pub user: User,
}

pub async fn insert(tx: &mut Tx, token: &NewRefreshToken<'_>) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO refresh_tokens (id, user_id, token_sha256, client_id, service, created_at,
                                     expires_at, address)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        token.id,
        token.user_id,
        &token.token_sha256[..],
        token.client_id,
        token.service,
        token.created_at,
        token.expires_at,
        token.address
    )
    .map(drop)
}

pub async fn by_hash(
    tx: &mut Tx,
    token_sha256: &[u8; 32],
) -> Result<Option<StoredRefreshToken>, Error> {
    sql!(
        tx,
        fetch_optional StoredRefreshToken,
        concat!(
            "SELECT t.id AS token_id, t.service, t.expires_at, t.last_used_at, t.address,
                    t.revoked_at, ", user_columns!(), "
             FROM refresh_tokens t JOIN users u ON u.id = t.user_id
             WHERE t.token_sha256 = $1"
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
        "UPDATE refresh_tokens SET last_used_at = $2, address = $3 WHERE id = $1",
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
        "DELETE FROM refresh_tokens WHERE expires_at < $1 OR revoked_at < $1",
        before
    )
}
