//! The table `projects`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use crate::accounts::{Project, ProjectId, Visibility};

macro_rules! columns {
    () => {
        "number, id, path, visibility, created_at, version"
    };
}

/// A row to be: the database gives it its number.
#[derive(Debug)]
pub struct NewRow<'a> {
    pub id: ProjectId,
    pub path: &'a RepositoryName,
    pub visibility: Visibility,
    pub created_at: DateTime<Utc>,
}

/// `Conflict`: the path is taken.
pub async fn insert(tx: &mut Tx, new: &NewRow<'_>) -> Result<Project, Error> {
    sql!(
        tx,
        fetch_one Project,
        concat!(
            "INSERT INTO projects (id, path, visibility, created_at)
             VALUES ($1, $2, $3, $4) RETURNING ", columns!()
        ),
        new.id,
        new.path.as_str(),
        new.visibility,
        new.created_at
    )
}

pub async fn by_id(tx: &mut Tx, id: ProjectId) -> Result<Option<Project>, Error> {
    sql!(
        tx,
        fetch_optional Project,
        concat!("SELECT ", columns!(), " FROM projects WHERE id = $1"),
        id
    )
}

pub async fn by_path(tx: &mut Tx, path: &RepositoryName) -> Result<Option<Project>, Error> {
    sql!(
        tx,
        fetch_optional Project,
        concat!("SELECT ", columns!(), " FROM projects WHERE path = $1"),
        path.as_str()
    )
}

pub async fn page(tx: &mut Tx, after: &str, limit: i64) -> Result<Vec<Project>, Error> {
    sql!(
        tx,
        fetch_all Project,
        concat!("SELECT ", columns!(), " FROM projects WHERE path > $1 ORDER BY path LIMIT $2"),
        after,
        limit
    )
}

pub async fn count(tx: &mut Tx) -> Result<i64, Error> {
    sql!(tx, fetch_one(i64,), "SELECT count(*) FROM projects").map(|(count,)| count)
}

/// The project as it is then; `None` if it is not of the expected version any more.
pub async fn set_visibility(
    tx: &mut Tx,
    id: ProjectId,
    version: i64,
    visibility: Visibility,
) -> Result<Option<Project>, Error> {
    sql!(
        tx,
        fetch_optional Project,
        concat!(
            "UPDATE projects SET visibility = $3, version = version + 1
             WHERE id = $1 AND version = $2 RETURNING ", columns!()
        ),
        id,
        version,
        visibility
    )
}

/// Whether there was such a project, of this version.
pub async fn delete(tx: &mut Tx, id: ProjectId, version: i64) -> Result<bool, Error> {
    sql!(
        tx,
        execute,
        "DELETE FROM projects WHERE id = $1 AND version = $2",
        id,
        version
    )
    .map(|deleted| deleted > 0)
}
