//! The tables: one file per family, statements only. What the rows mean is decided above, in
//! [`accounts`](crate::accounts), [`access`](crate::access) and [`token`](crate::token).
//!
//! Columns are listed by name, never `*`: a prepared `SELECT *` breaks on a replica that still
//! runs when a migration adds a column.

pub(crate) mod audit;
pub(crate) mod memberships;
pub(crate) mod paths;
pub(crate) mod projects;
pub(crate) mod refresh_tokens;
pub(crate) mod users;

use sqlx::migrate::Migrator;

/// The schema for `SQLite`.
pub static SQLITE: Migrator = sqlx::migrate!("../migrations/auth/sqlite");

/// The schema for `PostgreSQL`.
pub static POSTGRES: Migrator = sqlx::migrate!("../migrations/auth/postgres");

#[cfg(test)]
mod tests;
