//! [`Writers`]: the one connection that changes a `SQLite` file, and whose turn it is.
//!
//! `SQLite` allows one writer at a time: a single connection makes writers queue fairly here instead
//! of polling a locked file, while readers go on beside it.
//!
//! Not sqlx's pool and its transactions: these count how deep a connection is in transactions. When
//! the disk is full, or fails, `SQLite` rolls back by itself; then sqlx's own rollback is an error, the
//! count stays, and the connection cannot begin again for as long as the process lives. Here
//! `BEGIN`, `COMMIT` and `ROLLBACK` are plain statements, and it is `SQLite` who says whether a
//! transaction has begun: in the middle of another it would not.
//!
//! A connection whose transaction did not end as it should (an error that `SQLite` may have answered
//! with a rollback, a commit that failed, a future that was cancelled) is closed, and the next
//! writer waits for its end and opens another.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Class, is_busy, spares_transaction};
use crate::state::State;
use crate::{Error, WRITER_TIMEOUT};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: SqliteConnectOptions,
    /// One permit. Closed with the database.
    turn: Arc<Semaphore>,
    slot: Mutex<Slot>,
}

/// What there is of the connection.
enum Slot {
    Ready(SqliteConnection),
    /// Being closed. Until its thread has ended, the file may be locked.
    Closing(Pin<Box<dyn Future<Output = ()> + Send>>),
    None,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ready(_) => "Ready",
            Self::Closing(_) => "Closing",
            Self::None => "None",
        })
    }
}

impl Writers {
    pub(crate) fn new(options: SqliteConnectOptions, first: SqliteConnection) -> Self {
        Self(Arc::new(Shared {
            options,
            turn: Arc::new(Semaphore::new(1)),
            slot: Mutex::new(Slot::Ready(first)),
        }))
    }

    /// Waits for its turn, but not for ever, and begins.
    pub(crate) async fn begin(&self, statement: &'static str) -> Result<Writer, Error> {
        let turn = Arc::clone(&self.0.turn).acquire_owned();
        let turn = tokio::time::timeout(WRITER_TIMEOUT, turn)
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)?
            .map_err(|_| sqlx::Error::PoolClosed)?;
        let mut writer = Writer {
            slot: self.0.take(),
            // Nothing to roll back so far.
            state: State::Ended,
            home: Arc::clone(&self.0),
            _turn: turn,
        };
        // A connection that was fine may not be any more: the file system may have been remounted, a
        // rollback may have failed.
        if let Slot::Ready(_) = writer.slot {
            match writer.run_begin(statement).await {
                Ok(()) => return Ok(writer),
                // Another process writes.
                Err(error) if is_busy(&error) => {
                    writer.state = State::Ended;
                    return Err(error.into());
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot begin; opening another connection");
                    writer.discard();
                }
            }
        }
        writer.reopen().await?;
        writer.run_begin(statement).await?;
        Ok(writer)
    }

    /// Waits for the transaction that is under way.
    pub(crate) async fn close(&self) {
        let Ok(_turn) = self.0.turn.acquire().await else {
            return;
        };
        self.0.turn.close();
        match self.0.take() {
            Slot::Ready(connection) => {
                let _ = connection.close().await;
            }
            Slot::Closing(closing) => closing.await,
            Slot::None => {}
        }
    }
}

impl Shared {
    fn slot(&self) -> std::sync::MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Slot {
        std::mem::replace(&mut *self.slot(), Slot::None)
    }
}

/// The connection, with a transaction. Dropped without [`commit`](Self::commit), it rolls back.
#[derive(Debug)]
pub struct Writer {
    slot: Slot,
    state: State,
    home: Arc<Shared>,
    // Dropped last: who waits for it finds the connection.
    _turn: OwnedSemaphorePermit,
}

impl Writer {
    pub(crate) fn start(&mut self) -> Result<&mut SqliteConnection, Error> {
        self.state.start()?;
        self.connection()
    }

    pub(crate) fn connection(&mut self) -> Result<&mut SqliteConnection, Error> {
        match &mut self.slot {
            Slot::Ready(connection) => Ok(connection),
            Slot::Closing(_) | Slot::None => Err(sqlx::Error::WorkerCrashed.into()),
        }
    }

    pub(crate) fn ended(&mut self, result: Result<(), &sqlx::Error>) {
        self.state.ended(result, spares_transaction);
    }

    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        let committed = self.start()?.execute("COMMIT").await;
        match committed {
            Ok(_) => {
                self.state = State::Ended;
                Ok(())
            }
            Err(error) => {
                self.state = State::Broken(Class::of(&error));
                Err(error.into())
            }
        }
    }

    /// Has the connection go back as if there were nothing to roll back.
    #[cfg(test)]
    pub(crate) fn forget_transaction(&mut self) {
        self.state = State::Ended;
    }

    async fn run_begin(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        let Slot::Ready(connection) = &mut self.slot else {
            return Err(sqlx::Error::WorkerCrashed);
        };
        self.state = State::Running;
        connection.execute(statement).await?;
        self.state = State::Open;
        Ok(())
    }

    /// Once the one before has gone: it may hold the lock of the file until then.
    async fn reopen(&mut self) -> Result<(), sqlx::Error> {
        if let Slot::Closing(closing) = &mut self.slot {
            closing.as_mut().await;
            self.slot = Slot::None;
        }
        self.slot = Slot::Ready(self.home.options.connect().await?);
        Ok(())
    }

    /// Has the thread of the connection finish what it was told, and end: `SQLite` rolls back what is
    /// open then.
    fn discard(&mut self) {
        self.state = State::Ended;
        if let Slot::Ready(connection) = std::mem::replace(&mut self.slot, Slot::None) {
            let mut closing: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async {
                // Whatever was wrong with it.
                let _ = connection.close().await;
            });
            if start(closing.as_mut()).is_pending() {
                self.slot = Slot::Closing(closing);
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        match self.state {
            State::Ended => {}
            State::Open => {
                // The thread takes one thing after the other: this comes before the next BEGIN, which
                // fails should this have.
                if let Slot::Ready(connection) = &mut self.slot {
                    let _ = start(std::pin::pin!(connection.execute("ROLLBACK")));
                }
            }
            State::Running | State::Broken(_) => self.discard(),
        }
        *self.home.slot() = std::mem::replace(&mut self.slot, Slot::None);
    }
}

/// Hands the thread of a connection what the future is about, without waiting for the outcome.
fn start<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
