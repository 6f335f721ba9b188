//! The table `users`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};

use crate::accounts::password::PasswordHash;
use crate::accounts::user::UserFilter;
use crate::accounts::{Order, PageRequest, User, UserId, Username};

macro_rules! columns {
    () => {
        "id, username, email, is_admin, created_at, disabled_at, last_login_at, version"
    };
}

/// `Conflict`: the name or the address is taken.
pub async fn insert(
    tx: &mut Tx,
    user: &User,
    password_hash: Option<&PasswordHash>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO users (id, username, email, password_hash, is_admin, created_at, disabled_at,
                            last_login_at, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        user.id,
        &user.username,
        &user.email,
        password_hash,
        user.is_admin,
        user.created_at,
        user.disabled_at,
        user.last_login_at,
        user.version
    )
    .map(drop)
}

pub async fn by_username(tx: &mut Tx, username: &Username) -> Result<Option<User>, Error> {
    sql!(
        tx,
        fetch_optional User,
        concat!("SELECT ", columns!(), " FROM users WHERE username = $1"),
        username
    )
}

pub async fn email_exists(tx: &mut Tx, email: &str) -> Result<bool, Error> {
    sql!(
        tx,
        fetch_optional(i32,),
        "SELECT 1 FROM users WHERE lower(email) = lower($1)",
        email
    )
    .map(|row| row.is_some())
}

/// Whether there is any user at all.
pub async fn any(tx: &mut Tx) -> Result<bool, Error> {
    sql!(tx, fetch_optional(i32,), "SELECT 1 FROM users LIMIT 1").map(|row| row.is_some())
}

/// The user as it is now; nobody else can change it before the end of the transaction.
pub async fn lock(tx: &mut Tx, username: &Username) -> Result<Option<User>, Error> {
    match tx {
        Tx::Sqlite(_) => by_username(tx, username).await,
        Tx::Postgres(_) => sql!(
            tx,
            fetch_optional User,
            concat!("SELECT ", columns!(), " FROM users WHERE username = $1 FOR UPDATE"),
            username
        ),
    }
}

/// `$1` to `$3`: the filter.
macro_rules! filter {
    () => {
        "($1 IS NULL OR is_admin = $1)
         AND ($2 IS NULL OR (disabled_at IS NOT NULL) = $2)
         AND ($3 IS NULL OR lower(username || ' ' || coalesce(email, '')) LIKE $3 ESCAPE '!')"
    };
}

macro_rules! page {
    ($tx:ident, $filter:ident, $request:ident, $after:expr, $order:literal) => {
        sql!(
            $tx,
            fetch_all User,
            concat!(
                "SELECT ", columns!(), " FROM users WHERE ", filter!(), " AND ", $order,
                " LIMIT $5"
            ),
            $filter.admin,
            $filter.disabled,
            $filter.search.as_deref().map(super::like::containing),
            $after,
            $request.fetch()
        )
    };
}

pub async fn page(
    tx: &mut Tx,
    filter: &UserFilter,
    request: &PageRequest,
) -> Result<Vec<User>, Error> {
    let (name, id) = (request.after_name(), request.after_id());
    match request.order() {
        Order::Name => page!(
            tx,
            filter,
            request,
            name,
            "($4 IS NULL OR username > $4) ORDER BY username"
        ),
        Order::NameDescending => page!(
            tx,
            filter,
            request,
            name,
            "($4 IS NULL OR username < $4) ORDER BY username DESC"
        ),
        Order::Created => page!(
            tx,
            filter,
            request,
            id,
            "($4 IS NULL OR id > $4) ORDER BY id"
        ),
        Order::CreatedDescending => page!(
            tx,
            filter,
            request,
            id,
            "($4 IS NULL OR id < $4) ORDER BY id DESC"
        ),
    }
}

pub async fn count(tx: &mut Tx, filter: &UserFilter) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        concat!("SELECT count(*) FROM users WHERE ", filter!()),
        filter.admin,
        filter.disabled,
        filter.search.as_deref().map(super::like::containing)
    )
    .map(|(count,)| count)
}

/// The administrators that can log in; none of them can be changed by others before the end of
/// the transaction.
pub async fn lock_enabled_admins(tx: &mut Tx) -> Result<Vec<UserId>, Error> {
    let rows: Vec<(UserId,)> = match tx {
        Tx::Sqlite(_) => sql!(
            tx,
            fetch_all(UserId,),
            "SELECT id FROM users WHERE is_admin AND disabled_at IS NULL"
        ),
        Tx::Postgres(_) => sql!(
            tx,
            fetch_all(UserId,),
            "SELECT id FROM users WHERE is_admin AND disabled_at IS NULL ORDER BY id FOR UPDATE"
        ),
    }?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Whether the user may still log in with what was verified; if so, neither password nor state
/// can change before the end of the transaction.
pub async fn lock_if_unchanged(
    tx: &mut Tx,
    id: UserId,
    password_hash: &PasswordHash,
) -> Result<bool, Error> {
    let row: Option<(i32,)> = match tx {
        Tx::Sqlite(_) => sql!(
            tx,
            fetch_optional(i32,),
            "SELECT 1 FROM users WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL",
            id,
            password_hash
        ),
        Tx::Postgres(_) => sql!(
            tx,
            fetch_optional(i32,),
            "SELECT 1 FROM users WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL
             FOR SHARE",
            id,
            password_hash
        ),
    }?;
    Ok(row.is_some())
}

/// Writes what can be changed, and counts the change. `Conflict`: the address is taken.
pub async fn update(tx: &mut Tx, user: &User) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE users SET email = $2, is_admin = $3, disabled_at = $4, version = $5 WHERE id = $1",
        user.id,
        &user.email,
        user.is_admin,
        user.disabled_at,
        user.version
    )
    .map(drop)
}

/// With all that belongs to the user: memberships, grants, tokens and sessions.
pub async fn delete(tx: &mut Tx, id: UserId) -> Result<(), Error> {
    sql!(tx, execute, "DELETE FROM users WHERE id = $1", id).map(drop)
}

pub async fn set_password(
    tx: &mut Tx,
    id: UserId,
    password_hash: &PasswordHash,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE users SET password_hash = $2, version = version + 1 WHERE id = $1",
        id,
        password_hash
    )
    .map(drop)
}

pub async fn set_last_login(tx: &mut Tx, id: UserId, at: DateTime<Utc>) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE users SET last_login_at = $2 WHERE id = $1",
        id,
        at
    )
    .map(drop)
}
