//! The tables `signing_keys` and `key_settings`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};

/// A signing key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredKey {
    pub kid: String,
    pub algorithm: String,
    /// `generated`, `imported`, `mounted`, `adopted`
    pub origin: String,
    /// PEM, its own certificate first.
    pub certificate: String,
    pub private_sealed: Option<Vec<u8>>,
    pub published_at: DateTime<Utc>,
    pub signs_from: Option<DateTime<Utc>>,
    pub activated_at: Option<DateTime<Utc>>,
    pub last_signed_at: Option<DateTime<Utc>>,
    /// In seconds.
    pub token_lifetime: i64,
    pub retired_at: Option<DateTime<Utc>>,
}

/// Lets nobody else change keys until the end of the transaction; reading goes on.
pub async fn lock(tx: &mut Tx) -> Result<(), Error> {
    match tx {
        // Who writes is alone anyway.
        Tx::Sqlite(_) => Ok(()),
        Tx::Postgres(_) => sql!(
            tx,
            execute,
            "LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"
        )
        .map(drop),
    }
}

/// Every key, those that sign last at the end.
pub async fn all(tx: &mut Tx) -> Result<Vec<StoredKey>, Error> {
    sql!(
        tx,
        fetch_all StoredKey,
        "SELECT kid, algorithm, origin, certificate, private_sealed, published_at, signs_from,
                activated_at, last_signed_at, token_lifetime, retired_at
         FROM signing_keys ORDER BY signs_from NULLS LAST, published_at, kid"
    )
}

pub async fn insert(tx: &mut Tx, key: &StoredKey) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO signing_keys (kid, algorithm, origin, certificate, private_sealed,
                                   published_at, signs_from, activated_at, last_signed_at,
                                   token_lifetime, retired_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        &key.kid,
        &key.algorithm,
        &key.origin,
        &key.certificate,
        key.private_sealed.as_deref(),
        key.published_at,
        key.signs_from,
        key.activated_at,
        key.last_signed_at,
        key.token_lifetime,
        key.retired_at
    )
    .map(drop)
}

pub async fn set_private(tx: &mut Tx, kid: &str, sealed: &[u8]) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE signing_keys SET private_sealed = $2 WHERE kid = $1",
        kid,
        sealed
    )
    .map(drop)
}

pub async fn set_signs_from(tx: &mut Tx, kid: &str, from: DateTime<Utc>) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE signing_keys SET signs_from = $2 WHERE kid = $1",
        kid,
        from
    )
    .map(drop)
}

pub async fn set_activated(tx: &mut Tx, kid: &str, at: DateTime<Utc>) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE signing_keys SET activated_at = $2 WHERE kid = $1",
        kid,
        at
    )
    .map(drop)
}

/// Never back: replicas tell it one after another.
pub async fn set_last_signed(tx: &mut Tx, kid: &str, at: DateTime<Utc>) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE signing_keys SET last_signed_at = $2
         WHERE kid = $1 AND (last_signed_at IS NULL OR last_signed_at < $2)",
        kid,
        at
    )
    .map(drop)
}

/// Of all keys whose tokens some server now makes longer-lived.
pub async fn raise_token_lifetime(tx: &mut Tx, seconds: i64) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE signing_keys SET token_lifetime = $1
         WHERE token_lifetime < $1 AND retired_at IS NULL",
        seconds
    )
    .map(drop)
}

/// Ends a key, and forgets its private half.
pub async fn retire(tx: &mut Tx, kid: &str, at: DateTime<Utc>) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE signing_keys SET retired_at = $2, private_sealed = NULL WHERE kid = $1",
        kid,
        at
    )
    .map(drop)
}

/// Of the same key: certificates are renewed.
pub async fn set_certificate(tx: &mut Tx, kid: &str, pem: &str) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE signing_keys SET certificate = $2 WHERE kid = $1",
        kid,
        pem
    )
    .map(drop)
}

/// What the server that started last was told about its keys.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredSettings {
    pub algorithm: String,
    /// In seconds.
    pub publish_ahead: i64,
    /// In seconds.
    pub token_lifetime: i64,
}

/// `None`: no server has started yet.
pub async fn settings(tx: &mut Tx) -> Result<Option<StoredSettings>, Error> {
    sql!(
        tx,
        fetch_optional StoredSettings,
        "SELECT algorithm, publish_ahead, token_lifetime FROM key_settings"
    )
}

pub async fn set_settings(tx: &mut Tx, settings: &StoredSettings) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO key_settings (id, algorithm, publish_ahead, token_lifetime)
         VALUES (1, $1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET algorithm = excluded.algorithm,
             publish_ahead = excluded.publish_ahead, token_lifetime = excluded.token_lifetime",
        &settings.algorithm,
        settings.publish_ahead,
        settings.token_lifetime
    )
    .map(drop)
}
