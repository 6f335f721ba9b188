//! The table `paths`: to whom each path belongs.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use crate::accounts::place::{HeldRole, Holder, Place};
use crate::accounts::{GroupId, Project, ProjectId, Role, UserId, Username, Visibility};

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

/// `Conflict`: the path is taken.
pub async fn insert_group(tx: &mut Tx, path: &str, group: GroupId) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        "INSERT INTO paths (path, group_id) VALUES ($1, $2) RETURNING number",
        path,
        group
    )
    .map(|(number,)| number)
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

/// Whether the path is still there; if so, nobody can take it away before the end of the
/// transaction.
pub async fn hold(tx: &mut Tx, number: i64) -> Result<bool, Error> {
    let row: Option<(i64,)> = match tx {
        // SQLite has one writer, and this is it.
        Tx::Sqlite(_) => sql!(
            tx,
            fetch_optional(i64,),
            "SELECT number FROM paths WHERE number = $1",
            number
        ),
        Tx::Postgres(_) => sql!(
            tx,
            fetch_optional(i64,),
            "SELECT number FROM paths WHERE number = $1 FOR SHARE",
            number
        ),
    }?;
    Ok(row.is_some())
}

/// The number of the path that belongs to a group or project. Nobody else can put something below
/// it, take it away or change its members before the end of the transaction.
pub async fn lock(tx: &mut Tx, path: &str) -> Result<Option<i64>, Error> {
    match tx {
        Tx::Sqlite(_) => sql!(
            tx,
            fetch_optional(i64,),
            "SELECT number FROM paths WHERE path = $1 AND user_id IS NULL",
            path
        ),
        Tx::Postgres(_) => sql!(
            tx,
            fetch_optional(i64,),
            "SELECT number FROM paths WHERE path = $1 AND user_id IS NULL FOR UPDATE",
            path
        ),
    }
    .map(|row| row.map(|(number,)| number))
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

/// A path, to whom it belongs, and what a certain user is there.
#[derive(Debug, sqlx::FromRow)]
struct Row {
    number: i64,
    #[sqlx(try_from = "String")]
    path: RepositoryName,
    user_id: Option<UserId>,
    group_id: Option<GroupId>,
    create_on_push: Option<bool>,
    project_id: Option<ProjectId>,
    project_number: Option<i64>,
    visibility: Option<Visibility>,
    created_at: Option<DateTime<Utc>>,
    version: Option<i64>,
    role: Option<Role>,
    role_expires_at: Option<DateTime<Utc>>,
}

impl Row {
    /// `None` if the path belongs to nobody, which the table does not allow.
    fn into_place(self) -> Option<Place> {
        let holder = match self {
            Self {
                user_id: Some(id), ..
            } => Holder::User(id),
            Self {
                group_id: Some(id),
                create_on_push: Some(create_on_push),
                ..
            } => Holder::Group { id, create_on_push },
            Self {
                project_id: Some(id),
                project_number: Some(number),
                visibility: Some(visibility),
                created_at: Some(created_at),
                version: Some(version),
                ..
            } => Holder::Project(Project {
                id,
                number,
                path: self.path.clone(),
                visibility,
                created_at,
                version,
            }),
            _ => return None,
        };
        Some(Place {
            number: self.number,
            path: self.path,
            holder,
            membership: self.role.map(|role| HeldRole {
                role,
                expires_at: self.role_expires_at,
            }),
        })
    }
}

macro_rules! select_at {
    ($listed:expr) => {
        concat!(
            "SELECT p.number, p.path, p.user_id, p.group_id, g.create_on_push, p.project_id,
                    o.number AS project_number, o.visibility, o.created_at, o.version,
                    m.role, m.expires_at AS role_expires_at
             FROM paths p
             LEFT JOIN groups g ON g.id = p.group_id
             LEFT JOIN projects o ON o.id = p.project_id
             LEFT JOIN memberships m ON m.path = p.number AND m.user_id = $2
             WHERE p.path ",
            $listed
        )
    };
}

pub(super) const AT_SQLITE: &str = select_at!(super::in_json!(sqlite "$1"));
pub(super) const AT_POSTGRES: &str = select_at!(super::in_json!(postgres "$1"));

/// Those of the paths that belong to somebody, and what the user is at each.
pub async fn at(tx: &mut Tx, paths: &[&str], user: Option<UserId>) -> Result<Vec<Place>, Error> {
    let paths = serde_json::Value::from(paths).to_string();
    let rows: Vec<Row> = match tx {
        Tx::Sqlite(_) => sql!(
            tx,
            fetch_all Row,
            AT_SQLITE,
            paths,
            user
        ),
        Tx::Postgres(_) => sql!(
            tx,
            fetch_all Row,
            AT_POSTGRES,
            paths,
            user
        ),
    }?;
    Ok(rows.into_iter().filter_map(Row::into_place).collect())
}
