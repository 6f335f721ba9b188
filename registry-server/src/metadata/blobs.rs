//! Blobs, and the links through which a repository shows them.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use super::repositories::RepositoryId;
use crate::oci::Digest;

/// A blob as seen through a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct LinkedBlob {
    /// In bytes.
    #[sqlx(try_from = "i64")]
    pub size: u64,
    /// When the collector will look at it; `None` if nothing calls for that. A client that asks
    /// whether a blob exists may rely on the answer: see [`reviews`](super::reviews).
    pub review_due_at: Option<DateTime<Utc>>,
}

pub(super) const FIND_LINKED: &str = "SELECT b.size, r.due_at AS review_due_at
    FROM blobs b
    JOIN repository_blobs l ON l.blob_id = b.id
    LEFT JOIN blob_reviews r ON r.blob_id = b.id
    WHERE b.digest = $2
      AND l.repository_id = (SELECT id FROM repositories WHERE name = $1)";

/// The blob, if this repository shows it. One statement: every pull of a layer comes through here.
pub async fn find_linked(
    tx: &mut Tx,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<LinkedBlob>, Error> {
    sql!(
        tx,
        fetch_optional LinkedBlob,
        FIND_LINKED,
        repository.as_str(),
        digest.as_str()
    )
}

/// A blob's row, as it was when the bytes were about to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Reservation {
    id: i64,
    /// `SQLite` may give a key that was removed to another row.
    created_at: DateTime<Utc>,
}

/// Keeps the collector away from a blob whose bytes are about to be stored, until `due_at` at
/// least. Commit before the bytes are moved; [`link`] afterwards.
pub async fn reserve(
    tx: &mut Tx,
    digest: &Digest,
    size: u64,
    due_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Reservation, Error> {
    // DO UPDATE, though nothing changes: it locks the row, and waits for a collector that has it. The
    // size of a blob that is known stays: this one's bytes may turn out to be something else.
    let reservation: Reservation = sql!(
        &mut *tx,
        fetch_one Reservation,
        "INSERT INTO blobs (digest, size, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (digest) DO UPDATE SET size = blobs.size
         RETURNING id, created_at",
        digest.as_str(),
        size.cast_signed(),
        now
    )?;
    sql!(
        tx,
        execute,
        "INSERT INTO blob_reviews (blob_id, due_at) VALUES ($1, $2)
         ON CONFLICT (blob_id) DO UPDATE SET due_at = excluded.due_at
         WHERE blob_reviews.due_at < excluded.due_at",
        reservation.id,
        due_at
    )?;
    Ok(reservation)
}

/// Shows a reserved blob, whose bytes are stored now, in a repository. False if the reservation is
/// gone, because it was left alone until its review: then nothing was changed, and the bytes must be
/// stored again. A reservation that somebody else has made since does not speak for these bytes.
pub async fn link(
    tx: &mut Tx,
    repository: RepositoryId,
    digest: &Digest,
    reservation: Reservation,
    size: u64,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let statement = super::dialect(
        tx,
        "SELECT id, created_at FROM blobs WHERE digest = $1",
        "SELECT id, created_at FROM blobs WHERE digest = $1 FOR KEY SHARE",
    );
    let found: Option<Reservation> =
        sql!(&mut *tx, fetch_optional Reservation, statement, digest.as_str())?;
    if found != Some(reservation) {
        return Ok(false);
    }
    let id = reservation.id;
    // The first reservation may have been for bytes that had another digest in the end.
    sql!(
        &mut *tx,
        execute,
        "UPDATE blobs SET size = $2 WHERE id = $1 AND size <> $2",
        id,
        size.cast_signed()
    )?;
    insert_link(tx, repository, id, now).await?;
    Ok(true)
}

/// Shows a blob in `to` that `from` shows (with `None`: that any repository shows), and postpones
/// its review. Returns its size; `None` if there is nothing to mount.
///
/// Whether the caller may read `from` is for the caller to know.
pub async fn mount(
    tx: &mut Tx,
    from: Option<&RepositoryName>,
    to: RepositoryId,
    digest: &Digest,
    due_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Option<u64>, Error> {
    let Some(id) = lock(tx, digest).await? else {
        return Ok(None);
    };
    let found: Option<(i64,)> = match from {
        Some(from) => sql!(
            &mut *tx,
            fetch_optional(i64,),
            "SELECT b.size FROM blobs b
             JOIN repository_blobs l ON l.blob_id = b.id
             WHERE b.id = $2 AND l.repository_id = (SELECT id FROM repositories WHERE name = $1)",
            from.as_str(),
            id
        ),
        None => sql!(
            &mut *tx,
            fetch_optional(i64,),
            "SELECT size FROM blobs
             WHERE id = $1 AND EXISTS (SELECT 1 FROM repository_blobs WHERE blob_id = $1)",
            id
        ),
    }?;
    let Some((size,)) = found else {
        return Ok(None);
    };
    insert_link(tx, to, id, now).await?;
    super::reviews::postpone_blob(tx, digest, due_at).await?;
    Ok(Some(size.cast_unsigned()))
}

/// At most `limit` repositories that show a blob, for a mount that names no source.
pub async fn holders(
    tx: &mut Tx,
    digest: &Digest,
    limit: u32,
) -> Result<Vec<RepositoryName>, Error> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(try_from = "String")]
        name: RepositoryName,
    }

    let rows: Vec<Row> = sql!(
        tx,
        fetch_all Row,
        "SELECT r.name FROM blobs b
         JOIN repository_blobs l ON l.blob_id = b.id
         JOIN repositories r ON r.id = l.repository_id
         WHERE b.digest = $1 LIMIT $2",
        digest.as_str(),
        i64::from(limit)
    )?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// Whether a manifest of the repository requires the blob.
