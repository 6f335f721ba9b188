//! [`Readers`]: connections that read a `SQLite` file.
//!
//! Not sqlx's pool, because that spawns a task and pings each connection that comes back. For a
//! server far away this is prudent; for a file, a ping costs as much as a query (two thread
//! switches), and every pull of a manifest or a layer is one query.
//!
//! A connection that comes back has nothing to clean up: it never opens a transaction, and the
//! thread behind it finishes a statement that nobody waits for any more before it takes the next.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Error, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::ACQUIRE_TIMEOUT;

/// Opens connections as they are needed, up to a bound, and keeps them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Readers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: SqliteConnectOptions,
    /// One for each connection that may be out. Closed with the pool.
    permits: Arc<Semaphore>,
    /// The last one used is the first to go out again: its thread and its pages are warm, and
    /// no more are opened than are needed at once.
    idle: Mutex<Vec<SqliteConnection>>,
}

impl Readers {
    pub(crate) fn new(options: SqliteConnectOptions, bound: u32) -> Self {
        Self(Arc::new(Shared {
            options,
            permits: Arc::new(Semaphore::new(bound.max(1) as usize)),
            idle: Mutex::default(),
        }))
    }

    /// Waits for a free one, but not for ever.
    pub(crate) async fn acquire(&self) -> Result<Reader, Error> {
        let permits = Arc::clone(&self.0.permits);
        let permit = match Arc::clone(&permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(TryAcquireError::Closed) => return Err(Error::PoolClosed),
            Err(TryAcquireError::NoPermits) => {
                tokio::time::timeout(ACQUIRE_TIMEOUT, permits.acquire_owned())
                    .await
                    .map_err(|_| Error::PoolTimedOut)?
                    .map_err(|_| Error::PoolClosed)?
            }
        };
        let idle = self.0.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.0.options.connect().await?,
        };
        Ok(Reader {
            connection: Some(connection),
            failed: false,
            home: Arc::clone(&self.0),
            _permit: permit,
        })
    }

    /// Closes those that are here. Those that are out close when they are dropped.
    pub(crate) async fn close(&self) {
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.0.idle());
        for connection in idle {
            // Nothing was written: there is nothing to lose.
            let _ = connection.close().await;
        }
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that goes back to its pool when it is dropped.
#[derive(Debug)]
pub struct Reader {
    /// Always there, until it is dropped.
    connection: Option<SqliteConnection>,
    failed: bool,
    home: Arc<Shared>,
    // Dropped last: who waits for it finds the connection.
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    #[expect(clippy::expect_used, reason = "only dropping the reader takes it away")]
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("a reader has a connection")
    }

    /// Lets the connection go afterwards: finding out what is wrong with it takes longer than
    /// opening another.
    pub(crate) fn failed(&mut self) {
        self.failed = true;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.failed || self.home.permits.is_closed() {
            return;
        }
        self.home.idle().extend(self.connection.take());
    }
}
