//! Manifests, payload included, and what they refer to.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use super::repositories::RepositoryId;
use super::{dialect, json_list, reviews};
use crate::oci::{Digest, Manifest, Tag};

/// A manifest's key in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct ManifestId(i64);

/// A manifest as it is served.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredManifest {
    #[sqlx(try_from = "String")]
    pub digest: Digest,
    pub media_type: String,
    /// When the collector will look at it; see [`reviews`].
    pub review_due_at: Option<DateTime<Utc>>,
    /// The bytes as they were pushed.
    #[sqlx(try_from = "Vec<u8>")]
    pub payload: Bytes,
}

pub(super) const FIND_BY_TAG: &str =
    "SELECT m.digest, m.media_type, r.due_at AS review_due_at, m.payload
    FROM tags t
    JOIN manifests m ON m.id = t.manifest_id
    LEFT JOIN manifest_reviews r ON r.manifest_id = m.id
    WHERE t.repository_id = (SELECT id FROM repositories WHERE name = $1) AND t.name = $2";

/// What a tag points at. One statement: every pull starts here.
pub async fn find_by_tag(
    tx: &mut Tx,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<Option<StoredManifest>, Error> {
    sql!(
        tx,
        fetch_optional StoredManifest,
        FIND_BY_TAG,
        repository.as_str(),
        tag.as_str()
    )
}

pub(super) const FIND_BY_DIGEST: &str =
    "SELECT m.digest, m.media_type, r.due_at AS review_due_at, m.payload
    FROM manifests m
    LEFT JOIN manifest_reviews r ON r.manifest_id = m.id
    WHERE m.repository_id = (SELECT id FROM repositories WHERE name = $1) AND m.digest = $2";

/// The manifest of this digest, in one statement.
pub async fn find_by_digest(
    tx: &mut Tx,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<StoredManifest>, Error> {
    sql!(
        tx,
        fetch_optional StoredManifest,
        FIND_BY_DIGEST,
        repository.as_str(),
        digest.as_str()
    )
}

/// A manifest to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewManifest<'a> {
    pub digest: &'a Digest,
    /// What `payload` says.
    pub content: &'a Manifest,
    pub payload: &'a [u8],
}

/// What became of a manifest to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    Stored(ManifestId),
    /// Nothing was stored: the repository does not show these blobs.
    MissingBlobs(Vec<Digest>),
    /// Nothing was stored: the manifest says that a blob has another size than it has.
    WrongSize {
        digest: Digest,
        size: u64,
    },
}

