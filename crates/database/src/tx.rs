//! [`Tx`]: one connection, reading or in a transaction.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};

use crate::Error;
use crate::readers::Reader;

/// One connection of a [`Database`](crate::Database), the argument of every store function.
///
/// Dropped without [`commit`](Self::commit), a transaction is rolled back.
#[derive(Debug)]
pub enum Tx {
    Sqlite(SqliteTx),
    Postgres(PostgresTx),
}

#[derive(Debug)]
pub enum SqliteTx {
    Reading(Reader),
    Writing(Transaction<'static, Sqlite>),
}

#[derive(Debug)]
pub enum PostgresTx {
    Reading(PoolConnection<Postgres>),
    Writing(Transaction<'static, Postgres>),
}

impl Tx {
    /// Makes the changes durable: when this returns, they are on the disk.
    pub async fn commit(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(SqliteTx::Writing(transaction)) => transaction.commit().await?,
            Self::Postgres(PostgresTx::Writing(transaction)) => transaction.commit().await?,
            Self::Sqlite(SqliteTx::Reading(_)) | Self::Postgres(PostgresTx::Reading(_)) => {}
        }
        Ok(())
    }
}

impl SqliteTx {
    pub fn connection(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Reading(reader) => reader.connection(),
            Self::Writing(transaction) => transaction,
        }
    }

    /// Notes that a statement failed. Called by [`sql!`](crate::sql!).
    #[doc(hidden)]
    pub fn failed(&mut self, error: sqlx::Error) -> Error {
        if let Self::Reading(reader) = self {
            reader.failed();
        }
        error.into()
    }
}

impl PostgresTx {
    pub fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Reading(connection) => connection,
            Self::Writing(transaction) => transaction,
        }
    }
}
