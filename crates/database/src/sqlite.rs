//! [`SqlitePools`]: a `SQLite` file, opened for whatever its disk allows.
//!
//! What cannot be written can still be read, and a registry that serves pulls is worth more than one
//! that does not start. A full disk may lack even the room for the index that `SQLite` keeps beside
//! the file while it is open (`-shm`): the [`Reserve`] has it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, SqliteConnection};

use crate::error::{Class, StartError, is_busy, sqlite_code};
use crate::readers::Readers;
use crate::reserve::Reserve;
use crate::writer::Writers;
use crate::{BUSY_TIMEOUT, Error};

/// Between two attempts to open a file that another process is just making.
const BUSY_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// One writer, some readers.
#[derive(Debug)]
pub struct SqlitePools {
    pub(crate) path: PathBuf,
    pub(crate) options: SqliteConnectOptions,
    pub(crate) writers: Writers,
    pub(crate) readers: Readers,
    /// None where nothing can be written.
    pub(crate) reserve: Option<Reserve>,
    /// Never used, and open to the end: what `SQLite` keeps beside the file is removed with the last
    /// connection, and on a full disk could not be made again.
    anchor: Mutex<Option<SqliteConnection>>,
}

impl SqlitePools {
    /// A missing file is created, readable by its owner alone.
    pub(crate) async fn open(path: &Path, connections: u32) -> Result<Self, StartError> {
        let pools = match create_private(path) {
            Ok(()) => Self::writable(path, connections).await?,
            // A file that is there and cannot be opened for writing.
            Err(error) if is_about_writing(&error) && std::fs::File::open(path).is_ok() => {
                Self::read_only(path, connections, error).await?
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                return Err(StartError::Full(path.display().to_string()));
            }
            Err(source) => {
                return Err(StartError::File {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        pools.keep_reserve().await;
        Ok(pools)
    }

    async fn writable(path: &Path, connections: u32) -> Result<Self, StartError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: a commit is on the disk when it is acknowledged. NORMAL may lose the
            // last commits of a WAL at a power cut. Each transaction says it again.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let reserve = Reserve::beside(path);
        let opened = match open_two(&options).await {
            Err(error) if may_be_full(&error) && reserve.release() => {
                tracing::warn!(
                    database = %path.display(),
                    "the disk of the database is full: the reserve was needed to open it"
                );
                open_two(&options).await
            }
            opened => opened,
        };
        let (anchor, writer) = opened.map_err(|error| not_opened(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            writers: Writers::new(options.clone(), writer),
            readers: Readers::new(options.clone().pragma("query_only", "ON"), connections),
            options,
            reserve: Some(reserve),
            anchor: Mutex::new(Some(anchor)),
        })
    }

    /// The writer is there too, and `SQLite` refuses it.
    async fn read_only(
        path: &Path,
        connections: u32,
        reason: io::Error,
    ) -> Result<Self, StartError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .create_if_missing(false)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let is_there = |suffix: &str| {
            std::fs::metadata(beside(path, suffix)).is_ok_and(|found| found.len() > 0)
        };
        // Where others write (this is a mount of theirs, or another user's file), their log and its
        // index are there, and must be looked at. Where they are not, nobody writes.
        let is_quiet = !is_there("-wal") && !is_there("-shm");
        let is_fixed = reason.kind() == io::ErrorKind::ReadOnlyFilesystem;
        let options = options.immutable(is_quiet && is_fixed);
        let (anchor, writer) = open_two(&options).await.map_err(|error| {
            if is_there("-wal") {
                StartError::ReadOnlyLog(path.to_owned())
            } else if is_fixed {
                not_opened(path, error)
            } else {
                StartError::File {
                    path: path.to_owned(),
                    source: reason,
                }
            }
        })?;
        tracing::warn!(
            database = %path.display(),
            "the database cannot be written: it is only read until the next start"
        );
        Ok(Self {
            path: path.to_owned(),
            writers: Writers::new(options.clone(), writer),
            readers: Readers::new(options.clone(), connections),
            options,
            reserve: None,
            anchor: Mutex::new(Some(anchor)),
        })
    }

    /// Has the reserve made that is missing, where there is plenty of room.
    pub(crate) async fn keep_reserve(&self) {
        if let Some(reserve) = self.reserve.clone() {
            // It writes a few megabytes at most.
            let _ = tokio::task::spawn_blocking(move || reserve.keep()).await;
        }
    }

    /// Gives the reserve up, and the room that the write-ahead log has taken.
    pub(crate) async fn release_reserve(&self) -> Result<bool, Error> {
        let released = self.reserve.as_ref().is_some_and(Reserve::release);
        let mut connection = self.options.connect().await?;
        // Not a failure: somebody reads, and the log stays.
        connection
            .execute("PRAGMA wal_checkpoint(TRUNCATE)")
            .await?;
        // Nothing was changed.
        let _ = connection.close().await;
        Ok(released)
    }

    /// `SQLite` folds its log into the file when the last connection goes.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        let anchor = self
            .anchor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(anchor) = anchor {
            let _ = anchor.close().await;
        }
        self.writers.close().await;
    }
}

/// The anchor and the writer.
async fn open_two(
    options: &SqliteConnectOptions,
) -> Result<(SqliteConnection, SqliteConnection), sqlx::Error> {
    // Making a new file a WAL one does not wait for others who do the same.
    let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
    let mut anchor = loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            connected => break connected?,
        }
    };
    // `SQLite` opens nothing before it has to.
    anchor.execute("SELECT count(*) FROM sqlite_schema").await?;
    Ok((anchor, options.connect().await?))
}

pub(crate) fn not_opened(path: &Path, error: sqlx::Error) -> StartError {
    match (Class::of(&error), sqlite_code(&error)) {
        (Class::Full, _) => StartError::Full(path.display().to_string()),
        // CORRUPT, NOTADB
        (_, Some(11 | 26)) => StartError::Damaged {
            path: path.to_owned(),
            damage: error.to_string(),
        },
        _ => StartError::Connect(error),
    }
}

fn may_be_full(error: &sqlx::Error) -> bool {
    match Class::of(error) {
        // A file that cannot be made is `CANTOPEN`, whatever the reason.
        Class::Full | Class::Unavailable => true,
        Class::ReadOnly | Class::Conflict | Class::Race | Class::Internal => false,
    }
}

fn is_about_writing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    )
}

/// A file of the same name, and more.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Creates the file, and the folder it is in, for their owner alone: password hashes live there.
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;

    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}
