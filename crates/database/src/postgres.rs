//! [`PostgresPool`]: connections that live as long as the runtime that the database was opened in,
//! whichever runtime asks for them.
//!
//! Each worker of a server has a runtime of its own, and at the end they stop one after the other. A
//! connection belongs to the runtime in which it is opened, so one that a worker has opened would break in
//! the hands of another that has requests to finish.

use std::pin::Pin;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Executor as _, PgConnection, Postgres};
use tokio::runtime::Handle;

use crate::error::{Class, is_about_rows};
use crate::state::State;
use crate::{ACQUIRE_TIMEOUT, Error};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct PostgresPool {
    pool: PgPool,
    home: Handle,
}

impl PostgresPool {
    pub(crate) async fn connect(
        options: PgConnectOptions,
        connections: u32,
    ) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await?;
        Ok(Self {
            pool,
            home: Handle::current(),
        })
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.at_home(Box::pin(self.pool.acquire())).await
    }

    /// `BEGIN` and `COMMIT` are plain statements here as well: sqlx does not roll back what it was
    /// beginning when its future was cancelled, and the next to use the connection would find
    /// itself in that transaction, with its settings.
    pub(crate) async fn begin(&self, statement: &'static str) -> Result<PostgresWriter, Error> {
        let connection = self.acquire().await?;
        let mut writer = PostgresWriter {
            connection: Some(connection),
            state: State::Running,
            home: self.home.clone(),
        };
        writer.connection().execute(statement).await?;
        writer.state = State::Open;
        Ok(writer)
    }

    /// Has the caller's runtime run it, and this one's home own what it opens.
    /// Boxed, because every caller's own future would hold what is kilobytes.
    async fn at_home<T>(&self, mut future: Pin<Box<impl Future<Output = T>>>) -> T {
        std::future::poll_fn(|context| {
            let _inside = self.home.enter();
            future.as_mut().poll(context)
        })
        .await
    }
}

/// A connection with a transaction. Dropped without [`commit`](Self::commit), it rolls back.
#[derive(Debug)]
pub struct PostgresWriter {
    /// Always there, until it is dropped.
    connection: Option<PoolConnection<Postgres>>,
    state: State,
    home: Handle,
}

impl PostgresWriter {
    pub(crate) fn start(&mut self) -> Result<&mut PgConnection, Error> {
        self.state.start()?;
        Ok(self.connection())
    }

    #[expect(clippy::expect_used, reason = "only dropping the writer takes it away")]
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("a writer has a connection")
    }

    /// Whatever the server refuses, it refuses the rest of the transaction too.
    pub(crate) fn ended(&mut self, result: Result<(), &sqlx::Error>) {
        self.state.ended(result, is_about_rows);
    }

    /// Not after a statement has failed: the server would answer with a rollback, and no error.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        match self.start()?.execute("COMMIT").await {
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
}

impl Drop for PostgresWriter {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if self.state == State::Ended {
            return;
        }
        // Back into the pool once it is known to be outside of a transaction. After what was
        // cancelled, the answers to that come first. Without a transaction, it is a warning.
        self.home.spawn(async move {
            let rollback = tokio::time::timeout(ACQUIRE_TIMEOUT, connection.execute("ROLLBACK"));
            if !matches!(rollback.await, Ok(Ok(_))) {
                connection.close_on_drop();
            }
        });
    }
}
