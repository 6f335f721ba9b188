//! Errors, named by what the caller can do about them.

use std::path::PathBuf;

/// `SQLite` result codes (primary, the low byte) that mean "not now, not here": BUSY, LOCKED,
/// READONLY, IOERR, FULL, CANTOPEN. <https://www.sqlite.org/rescode.html>
const SQLITE_UNAVAILABLE: [i32; 6] = [5, 6, 8, 10, 13, 14];

/// Why a statement did not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, is overloaded, read-only or out of space. The request may
    /// succeed later, unchanged.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),

    /// A unique key exists already, or a row that is referred to does not.
    #[error("the change conflicts with what is stored")]
    Conflict(#[source] sqlx::Error),

    /// Another transaction got in the way; the whole transaction may be tried again.
    #[error("the transaction lost a race against another")]
    Race(#[source] sqlx::Error),

    /// A defect: a statement that does not fit the schema, a value that cannot be decoded.
    #[error("the database refused a statement")]
    Internal(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;

        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(database) => match database.kind() {
                ErrorKind::UniqueViolation | ErrorKind::ForeignKeyViolation => {
                    Self::Conflict(error)
                }
                _ => match class(&**database) {
                    Class::Unavailable => Self::Unavailable(error),
                    Class::Race => Self::Race(error),
                    Class::Other => Self::Internal(error),
                },
            },
            _ => Self::Internal(error),
        }
    }
}

/// Whether somebody else holds a `SQLite` file just now (`SQLITE_BUSY`).
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<i32>().ok())
        .is_some_and(|code| code & 0xff == 5)
}

enum Class {
    Unavailable,
    Race,
    Other,
}

fn class(error: &dyn sqlx::error::DatabaseError) -> Class {
    let code = error.code().unwrap_or_default();
    if error
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .is_some()
    {
        // https://www.postgresql.org/docs/current/errcodes-appendix.html
        return match code.as_ref() {
            // serialization_failure, deadlock_detected
            "40001" | "40P01" => Class::Race,
            // read_only_sql_transaction (a standby)
            "25006" => Class::Unavailable,
            // connection exception, invalid authorization (another password), invalid catalog (no such
            // database), insufficient resources, operator intervention, system error
            code if ["08", "28", "3D", "53", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class)) =>
            {
                Class::Unavailable
            }
            _ => Class::Other,
        };
    }
    match code.parse::<i32>() {
        Ok(code) if SQLITE_UNAVAILABLE.contains(&(code & 0xff)) => Class::Unavailable,
        _ => Class::Other,
    }
}

/// Why a database could not be opened or brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot open the database file {}: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot connect to the database: {0}")]
    Connect(#[from] sqlx::Error),
    #[error("cannot bring the database schema up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}
