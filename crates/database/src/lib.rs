//! `SQLite` or `PostgreSQL` behind one type and one SQL text.
//!
//! - [`Database`]: the pools; [`Database::read`], [`Database::begin`] and
//!   [`Database::begin_relaxed`] hand out a [`Tx`].
//! - [`sql!`]: runs one statement on whichever database a [`Tx`] belongs to.
//! - [`Error`]: what went wrong, by what the caller can do about it.
//! - [`DatabaseUrl`]: where a database is. [`inspect`]: looking at one without changing it.
//! - [`testing`]: a fresh database per test, on both engines.
//!
//! The SQL itself lives with whoever owns the tables: `auth-server`'s `store` and
//! `registry-server`'s `metadata`. Both dialects understand `$1` placeholders, `ON CONFLICT` and
//! `RETURNING`; where they differ, match on the [`Tx`].

mod error;
pub mod inspect;
mod postgres;
mod readers;
mod sql;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod url;
mod writer;

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use self::readers::Readers;
use self::writer::Writers;

pub use self::error::{Error, StartError};
pub use self::postgres::PostgresPool;
pub use self::tx::{PostgresTx, SqliteTx, Tx};
pub use self::url::{DatabaseUrl, InvalidDatabaseUrl};

// `sql!` expands in the caller's crate, which need not depend on sqlx for it.
#[doc(hidden)]
pub use sqlx as __sqlx;

/// How long a caller waits for a free connection before it is told that the database is
/// unavailable. Shorter than any client's patience, longer than a fail-over of a local proxy.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a change waits for its turn with `SQLite`. All share one connection, and each commit
/// waits for the disk: while the layers of many pushes are flushed at once, that is seconds each.
/// A push that waits is better than one that fails.
const WRITER_TIMEOUT: Duration = Duration::from_mins(1);

/// How long `SQLite` waits for another process (a command line beside the server) to finish.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two attempts to open a file that another process is just making.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// The migrations of a server, for each database.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    pub sqlite: &'static Migrator,
    pub postgres: &'static Migrator,
}

impl Schema {
    /// Of who keeps nothing.
    pub const EMPTY: Self = Self {
        sqlite: &Migrator::DEFAULT,
        postgres: &Migrator::DEFAULT,
    };
}

/// Connections to one database. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Database {
    Sqlite(SqlitePools),
    Postgres(PostgresPool),
}

#[derive(Clone, Debug)]
pub struct SqlitePools {
    options: SqliteConnectOptions,
    writers: Writers,
    readers: Readers,
}

impl Database {
    /// Opens the database; a missing `SQLite` file is created, readable by its owner alone.
    ///
    /// `connections` bounds the pool (for `SQLite`: the readers).
    pub async fn connect(url: &DatabaseUrl, connections: u32) -> Result<Self, StartError> {
        match url {
            DatabaseUrl::Sqlite(path) => {
                create_private(path).map_err(|source| StartError::File {
                    path: path.clone(),
                    source,
                })?;
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .journal_mode(SqliteJournalMode::Wal)
                    // FULL: a commit is on the disk when it is acknowledged. NORMAL may lose the
                    // last commits of a WAL at a power cut. Each transaction says it again.
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    .busy_timeout(BUSY_TIMEOUT);
                // Making a new file a WAL one does not wait for others who do the same.
                let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
                let writer = loop {
                    match options.connect().await {
                        Err(error)
                            if error::is_busy(&error) && tokio::time::Instant::now() < deadline =>
                        {
                            tokio::time::sleep(BUSY_PAUSE).await;
                        }
                        connected => break connected?,
                    }
                };
                Ok(Self::Sqlite(SqlitePools {
                    writers: Writers::new(options.clone(), writer),
                    readers: Readers::new(options.clone().pragma("query_only", "ON"), connections),
                    options,
                }))
            }
            DatabaseUrl::Postgres(url) => {
                let options: PgConnectOptions =
                    secrecy::ExposeSecret::expose_secret(url).parse()?;
                let pool = PostgresPool::connect(options, connections).await?;
                Ok(Self::Postgres(pool))
            }
        }
    }

    /// Brings the schema up to date, with the migrations of the dialect in use. Replicas that
    /// start together wait for each other.
    pub async fn migrate(&self, sqlite: &Migrator, postgres: &Migrator) -> Result<(), StartError> {
        match self {
            Self::Sqlite(pools) => {
                // sqlx wants to count this connection's transactions.
                let mut connection = pools.options.connect().await?;
                // sqlx locks nothing here, so two processes would both find work to do.
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                sqlite.run(&mut *transaction).await?;
                transaction.commit().await?;
                connection.close().await?;
            }
            Self::Postgres(pool) => postgres.run(pool.pool()).await?,
        }
        Ok(())
    }

    /// For reading: every statement sees the latest committed state. Nothing to commit.
    pub async fn read(&self) -> Result<Tx, Error> {
        Ok(match self {
            Self::Sqlite(pools) => Tx::Sqlite(SqliteTx::Reading(pools.readers.acquire().await?)),
            Self::Postgres(pool) => Tx::Postgres(PostgresTx::Reading(pool.acquire().await?)),
        })
    }

    /// For changing: all statements up to [`Tx::commit`] take effect together, or none does.
    pub async fn begin(&self) -> Result<Tx, Error> {
        // IMMEDIATE: a transaction that reads first and writes later must not find, between the
        // two, that somebody else has written.
        self.begin_with("PRAGMA synchronous = FULL; BEGIN IMMEDIATE", "BEGIN")
            .await
    }

    /// Like [`begin`](Self::begin), for changes that nobody is told to rely on: leases and
    /// reservations. The commit does not wait for the disk, so that a power cut may undo it; the
    /// end of the process does not. The next commit that does wait keeps it as well: no change
    /// survives one that came before it and did not.
    pub async fn begin_relaxed(&self) -> Result<Tx, Error> {
        self.begin_with(
            "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
            "BEGIN; SET LOCAL synchronous_commit = off",
        )
        .await
    }

    async fn begin_with(&self, sqlite: &'static str, postgres: &'static str) -> Result<Tx, Error> {
        Ok(match self {
            Self::Sqlite(pools) => Tx::Sqlite(SqliteTx::Writing(
                Box::pin(pools.writers.begin(sqlite)).await?,
            )),
            Self::Postgres(pool) => {
                Tx::Postgres(PostgresTx::Writing(Box::pin(pool.begin(postgres)).await?))
            }
        })
    }

    /// Whether the database answers, for health checks.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut tx = self.read().await?;
        sql!(&mut tx, fetch_one(i32,), "SELECT 1").map(drop)
    }

    /// Waits for running statements, then closes all connections; `SQLite` folds its log into
    /// the database file.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(pools) => {
                pools.readers.close().await;
                pools.writers.close().await;
            }
            Self::Postgres(pool) => pool.pool().close().await,
        }
    }
}

/// Creates the file, and the folder it is in, for their owner alone: password hashes live there.
fn create_private(path: &std::path::Path) -> std::io::Result<()> {
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

#[cfg(test)]
mod inspect_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod writer_tests;