/// Stores a manifest, if the repository shows all blobs that it requires; these are locked against
/// collection until the transaction ends. Storing it again changes nothing, but for a review of it
/// that is put off to `due_at`.
pub async fn put(
    tx: &mut Tx,
    repository: RepositoryId,
    manifest: NewManifest<'_>,
    due_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Put, Error> {
    let required: Vec<&Digest> = manifest
        .content
        .required_blobs()
        .map(|descriptor| &descriptor.digest)
        .collect();
    let blobs = lock_blobs(tx, repository, &required).await?;
    let sizes: HashMap<&Digest, u64> = blobs.iter().map(|blob| (&blob.digest, blob.size)).collect();
    for descriptor in manifest.content.required_blobs() {
        if let Some(size) = sizes.get(&descriptor.digest)
            && *size != descriptor.size
        {
            return Ok(Put::WrongSize {
                digest: descriptor.digest.clone(),
                size: *size,
            });
        }
    }
    let mut missing: Vec<Digest> = required
        .iter()
        .filter(|digest| !sizes.contains_key(**digest))
        .map(|digest| (*digest).clone())
        .collect();
    if !missing.is_empty() {
        missing.sort();
        missing.dedup();
        return Ok(Put::MissingBlobs(missing));
    }

    let Some(id) = insert(tx, repository, &manifest, now).await? else {
        let id = lock(tx, repository, manifest.digest)
            .await?
            // It was collected in between.
            .ok_or(Error::Race(sqlx::Error::RowNotFound))?;
        sql!(
            tx,
            execute,
            "UPDATE manifest_reviews SET due_at = $2 WHERE manifest_id = $1 AND due_at < $2",
            id,
            due_at
        )?;
        return Ok(Put::Stored(id));
    };
    let present: Vec<&Digest> = sizes.into_keys().collect();
    insert_required(tx, id, &present).await?;
    let named = manifest.content.optional_references().chain(&missing);
    let named: Vec<&Digest> = named.collect();
    if !named.is_empty() {
        insert_named(tx, repository, id, &named).await?;
    }
    Ok(Put::Stored(id))
}

/// Those of `digests` that are no manifests of the repository.
pub async fn missing(
    tx: &mut Tx,
    repository: RepositoryId,
    digests: &[&Digest],
) -> Result<Vec<Digest>, Error> {
    let statement = dialect(
        tx,
        "SELECT digest FROM manifests
         WHERE repository_id = $1 AND digest IN (SELECT value FROM json_each($2))",
        "SELECT digest FROM manifests
         WHERE repository_id = $1 AND digest IN (SELECT json_array_elements_text($2::json))",
    );
    let found: Vec<(String,)> = sql!(
        tx,
        fetch_all(String,),
        statement,
        repository,
        json_list(digests.iter().copied())
    )?;
    let found: HashSet<&str> = found.iter().map(|(digest,)| digest.as_str()).collect();
    Ok(digests
        .iter()
        .filter(|digest| !found.contains(digest.as_str()))
        .map(|digest| (*digest).clone())
        .collect())
}

/// Deletes a manifest and its tags. Whatever it kept alive is reviewed at `due_at`. False if there
/// was none.
pub async fn delete(
    tx: &mut Tx,
    repository: &RepositoryName,
    digest: &Digest,
    due_at: DateTime<Utc>,
) -> Result<bool, Error> {
    let statement = dialect(
        tx,
        "SELECT id FROM manifests
         WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest = $2",
        "SELECT id FROM manifests
         WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest = $2
         FOR UPDATE",
    );
    let found: Option<(ManifestId,)> = sql!(
        &mut *tx,
        fetch_optional(ManifestId,),
        statement,
        repository.as_str(),
        digest.as_str()
    )?;
    let Some((id,)) = found else {
        return Ok(false);
    };
    reviews::enqueue_what_it_keeps(tx, id, due_at).await?;
    sql!(tx, execute, "DELETE FROM manifests WHERE id = $1", id)?;
    Ok(true)
}

#[derive(sqlx::FromRow)]
struct LockedBlob {
    #[sqlx(try_from = "String")]
    digest: Digest,
    #[sqlx(try_from = "i64")]
    size: u64,
}

/// In the order of their keys, so that no two transactions wait for each other in a circle.
async fn lock_blobs(
    tx: &mut Tx,
    repository: RepositoryId,
    digests: &[&Digest],
) -> Result<Vec<LockedBlob>, Error> {
    if digests.is_empty() {
        return Ok(Vec::new());
    }
    let list = json_list(digests.iter().copied());
    if matches!(tx, Tx::Postgres(_)) {
        sql!(
            &mut *tx,
            execute,
            "SELECT id FROM blobs
             WHERE digest IN (SELECT json_array_elements_text($1::json))
             ORDER BY id FOR KEY SHARE",
            &list
        )?;
    }
    // Asked after the locks are there: whoever had one before may have taken the blob out of the
    // repository.
    let statement = dialect(
        tx,
        "SELECT b.digest, b.size FROM blobs b
         WHERE b.digest IN (SELECT value FROM json_each($2))
           AND EXISTS (SELECT 1 FROM repository_blobs l
                       WHERE l.repository_id = $1 AND l.blob_id = b.id)",
        "SELECT b.digest, b.size FROM blobs b
         WHERE b.digest IN (SELECT json_array_elements_text($2::json))
           AND EXISTS (SELECT 1 FROM repository_blobs l
                       WHERE l.repository_id = $1 AND l.blob_id = b.id)",
    );
    sql!(tx, fetch_all LockedBlob, statement, repository, &list)
}

async fn lock(
    tx: &mut Tx,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<ManifestId>, Error> {
    let statement = dialect(
        tx,
        "SELECT id FROM manifests WHERE repository_id = $1 AND digest = $2",
        "SELECT id FROM manifests WHERE repository_id = $1 AND digest = $2 FOR KEY SHARE",
    );
    let found: Option<(ManifestId,)> = sql!(
        tx,
        fetch_optional(ManifestId,),
        statement,
        repository,
        digest.as_str()
    )?;
    Ok(found.map(|(id,)| id))
}

/// `None` if it exists.
async fn insert(
    tx: &mut Tx,
    repository: RepositoryId,
    manifest: &NewManifest<'_>,
    now: DateTime<Utc>,
) -> Result<Option<ManifestId>, Error> {
    let content = manifest.content;
    let annotations = (!content.annotations.is_empty())
        .then(|| serde_json::to_string(&content.annotations))
        .transpose()
        .map_err(|error| Error::Internal(sqlx::Error::Encode(error.into())))?;
    let inserted: Option<(ManifestId,)> = sql!(
        tx,
        fetch_optional(ManifestId,),
        "INSERT INTO manifests (repository_id, digest, media_type, artifact_type, subject_digest,
                                annotations, size, created_at, payload)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (repository_id, digest) DO NOTHING
         RETURNING id",
        repository,
        manifest.digest.as_str(),
        content.format.media_type(),
        content.artifact_type.as_deref(),
        content
            .subject
            .as_ref()
            .map(|subject| subject.digest.as_str()),
        annotations.as_deref(),
        (manifest.payload.len() as u64).cast_signed(),
        now,
        manifest.payload
    )?;
    Ok(inserted.map(|(id,)| id))
}

async fn insert_required(
    tx: &mut Tx,
    manifest: ManifestId,
    digests: &[&Digest],
) -> Result<(), Error> {
    if digests.is_empty() {
        return Ok(());
    }
    let statement = dialect(
        tx,
        "INSERT INTO manifest_blobs (manifest_id, blob_id)
         SELECT $1, id FROM blobs WHERE digest IN (SELECT value FROM json_each($2))",
        "INSERT INTO manifest_blobs (manifest_id, blob_id)
         SELECT $1, id FROM blobs
         WHERE digest IN (SELECT json_array_elements_text($2::json))",
    );
    sql!(
        tx,
        execute,
        statement,
        manifest,
        json_list(digests.iter().copied())
    )?;
    Ok(())
}

/// What is there of the named content is locked against collection as well: the reference must be
/// seen by a collector that comes later.
async fn insert_named(
    tx: &mut Tx,
    repository: RepositoryId,
    manifest: ManifestId,
    digests: &[&Digest],
) -> Result<(), Error> {
    let list = json_list(digests.iter().copied());
    if matches!(tx, Tx::Postgres(_)) {
        sql!(
            &mut *tx,
            execute,
            "SELECT id FROM manifests
             WHERE repository_id = $1 AND digest IN (SELECT json_array_elements_text($2::json))
             ORDER BY id FOR KEY SHARE",
            repository,
            &list
        )?;
        lock_blobs(tx, repository, digests).await?;
    }
    let statement = dialect(
        tx,
        "INSERT INTO manifest_references (manifest_id, repository_id, digest)
         SELECT DISTINCT $1, $2, value FROM json_each($3)",
        "INSERT INTO manifest_references (manifest_id, repository_id, digest)
         SELECT DISTINCT $1::bigint, $2::bigint, json_array_elements_text($3::json)",
    );
    sql!(tx, execute, statement, manifest, repository, &list)?;
    Ok(())
}
