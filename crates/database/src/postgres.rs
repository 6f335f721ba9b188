//! [`PostgresPool`]: connections that live as long as the runtime that the database was opened in,
//! whichever runtime asks for them.
//!
//! Each worker of a server has a runtime of its own, and at the end they stop one after the other. A
//! connection belongs to the runtime in which it is opened, so one that a worker has opened would break in
//! the hands of another that has requests to finish.

use std::pin::Pin;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Postgres, Transaction};
use tokio::runtime::Handle;

use crate::ACQUIRE_TIMEOUT;

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

    pub(crate) async fn begin_with(
        &self,
        statement: &'static str,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.at_home(Box::pin(self.pool.begin_with(statement)))
            .await
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
