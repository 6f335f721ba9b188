//! Leftovers: bytes that no row speaks of, and blobs that nothing shows.
//!
//! A push that dies leaves, at worst, an upload's folder without a session, or a blob that was
//! reserved and never shown. Neither can be seen by anybody; both take room. So does a blob that
//! was deleted everywhere. These are removed.
//!
//! A blob that the database has never heard of is another matter: a power cut during a push may leave one, but
//! so does a database that is not the right one. It is set aside first, where it is found again if the database
//! turns out to know it.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use database::Database;
use futures_util::StreamExt as _;

use crate::blob_store::{AsideBlob, BlobStore, BlobStoreError, UploadProgress};
use crate::identity::{IdentityError, Standing};
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
    /// Blobs that were set aside long ago, and that nobody has asked for since.
    pub expired_blobs: u64,
    /// What all of them take in the store.
    pub bytes: u64,
    /// Blobs in the store that the database does not know: moved out of the way, not removed.
    pub set_aside_blobs: u64,
    /// What these take, and go on to take.
    pub set_aside_bytes: u64,
}

impl std::fmt::Display for SweepReport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            uploads,
            unshown_blobs,
            expired_blobs,
            bytes,
            set_aside_blobs,
            set_aside_bytes,
        } = self;
        write!(
            formatter,
            "{uploads} abandoned uploads, {unshown_blobs} blobs that no repository shows and \
             {expired_blobs} blobs that were set aside long ago ({bytes} bytes); set aside: \
             {set_aside_blobs} blobs that the database does not know ({set_aside_bytes} bytes)"
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
    #[error("nothing was removed: {0}")]
    Identity(#[from] IdentityError),
    /// What came in after this copy of the database was made is unknown to it.
    #[error(
        "nothing was removed: the database is an older copy (the storage counts {storage}, the database \
         {database}), so it does not know of everything that was pushed. Restore the latest database; or, if \
         what is missing from it may go, say so: portcullis registry adopt-storage"
    )]
    DatabaseOlder { storage: u64, database: u64 },
    #[error(
        "the storage has the records of another registry beside ours: no blob was removed, since that \
         registry may need it"
    )]
    ForeignStorage,
}

impl SweepError {
    fn is_full(&self) -> bool {
        matches!(
            self,
            Self::Database(database::Error::Full(_))
                | Self::Uploads(crate::registry::Error::DatabaseFull(_))
                | Self::Identity(IdentityError::Database(database::Error::Full(_)))
        )
    }
}

/// What counts as left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepOptions {
    /// How long nobody must have gone on with an upload.
    pub idle_uploads: Duration,
    /// How long nothing must have touched bytes that nothing speaks of. Longer than any push takes:
    /// then a sweep is safe beside running servers.
    pub grace: Duration,
    /// How long blobs that were set aside are kept.
    pub keep_aside: Duration,
    /// Only count.
    pub dry_run: bool,
}

/// Removes leftovers. Nothing is, if storage and database do not go together.
///
/// On a full disk, not even what frees room can be written down: then the reserve of the database is given up.
pub async fn sweep(
    database: &Database,
    store: &dyn BlobStore,
    registry: &Registry,
    now: DateTime<Utc>,
    options: SweepOptions,
) -> Result<SweepReport, SweepError> {
    let sweep = async || sweep_once(database, store, registry, now, options).await;
    match sweep().await {
        Err(error) if error.is_full() && database.release_reserve().await? => {
            let swept = sweep().await;
            database.keep_reserve().await;
            swept
        }
        swept => swept,
    }
}

async fn sweep_once(
    database: &Database,
    store: &dyn BlobStore,
    registry: &Registry,
    now: DateTime<Utc>,
    options: SweepOptions,
) -> Result<SweepReport, SweepError> {
    let since = match registry.standing(options.dry_run).await? {
        Standing::Together { since } => since,
        Standing::DatabaseOlder { storage, database } => {
            return Err(SweepError::DatabaseOlder { storage, database });
        }
    };
    let sweep = Sweep {
        database,
        store,
        now,
        since,
        before: now - options.grace,
        aside_before: (now - options.keep_aside).date_naive(),
        dry_run: options.dry_run,
    };
    let idle = registry
        .expire_uploads(now - options.idle_uploads, options.dry_run)
        .await?;
    let mut report = SweepReport {
        uploads: idle.len() as u64,
        ..SweepReport::default()
    };
    if store.has_foreign_records().await? {
        return Err(SweepError::ForeignStorage);
    }
    sweep.uploads(&mut report).await?;
    sweep.unshown_blobs(&mut report).await?;
    sweep.aside(&mut report).await?;
    sweep.unknown_blobs(&mut report).await?;
    Ok(report)
}

struct Sweep<'s> {
    database: &'s Database,
    store: &'s dyn BlobStore,
    now: DateTime<Utc>,
    /// Since when storage and database belong together.
    since: DateTime<Utc>,
    before: DateTime<Utc>,
    aside_before: NaiveDate,
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

    /// What the database knows again goes back to its place; what it has not known for long goes for good.
    async fn aside(&self, report: &mut SweepReport) -> Result<(), SweepError> {
        let mut aside = self.store.aside();
        while let Some(blob) = aside.next().await {
            let blob = blob?;
            if self.is_known(&blob.digest).await? {
                if !self.dry_run {
                    self.take_back(&blob).await?;
                }
            } else if blob.since < self.aside_before {
                if !self.dry_run {
                    self.store.drop_aside(&blob).await?;
                }
                report.expired_blobs += 1;
                report.bytes += blob.size;
            }
        }
        Ok(())
    }

    /// Pushed again meanwhile, it has its place already: then the copy goes, if that is as long.
    async fn take_back(&self, blob: &AsideBlob) -> Result<(), SweepError> {
        let digest = &blob.digest;
        if self.store.take_back(digest).await? {
            tracing::info!(%digest, "a blob that was set aside is known again");
        }
        match self.store.size(digest).await {
            Ok(size) if size == blob.size => Ok(self.store.drop_aside(blob).await?),
            // Damaged, or deleted just now: the copy may be the better one.
            Ok(_) | Err(BlobStoreError::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn unknown_blobs(&self, report: &mut SweepReport) -> Result<(), SweepError> {
        // The database has not been here long enough to miss anything.
        if self.since >= self.before {
            return Ok(());
        }
        let mut blobs = self.store.blobs();
        while let Some(blob) = blobs.next().await {
            let blob = blob?;
            // Nearly all are known: no change need wait for finding that out.
            if blob.modified >= self.before || self.is_known(&blob.digest).await? {
                continue;
            }
            let mut tx = self.database.begin().await?;
            // Whoever pushes this very content now waits for the row, which is never committed.
            if !metadata::blobs::claim(&mut tx, &blob.digest, blob.size, self.now).await? {
                continue;
            }
            if !self.dry_run {
                self.store.set_aside(&blob.digest, self.now).await?;
                tracing::warn!(
                    digest = %blob.digest,
                    size = blob.size,
                    "set a blob aside that the database does not know"
                );
            }
            report.set_aside_blobs += 1;
            report.set_aside_bytes += blob.size;
        }
        Ok(())
    }

    async fn is_known(&self, digest: &Digest) -> Result<bool, SweepError> {
        let mut tx = self.database.read().await?;
        Ok(metadata::blobs::is_known(&mut tx, digest).await?)
    }
}
