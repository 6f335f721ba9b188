//! The rules of the registry: what a push, a pull and a deletion mean. Knows no HTTP; statements
//! are in [`metadata`](crate::metadata), bytes in [`blob_store`](crate::blob_store).
//!
//! - [`Registry`]: everything below is its methods, one file per noun. Each takes the proof that
//!   its caller may do it, and knows its repository from nowhere else.
//! - [`Rules`]: what the configuration decides.
//! - [`Error`]: what can go wrong.
//!
//! Order of writing, so that a crash at any moment leaves the old state or the new one: bytes are
//! durable before the row that shows them is committed, and the answer comes after both.

mod allowance;
mod blobs;
mod error;
mod leases;
mod manifests;
mod open_blobs;
mod referrers;
mod repositories;
mod rules;
mod storage;
mod storing;
mod tags;
#[cfg(test)]
mod tests;
mod uploads;

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use database::{Database, Tx};

use self::allowance::Allowances;
pub use self::error::{Error, Interrupted};
pub use self::manifests::PushedManifest;
use self::open_blobs::OpenBlobs;
pub use self::referrers::{Referrer, Referrers};
pub use self::rules::{IndexRules, Rules, UploadRules, UrlRules};
pub use self::uploads::Announced;
use crate::blob_store::{BlobStore, BlobStoreError};
use crate::clock::Clock;
use crate::identity::Identity;
pub use crate::metadata::manifests::StoredManifest;
use crate::metrics::StorageMetrics;

/// How long content is kept that nothing refers to any more, or not yet. A client that was told
/// that a blob exists has this long to push the manifest that needs it.
pub(crate) const REVIEW_DELAY: TimeDelta = TimeDelta::hours(24);

/// How often a transaction that lost a race is tried.
const ATTEMPTS: u32 = 4;

/// The registry.
#[derive(Debug)]
pub struct Registry {
    database: Database,
    blobs: Arc<dyn BlobStore>,
    clock: Clock,
    identity: Identity,
    rules: ArcSwap<Rules>,
    metrics: StorageMetrics,
    open: OpenBlobs,
    allowances: Allowances,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    pub entries: Vec<T>,
    /// Whether there is another page behind it.
    pub more: bool,
}

impl<T> Listed<T> {
    /// Of rows that were asked for with one more than `limit`, to see whether there is another.
    fn of(mut rows: Vec<T>, limit: u32) -> Self {
        let limit = limit as usize;
        let more = rows.len() > limit && limit > 0;
        rows.truncate(limit);
        Self {
            entries: rows,
            more,
        }
    }
}

impl Registry {
    pub fn new(
        database: Database,
        blobs: Arc<dyn BlobStore>,
        clock: Clock,
        rules: Rules,
        metrics: StorageMetrics,
    ) -> Self {
        Self {
            database,
            blobs,
            identity: Identity::new(clock.clone()),
            clock,
            rules: ArcSwap::from_pointee(rules),
            metrics,
            open: OpenBlobs::new(),
            allowances: Allowances::default(),
        }
    }

    /// What is allowed at this moment.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Other rules, from the next request on.
    pub fn change_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// Does `work`, and once more without the blobs that are held open if they take the files that it
    /// needs.
    async fn sparing_files<T>(
        &self,
        work: impl AsyncFn() -> Result<T, BlobStoreError>,
    ) -> Result<T, BlobStoreError> {
        match work().await {
            Err(error) if error.is_out_of_files() => {
                self.open.close();
                work().await
            }
            result => result,
        }
    }

    fn writable(&self) -> Result<(), Error> {
        if self.rules.load().read_only {
            return Err(Error::Maintenance);
        }
        Ok(())
    }

    fn deletable(&self) -> Result<(), Error> {
        self.writable()?;
        if !self.rules.load().deletion {
            return Err(Error::DeletionDisabled);
        }
        Ok(())
    }

    /// Runs `work` in a transaction and commits it; again, if it lost a race against another.
    async fn transaction<T>(
        &self,
        work: impl AsyncFn(&mut Tx, DateTime<Utc>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.attempt(async || self.database.begin().await, work)
            .await
    }

    /// Like [`transaction`](Self::transaction), for what no client is told to rely on: its commit
    /// does not wait for the disk. See [`Database::begin_relaxed`].
    async fn relaxed_transaction<T>(
        &self,
        work: impl AsyncFn(&mut Tx, DateTime<Utc>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.attempt(async || self.database.begin_relaxed().await, work)
            .await
    }

    async fn attempt<T>(
        &self,
        begin: impl AsyncFn() -> Result<Tx, database::Error>,
        work: impl AsyncFn(&mut Tx, DateTime<Utc>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut attempt = 1;
        loop {
            let result = async {
                let mut tx = begin().await?;
                let value = work(&mut tx, self.clock.now()).await?;
                tx.commit().await?;
                Ok(value)
            }
            .await;
            match result {
                Err(Error::DatabaseUnavailable(database::Error::Race(_))) if attempt < ATTEMPTS => {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

/// What to make of a review that a `HEAD` meant to put off: where the database takes no changes, the
/// answer is given all the same.
///
/// The client relies on the review being put off, and loses nothing. Who cannot write cannot collect either;
/// and if another replica still can (this one has lost the primary, say), its push ends with a manifest,
/// which is accepted only if everything that it needs is there then.
fn unless_unwritable(put_off: Result<(), Error>) -> Result<(), Error> {
    match put_off {
        Err(
            Error::DatabaseUnavailable(error)
            | Error::DatabaseFull(error)
            | Error::DatabaseReadOnly(error),
        ) => {
            // The health check warns of it, and once.
            tracing::debug!(%error, "a review cannot be put off");
            Ok(())
        }
        put_off => put_off,
    }
}
