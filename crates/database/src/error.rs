//! Errors, named by what the caller can do about them.

use std::path::PathBuf;

/// Why a statement did not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, is overloaded, or its disk fails. The request may succeed
    /// later, unchanged.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),

    /// There is no room for the change. Reading goes on, and what frees room helps.
    #[error("the disk of the database is full")]
    Full(#[source] sqlx::Error),

    /// Nothing can be changed here: a file system mounted read-only, a standby.
    #[error("the database is read-only")]
    ReadOnly(#[source] sqlx::Error),

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

impl Error {
    /// Why nothing can be changed, in words that are fit for strangers.
    #[must_use]
    pub fn why_not_changed(&self) -> &'static str {
        match self {
            Self::Full(_) => "the disk is full",
            Self::ReadOnly(_) => "it is read-only",
            Self::Unavailable(_) | Self::Conflict(_) | Self::Race(_) | Self::Internal(_) => {
                "it cannot be written"
            }
        }
    }

    /// Whether nothing can be changed for now, and perhaps for long, while reading goes on.
    #[must_use]
    pub fn is_about_writing(&self) -> bool {
        match self {
            Self::Full(_) | Self::ReadOnly(_) => true,
            Self::Unavailable(_) | Self::Conflict(_) | Self::Race(_) | Self::Internal(_) => false,
        }
    }

    /// Whether it is for the database that a change was not kept, and not for the change. Who has
    /// read what is needed, and only meant to note something, can go on without.
    #[must_use]
    pub fn cannot_store(&self) -> bool {
        match self {
            Self::Full(_) | Self::ReadOnly(_) | Self::Unavailable(_) => true,
            Self::Conflict(_) | Self::Race(_) | Self::Internal(_) => false,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Class::of(&error).error(error)
    }
}

/// An [`Error`] without its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Unavailable,
    Full,
    ReadOnly,
    Conflict,
    Race,
    Internal,
}

impl Class {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        match error {
            // Of a protocol: who answers is no database, such as a proxy that has none behind it.
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable,
            sqlx::Error::Database(database) => Self::of_answer(&**database),
            _ => Self::Internal,
        }
    }

    fn of_answer(error: &dyn sqlx::error::DatabaseError) -> Self {
        use sqlx::error::ErrorKind;

        if let ErrorKind::UniqueViolation | ErrorKind::ForeignKeyViolation = error.kind() {
            return Self::Conflict;
        }
        let code = error.code().unwrap_or_default();
        if error
            .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
            .is_some()
        {
            Self::of_postgres(&code)
        } else {
            code.parse().map_or(Self::Internal, Self::of_sqlite)
        }
    }

    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    fn of_postgres(code: &str) -> Self {
        match code {
            // serialization_failure, deadlock_detected
            "40001" | "40P01" => Self::Race,
            // read_only_sql_transaction (a standby)
            "25006" => Self::ReadOnly,
            // disk_full
            "53100" => Self::Full,
            // connection exception, invalid authorization (another password), invalid catalog (no such
            // database), insufficient resources, operator intervention, system error
            code if ["08", "28", "3D", "53", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class)) =>
            {
                Self::Unavailable
            }
            _ => Self::Internal,
        }
    }

    /// By the primary code, which is the low byte. <https://www.sqlite.org/rescode.html>
    fn of_sqlite(code: i32) -> Self {
        match code {
            // IOERR_SHMSIZE: no room for the index of the write-ahead log.
            4874 => Self::Full,
            code => match code & 0xff {
                13 => Self::Full,
                8 => Self::ReadOnly,
                // BUSY, LOCKED, NOMEM, INTERRUPT, IOERR, CANTOPEN
                5 | 6 | 7 | 9 | 10 | 14 => Self::Unavailable,
                _ => Self::Internal,
            },
        }
    }

    pub(crate) fn error(self, source: sqlx::Error) -> Error {
        match self {
            Self::Unavailable => Error::Unavailable(source),
            Self::Full => Error::Full(source),
            Self::ReadOnly => Error::ReadOnly(source),
            Self::Conflict => Error::Conflict(source),
            Self::Race => Error::Race(source),
            Self::Internal => Error::Internal(source),
        }
    }
}

/// The primary result code of an error of `SQLite`'s.
pub(crate) fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    Some(code.parse::<i32>().ok()? & 0xff)
}

/// Whether somebody else holds a `SQLite` file just now (`SQLITE_BUSY`).
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    sqlite_code(error) == Some(5)
}

/// Whether a `SQLite` transaction is what it was before the statement that failed: a constraint
/// undoes the statement alone. After others (`FULL`, `IOERR`, `NOMEM`, `INTERRUPT`, …) `SQLite`
/// may have rolled the transaction back by itself. <https://www.sqlite.org/lang_transaction.html>
pub(crate) fn spares_transaction(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => sqlite_code(error) == Some(19),
        error => is_about_rows(error),
    }
}

/// An error of the program's, about what the database answered; the database knows of none.
pub(crate) fn is_about_rows(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::RowNotFound
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Encode(_)
            | sqlx::Error::Decode(_)
    )
}

/// Why a database could not be opened or brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot open the database file {}: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the disk of the database {0} is full: free some room")]
    Full(String),
    /// With the changes that would have to be made.
    #[error(
        "the database {database} has to be brought up to date ({}), and its disk is full: free some \
         room",
        pending.join(", ")
    )]
    FullAndOld {
        database: String,
        pending: Vec<String>,
    },
    /// The same.
    #[error(
        "the database {database} has to be brought up to date ({}), and cannot be written: make it \
         writable once, and start again",
        pending.join(", ")
    )]
    ReadOnlyAndOld {
        database: String,
        pending: Vec<String>,
    },
    #[error(
        "the database {path} cannot be written, and changes in {path}-wal are not in it yet: make it \
         writable once, and start again",
        path = .0.display()
    )]
    ReadOnlyLog(PathBuf),
    #[error(
        "the database {} is damaged ({damage}): restore a backup, as docs/backup.md describes",
        path.display()
    )]
    Damaged { path: PathBuf, damage: String },
    #[error("cannot connect to the database: {0}")]
    Connect(#[from] sqlx::Error),
    #[error("cannot bring the database schema up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}
