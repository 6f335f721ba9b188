//! The table `projects`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use crate::accounts::project::{ProjectFilter, Viewer};
use crate::accounts::{Order, PageRequest, Project, ProjectId, UserId, Visibility};

macro_rules! columns {
    ($o:literal) => {
        concat!(
            $o,
            "number, ",
            $o,
            "id, ",
            $o,
            "path, ",
            $o,
            "visibility, ",
            $o,
            "created_at, ",
            $o,
            "version"
        )
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
             VALUES ($1, $2, $3, $4) RETURNING ", columns!("")
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
        concat!("SELECT ", columns!(""), " FROM projects WHERE id = $1"),
        id
    )
}

pub async fn by_path(tx: &mut Tx, path: &RepositoryName) -> Result<Option<Project>, Error> {
    sql!(
        tx,
        fetch_optional Project,
        concat!("SELECT ", columns!(""), " FROM projects WHERE path = $1"),
        path.as_str()
    )
}

/// `$1`: the user whose view is wanted, `$2` with that name; NULL: all projects. `$3`: now. `$4`:
/// of that visibility. `$5`: below that path. `$6`: part of the path.
///
/// Goes from what the user is to the projects, by ranges of the index on paths, not through all
/// projects asking who may see each.
macro_rules! filtered {
    () => {
        " FROM projects o
         WHERE ($1 IS NULL OR o.visibility <> 'private'
                OR (o.path > $2 || '/' AND o.path < $2 || '0')
                OR o.id IN (
                    WITH held AS (
                        SELECT p.path, p.group_id, p.project_id
                        FROM memberships m JOIN paths p ON p.number = m.path
                        WHERE m.user_id = $1 AND (m.expires_at IS NULL OR m.expires_at > $3)
                    )
                    SELECT project_id FROM held WHERE project_id IS NOT NULL
                    UNION
                    SELECT below.project_id
                    FROM held JOIN paths below
                      ON below.path > held.path || '/' AND below.path < held.path || '0'
                    WHERE held.group_id IS NOT NULL AND below.project_id IS NOT NULL
                    UNION
                    SELECT project_id FROM grants
                    WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $3)
                    UNION
                    SELECT r.project_id
                    FROM held JOIN paths below
                      ON below.path = held.path
                      OR (below.path > held.path || '/' AND below.path < held.path || '0')
                    JOIN grants r ON r.group_id = below.group_id
                     AND (r.expires_at IS NULL OR r.expires_at > $3)
                    WHERE held.group_id IS NOT NULL))
           AND ($4 IS NULL OR o.visibility = $4)
           AND ($5 IS NULL OR (o.path > $5 || '/' AND o.path < $5 || '0'))
           AND ($6 IS NULL OR o.path LIKE $6 ESCAPE '!')"
    };
}

fn viewer(filter: &ProjectFilter) -> (Option<UserId>, Option<&str>) {
    match &filter.viewer {
        Viewer::Administrator => (None, None),
        Viewer::User { id, username } => (Some(*id), Some(username.as_str())),
    }
}

macro_rules! page {
    ($tx:ident, $filter:ident, $request:ident, $after:expr, $order:literal) => {{
        let (user, username) = viewer($filter);
        sql!(
            $tx,
            fetch_all Project,
            concat!("SELECT ", columns!("o."), filtered!(), " AND ", $order, " LIMIT $8"),
            user,
            username,
            $filter.now,
            $filter.visibility,
            $filter.below.as_ref().map(RepositoryName::as_str),
            $filter.search.as_deref().map(super::like::containing),
            $after,
            $request.fetch()
        )
    }};
}

pub async fn page(
    tx: &mut Tx,
    filter: &ProjectFilter,
    request: &PageRequest,
) -> Result<Vec<Project>, Error> {
    let (path, id) = (request.after_name(), request.after_id());
    match request.order() {
        Order::Name => page!(
            tx,
            filter,
            request,
            path,
            "($7 IS NULL OR o.path > $7) ORDER BY o.path"
        ),
        Order::NameDescending => page!(
            tx,
            filter,
            request,
            path,
            "($7 IS NULL OR o.path < $7) ORDER BY o.path DESC"
        ),
        Order::Created => page!(
            tx,
            filter,
            request,
            id,
            "($7 IS NULL OR o.id > $7) ORDER BY o.id"
        ),
        Order::CreatedDescending => page!(
            tx,
            filter,
            request,
            id,
            "($7 IS NULL OR o.id < $7) ORDER BY o.id DESC"
        ),
    }
}

pub async fn count(tx: &mut Tx, filter: &ProjectFilter) -> Result<i64, Error> {
    let (user, username) = viewer(filter);
    sql!(
        tx,
        fetch_one(i64,),
        concat!("SELECT count(*)", filtered!()),
        user,
        username,
        filter.now,
        filter.visibility,
        filter.below.as_ref().map(RepositoryName::as_str),
        filter.search.as_deref().map(super::like::containing)
    )
    .map(|(count,)| count)
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
             WHERE id = $1 AND version = $2 RETURNING ", columns!("")
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
