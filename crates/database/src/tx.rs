//! [`Tx`]: one connection, reading or in a transaction.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, SqliteConnection};

use crate::Error;
use crate::postgres::PostgresWriter;
use crate::readers::Reader;
use crate::writer::Writer;

/// One connection of a [`Database`](crate::Database), the argument of every store function.
///
/// Dropped without [`commit`](Self::commit), a transaction is rolled back. After an error that may
/// have ended it (all but a [`Conflict`](Error::Conflict) on `SQLite`), nothing more runs in it.
#[derive(Debug)]
pub enum Tx {
    Sqlite(SqliteTx),
    Postgres(PostgresTx),
}

#[derive(Debug)]
pub enum SqliteTx {
    Reading(Reader),
    Writing(Writer),
}

#[derive(Debug)]
pub enum PostgresTx {
    Reading(PoolConnection<Postgres>),
    Writing(PostgresWriter),
}

impl Tx {
    /// Makes the changes durable: when this returns, they are on the disk.
    pub async fn commit(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(SqliteTx::Writing(writer)) => writer.commit().await,
            Self::Postgres(PostgresTx::Writing(writer)) => writer.commit().await,
            Self::Sqlite(SqliteTx::Reading(_)) | Self::Postgres(PostgresTx::Reading(_)) => Ok(()),
        }
    }
}

// What `sql!` calls before and after a statement.
impl SqliteTx {
    #[doc(hidden)]
    pub fn start(&mut self) -> Result<&mut SqliteConnection, Error> {
        match self {
            Self::Reading(reader) => Ok(reader.connection()),
            Self::Writing(writer) => writer.start(),
        }
    }

    #[doc(hidden)]
    pub fn ended<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, Error> {
        match self {
            Self::Reading(reader) if result.is_err() => reader.failed(),
            Self::Reading(_) => {}
            Self::Writing(writer) => writer.ended(result.as_ref().map(|_| ())),
        }
        Ok(result?)
    }
}

impl PostgresTx {
    #[doc(hidden)]
    pub fn start(&mut self) -> Result<&mut PgConnection, Error> {
        match self {
            Self::Reading(connection) => Ok(connection),
            Self::Writing(writer) => writer.start(),
        }
    }

    #[doc(hidden)]
    pub fn ended<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, Error> {
        if let Self::Writing(writer) = self {
            writer.ended(result.as_ref().map(|_| ()));
        }
        Ok(result?)
    }
}
