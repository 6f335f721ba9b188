//! Leftovers: bytes that no row speaks of, and blobs that nothing shows.
//!
//! A push that dies leaves, at worst, an upload's folder without a session, or a blob that was
//! reserved and never shown. Neither can be seen by anybody; both take room. So does a blob that
//! was deleted everywhere.

use std::time::Duration;

use chrono::{DateTime, Utc};
use database::Database;
use futures_util::StreamExt as _;

use crate::blob_store::{BlobStore, BlobStoreError, UploadProgress};
use crate::metadata;
use crate::oci::{Algorithm, Digest};
use crate::registry::{REVIEW_DELAY, Registry};

/// What was removed, or would have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SweepReport {
    /// Sessions that nobody went on with, and folders of uploads without one.
    pub uploads: u64,
    /// Blobs that no repository shows.
    pub unshown_blobs: u64,
    /// Blobs in the store that the database does not know.
    pub unknown_blobs: u64,
    /// What all of them take in the store.
    pub bytes: u64,
}

impl std::fmt::Display for SweepReport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} abandoned uploads, {} blobs that nothing shows and {} unknown blobs: {} bytes",
            self.uploads, self.unshown_blobs, self.unknown_blobs, self.bytes
        )
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error("cannot sweep the storage: {0}")]
    Storage(#[from] BlobStoreError),
    #[error("cannot drop idle uploads: {0}")]
    Uploads(#[from] crate::registry::Error),
    /// Another registry's storage, or a database that was lost: everything would be removed.
    #[error(
        "the database knows no blob, but the storage has some: they were left alone. Is this the \
         right database? The storage of another registry must be imported first"
    )]
    ForeignStorage,
}

/// What counts as left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepOptions {
    /// How long nobody must have gone on with an upload.
    pub idle_uploads: Duration,
    /// How long nothing must have touched bytes that nothing speaks of. Longer than any push takes:
    /// then a sweep is safe beside running servers.
    pub grace: Duration,
    /// Only count.
    pub dry_run: bool,
}

/// Removes leftovers.
pub async fn sweep(
    database: &Database,
    store: &dyn BlobStore,
    registry: &Registry,
    now: DateTime<Utc>,
    options: SweepOptions,
) -> Result<SweepReport, SweepError> {
    let sweep = Sweep {
        database,
        store,
        now,
        before: now - options.grace,
        dry_run: options.dry_run,
    };
    let idle = registry
        .expire_uploads(now - options.idle_uploads, options.dry_run)
        .await?;
    let mut report = SweepReport {
        uploads: idle.len() as u64,
        ..SweepReport::default()
    };
    if sweep.is_foreign().await? {
        return Err(SweepError::ForeignStorage);
    }
    sweep.uploads(&mut report).await?;
    sweep.unshown_blobs(&mut report).await?;
    sweep.unknown_blobs(&mut report).await?;
    Ok(report)
}

struct Sweep<'s> {
    database: &'s Database,
    store: &'s dyn BlobStore,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
    dry_run: bool,
}

impl Sweep<'_> {
    async fn uploads(&self, report: &mut SweepReport) -> Result<(), SweepError> {
        let mut uploads = self.store.uploads();
        while let Some(upload) = uploads.next().await {
            let upload = upload?;
            if upload.modified >= self.before {
                continue;
            }
            let session = {
                let mut tx = self.database.read().await?;
                metadata::uploads::find(&mut tx, &upload.key).await?
            };
            if session.is_some() {
                continue;
            }
            if !self.dry_run {
                let start = UploadProgress::start(Algorithm::Sha256);
                self.store.abort(&upload.key, &start).await?;
            }
            report.uploads += 1;
            report.bytes += upload.size;
        }
        Ok(())
    }

    async fn unshown_blobs(&self, report: &mut SweepReport) -> Result<(), SweepError> {
        const BATCH: u32 = 1_000;
        // Whatever touches a blob puts its review off by this much.
        let due = self.before + REVIEW_DELAY;
        let mut after = None;
        loop {
            let candidates = {
                let mut tx = self.database.read().await?;
                metadata::blobs::unshown(&mut tx, due, after.as_ref(), BATCH).await?
            };
            for digest in &candidates {
                self.unshown_blob(digest, due, report).await?;
            }
            if candidates.len() < BATCH as usize {
                return Ok(());
            }
            after = candidates.into_iter().last();
        }
    }

    /// The bytes go while the row is locked, and before it does: see [`metadata`].
    async fn unshown_blob(
        &self,
        digest: &Digest,
        due: DateTime<Utc>,
        report: &mut SweepReport,
    ) -> Result<(), SweepError> {
        let size = match self.store.size(digest).await {
            Ok(size) => size,
            Err(BlobStoreError::NotFound) => 0,
            Err(error) => return Err(error.into()),
        };
        if !self.dry_run {
            let mut tx = self.database.begin().await?;
            if !metadata::blobs::lock_unshown(&mut tx, digest, due).await? {
                return Ok(());
            }
            self.store.delete(digest).await?;
            metadata::blobs::remove(&mut tx, digest).await?;
            tx.commit().await?;
        }
        report.unshown_blobs += 1;
        report.bytes += size;
        Ok(())
    }

    /// Whether the storage has blobs and the database has never heard of any; or there is another
    /// registry that has, however many were pushed to this one since.
    async fn is_foreign(&self) -> Result<bool, SweepError> {
        if self.store.has_foreign_records().await? {
            return Ok(true);
        }
        let knows_some = {
            let mut tx = self.database.read().await?;
            metadata::blobs::any(&mut tx).await?
        };
        Ok(!knows_some && self.store.blobs().next().await.transpose()?.is_some())
    }

    async fn unknown_blobs(&self, report: &mut SweepReport) -> Result<(), SweepError> {
        let mut blobs = self.store.blobs();
        while let Some(blob) = blobs.next().await {
            let blob = blob?;
            if blob.modified >= self.before {
                continue;
            }
            let known = {
                let mut tx = self.database.read().await?;
                metadata::blobs::is_known(&mut tx, &blob.digest).await?
            };
            // Nearly all are: no change need wait for finding that out.
            if known {
                continue;
            }
            let mut tx = self.database.begin().await?;
            // Whoever pushes this very content now waits for the row, which is never committed.
            if !metadata::blobs::claim(&mut tx, &blob.digest, blob.size, self.now).await? {
                continue;
            }
            if !self.dry_run {
                self.store.delete(&blob.digest).await?;
            }
            report.unknown_blobs += 1;
            report.bytes += blob.size;
        }
        Ok(())
    }
}
