//! Reviews: what may have become superfluous, and when the collector is to look at it.
//!
//! A review is no verdict: the collector checks again, under a lock, and deletes only what nothing
//! refers to. Each thing has one review at most, and enqueueing or postponing only ever moves it
//! to a later time, never to an earlier one: somebody may be relying on the later one.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use super::manifests::ManifestId;
use crate::oci::Digest;

/// Puts off a blob's review to `due_at`, if it has one: a client was told that the blob exists and
/// is about to refer to it. It has time until then to push the manifest.
pub async fn postpone_blob(
    tx: &mut Tx,
    digest: &Digest,
    due_at: DateTime<Utc>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE blob_reviews SET due_at = $2
         WHERE blob_id = (SELECT id FROM blobs WHERE digest = $1) AND due_at < $2",
        digest.as_str(),
        due_at
    )?;
    Ok(())
}

/// Puts off a manifest's review to `due_at`, if it has one: a client was told that the manifest
/// exists and is about to list it in an index or to tag it.
pub async fn postpone_manifest(
    tx: &mut Tx,
    repository: &RepositoryName,
    digest: &Digest,
    due_at: DateTime<Utc>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE manifest_reviews SET due_at = $3
         WHERE due_at < $3 AND manifest_id = (
             SELECT id FROM manifests
             WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest = $2)",
        repository.as_str(),
        digest.as_str(),
        due_at
    )?;
    Ok(())
}

pub(super) async fn enqueue_blob(
    tx: &mut Tx,
    blob: i64,
    due_at: DateTime<Utc>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO blob_reviews (blob_id, due_at) VALUES ($1, $2)
         ON CONFLICT (blob_id) DO UPDATE SET due_at = excluded.due_at
         WHERE blob_reviews.due_at < excluded.due_at",
        blob,
        due_at
    )?;
    Ok(())
}

pub(super) async fn enqueue_manifest(
    tx: &mut Tx,
    manifest: ManifestId,
    due_at: DateTime<Utc>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO manifest_reviews (manifest_id, due_at) VALUES ($1, $2)
         ON CONFLICT (manifest_id) DO UPDATE SET due_at = excluded.due_at
         WHERE manifest_reviews.due_at < excluded.due_at",
        manifest,
        due_at
    )?;
    Ok(())
}

/// For a manifest that is about to be deleted: everything that it kept alive.
pub(super) async fn enqueue_what_it_keeps(
    tx: &mut Tx,
    manifest: ManifestId,
    due_at: DateTime<Utc>,
) -> Result<(), Error> {
    // Blobs that it requires, and blobs that it merely names.
    sql!(
        &mut *tx,
        execute,
        "INSERT INTO blob_reviews (blob_id, due_at)
         SELECT kept.id, $2 FROM (
             SELECT blob_id AS id FROM manifest_blobs WHERE manifest_id = $1
             UNION
             SELECT b.id FROM manifest_references n
             JOIN blobs b ON b.digest = n.digest
             WHERE n.manifest_id = $1
         ) kept WHERE TRUE ORDER BY kept.id
         ON CONFLICT (blob_id) DO UPDATE SET due_at = excluded.due_at
         WHERE blob_reviews.due_at < excluded.due_at",
        manifest,
        due_at
    )?;
    // Manifests that it lists, and those that speak about it.
    sql!(
        tx,
        execute,
        "INSERT INTO manifest_reviews (manifest_id, due_at)
         SELECT kept.id, $2 FROM (
             SELECT c.id FROM manifest_references n
             JOIN manifests c ON c.repository_id = n.repository_id AND c.digest = n.digest
             WHERE n.manifest_id = $1
             UNION
             SELECT s.id FROM manifests m
             JOIN manifests s
               ON s.repository_id = m.repository_id AND s.subject_digest = m.digest
             WHERE m.id = $1
         ) kept WHERE kept.id <> $1 ORDER BY kept.id
         ON CONFLICT (manifest_id) DO UPDATE SET due_at = excluded.due_at
         WHERE manifest_reviews.due_at < excluded.due_at",
        manifest,
        due_at
    )?;
    Ok(())
}
