//! The table `groups`.

use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use crate::accounts::group::GroupFilter;
use crate::accounts::{Group, GroupId, Order, PageRequest};

macro_rules! columns {
    ($g:literal) => {
        concat!(
            $g,
            "id, ",
            $g,
            "path, ",
            $g,
            "create_on_push, ",
            $g,
            "created_at, ",
            $g,
            "version"
        )
    };
}

/// `Conflict`: the path is taken.
pub async fn insert(tx: &mut Tx, group: &Group) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO groups (id, path, create_on_push, created_at, version)
         VALUES ($1, $2, $3, $4, $5)",
        group.id,
        group.path.as_str(),
        group.create_on_push,
        group.created_at,
        group.version
    )
    .map(drop)
}

pub async fn by_id(tx: &mut Tx, id: GroupId) -> Result<Option<Group>, Error> {
    sql!(
        tx,
        fetch_optional Group,
        concat!("SELECT ", columns!(""), " FROM groups WHERE id = $1"),
        id
    )
}

pub async fn by_path(tx: &mut Tx, path: &RepositoryName) -> Result<Option<Group>, Error> {
    sql!(
        tx,
        fetch_optional Group,
        concat!("SELECT ", columns!(""), " FROM groups WHERE path = $1"),
        path.as_str()
    )
}

/// `$1`: the user whose groups are wanted; NULL: all. `$2`: now. `$3`: below that path. `$4`: part
/// of the path.
macro_rules! filtered {
    () => {
        " FROM groups g
         WHERE ($1 IS NULL OR g.id IN (
                SELECT below.group_id
                FROM memberships m
                JOIN paths held ON held.number = m.path AND held.group_id IS NOT NULL
                JOIN paths below ON below.group_id IS NOT NULL
                 AND (below.path = held.path
                      OR (below.path > held.path || '/' AND below.path < held.path || '0'))
                WHERE m.user_id = $1 AND (m.expires_at IS NULL OR m.expires_at > $2)))
           AND ($3 IS NULL OR (g.path > $3 || '/' AND g.path < $3 || '0'))
           AND ($4 IS NULL OR g.path LIKE $4 ESCAPE '!')"
    };
}

macro_rules! page {
    ($tx:ident, $filter:ident, $request:ident, $after:expr, $order:literal) => {
        sql!(
            $tx,
            fetch_all Group,
            concat!("SELECT ", columns!("g."), filtered!(), " AND ", $order, " LIMIT $6"),
            $filter.member,
            $filter.now,
            $filter.below.as_ref().map(RepositoryName::as_str),
            $filter.search.as_deref().map(super::like::containing),
            $after,
            $request.fetch()
        )
    };
}

pub async fn page(
    tx: &mut Tx,
    filter: &GroupFilter,
    request: &PageRequest,
) -> Result<Vec<Group>, Error> {
    let (path, id) = (request.after_name(), request.after_id());
    match request.order() {
        Order::Name => page!(
            tx,
            filter,
            request,
            path,
            "($5 IS NULL OR g.path > $5) ORDER BY g.path"
        ),
        Order::NameDescending => page!(
            tx,
            filter,
            request,
            path,
            "($5 IS NULL OR g.path < $5) ORDER BY g.path DESC"
        ),
        Order::Created => page!(
            tx,
            filter,
            request,
            id,
            "($5 IS NULL OR g.id > $5) ORDER BY g.id"
        ),
        Order::CreatedDescending => page!(
            tx,
            filter,
            request,
            id,
            "($5 IS NULL OR g.id < $5) ORDER BY g.id DESC"
        ),
    }
}

pub async fn count(tx: &mut Tx, filter: &GroupFilter) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        concat!("SELECT count(*)", filtered!()),
        filter.member,
        filter.now,
        filter.below.as_ref().map(RepositoryName::as_str),
        filter.search.as_deref().map(super::like::containing)
    )
    .map(|(count,)| count)
}

/// The group as it is then; `None` if it is not of the expected version any more.
pub async fn set_create_on_push(
    tx: &mut Tx,
    id: GroupId,
    version: i64,
    create_on_push: bool,
) -> Result<Option<Group>, Error> {
    sql!(
        tx,
        fetch_optional Group,
        concat!(
            "UPDATE groups SET create_on_push = $3, version = version + 1
             WHERE id = $1 AND version = $2 RETURNING ", columns!("")
        ),
        id,
        version,
        create_on_push
    )
}

/// Whether there was such a group, of this version.
pub async fn delete(tx: &mut Tx, id: GroupId, version: i64) -> Result<bool, Error> {
    sql!(
        tx,
        execute,
        "DELETE FROM groups WHERE id = $1 AND version = $2",
        id,
        version
    )
    .map(|deleted| deleted > 0)
}
