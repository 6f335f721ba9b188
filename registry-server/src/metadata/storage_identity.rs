//! Which storage this database speaks of. What follows from it is [`identity`](crate::identity)'s.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use uuid::Uuid;

use crate::blob_store::StorageIdentity;

/// The storage that this database belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownStorage {
    pub identity: StorageIdentity,
    /// Since when the two belong together.
    pub since: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    storage_id: Uuid,
    #[sqlx(try_from = "i64")]
    counter: u64,
    since: DateTime<Utc>,
}

/// `None` in a database that has not met its storage yet.
pub async fn find(tx: &mut Tx) -> Result<Option<KnownStorage>, Error> {
    let row: Option<Row> = sql!(
        tx,
        fetch_optional Row,
        "SELECT storage_id, counter, since FROM storage_identity"
    )?;
    Ok(row.map(|row| KnownStorage {
        identity: StorageIdentity {
            id: row.storage_id,
            counter: row.counter,
        },
        since: row.since,
    }))
}

/// Records the storage, unless another server has been faster.
pub async fn introduce(
    tx: &mut Tx,
    identity: StorageIdentity,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO storage_identity (one, storage_id, counter, since) VALUES (1, $1, $2, $3)
         ON CONFLICT (one) DO NOTHING",
        identity.id,
        identity.counter.cast_signed(),
        now
    )?;
    Ok(())
}

/// Records the storage in the place of whichever was known.
pub async fn replace(
    tx: &mut Tx,
    identity: StorageIdentity,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO storage_identity (one, storage_id, counter, since) VALUES (1, $1, $2, $3)
         ON CONFLICT (one) DO UPDATE
         SET storage_id = excluded.storage_id, counter = excluded.counter, since = excluded.since",
        identity.id,
        identity.counter.cast_signed(),
        now
    )?;
    Ok(())
}

/// Counts on from `seen`, and returns the new number; `None` if this is another storage's database by now, or
/// the storage is ahead of it.
pub async fn advance(tx: &mut Tx, seen: StorageIdentity) -> Result<Option<u64>, Error> {
    let advanced: Option<(i64,)> = sql!(
        tx,
        fetch_optional(i64,),
        "UPDATE storage_identity SET counter = counter + 1
         WHERE storage_id = $1 AND counter >= $2
         RETURNING counter",
        seen.id,
        seen.counter.cast_signed()
    )?;
    Ok(advanced.map(|(counter,)| counter.cast_unsigned()))
}
