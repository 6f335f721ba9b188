//! Tags: names that point at one manifest of their repository, and may move.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use super::manifests::ManifestId;
use super::repositories::RepositoryId;
use super::{dialect, reviews};
use crate::oci::{Digest, Tag};

#[derive(sqlx::FromRow)]
struct Name {
    #[sqlx(try_from = "String")]
    name: Tag,
}

/// Points a tag at a manifest. One that it pointed at before is reviewed at `due_at`.
///
/// Transactions that set several tags do so in the order of their names, so that none waits for
/// another in a circle.
pub async fn set(
    tx: &mut Tx,
    repository: RepositoryId,
    tag: &Tag,
    manifest: ManifestId,
    due_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let created = sql!(
        &mut *tx,
        execute,
        "INSERT INTO tags (repository_id, name, manifest_id, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT (repository_id, name) DO NOTHING",
        repository,
        tag.as_str(),
        manifest,
        now
    )?;
    if created == 1 {
        return Ok(());
    }
    // Locked, so that of two that move the tag at once, each reviews what it really replaced.
    let statement = dialect(
        tx,
        "SELECT manifest_id FROM tags WHERE repository_id = $1 AND name = $2",
        "SELECT manifest_id FROM tags WHERE repository_id = $1 AND name = $2 FOR UPDATE",
    );
    let previous: Option<(ManifestId,)> = sql!(
        &mut *tx,
        fetch_optional(ManifestId,),
        statement,
        repository,
        tag.as_str()
    )?;
    let Some((previous,)) = previous else {
        // It was deleted in between.
        return Err(Error::Race(sqlx::Error::RowNotFound));
    };
    sql!(
        &mut *tx,
        execute,
        "UPDATE tags SET manifest_id = $3, updated_at = $4
         WHERE repository_id = $1 AND name = $2",
        repository,
        tag.as_str(),
        manifest,
        now
    )?;
    if previous != manifest {
        reviews::enqueue_manifest(tx, previous, due_at).await?;
    }
    Ok(())
}

/// Deletes a tag and has its manifest reviewed at `due_at`. False if there was none.
pub async fn delete(
    tx: &mut Tx,
    repository: &RepositoryName,
    tag: &Tag,
    due_at: DateTime<Utc>,
) -> Result<bool, Error> {
    let deleted: Option<(ManifestId,)> = sql!(
        &mut *tx,
        fetch_optional(ManifestId,),
        "DELETE FROM tags
         WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND name = $2
         RETURNING manifest_id",
        repository.as_str(),
        tag.as_str()
    )?;
    let Some((manifest,)) = deleted else {
        return Ok(false);
    };
    reviews::enqueue_manifest(tx, manifest, due_at).await?;
    Ok(true)
}

pub(super) const PAGE: &str = "SELECT name FROM tags
    WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND name > $2
    ORDER BY name LIMIT $3";

/// At most `limit` tags behind `after`, in bytewise order. Costs the same wherever the page is. An
/// unknown repository has none.
pub async fn page(
    tx: &mut Tx,
    repository: &RepositoryName,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Tag>, Error> {
    // A sub-select, not a join: PostgreSQL then knows that the index has the rows in order.
    let rows: Vec<Name> = sql!(
        tx,
        fetch_all Name,
        PAGE,
        repository.as_str(),
        after.unwrap_or(""),
        i64::from(limit)
    )?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// The tags that point at a manifest, in bytewise order.
pub async fn of_manifest(
    tx: &mut Tx,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Vec<Tag>, Error> {
    let rows: Vec<Name> = sql!(
        tx,
        fetch_all Name,
        "SELECT t.name FROM tags t
         JOIN manifests m ON m.id = t.manifest_id
         WHERE m.repository_id = (SELECT id FROM repositories WHERE name = $1) AND m.digest = $2
         ORDER BY t.name",
        repository.as_str(),
        digest.as_str()
    )?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}
