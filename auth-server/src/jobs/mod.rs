//! Work in the background.

use std::time::Duration;

use chrono::TimeDelta;
use database::Database;
use service::shutdown::Shutdown;

use crate::clock::Clock;
use crate::store;

/// How often expired refresh tokens are removed.
const INTERVAL: Duration = Duration::from_hours(1);

/// How long they are kept, so that who comes with one learns that it has expired.
const KEPT: TimeDelta = TimeDelta::days(7);

/// Removes expired refresh tokens, now and then, until the shutdown.
pub(crate) fn spawn(database: Database, clock: Clock, shutdown: Shutdown) {
    tokio::spawn(async move {
        loop {
            match purge_refresh_tokens(&database, &clock).await {
                Ok(0) => {}
                Ok(removed) => tracing::debug!(removed, "removed expired refresh tokens"),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "expired refresh tokens could not be removed; trying again later"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.begun() => return,
            }
        }
    });
}

pub(crate) async fn purge_refresh_tokens(
    database: &Database,
    clock: &Clock,
) -> Result<u64, database::Error> {
    let mut tx = database.begin().await?;
    let removed = store::refresh_tokens::delete_expired(&mut tx, clock.now() - KEPT).await?;
    tx.commit().await?;
    Ok(removed)
}
