//! Repositories: known by name once they have had content.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;

/// A repository's key in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct RepositoryId(i64);

pub async fn find(tx: &mut Tx, name: &RepositoryName) -> Result<Option<RepositoryId>, Error> {
    let found: Option<(RepositoryId,)> = sql!(
        tx,
        fetch_optional(RepositoryId,),
        "SELECT id FROM repositories WHERE name = $1",
        name.as_str()
    )?;
    Ok(found.map(|(id,)| id))
}

/// The repository of this name, created if it is new.
pub async fn ensure(
    tx: &mut Tx,
    name: &RepositoryName,
    now: DateTime<Utc>,
) -> Result<RepositoryId, Error> {
    // Nearly always it exists, and then nothing is written or locked.
    if let Some(id) = find(tx, name).await? {
        return Ok(id);
    }
    let created: Option<(RepositoryId,)> = sql!(
        tx,
        fetch_optional(RepositoryId,),
        "INSERT INTO repositories (name, created_at) VALUES ($1, $2)
         ON CONFLICT (name) DO NOTHING RETURNING id",
        name.as_str(),
        now
    )?;
    match created {
        Some((id,)) => Ok(id),
        // Somebody else was faster.
        None => find(tx, name)
            .await?
            .ok_or(Error::Race(sqlx::Error::RowNotFound)),
    }
}

pub(super) const PAGE: &str =
    "SELECT name FROM repositories WHERE name > $1 ORDER BY name LIMIT $2";

/// The catalog: at most `limit` names behind `after`, in bytewise order.
pub async fn page(
    tx: &mut Tx,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<RepositoryName>, Error> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(try_from = "String")]
        name: RepositoryName,
    }

    // No name is empty.
    let rows: Vec<Row> = sql!(
        tx,
        fetch_all Row,
        PAGE,
        after.unwrap_or(""),
        i64::from(limit)
    )?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}
