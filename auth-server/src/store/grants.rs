//! The table `grants`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::{Actions, RepositoryName};
use uuid::Uuid;

use crate::accounts::grant::{Grantee, NewRow};
use crate::accounts::{Grant, GrantId, GroupId, PageRequest, Pattern, ProjectId, UserId, Username};

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: GrantId,
    project_id: ProjectId,
    #[sqlx(try_from = "String")]
    project: RepositoryName,
    user_id: Option<UserId>,
    username: Option<Username>,
    group_id: Option<GroupId>,
    group_path: Option<String>,
    token_id: Option<Uuid>,
    token_username: Option<String>,
    actions: String,
    pattern: Pattern,
    expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    version: i64,
}

impl Row {
    /// `None` if it is to nobody, which the table does not allow.
    fn into_grant(self) -> Option<Grant> {
        let to = match self {
            Self {
                user_id: Some(id),
                username: Some(name),
                ..
            } => Grantee::User { id, name },
            Self {
                group_id: Some(id),
                group_path: Some(name),
                ..
            } => Grantee::Group { id, name },
            Self {
                token_id: Some(id),
                token_username: Some(name),
                ..
            } => Grantee::Token { id, name },
            _ => return None,
        };
        Some(Grant {
            id: self.id,
            project_id: self.project_id,
            project: self.project,
            to,
            actions: parse_actions(&self.actions),
            pattern: self.pattern,
            expires_at: self.expires_at,
            created_at: self.created_at,
            version: self.version,
        })
    }
}

/// What a later version may have written and this one does not know allows nothing.
fn parse_actions(text: &str) -> Actions {
    text.split(',')
        .filter_map(|word| word.parse::<registry_token::Action>().ok())
        .collect()
}

macro_rules! select {
    () => {
        "SELECT r.id, r.project_id, o.path AS project, r.user_id, u.username, r.group_id,
                g.path AS group_path, r.token_id, t.username AS token_username, r.actions,
                r.pattern, r.expires_at, r.created_at, r.version
         FROM grants r
         JOIN projects o ON o.id = r.project_id
         LEFT JOIN users u ON u.id = r.user_id
         LEFT JOIN groups g ON g.id = r.group_id
         LEFT JOIN tokens t ON t.id = r.token_id"
    };
}

pub async fn insert(tx: &mut Tx, row: &NewRow<'_>) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO grants (id, project_id, user_id, group_id, token_id, actions, pattern,
                             expires_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        row.id,
        row.project,
        row.user,
        row.group,
        row.token,
        row.actions.to_string(),
        row.pattern,
        row.expires_at,
        row.created_at
    )
    .map(drop)
}

pub async fn by_id(tx: &mut Tx, id: GrantId) -> Result<Option<Grant>, Error> {
    let row = sql!(tx, fetch_optional Row, concat!(select!(), " WHERE r.id = $1"), id)?;
    Ok(row.and_then(Row::into_grant))
}

/// Whether it was of this version.
pub async fn update(
    tx: &mut Tx,
    id: GrantId,
    version: i64,
    actions: Actions,
    pattern: &Pattern,
    expires_at: Option<DateTime<Utc>>,
) -> Result<bool, Error> {
    sql!(
        tx,
        execute,
        "UPDATE grants SET actions = $3, pattern = $4, expires_at = $5, version = version + 1
         WHERE id = $1 AND version = $2",
        id,
        version,
        actions.to_string(),
        pattern,
        expires_at
    )
    .map(|changed| changed > 0)
}

/// Whether it was of this version.
pub async fn delete(tx: &mut Tx, id: GrantId, version: i64) -> Result<bool, Error> {
    sql!(
        tx,
        execute,
        "DELETE FROM grants WHERE id = $1 AND version = $2",
        id,
        version
    )
    .map(|deleted| deleted > 0)
}

/// By the order of creation.
pub async fn page(
    tx: &mut Tx,
    project: ProjectId,
    request: &PageRequest,
) -> Result<Vec<Grant>, Error> {
    let rows = sql!(
        tx,
        fetch_all Row,
        concat!(
            select!(),
            " WHERE r.project_id = $1 AND ($2 IS NULL OR r.id > $2) ORDER BY r.id LIMIT $3"
        ),
        project,
        request.after_id(),
        request.fetch()
    )?;
    Ok(rows.into_iter().filter_map(Row::into_grant).collect())
}

pub async fn count(tx: &mut Tx, project: ProjectId) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        "SELECT count(*) FROM grants WHERE project_id = $1",
        project
    )
    .map(|(count,)| count)
}

/// The username of a deploy or job token that has not been revoked.
pub async fn token_username(tx: &mut Tx, token: Uuid) -> Result<Option<String>, Error> {
    sql!(
        tx,
        fetch_optional(String,),
        "SELECT username FROM tokens
         WHERE id = $1 AND username IS NOT NULL AND revoked_at IS NULL",
        token
    )
    .map(|row| row.map(|(username,)| username))
}

/// `$2`: a user, `$3`: now. A grant to a group is one to its members, and to those of the groups
/// above it. SQLite goes through a CROSS JOIN from left to right: there are few groups above, but
/// there may be many memberships of the user.
macro_rules! is_to_user {
    () => {
        concat!(
            "(r.user_id = $2 OR (r.group_id IS NOT NULL AND EXISTS (
                 SELECT 1
                 FROM (",
            super::above!("g.path"),
            ") AS a CROSS JOIN paths p CROSS JOIN memberships m
                 WHERE p.path = a.path AND p.group_id IS NOT NULL
                   AND m.path = p.number AND m.user_id = $2
                   AND (m.expires_at IS NULL OR m.expires_at > $3))))"
        )
    };
}

/// Whether a user has any right in a project by a grant.
pub async fn any_to_user(
    tx: &mut Tx,
    project: ProjectId,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    sql!(
        tx,
        fetch_optional(i32,),
        concat!(
            "SELECT 1 FROM grants r LEFT JOIN groups g ON g.id = r.group_id
             WHERE r.project_id = $1 AND (r.expires_at IS NULL OR r.expires_at > $3) AND ",
            is_to_user!(),
            " LIMIT 1"
        ),
        project,
        user,
        now
    )
    .map(|row| row.is_some())
}

macro_rules! of_projects {
    ($listed:expr) => {
        concat!(
            select!(),
            " WHERE r.project_id IN (SELECT p.project_id FROM paths p WHERE p.path ",
            $listed,
            ")
                AND (r.token_id = $4 OR ",
            is_to_user!(),
            ")"
        )
    };
}

pub(super) const TO_SQLITE: &str = of_projects!(super::in_json!(sqlite "$1"));
pub(super) const TO_POSTGRES: &str = of_projects!(super::in_json!(postgres "$1"));

/// All grants to a user or token in the projects at these paths.
pub async fn to(
    tx: &mut Tx,
    projects: &[&str],
    user: Option<UserId>,
    token: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<Vec<Grant>, Error> {
    let projects = serde_json::Value::from(projects).to_string();
    let rows: Vec<Row> = match tx {
        Tx::Sqlite(_) => sql!(
            tx,
            fetch_all Row,
            TO_SQLITE,
            projects,
            user,
            now,
            token
        ),
        Tx::Postgres(_) => sql!(
            tx,
            fetch_all Row,
            TO_POSTGRES,
            projects,
            user,
            now,
            token
        ),
    }?;
    Ok(rows.into_iter().filter_map(Row::into_grant).collect())
}
