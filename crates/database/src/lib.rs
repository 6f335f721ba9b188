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

mod check;
mod error;
pub mod inspect;
mod postgres;
mod readers;
mod reserve;
#[cfg(feature = "testing")]
pub mod small_disk;
mod sql;
mod sqlite;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;
mod url;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use self::error::Class;

pub use self::check::Integrity;
pub use self::error::{Error, StartError};
pub use self::postgres::PostgresPool;
pub use self::sqlite::SqlitePools;
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
    Sqlite(Arc<SqlitePools>),
    Postgres(PostgresPool),
}

impl Database {
    /// Opens the database; a missing `SQLite` file is created, readable by its owner alone.
    ///
    /// `connections` bounds the pool (for `SQLite`: the readers).
    pub async fn connect(url: &DatabaseUrl, connections: u32) -> Result<Self, StartError> {
        match url {
            DatabaseUrl::Sqlite(path) => {
                let pools = Box::pin(SqlitePools::open(path, connections)).await?;
                Ok(Self::Sqlite(Arc::new(pools)))
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
    /// start together wait for each other. Writes nothing if nothing is to be done, so that what
    /// cannot be written can be served.
    pub async fn migrate(&self, sqlite: &Migrator, postgres: &Migrator) -> Result<(), StartError> {
        let (ours, applied) = match self {
            Self::Sqlite(pools) => {
                let applied = async {
                    let mut connection = pools.options.connect().await?;
                    let applied = inspect::applied_in_sqlite(&mut connection).await;
                    // It was only read.
                    let _ = connection.close().await;
                    applied
                };
                let applied = applied.await;
                (
                    sqlite,
                    applied.map_err(|error| sqlite::not_opened(&pools.path, error))?,
                )
            }
            Self::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                (
                    postgres,
                    inspect::applied_in_postgres(&mut connection).await?,
                )
            }
        };
        let state = inspect::compare(ours, &applied);
        if state == inspect::SchemaState::default() {
            return Ok(());
        }
        let migrated = match self {
            Self::Sqlite(pools) => migrate_sqlite(pools, sqlite).await,
            Self::Postgres(pool) => postgres.run(pool.pool()).await,
        };
        migrated.map_err(|error| {
            let (database, pending) = (self.described(), state.pending);
            match class_of_migration(&error) {
                Some(Class::Full) => StartError::FullAndOld { database, pending },
                Some(Class::ReadOnly) => StartError::ReadOnlyAndOld { database, pending },
                Some(_) | None => error.into(),
            }
        })
    }

    /// What it is called in a sentence.
    #[must_use]
    pub fn described(&self) -> String {
        match self {
            Self::Sqlite(pools) => pools.path.display().to_string(),
            Self::Postgres(pool) => {
                let options = pool.pool().connect_options();
                let name = options.get_database().unwrap_or_default();
                format!("{} at {}", name, options.get_host())
            }
        }
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

    /// Gives up the room that is kept for a full disk, so that what frees more can be written down:
    /// call [`keep_reserve`](Self::keep_reserve) afterwards. Whether there was any.
    pub async fn release_reserve(&self) -> Result<bool, Error> {
        match self {
            Self::Sqlite(pools) => Box::pin(pools.release_reserve()).await,
            Self::Postgres(_) => Ok(false),
        }
    }

    /// Sets room aside again, if there is plenty. Done at each start, and when a change that
    /// [`check_writing`](Self::check_writing) makes succeeds.
    pub async fn keep_reserve(&self) {
        match self {
            Self::Sqlite(pools) => pools.keep_reserve().await,
            Self::Postgres(_) => {}
        }
    }

    /// Waits for running statements, then closes all connections; `SQLite` folds its log into
    /// the database file.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(pools) => pools.close().await,
            Self::Postgres(pool) => pool.pool().close().await,
        }
    }
}

async fn migrate_sqlite(
    pools: &SqlitePools,
    migrator: &Migrator,
) -> Result<(), sqlx::migrate::MigrateError> {
    // Not the writer: sqlx wants to count the transactions of a connection.
    let mut connection = pools.options.connect().await?;
    // sqlx locks nothing here, so two processes would both find work to do.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrator.run(&mut *transaction).await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(())
}

fn class_of_migration(error: &sqlx::migrate::MigrateError) -> Option<Class> {
    use sqlx::migrate::MigrateError;

    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            Some(Class::of(error))
        }
        _ => None,
    }
}

#[cfg(test)]
mod inspect_tests;
#[cfg(test)]
mod sqlite_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod writer_tests;
