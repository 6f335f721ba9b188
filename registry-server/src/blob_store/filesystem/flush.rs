//! [`Flushes`]: brings what uploads have written to the disk while they go on, a little at a time.
//!
//! Left to itself, the kernel collects gigabytes of an upload before it starts to write them. Then
//! the fsync at its end takes minutes, and not that one alone: ext4 has one journal for everybody,
//! and a commit waits for all data whose blocks it has allocated, so that the database beside
//! cannot commit a row, either. So each upload is flushed every few MiB, few are flushed at once,
//! and one that runs ahead of the disk waits: which its client feels as a slow network.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::run_blocking;
use crate::blob_store::BlobStoreError;

/// How many uploads are flushed at a time: enough to keep a disk busy while one of them waits for
/// the journal, and few enough that who syncs something small need not wait for long.
const AT_ONCE: usize = 4;

/// Bytes on the way to the disk, of all uploads together; as many again may be waiting.
const BUDGET: usize = 256 << 20;

/// Bytes of one upload between two flushes. Smaller ones cost more in journal commits than they
/// gain; larger ones only fill the disk's queue.
const SMALLEST: u64 = 1 << 20;
const LARGEST: u64 = 8 << 20;

/// What all uploads to one store share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Flushes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    turns: Arc<Semaphore>,
    uploads: AtomicUsize,
}

impl Default for Flushes {
    fn default() -> Self {
        Self(Arc::new(Shared {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            uploads: AtomicUsize::new(0),
        }))
    }
}

impl Flushes {
    /// For an upload of which everything up to `offset` is on the disk.
    pub(super) fn of_upload(&self, offset: u64) -> Flushing {
        self.0.uploads.fetch_add(1, Ordering::Relaxed);
        Flushing {
            shared: Arc::clone(&self.0),
            started: offset,
            running: None,
        }
    }
}

/// The flushes of one append to an upload, one after the other.
#[derive(Debug)]
pub(super) struct Flushing {
    shared: Arc<Shared>,
    /// Flushed, or about to be, up to here.
    started: u64,
    running: Option<JoinHandle<Result<(), BlobStoreError>>>,
}

impl Flushing {
    /// This upload's even part of what all to the same store have together.
    pub(super) fn share(&self, total: usize) -> usize {
        total / self.shared.uploads.load(Ordering::Relaxed).max(1)
    }

    /// How many bytes of this upload make a flush.
    fn stride(&self) -> u64 {
        (self.share(BUDGET) as u64).clamp(SMALLEST, LARGEST)
    }

    /// Notes that `file` was written up to `offset`. Waits while two strides are not on the disk.
    pub(super) async fn written(
        &mut self,
        file: &Arc<File>,
        offset: u64,
    ) -> Result<(), BlobStoreError> {
        if offset - self.started < self.stride() {
            return Ok(());
        }
        self.settle().await?;
        self.started = offset;
        let (file, turns) = (Arc::clone(file), Arc::clone(&self.shared.turns));
        self.running = Some(tokio::spawn(async move {
            let turn = take(turns).await?;
            run_blocking(move || {
                file.sync_data()?;
                drop(turn);
                Ok(())
            })
            .await
        }));
        Ok(())
    }

    /// Waits until no flush is under way. An error that one of them met is not reported by the
    /// kernel again: it is the upload's.
    pub(super) async fn settle(&mut self) -> Result<(), BlobStoreError> {
        match self.running.take() {
            None => Ok(()),
            Some(running) => running
                .await
                .map_err(|error| BlobStoreError::Unavailable(io::Error::other(error)))?,
        }
    }

    /// A turn for the last flush, that of everything up to `offset`. A small one needs none.
    pub(super) async fn last_turn(
        &self,
        offset: u64,
    ) -> Result<Option<OwnedSemaphorePermit>, BlobStoreError> {
        if offset - self.started < SMALLEST {
            return Ok(None);
        }
        take(Arc::clone(&self.shared.turns)).await.map(Some)
    }
}

impl Drop for Flushing {
    fn drop(&mut self) {
        self.shared.uploads.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn take(turns: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, BlobStoreError> {
    // It is never closed.
    turns
        .acquire_owned()
        .await
        .map_err(|error| BlobStoreError::Unavailable(io::Error::other(error)))
}

#[cfg(test)]
#[path = "flush_tests.rs"]
mod tests;
