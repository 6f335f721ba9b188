//! Whether a database can be written, and whether a `SQLite` file is whole.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

use crate::error::{StartError, sqlite_code};
use crate::sqlite::not_opened;
use crate::{Database, Error, Tx, sql};

/// A start is not held up for longer. What is not looked at by then is taken to be whole.
const PATIENCE: Duration = Duration::from_secs(3);

/// Steps of `SQLite` between two looks at the time: less than a millisecond.
const STEPS: i32 = 1_000;

/// What a look at all pages of a `SQLite` file has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    Sound,
    /// There were too many pages for the time that was given.
    Unknown,
    /// What `SQLite` says about it.
    Damaged(String),
}

impl Database {
    /// Whether a change can be made, by making one: nothing else knows about a disk that is full,
    /// read-only or broken. It changes nothing that anybody reads.
    pub async fn check_writing(&self) -> Result<(), Error> {
        let mut tx = self.begin().await?;
        match &mut tx {
            Tx::Sqlite(sqlite) => {
                // Writes the first page, whatever was in it. Other programs read the number, not
                // this one.
                let version = sqlx::query_scalar::<_, i64>("PRAGMA user_version")
                    .fetch_one(sqlite.start()?)
                    .await;
                let version = sqlite.ended(version)?;
                let write = AssertSqlSafe(format!("PRAGMA user_version = {version}"));
                let written = sqlx::raw_sql(write).execute(sqlite.start()?).await;
                sqlite.ended(written)?;
            }
            Tx::Postgres(_) => {
                let (read_only,) = sql!(
                    &mut tx,
                    fetch_one(bool,),
                    "SELECT current_setting('transaction_read_only') = 'on'"
                )?;
                if read_only {
                    let reason = "transaction_read_only is on".to_owned();
                    return Err(Error::ReadOnly(sqlx::Error::Protocol(reason)));
                }
                // A transaction with a number leaves a record in the log when it commits.
                sql!(&mut tx, fetch_one(String,), "SELECT txid_current()::text")?;
            }
        }
        tx.commit().await?;
        if let Self::Sqlite(pools) = self {
            pools.keep_reserve().await;
        }
        Ok(())
    }

    /// Refuses a `SQLite` file with damaged pages. For the start of a server: it reads the whole
    /// file, for some seconds at most. `PostgreSQL` looks after its own.
    pub async fn require_integrity(&self) -> Result<(), StartError> {
        let Self::Sqlite(pools) = self else {
            return Ok(());
        };
        let found = examine(&pools.options, PATIENCE).await;
        match found.map_err(|error| not_opened(&pools.path, error))? {
            Integrity::Sound => Ok(()),
            Integrity::Unknown => {
                tracing::info!(
                    database = %pools.path.display(),
                    "too large to be looked at as a whole; `portcullis doctor` takes longer"
                );
                Ok(())
            }
            Integrity::Damaged(damage) => Err(StartError::Damaged {
                path: pools.path.clone(),
                damage,
            }),
        }
    }
}

/// The same without a server.
pub(crate) async fn examine_file(
    path: &Path,
    patience: Duration,
) -> Result<Integrity, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .create_if_missing(false);
    examine(&options, patience).await
}

/// On a connection of its own, which the interruption leaves in no good state.
async fn examine(
    options: &SqliteConnectOptions,
    patience: Duration,
) -> Result<Integrity, sqlx::Error> {
    let mut connection = options.connect().await?;
    let deadline = Instant::now() + patience;
    connection
        .lock_handle()
        .await?
        .set_progress_handler(STEPS, move || Instant::now() < deadline);
    let found = quick_check(&mut connection).await;
    // It was only read.
    let _ = connection.close().await;
    match found {
        Ok(answer) if answer == "ok" => Ok(Integrity::Sound),
        Ok(damage) => Ok(Integrity::Damaged(damage)),
        Err(error) => match sqlite_code(&error) {
            // INTERRUPT
            Some(9) => Ok(Integrity::Unknown),
            // CORRUPT, NOTADB
            Some(11 | 26) => Ok(Integrity::Damaged(error.to_string())),
            _ => Err(error),
        },
    }
}

async fn quick_check(connection: &mut SqliteConnection) -> Result<String, sqlx::Error> {
    // One line says enough.
    sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await
}
