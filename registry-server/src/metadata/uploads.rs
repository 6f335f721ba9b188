//! Upload sessions: how far each has come, and who is writing to it.
//!
//! A request that writes holds a lease: a token of its own and a time until which it is believed to
//! be alive. Requests that come meanwhile are turned away; after a crash the lease runs out.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;
use uuid::Uuid;

use crate::blob_store::{UploadKey, UploadProgress};
use crate::oci::{Algorithm, DigestError, Midstate};

/// An upload session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub key: UploadKey,
    /// Who opened it, as the token called them; `None` for anonymous.
    pub subject: Option<String>,
    pub progress: UploadProgress,
    pub created_at: DateTime<Utc>,
    /// When bytes were last acknowledged.
    pub updated_at: DateTime<Utc>,
    /// Until when the request that is writing must be believed to be alive.
    pub writer_until: Option<DateTime<Utc>>,
}

impl Upload {
    /// Whether some request holds the lease.
    pub fn is_being_written(&self, now: DateTime<Utc>) -> bool {
        self.writer_until.is_some_and(|until| until > now)
    }
}

/// What became of the wish to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    Held(Upload),
    /// Another request is writing.
    Busy,
    /// There is no such session in this repository.
    Unknown,
}

pub async fn create(
    tx: &mut Tx,
    key: &UploadKey,
    subject: Option<&str>,
    algorithm: Algorithm,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let start = UploadProgress::start(algorithm);
    sql!(
        tx,
        execute,
        "INSERT INTO uploads (id, repository, subject, algorithm, received, midstate, backend,
                              created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        key.id,
        key.repository.as_str(),
        subject,
        algorithm.name(),
        start.offset.cast_signed(),
        start.midstate.as_bytes(),
        start.backend.as_slice(),
        now
    )?;
    Ok(())
}

/// The session, whoever is writing to it.
pub async fn find(tx: &mut Tx, key: &UploadKey) -> Result<Option<Upload>, Error> {
    let row: Option<Row> = sql!(
        tx,
        fetch_optional Row,
        "SELECT id, repository, subject, algorithm, received, midstate, backend,
                created_at, updated_at, writer_until
         FROM uploads WHERE id = $1 AND repository = $2",
        key.id,
        key.repository.as_str()
    )?;
    Ok(row.map(Upload::from))
}

/// Takes the lease for `writer` until `until`, unless somebody else's has not run out by `now`.
pub async fn acquire(
    tx: &mut Tx,
    key: &UploadKey,
    writer: Uuid,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Lease, Error> {
    let row: Option<Row> = sql!(
        &mut *tx,
        fetch_optional Row,
        "UPDATE uploads SET writer = $3, writer_until = $4
         WHERE id = $1 AND repository = $2 AND (writer IS NULL OR writer_until <= $5)
         RETURNING id, repository, subject, algorithm, received, midstate, backend,
                   created_at, updated_at, writer_until",
        key.id,
        key.repository.as_str(),
        writer,
        until,
        now
    )?;
    if let Some(row) = row {
        return Ok(Lease::Held(row.into()));
    }
    Ok(match find(tx, key).await? {
        Some(_) => Lease::Busy,
        None => Lease::Unknown,
    })
}

/// Extends the lease. False if it is no longer this writer's: stop writing.
pub async fn renew(
    tx: &mut Tx,
    key: &UploadKey,
    writer: Uuid,
    until: DateTime<Utc>,
) -> Result<bool, Error> {
    let renewed = sql!(
        tx,
        execute,
        "UPDATE uploads SET writer_until = $3 WHERE id = $1 AND writer = $2",
        key.id,
        writer,
        until
    )?;
    Ok(renewed == 1)
}

/// Records what has become durable and gives the lease back, in one statement. False if the lease is
/// no longer this writer's: acknowledge nothing.
pub async fn advance(
    tx: &mut Tx,
    key: &UploadKey,
    writer: Uuid,
    progress: &UploadProgress,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let advanced = sql!(
        tx,
        execute,
        "UPDATE uploads
         SET algorithm = $3, received = $4, midstate = $5, backend = $6, updated_at = $7,
             writer = NULL, writer_until = NULL
         WHERE id = $1 AND writer = $2",
        key.id,
        writer,
        progress.algorithm.name(),
        progress.offset.cast_signed(),
        progress.midstate.as_bytes(),
        progress.backend.as_slice(),
        now
    )?;
    Ok(advanced == 1)
}

/// Gives the lease back without having written anything.
pub async fn release(tx: &mut Tx, key: &UploadKey, writer: Uuid) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE uploads SET writer = NULL, writer_until = NULL WHERE id = $1 AND writer = $2",
        key.id,
        writer
    )?;
    Ok(())
}

/// Gives back all leases: those of a process that has ended, where there is only one process.
pub async fn release_all(tx: &mut Tx) -> Result<u64, Error> {
    sql!(
        tx,
        execute,
        "UPDATE uploads SET writer = NULL, writer_until = NULL WHERE writer IS NOT NULL"
    )
}

/// Ends a session whose lease `writer` holds. False if the lease is no longer this writer's.
pub async fn delete(tx: &mut Tx, key: &UploadKey, writer: Uuid) -> Result<bool, Error> {
    let deleted = sql!(
        tx,
        execute,
        "DELETE FROM uploads WHERE id = $1 AND writer = $2",
        key.id,
        writer
    )?;
    Ok(deleted == 1)
}

pub(super) const EXPIRED: &str = "SELECT id, repository FROM uploads
    WHERE updated_at < $1 AND (writer IS NULL OR writer_until <= $2)
    ORDER BY updated_at, id LIMIT $3";

/// At most `limit` sessions without acknowledged bytes since `before` that nobody is writing to,
/// longest idle first.
pub async fn expired(
    tx: &mut Tx,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<UploadKey>, Error> {
    #[derive(sqlx::FromRow)]
    struct Key {
        id: Uuid,
        #[sqlx(try_from = "String")]
        repository: RepositoryName,
    }

    let keys: Vec<Key> = sql!(
        tx,
        fetch_all Key,
        EXPIRED,
        before,
        now,
        i64::from(limit)
    )?;
    Ok(keys
        .into_iter()
        .map(|Key { id, repository }| UploadKey { repository, id })
        .collect())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    #[sqlx(try_from = "String")]
    repository: RepositoryName,
    subject: Option<String>,
    #[sqlx(try_from = "String")]
    algorithm: StoredAlgorithm,
    #[sqlx(try_from = "i64")]
    received: u64,
    midstate: Vec<u8>,
    backend: Vec<u8>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    writer_until: Option<DateTime<Utc>>,
}

struct StoredAlgorithm(Algorithm);

impl TryFrom<String> for StoredAlgorithm {
    type Error = DigestError;

    fn try_from(name: String) -> Result<Self, DigestError> {
        name.parse().map(Self)
    }
}

impl From<Row> for Upload {
    fn from(row: Row) -> Self {
        Self {
            key: UploadKey {
                repository: row.repository,
                id: row.id,
            },
            subject: row.subject,
            progress: UploadProgress {
                algorithm: row.algorithm.0,
                offset: row.received,
                midstate: Midstate::from(row.midstate),
                backend: row.backend,
            },
            created_at: row.created_at,
            updated_at: row.updated_at,
            writer_until: row.writer_until,
        }
    }
}
