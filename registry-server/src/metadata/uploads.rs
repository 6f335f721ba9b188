//! Upload sessions: how far each has come, and who is writing to it.
//!
//! A request that writes holds a lease: a token of its own and a time until which it is believed to
//! be alive. Requests that come meanwhile are turned away; after a crash the lease runs out.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;
use uuid::Uuid;

use super::dialect;
use crate::blob_store::{UploadKey, UploadProgress};
use crate::oci::{Algorithm, Digest, DigestError, Midstate};

/// An upload session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub key: UploadKey,
    /// Who opened it, as the token called them; `None` for anonymous.
    pub subject: Option<String>,
    pub progress: UploadProgress,
    /// What its bytes were found to be when a request began to make them a blob.
    pub verified: Option<Verified>,
    pub created_at: DateTime<Utc>,
    /// When bytes were last acknowledged.
    pub updated_at: DateTime<Utc>,
    /// Until when the request that is writing must be believed to be alive.
    pub writer_until: Option<DateTime<Utc>>,
}

/// What the bytes of an upload are, acknowledged or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
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
                verified_digest, verified_size, created_at, updated_at, writer_until
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
                   verified_digest, verified_size, created_at, updated_at, writer_until",
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
             verified_digest = NULL, verified_size = NULL, writer = NULL, writer_until = NULL
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

/// Notes what the session's bytes are, before they are moved, and extends the lease to `until`. False
/// if it is no longer this writer's: move nothing.
pub async fn verify(
    tx: &mut Tx,
    key: &UploadKey,
    writer: Uuid,
    verified: Option<&Verified>,
    until: DateTime<Utc>,
) -> Result<bool, Error> {
    let noted = sql!(
        tx,
        execute,
        "UPDATE uploads SET verified_digest = $3, verified_size = $4, writer_until = $5
         WHERE id = $1 AND writer = $2",
        key.id,
        writer,
        verified.map(|verified| verified.digest.as_str()),
        verified.map(|verified| verified.size.cast_signed()),
        until
    )?;
    Ok(noted == 1)
}

/// Whether `writer` still holds the lease, and so nothing that it tried has been acknowledged. Waits
/// for a change under way, such as one whose outcome a lost connection has hidden.
pub async fn is_held(tx: &mut Tx, key: &UploadKey, writer: Uuid) -> Result<bool, Error> {
    let statement = dialect(
        tx,
        "SELECT 1 FROM uploads WHERE id = $1 AND writer = $2",
        "SELECT 1 FROM uploads WHERE id = $1 AND writer = $2 FOR UPDATE",
    );
    let found: Option<(i32,)> = sql!(tx, fetch_optional(i32,), statement, key.id, writer)?;
    Ok(found.is_some())
}

pub(super) const HELD_BYTES: &str =
    "SELECT CAST(COALESCE(SUM(received), 0) AS BIGINT) FROM uploads WHERE subject = $1";

pub(super) const HELD_BYTES_OF_ANONYMOUS: &str =
    "SELECT CAST(COALESCE(SUM(received), 0) AS BIGINT) FROM uploads WHERE subject IS NULL";

/// How many acknowledged bytes a subject has in unfinished uploads; all who are anonymous are one.
pub async fn held_bytes(tx: &mut Tx, subject: Option<&str>) -> Result<u64, Error> {
    let (held,): (i64,) = match subject {
        Some(subject) => sql!(tx, fetch_one(i64,), HELD_BYTES, subject),
        None => sql!(tx, fetch_one(i64,), HELD_BYTES_OF_ANONYMOUS),
    }?;
    Ok(held.cast_unsigned())
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

/// Ends a session that has had no acknowledged bytes since `before` and that nobody is writing to: as
/// it is now, not as it was listed. Returns what it was; `None` if it goes on.
pub async fn expire(
    tx: &mut Tx,
    key: &UploadKey,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Option<Upload>, Error> {
    let row: Option<Row> = sql!(
        tx,
        fetch_optional Row,
        "DELETE FROM uploads
         WHERE id = $1 AND updated_at < $2 AND (writer IS NULL OR writer_until <= $3)
         RETURNING id, repository, subject, algorithm, received, midstate, backend,
                   verified_digest, verified_size, created_at, updated_at, writer_until",
        key.id,
        before,
        now
    )?;
    Ok(row.map(Upload::from))
}

pub(super) const EXPIRED: &str = "SELECT id, repository FROM uploads
    WHERE updated_at < $1 AND (writer IS NULL OR writer_until <= $2)
    ORDER BY updated_at, id LIMIT $3";

/// At most `limit` sessions without acknowledged bytes since `before` that nobody is writing to,
/// longest idle first. Candidates: [`expire`] decides.
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
    verified_digest: Option<String>,
    verified_size: Option<i64>,
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
        // A digest that this version cannot read proves nothing to it.
        let digest = row.verified_digest.and_then(|digest| digest.parse().ok());
        let size = row.verified_size.map(i64::cast_unsigned);
        let verified = digest.zip(size);
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
            verified: verified.map(|(digest, size)| Verified { digest, size }),
            created_at: row.created_at,
            updated_at: row.updated_at,
            writer_until: row.writer_until,
        }
    }
}
