//! The table `memberships`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use registry_token::RepositoryName;

use crate::accounts::{Membership, Order, PageRequest, Role, UserId};

macro_rules! columns {
    () => {
        "p.path, m.user_id, u.username, m.role, m.expires_at, m.created_at, m.version"
    };
}

macro_rules! joined {
    () => {
        " FROM memberships m JOIN paths p ON p.number = m.path JOIN users u ON u.id = m.user_id"
    };
}

/// `Conflict`: the user is a member already, or does not exist.
pub async fn insert(
    tx: &mut Tx,
    path: i64,
    user: UserId,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO memberships (path, user_id, role, expires_at, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        path,
        user,
        role,
        expires_at,
        created_at
    )
    .map(drop)
}

pub async fn find(tx: &mut Tx, path: i64, user: UserId) -> Result<Option<Membership>, Error> {
    sql!(
        tx,
        fetch_optional Membership,
        concat!("SELECT ", columns!(), joined!(), " WHERE m.path = $1 AND m.user_id = $2"),
        path,
        user
    )
}

pub async fn update(
    tx: &mut Tx,
    path: i64,
    user: UserId,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE memberships SET role = $3, expires_at = $4, version = version + 1
         WHERE path = $1 AND user_id = $2",
        path,
        user,
        role,
        expires_at
    )
    .map(drop)
}

pub async fn delete(tx: &mut Tx, path: i64, user: UserId) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "DELETE FROM memberships WHERE path = $1 AND user_id = $2",
        path,
        user
    )
    .map(drop)
}

/// `$1`: a path. A membership counts there that is held there, or in a group above.
macro_rules! held_at {
    () => {
        concat!(
            joined!(),
            " WHERE p.path IN (",
            super::above!("CAST($1 AS TEXT)"),
            ")
                AND (p.path = $1 OR p.group_id IS NOT NULL)"
        )
    };
}

/// Whether somebody is an owner for good at the path, by another membership than that of `user`
/// there.
pub async fn has_other_owner(tx: &mut Tx, path: &str, user: UserId) -> Result<bool, Error> {
    sql!(
        tx,
        fetch_optional(i32,),
        concat!(
            "SELECT 1",
            held_at!(),
            "
                AND m.role = 'owner' AND m.expires_at IS NULL AND u.disabled_at IS NULL
                AND NOT (p.path = $1 AND m.user_id = $2)
             LIMIT 1"
        ),
        path,
        user
    )
    .map(|row| row.is_some())
}

/// `$2`: whether those of the groups above are wanted too. `$3`: part of the username.
macro_rules! wanted {
    () => {
        concat!(
            held_at!(),
            " AND ($2 OR p.path = $1) AND ($3 IS NULL OR u.username LIKE $3 ESCAPE '!')"
        )
    };
}

macro_rules! page {
    ($tx:ident, $path:ident, $inherited:ident, $search:ident, $request:ident, $order:literal) => {
        sql!(
            $tx,
            fetch_all(String,),
            concat!(
                "SELECT DISTINCT u.username",
                wanted!(),
                " AND ",
                $order,
                " LIMIT $5"
            ),
            $path.as_str(),
            $inherited,
            $search.map(super::like::containing),
            $request.after_name(),
            $request.fetch()
        )
    };
}

/// The names of the members, each once.
pub async fn page_of_names(
    tx: &mut Tx,
    path: &RepositoryName,
    inherited: bool,
    search: Option<&str>,
    request: &PageRequest,
) -> Result<Vec<String>, Error> {
    let rows: Vec<(String,)> = match request.order() {
        Order::NameDescending | Order::CreatedDescending => page!(
            tx,
            path,
            inherited,
            search,
            request,
            "($4 IS NULL OR u.username < $4) ORDER BY u.username DESC"
        ),
        Order::Name | Order::Created => page!(
            tx,
            path,
            inherited,
            search,
            request,
            "($4 IS NULL OR u.username > $4) ORDER BY u.username"
        ),
    }?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

pub async fn count_names(
    tx: &mut Tx,
    path: &RepositoryName,
    inherited: bool,
    search: Option<&str>,
) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        concat!("SELECT count(DISTINCT m.user_id)", wanted!()),
        path.as_str(),
        inherited,
        search.map(super::like::containing)
    )
    .map(|(count,)| count)
}

/// The memberships of all whose names lie between two, these included.
pub async fn between(
    tx: &mut Tx,
    path: &RepositoryName,
    inherited: bool,
    first: &str,
    last: &str,
) -> Result<Vec<Membership>, Error> {
    sql!(
        tx,
        fetch_all Membership,
        concat!(
            "SELECT ", columns!(), held_at!(), "
                AND ($2 OR p.path = $1) AND u.username >= $3 AND u.username <= $4
             ORDER BY u.username, p.path"
        ),
        path.as_str(),
        inherited,
        first,
        last
    )
}

/// All that a user is a member of.
pub async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<Membership>, Error> {
    sql!(
        tx,
        fetch_all Membership,
        concat!("SELECT ", columns!(), joined!(), " WHERE m.user_id = $1 ORDER BY p.path"),
        user
    )
}