pub async fn is_required(
    tx: &mut Tx,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<bool, Error> {
    let (required,): (bool,) = sql!(
        tx,
        fetch_one(bool,),
        "SELECT EXISTS (
             SELECT 1 FROM blobs b
             JOIN manifest_blobs u ON u.blob_id = b.id
             JOIN manifests m ON m.id = u.manifest_id
             WHERE b.digest = $2
               AND m.repository_id = (SELECT id FROM repositories WHERE name = $1))",
        repository.as_str(),
        digest.as_str()
    )?;
    Ok(required)
}

/// Locks a blob that is about to leave a repository, so that no manifest comes to require it
/// meanwhile. Before [`is_required`] is asked.
pub async fn lock_to_unlink(tx: &mut Tx, digest: &Digest) -> Result<(), Error> {
    if matches!(tx, Tx::Postgres(_)) {
        sql!(
            tx,
            execute,
            "SELECT id FROM blobs WHERE digest = $1 FOR UPDATE",
            digest.as_str()
        )?;
    }
    Ok(())
}

/// Stops showing a blob in a repository and has it reviewed at `due_at`. False if it was not shown.
pub async fn unlink(
    tx: &mut Tx,
    repository: &RepositoryName,
    digest: &Digest,
    due_at: DateTime<Utc>,
) -> Result<bool, Error> {
    let unlinked: Option<(i64,)> = sql!(
        tx,
        fetch_optional(i64,),
        "DELETE FROM repository_blobs
         WHERE repository_id = (SELECT id FROM repositories WHERE name = $1)
           AND blob_id = (SELECT id FROM blobs WHERE digest = $2)
         RETURNING blob_id",
        repository.as_str(),
        digest.as_str()
    )?;
    let Some((id,)) = unlinked else {
        return Ok(false);
    };
    super::reviews::enqueue_blob(tx, id, due_at).await?;
    Ok(true)
}

/// At most `limit` blobs behind `after` that no repository shows and whose review is due before
/// `due_before`, in the order of their digests. Candidates: [`lock_unshown`] decides.
pub async fn unshown(
    tx: &mut Tx,
    due_before: DateTime<Utc>,
    after: Option<&Digest>,
    limit: u32,
) -> Result<Vec<Digest>, Error> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(try_from = "String")]
        digest: Digest,
    }

    let rows: Vec<Row> = sql!(
        tx,
        fetch_all Row,
        "SELECT b.digest FROM blobs b
         JOIN blob_reviews r ON r.blob_id = b.id
         WHERE r.due_at < $1 AND b.digest > $2
           AND NOT EXISTS (SELECT 1 FROM repository_blobs WHERE blob_id = b.id)
           AND NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE blob_id = b.id)
         ORDER BY b.digest LIMIT $3",
        due_before,
        after.map_or("", Digest::as_str),
        i64::from(limit)
    )?;
    Ok(rows.into_iter().map(|row| row.digest).collect())
}

