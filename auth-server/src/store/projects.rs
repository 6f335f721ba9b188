//! The table `projects`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use crate::accounts::project::OwnedProject;
use crate::accounts::{Project, ProjectId, UserId, Username, Visibility};

macro_rules! columns {
    () => {
        "number, id, path, owner_id, visibility, created_at"
    };
}

macro_rules! select_owned {
    () => {
        "SELECT p.number, p.id, p.path, p.owner_id, p.visibility, p.created_at,
                u.username AS owner
         FROM projects p LEFT JOIN users u ON u.id = p.owner_id"
    };
}

/// A row to be: the database gives it its number.
#[derive(Debug)]
pub struct NewRow<'a> {
    pub id: ProjectId,
    pub path: &'a RepositoryName,
    pub owner_id: Option<UserId>,
    pub visibility: Visibility,
    pub created_at: DateTime<Utc>,
}

/// `Conflict`: the path is taken.
pub async fn insert(tx: &mut Tx, new: &NewRow<'_>) -> Result<Project, Error> {
    sql!(
        tx,
        fetch_one Project,
        concat!(
            "INSERT INTO projects (id, path, owner_id, visibility, created_at)
             VALUES ($1, $2, $3, $4, $5) RETURNING ", columns!()
        ),
        new.id,
        new.path.as_str(),
        new.owner_id,
        new.visibility,
        new.created_at
    )
}

pub async fn by_id(tx: &mut Tx, id: ProjectId) -> Result<Option<OwnedProject>, Error> {
    sql!(
        tx,
        fetch_optional OwnedProject,
        concat!(select_owned!(), " WHERE p.id = $1"),
        id
    )
}

pub async fn by_path(tx: &mut Tx, path: &RepositoryName) -> Result<Option<OwnedProject>, Error> {
    sql!(
        tx,
        fetch_optional OwnedProject,
        concat!(select_owned!(), " WHERE p.path = $1"),
        path.as_str()
    )
}

/// The projects at these paths; those that do not exist are left out.
pub async fn at_paths(tx: &mut Tx, paths: &[&str]) -> Result<Vec<Project>, Error> {
    match tx {
        // SQLite has no arrays, but unfolds a JSON array into rows.
        Tx::Sqlite(_) => sql!(
            tx,
            fetch_all Project,
            concat!(
                "SELECT ", columns!(), " FROM projects
                 WHERE path IN (SELECT value FROM json_each($1))"
            ),
            serde_json::Value::from(paths).to_string()
        ),
        Tx::Postgres(_) => sql!(
            tx,
            fetch_all Project,
            concat!(
                "SELECT ", columns!(), " FROM projects
                 WHERE path IN (SELECT json_array_elements_text($1::json))"
            ),
            serde_json::Value::from(paths).to_string()
        ),
    }
}

/// A project at or below the path that a user of this name would own.
pub async fn any_in_namespace(tx: &mut Tx, username: &Username) -> Result<Option<String>, Error> {
    sql!(
        tx,
        fetch_optional(String,),
        // All paths that start with `name/`: `0` is the character after `/`.
        "SELECT path FROM projects
         WHERE path = $1 OR (path > $1 || '/' AND path < $1 || '0')
         ORDER BY path LIMIT 1",
        username
    )
    .map(|row| row.map(|(path,)| path))
}

pub async fn page(tx: &mut Tx, after: &str, limit: i64) -> Result<Vec<OwnedProject>, Error> {
    sql!(
        tx,
        fetch_all OwnedProject,
        concat!(select_owned!(), " WHERE p.path > $1 ORDER BY p.path LIMIT $2"),
        after,
        limit
    )
}

pub async fn count(tx: &mut Tx) -> Result<i64, Error> {
    sql!(tx, fetch_one(i64,), "SELECT count(*) FROM projects").map(|(count,)| count)
}

/// The project as it is now, if there is one.
pub async fn set_visibility(
    tx: &mut Tx,
    id: ProjectId,
    visibility: Visibility,
) -> Result<Option<Project>, Error> {
    sql!(
        tx,
        fetch_optional Project,
        concat!("UPDATE projects SET visibility = $2 WHERE id = $1 RETURNING ", columns!()),
        id,
        visibility
    )
}

/// Whether there was such a project.
pub async fn delete(tx: &mut Tx, id: ProjectId) -> Result<bool, Error> {
    sql!(tx, execute, "DELETE FROM projects WHERE id = $1", id).map(|deleted| deleted > 0)
}
