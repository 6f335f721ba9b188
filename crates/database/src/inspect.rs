//! Looking at a database without changing it: is it there, does it let us in, does its schema fit?

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};

use crate::check::examine_file;
use crate::{DatabaseUrl, Integrity};

/// A server that takes longer is of no use to others either.
const PATIENCE: Duration = Duration::from_secs(5);

/// The schema of a database against that of this program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaState {
    /// What this program would do to it at its start, in order: `0002 audit`.
    pub pending: Vec<String>,
    /// Versions that this program does not know: a newer one has been here.
    pub unknown: Vec<i64>,
    /// Begun and not ended.
    pub interrupted: Vec<String>,
    /// Done otherwise than this program would.
    pub changed: Vec<String>,
}

/// Why a database cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// A `SQLite` file that does not exist. A server would make it.
    #[error("there is no file {}", .0.display())]
    NoFile(PathBuf),
    #[error("cannot open {}: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file on a file system that says nothing.
    #[error("{} does not answer", .0.display())]
    Silent(PathBuf),
    #[error("{} is no SQLite database", .0.display())]
    NotADatabase(PathBuf),
    #[error("{} is damaged: {damage}", path.display())]
    Damaged { path: PathBuf, damage: String },
    /// Nothing answers there.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    #[error("the server does not answer in time")]
    TimedOut,
    #[error("the server refuses the user or the password: {0}")]
    Password(String),
    #[error("the database does not exist: {0}")]
    NoDatabase(String),
    #[error("no TLS connection: {0}")]
    Tls(String),
    #[error("{0}")]
    Other(String),
}

/// A migration as the database remembers it: version, whether it ended well, checksum.
pub(crate) type Applied = (i64, bool, Vec<u8>);

/// Looks at the schema. Nothing is created and nothing is changed.
pub async fn inspect(
    url: &DatabaseUrl,
    sqlite: &Migrator,
    postgres: &Migrator,
) -> Result<SchemaState, InspectError> {
    let looking = async {
        match url {
            DatabaseUrl::Sqlite(path) => Ok(compare(sqlite, &in_sqlite(path).await?)),
            DatabaseUrl::Postgres(url) => {
                let options: PgConnectOptions = url
                    .expose_secret()
                    .parse()
                    .map_err(|error: sqlx::Error| InspectError::Other(error.to_string()))?;
                Ok(compare(postgres, &in_postgres(&options).await?))
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .unwrap_or(Err(InspectError::TimedOut))
}

const APPLIED: &str = "SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version";

async fn in_sqlite(path: &Path) -> Result<Vec<Applied>, InspectError> {
    let file = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => InspectError::NoFile(path.to_owned()),
        _ => InspectError::File {
            path: path.to_owned(),
            source,
        },
    };
    open(path).await?.map_err(file)?;
    let failed = |error: sqlx::Error| match &error {
        // SQLITE_NOTADB
        sqlx::Error::Database(reason) if reason.code().as_deref() == Some("26") => {
            InspectError::NotADatabase(path.to_owned())
        }
        // SQLITE_CORRUPT
        sqlx::Error::Database(reason) if reason.code().as_deref() == Some("11") => {
            InspectError::Damaged {
                path: path.to_owned(),
                damage: reason.message().to_owned(),
            }
        }
        _ => InspectError::Other(error.to_string()),
    };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .create_if_missing(false);
    let mut connection = options.connect().await.map_err(failed)?;
    let applied = applied_in_sqlite(&mut connection).await.map_err(failed);
    // It was only read.
    let _ = connection.close().await;
    let applied = applied?;
    match examine_file(path, PATIENCE / 2).await.map_err(failed)? {
        Integrity::Sound | Integrity::Unknown => Ok(applied),
        Integrity::Damaged(damage) => Err(InspectError::Damaged {
            path: path.to_owned(),
            damage,
        }),
    }
}

pub(crate) async fn applied_in_sqlite(
    connection: &mut SqliteConnection,
) -> Result<Vec<Applied>, sqlx::Error> {
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'")
            .fetch_one(&mut *connection)
            .await?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    sqlx::query_as(APPLIED).fetch_all(connection).await
}

/// A network file system whose server is gone keeps who opens a file for ever. Not on a thread of the
/// runtime, which waits for those at its end.
async fn open(path: &Path) -> Result<std::io::Result<()>, InspectError> {
    let (done, opened) = tokio::sync::oneshot::channel();
    let file = path.to_owned();
    std::thread::spawn(move || done.send(std::fs::File::open(file).map(drop)));
    match tokio::time::timeout(PATIENCE / 2, opened).await {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(_)) | Err(_) => Err(InspectError::Silent(path.to_owned())),
    }
}

async fn in_postgres(options: &PgConnectOptions) -> Result<Vec<Applied>, InspectError> {
    let mut connection = options.connect().await.map_err(postgres_failure)?;
    let applied = applied_in_postgres(&mut connection)
        .await
        .map_err(postgres_failure)?;
    let _ = connection.close().await;
    Ok(applied)
}

pub(crate) async fn applied_in_postgres(
    connection: &mut PgConnection,
) -> Result<Vec<Applied>, sqlx::Error> {
    let table: Option<String> = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text")
        .fetch_one(&mut *connection)
        .await?;
    match table {
        None => Ok(Vec::new()),
        Some(_) => sqlx::query_as(APPLIED).fetch_all(connection).await,
    }
}

/// By the codes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn postgres_failure(error: sqlx::Error) -> InspectError {
    match error {
        sqlx::Error::Io(error) => InspectError::Unreachable(error.to_string()),
        sqlx::Error::Tls(error) => InspectError::Tls(error.to_string()),
        sqlx::Error::Database(reason) => {
            let message = reason.message().to_owned();
            match reason.code().as_deref() {
                // invalid_authorization_specification, invalid_password
                Some("28000" | "28P01") => InspectError::Password(message),
                // invalid_catalog_name
                Some("3D000") => InspectError::NoDatabase(message),
                _ => InspectError::Other(message),
            }
        }
        other => InspectError::Other(other.to_string()),
    }
}

pub(crate) fn compare(ours: &Migrator, applied: &[Applied]) -> SchemaState {
    let mut state = SchemaState::default();
    for migration in ours.iter() {
        let name = format!("{:04} {}", migration.version, migration.description);
        match applied
            .iter()
            .find(|(version, ..)| *version == migration.version)
        {
            None => state.pending.push(name),
            Some((_, false, _)) => state.interrupted.push(name),
            Some((_, _, checksum)) if *checksum != *migration.checksum => state.changed.push(name),
            Some(_) => {}
        }
    }
    let known = |version: &i64| ours.iter().any(|migration| migration.version == *version);
    state.unknown = applied
        .iter()
        .map(|(version, ..)| *version)
        .filter(|version| !known(version))
        .collect();
    state
}
