//! [`OpenBlobs`]: blobs that were pulled a moment ago, open for the next request.
//!
//! The layer of an image that is being rolled out is asked for a hundred times in a row. What is kept
//! open must not keep others from opening files, so its number depends on how many files the process
//! may open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use registry_token::RepositoryName;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::blob_store::Blob;
use crate::oci::Digest;

/// At most so many, and that part of the files that the process may open.
const MOST: u64 = 512;
const PART: u64 = 8;

/// The cache lets go of files a little after it has taken others: so many times as many may be open.
const EXCESS: u64 = 2;

/// How long a blob that was shown once is shown without asking the database: as long as a deletion
/// on another replica may go unnoticed here. Deletions on this one take effect at once.
const LIFETIME: Duration = Duration::from_secs(5);

/// By the repository that shows it.
pub(super) type Key = (RepositoryName, Digest);

#[derive(Debug)]
pub(super) struct OpenBlobs {
    cache: moka::sync::Cache<Key, Arc<Kept>>,
    /// One for each file that may be kept open.
    files: Arc<Semaphore>,
    /// How many blobs were taken out of repositories.
    deletions: AtomicU64,
}

#[derive(Debug)]
struct Kept {
    blob: Blob,
    _file: OwnedSemaphorePermit,
}

/// When the database was asked for a blob, in deletions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(u64);

impl OpenBlobs {
    pub(super) fn new() -> Self {
        // The server raises the limit to the hard one before it serves.
        let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        Self::with_capacity((files / PART).clamp(1, MOST))
    }

    fn with_capacity(capacity: u64) -> Self {
        let files = usize::try_from(capacity * EXCESS).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            cache: moka::sync::Cache::builder()
                .max_capacity(capacity)
                .time_to_live(LIFETIME)
                .build(),
            files: Arc::new(Semaphore::new(files)),
            deletions: AtomicU64::new(0),
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Blob> {
        self.cache.get(key).map(|kept| kept.blob.clone())
    }

    /// Before the database is asked.
    pub(super) fn now(&self) -> Moment {
        Moment(self.deletions.load(Ordering::SeqCst))
    }

    /// Keeps a blob that the database showed after `asked`, if there is a file to spare.
    pub(super) fn keep(&self, key: &Key, blob: Blob, asked: Moment) {
        let Ok(file) = Arc::clone(&self.files).try_acquire_owned() else {
            self.cache.run_pending_tasks();
            return;
        };
        let kept = Kept { blob, _file: file };
        self.cache.insert(key.clone(), Arc::new(kept));
        // What was found before a deletion must not be shown after it.
        if self.now().0 != asked.0 {
            self.cache.invalidate(key);
        }
    }

    /// Once the blob was taken out of the repository.
    pub(super) fn forget(&self, key: &Key) {
        self.deletions.fetch_add(1, Ordering::SeqCst);
        self.cache.invalidate(key);
    }

    /// Closes what nobody reads.
    pub(super) fn close(&self) {
        self.cache.invalidate_all();
        self.cache.run_pending_tasks();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob_store::BlobStore as _;
    use crate::testing::{TestRegistry, repository};

    #[tokio::test]
    async fn no_more_files_are_kept_than_there_are_to_spare() {
        let registry = TestRegistry::new().await;
        let open = OpenBlobs::with_capacity(4);
        let files = || {
            std::fs::read_dir("/proc/self/fd")
                .unwrap()
                .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
                .filter(|file| file.starts_with(registry.folder.path()) && file.ends_with("data"))
                .count()
        };
        for number in 0..100_u32 {
            let digest = registry.push_blob("a", &number.to_le_bytes()).await;
            let blob = registry.store.open(&digest).await.unwrap();
            open.keep(&(repository("a"), digest), blob, open.now());
            assert!(files() <= 8, "{}", files());
        }
    }

    #[tokio::test]
    async fn what_was_found_before_a_deletion_is_not_shown_after_it() {
        let registry = TestRegistry::new().await;
        let open = OpenBlobs::new();
        let digest = registry.push_blob("a", b"hello").await;
        let key = (repository("a"), digest.clone());
        let blob = registry.store.open(&digest).await.unwrap();
        let asked = open.now();
        open.forget(&key);
        open.keep(&key, blob.clone(), asked);
        assert!(open.get(&key).is_none());
        open.keep(&key, blob, open.now());
        assert!(open.get(&key).is_some());
    }
}
