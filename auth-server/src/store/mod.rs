//! The tables: one file per family, statements only. What the rows mean is decided above, in
//! [`accounts`](crate::accounts), [`access`](crate::access) and [`token`](crate::token).
//!
//! Columns are listed by name, never `*`: a prepared `SELECT *` breaks on a replica that still
//! runs when a migration adds a column.

/// What a [`User`](crate::accounts::User) is read from, in a statement that calls its table `u`.
macro_rules! user_columns {
    () => {
        "u.id, u.username, u.email, u.is_admin, u.created_at, u.disabled_at, u.last_login_at,
         u.version"
    };
}

/// A path and all above it, as rows: what stands before each of its slashes, by taking away all
/// characters at the end that are no slash, and the slash.
macro_rules! above {
    ($path:literal) => {
        concat!(
            "WITH RECURSIVE above (path) AS (
                 SELECT ",
            $path,
            "
                 UNION ALL
                 SELECT rtrim(rtrim(path, replace(path, '/', '')), '/') FROM above
                 WHERE path LIKE '%/%')
             SELECT path FROM above"
        )
    };
}
use above;

/// What a column must be to be one of the texts in a JSON array. `SQLite` has no other arrays, but
/// unfolds these into rows. `PostgreSQL` does too, and then takes them for a hundred and reads the
/// whole table; of an array it expects ten.
macro_rules! in_json {
    (sqlite $array:literal) => {
        concat!("IN (SELECT value FROM json_each(", $array, "))")
    };
    (postgres $array:literal) => {
        concat!(
            "= ANY (ARRAY(SELECT json_array_elements_text(",
            $array,
            "::json)))"
        )
    };
}
use in_json;

pub(crate) mod accounts_id;
pub(crate) mod audit;
pub(crate) mod counts;
pub(crate) mod grants;
pub(crate) mod groups;
pub(crate) mod like;
pub(crate) mod logins;
pub(crate) mod memberships;
pub(crate) mod paths;
pub(crate) mod projects;
pub(crate) mod refresh_tokens;
pub(crate) mod sessions;
pub(crate) mod signing_keys;
pub(crate) mod tokens;
pub(crate) mod users;

use sqlx::migrate::Migrator;

/// The schema for `SQLite`.
pub static SQLITE: Migrator = sqlx::migrate!("../migrations/auth/sqlite");

/// The schema for `PostgreSQL`.
pub static POSTGRES: Migrator = sqlx::migrate!("../migrations/auth/postgres");

/// A column holds what this version cannot read.
pub(crate) fn undecodable(
    error: impl std::error::Error + Send + Sync + 'static,
) -> database::Error {
    sqlx::Error::Decode(Box::new(error)).into()
}

#[cfg(test)]
mod plans;
#[cfg(test)]
mod tests;