/// Locks a blob for deletion. False if there is no such blob, somebody shows or requires it, or its
/// review was put off.
pub async fn lock_unshown(
    tx: &mut Tx,
    digest: &Digest,
    due_before: DateTime<Utc>,
) -> Result<bool, Error> {
    let statement = super::dialect(
        tx,
        "SELECT id FROM blobs WHERE digest = $1",
        "SELECT id FROM blobs WHERE digest = $1 FOR UPDATE",
    );
    let found: Option<(i64,)> = sql!(&mut *tx, fetch_optional(i64,), statement, digest.as_str())?;
    let Some((id,)) = found else {
        return Ok(false);
    };
    // Asked after the lock is there: whoever had the row before may have made a link.
    let (unshown,): (bool,) = sql!(
        tx,
        fetch_one(bool,),
        "SELECT NOT EXISTS (SELECT 1 FROM repository_blobs WHERE blob_id = $1)
            AND NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE blob_id = $1)
            AND EXISTS (SELECT 1 FROM blob_reviews WHERE blob_id = $1 AND due_at < $2)",
        id,
        due_before
    )?;
    Ok(unshown)
}

/// Forgets a blob whose bytes are gone.
pub async fn remove(tx: &mut Tx, digest: &Digest) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "DELETE FROM blobs WHERE digest = $1",
        digest.as_str()
    )?;
    Ok(())
}

/// Makes a row for bytes that have none, so that whoever wants to store the same content waits.
/// False if there is one.
pub async fn claim(
    tx: &mut Tx,
    digest: &Digest,
    size: u64,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let claimed = sql!(
        tx,
        execute,
        "INSERT INTO blobs (digest, size, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (digest) DO NOTHING",
        digest.as_str(),
        size.cast_signed(),
        now
    )?;
    Ok(claimed == 1)
}

/// Whether a blob has a row.
pub async fn is_known(tx: &mut Tx, digest: &Digest) -> Result<bool, Error> {
    let (known,): (bool,) = sql!(
        tx,
        fetch_one(bool,),
        "SELECT EXISTS (SELECT 1 FROM blobs WHERE digest = $1)",
        digest.as_str()
    )?;
    Ok(known)
}

/// At most `limit` blobs that some repository shows, the latest first.
pub async fn shown(tx: &mut Tx, limit: u32) -> Result<Vec<Digest>, Error> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(try_from = "String")]
        digest: Digest,
    }

    let rows: Vec<Row> = sql!(
        tx,
        fetch_all Row,
        "SELECT digest FROM blobs
         WHERE EXISTS (SELECT 1 FROM repository_blobs WHERE blob_id = blobs.id)
         ORDER BY id DESC LIMIT $1",
        i64::from(limit)
    )?;
    Ok(rows.into_iter().map(|row| row.digest).collect())
}

/// The blob's key, locked against collection until the transaction ends.
async fn lock(tx: &mut Tx, digest: &Digest) -> Result<Option<i64>, Error> {
    let statement = super::dialect(
        tx,
        "SELECT id FROM blobs WHERE digest = $1",
        "SELECT id FROM blobs WHERE digest = $1 FOR KEY SHARE",
    );
    let found: Option<(i64,)> = sql!(tx, fetch_optional(i64,), statement, digest.as_str())?;
    Ok(found.map(|(id,)| id))
}

async fn insert_link(
    tx: &mut Tx,
    repository: RepositoryId,
    blob: i64,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO repository_blobs (repository_id, blob_id, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (repository_id, blob_id) DO NOTHING",
        repository,
        blob,
        now
    )?;
    Ok(())
}
