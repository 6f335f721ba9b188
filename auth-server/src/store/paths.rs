//! The table `paths`: to whom each path belongs.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use crate::accounts::{ProjectId, Role, UserId, Username, Visibility};

/// A path, to whom it belongs, and what a certain user is there.
#[derive(Debug, sqlx::FromRow)]
pub struct PathRow {
    pub number: i64,
    #[sqlx(try_from = "String")]
    pub path: RepositoryName,
    pub project_id: Option<ProjectId>,
    pub project_number: Option<i64>,
    pub visibility: Option<Visibility>,
    pub created_at: Option<DateTime<Utc>>,
    pub version: Option<i64>,
    pub role: Option<Role>,
    pub role_expires_at: Option<DateTime<Utc>>,
}

/// `Conflict`: the path is taken.
pub async fn insert_user(tx: &mut Tx, username: &Username, user: UserId) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO paths (path, user_id) VALUES ($1, $2)",
        username,
        user
    )
    .map(drop)
}

/// Its number. `Conflict`: the path is taken.
pub async fn insert_project(tx: &mut Tx, path: &str, project: ProjectId) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        "INSERT INTO paths (path, project_id) VALUES ($1, $2) RETURNING number",
        path,
        project
    )
    .map(|(number,)| number)
}

/// The first path that is this one or lies below it.
pub async fn first_at_or_below(tx: &mut Tx, path: &str) -> Result<Option<String>, Error> {
    sql!(
        tx,
        fetch_optional(String,),
        // All paths that start with `name/`: `0` is the character after `/`.
        "SELECT path FROM paths
         WHERE path = $1 OR (path > $1 || '/' AND path < $1 || '0')
         ORDER BY path LIMIT 1",
        path
    )
    .map(|row| row.map(|(path,)| path))
}

/// The first path below this one.
pub async fn first_below(tx: &mut Tx, path: &str) -> Result<Option<String>, Error> {
    sql!(
        tx,
        fetch_optional(String,),
        "SELECT path FROM paths WHERE path > $1 || '/' AND path < $1 || '0' ORDER BY path LIMIT 1",
        path
    )
    .map(|row| row.map(|(path,)| path))
}

macro_rules! select_at {
    ($listed:literal) => {
        concat!(
            "SELECT p.number, p.path, p.project_id, o.number AS project_number,
                    o.visibility, o.created_at, o.version, m.role, m.expires_at AS role_expires_at
             FROM (", $listed, ") AS l
             JOIN paths p ON p.path = l.value
             LEFT JOIN projects o ON o.id = p.project_id
             LEFT JOIN memberships m ON m.path = p.number AND m.user_id = $2"
        )
    };
}

/// Those of the paths that belong to somebody, and what the user is at each.
pub async fn at(tx: &mut Tx, paths: &[&str], user: Option<UserId>) -> Result<Vec<PathRow>, Error> {
    let paths = serde_json::Value::from(paths).to_string();
    match tx {
        // SQLite has no arrays, but unfolds a JSON array into rows.
        Tx::Sqlite(_) => sql!(
            tx,
            fetch_all PathRow,
            select_at!("SELECT value FROM json_each($1)"),
            paths,
            user
        ),
        Tx::Postgres(_) => sql!(
            tx,
            fetch_all PathRow,
            select_at!("SELECT value FROM json_array_elements_text($1::json) AS j (value)"),
            paths,
            user
        ),
    }
}
