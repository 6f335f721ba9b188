//! [`FilesystemStore`]: blobs as files, at the very paths where distribution keeps them.
//!
//! ```text
//! <root>/docker/registry/v2/blobs/<algorithm>/<2 hex>/<hex>/data
//! <root>/docker/registry/v2/repositories/<name>/_uploads/<uuid>/data
//! <root>/docker/registry/v2/set-aside/<date>/<algorithm>/<hex>
//! <root>/docker/registry/v2/portcullis.json
//! ```
//!
//! - [`layout`]: these paths; only validated types become part of one.
//! - [`reader`]: open files and streams from them.
//! - [`writer`]: one append to an upload.
//! - [`flush`]: what is written reaches the disk while an upload goes on.
//! - [`durable`]: directories that survive a power cut.
//! - [`presence`]: notices a disk that was unmounted.
//! - [`walk`]: listings for sweeps; [`aside`]: blobs out of the way.
//! - [`identity`]: which storage this is.
//!
//! An upload's file is locked (`flock`) by whoever writes to it: a write that outlives its request
//! on the blocking pool keeps its lock until it is done, so it cannot land in the middle of what
//! the next request writes.

mod aside;
mod durable;
mod flush;
mod identity;
mod layout;
mod presence;
mod reader;
mod walk;
mod writer;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use self::durable::DurableDirectories;
use self::flush::Flushes;
use self::layout::Layout;
use self::presence::Presence;
pub(super) use self::reader::{FileBlob, FileStream};
use self::writer::FileWriter;
use super::{
    AsideBlob, Blob, BlobStore, BlobStoreError, Capacity, StorageIdentity, StoredBlob,
    StoredUpload, UploadKey, UploadProgress, UploadWriter,
};
use crate::oci::{Digest, Hasher};

/// How often a commit meets a directory that a deletion has just removed before it gives up.
const COMMIT_ATTEMPTS: usize = 8;

/// Blobs as files below one directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FilesystemStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    layout: Layout,
    presence: Presence,
    directories: DurableDirectories,
    flushes: Flushes,
}

impl FilesystemStore {
    /// Opens the store at `root`, which is created if it is missing. Blocks.
    ///
    /// A root that exists is taken as it is: a read-only one can be read from.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, BlobStoreError> {
        let layout = Layout::new(root.into());
        if !layout.base().is_dir() {
            std::fs::create_dir_all(layout.base())?;
        }
        let presence = Presence::of(layout.base())?;
        let directories = DurableDirectories::new(layout.base().to_owned());
        Ok(Self(Arc::new(Inner {
            layout,
            presence,
            directories,
            flushes: Flushes::default(),
        })))
    }

    /// The file that holds a blob, relative to the root.
    #[cfg(test)]
    pub fn relative_path(digest: &Digest) -> PathBuf {
        blob_folder(Path::new("")).join(below_blobs(digest))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, BlobStoreError> + Send + 'static,
    ) -> Result<T, BlobStoreError> {
        let inner = Arc::clone(&self.0);
        run_blocking(move || work(&inner)).await
    }
}

/// The folder of all blobs of a store with this root: for a proxy in front that sends files by
/// itself.
#[must_use]
pub fn blob_folder(root: &Path) -> PathBuf {
    root.join(Layout::relative_blobs())
}

/// The file that holds a blob, below that folder.
pub(super) fn below_blobs(digest: &Digest) -> PathBuf {
    Layout::below_blobs(digest)
}

/// Runs on the blocking pool. A panic there or a runtime that shuts down is reported, not spread.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobStoreError> + Send + 'static,
) -> Result<T, BlobStoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(BlobStoreError::Unavailable(io::Error::other(error))),
    }
}

#[async_trait]
impl BlobStore for FilesystemStore {
    async fn open(&self, digest: &Digest) -> Result<Blob, BlobStoreError> {
        let path = self.0.layout.blob(digest);
        if let Some(file) = open_cached(&path) {
            return Ok(Blob::file(FileBlob::new(file)?));
        }
        let digest = digest.clone();
        let open = move |path: &Path| Ok(FileBlob::new(File::open(path)?)?);
        let file = self
            .blocking(move |inner| inner.found(&digest, open))
            .await
            .map_err(BlobStoreError::while_reading)?;
        Ok(Blob::file(file))
    }

    async fn size(&self, digest: &Digest) -> Result<u64, BlobStoreError> {
        let digest = digest.clone();
        let size = move |path: &Path| Ok(std::fs::metadata(path)?.len());
        self.blocking(move |inner| inner.found(&digest, size))
            .await
            .map_err(BlobStoreError::while_reading)
    }

    async fn delete(&self, digest: &Digest) -> Result<(), BlobStoreError> {
        let path = self.0.layout.blob(digest);
        run_blocking(move || {
            absent_is_fine(std::fs::remove_file(&path))?;
            if let Some(directory) = path.parent() {
                // It stays if something else is in it, or if a commit was faster.
                let _ = std::fs::remove_dir(directory);
            }
            Ok(())
        })
        .await
    }

    async fn set_aside(&self, digest: &Digest, now: DateTime<Utc>) -> Result<(), BlobStoreError> {
        let digest = digest.clone();
        self.blocking(move |inner| aside::set_aside(&inner.layout, &digest, now))
            .await
    }

    async fn take_back(&self, digest: &Digest) -> Result<bool, BlobStoreError> {
        let digest = digest.clone();
        self.blocking(move |inner| aside::take_back(&inner.layout, &digest))
            .await
    }

    async fn drop_aside(&self, blob: &AsideBlob) -> Result<(), BlobStoreError> {
        let blob = blob.clone();
        self.blocking(move |inner| aside::drop_aside(&inner.layout, &blob))
            .await
    }

    fn aside(&self) -> BoxStream<'static, Result<AsideBlob, BlobStoreError>> {
        let aside = self.0.layout.aside();
        walk::stream(move |found| aside::blobs(&aside, found))
    }

    async fn append(
        &self,
        upload: &UploadKey,
        progress: &UploadProgress,
    ) -> Result<Box<dyn UploadWriter>, BlobStoreError> {
        let writer = FileWriter::open(self.clone(), upload, progress).await?;
        Ok(Box::new(writer))
    }

    async fn commit(
        &self,
        upload: &UploadKey,
        progress: &UploadProgress,
        digest: &Digest,
    ) -> Result<(), BlobStoreError> {
        let Some(file) = writer::lock(self, upload, progress.offset == 0).await? else {
            return self.committed_before(progress, digest).await;
        };
        let (key, progress, digest) = (upload.clone(), progress.clone(), digest.clone());
        self.blocking(move |inner| inner.commit(&file, &key, &progress, &digest))
            .await
    }

    async fn cut_back(
        &self,
        upload: &UploadKey,
        progress: &UploadProgress,
    ) -> Result<(), BlobStoreError> {
        let Some(file) = writer::lock(self, upload, false).await? else {
            return Ok(());
        };
        let offset = progress.offset;
        run_blocking(move || Ok(writer::cut(&file, offset)?)).await
    }

    async fn abort(
        &self,
        upload: &UploadKey,
        _progress: &UploadProgress,
    ) -> Result<(), BlobStoreError> {
        let directory = self.0.layout.upload_directory(upload);
        run_blocking(move || absent_is_fine(std::fs::remove_dir_all(directory))).await
    }

    fn blobs(&self) -> BoxStream<'static, Result<StoredBlob, BlobStoreError>> {
        let blobs = self.0.layout.blobs();
        walk::stream(move |found| walk::blobs(&blobs, found))
    }

    fn uploads(&self) -> BoxStream<'static, Result<StoredUpload, BlobStoreError>> {
        let repositories = self.0.layout.repositories();
        walk::stream(move |found| walk::uploads(&repositories, found))
    }

    async fn identity(&self) -> Result<Option<StorageIdentity>, BlobStoreError> {
        self.blocking(|inner| identity::read(&inner.layout.identity()))
            .await
    }

    async fn identify(&self, identity: StorageIdentity) -> Result<(), BlobStoreError> {
        self.blocking(move |inner| {
            inner.presence.check()?;
            identity::write(&inner.layout.identity(), &identity)
        })
        .await
    }

    async fn has_foreign_records(&self) -> Result<bool, BlobStoreError> {
        self.blocking(|inner| walk::has_records(&inner.layout.repositories()))
            .await
    }

    async fn capacity(&self) -> Result<Capacity, BlobStoreError> {
        self.blocking(|inner| Ok(capacity(inner.layout.base())?))
            .await
    }

    async fn check_reading(&self) -> Result<(), BlobStoreError> {
        let check = |inner: &Inner| {
            inner.presence.check()?;
            check_reading(inner.layout.base())
        };
        self.blocking(check)
            .await
            .map_err(BlobStoreError::while_reading)
    }

    async fn check_writing(&self) -> Result<(), BlobStoreError> {
        self.blocking(|inner| {
            inner.presence.check()?;
            check_writing(inner.layout.base())
        })
        .await
    }
}

impl FilesystemStore {
    /// The upload's bytes are gone: fine if a commit had come so far before a crash that only its
    /// acknowledgement is missing.
    async fn committed_before(
        &self,
        progress: &UploadProgress,
        digest: &Digest,
    ) -> Result<(), BlobStoreError> {
        let computed = Hasher::resume(&progress.midstate).map(Hasher::finish);
        match self.size(digest).await {
            Ok(size) if size == progress.offset && computed.as_ref() == Ok(digest) => Ok(()),
            Ok(_) | Err(BlobStoreError::NotFound) => Err(BlobStoreError::Damaged(
                "the bytes of an upload have disappeared",
            )),
            Err(error) => Err(error),
        }
    }
}

impl Inner {
    /// Looks at a blob in its place. One that was set aside is put back for whoever asks for it, and one
    /// whose disk is gone is not unknown.
    fn found<T>(
        &self,
        digest: &Digest,
        look: impl Fn(&Path) -> Result<T, BlobStoreError>,
    ) -> Result<T, BlobStoreError> {
        let path = self.layout.blob(digest);
        match look(&path) {
            Err(BlobStoreError::NotFound) => {}
            found => return found,
        }
        self.presence.check()?;
        if aside::take_back(&self.layout, digest)? {
            tracing::warn!(%digest, "a blob that had been set aside is asked for, and was put back");
            return look(&path);
        }
        Err(BlobStoreError::NotFound)
    }

    fn commit(
        &self,
        file: &File,
        upload: &UploadKey,
        progress: &UploadProgress,
        digest: &Digest,
    ) -> Result<(), BlobStoreError> {
        let on_disk = file.metadata()?.len();
        if on_disk < progress.offset {
            return Err(BlobStoreError::Damaged(
                "an upload has fewer bytes than were acknowledged",
            ));
        }
        let actual = match Hasher::resume(&progress.midstate) {
            Ok(hasher)
                if hasher.algorithm() == digest.algorithm()
                    && hasher.length() == progress.offset =>
            {
                hasher.finish()
            }
            _ => writer::hash(file, progress.offset, digest.algorithm())?.finish(),
        };
        if actual != *digest {
            return Err(BlobStoreError::DigestMismatch {
                expected: digest.clone(),
                actual,
            });
        }
        if on_disk > progress.offset {
            file.set_len(progress.offset)?;
        }
        if on_disk > progress.offset || progress.offset == 0 {
            file.sync_all()?;
        }
        // Also over a blob that exists: these bytes have just been verified and are durable, of
        // the others we know neither.
        self.move_into_place(&self.layout.upload(upload), digest)?;
        // Last of all: what was moved into another folder must not be acknowledged.
        self.presence.check()?;
        let _ = std::fs::remove_dir_all(self.layout.upload_directory(upload));
        Ok(())
    }

    fn move_into_place(&self, from: &Path, digest: &Digest) -> Result<(), BlobStoreError> {
        let directory = self.layout.blob_directory(digest);
        let mut attempt = 1;
        loop {
            std::fs::create_dir_all(&directory)?;
            match std::fs::rename(from, self.layout.blob(digest)) {
                Ok(()) => break,
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && attempt < COMMIT_ATTEMPTS
                        && from.exists() =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        durable::sync_directory(&directory)?;
        self.directories.keep(&directory)?;
        Ok(())
    }
}

/// Opens without waiting for a disk: `None` if the path is not in the kernel's cache, or if the
/// kernel (before 5.12) or a seccomp filter does not let us ask.
fn open_cached(path: &Path) -> Option<File> {
    let opened = rustix::fs::openat2(
        rustix::fs::CWD,
        path,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::CACHED,
    );
    opened.ok().map(File::from)
}

fn absent_is_fine(result: io::Result<()>) -> Result<(), BlobStoreError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Looks for the first entry of the folder: a disk that has died does not answer.
fn check_reading(base: &Path) -> Result<(), BlobStoreError> {
    if let Some(entry) = std::fs::read_dir(base)?.next() {
        entry?;
    }
    Ok(())
}

/// Writes and removes a small file.
fn check_writing(base: &Path) -> Result<(), BlobStoreError> {
    static PROBES: AtomicU64 = AtomicU64::new(0);
    let probe = base.join(format!(
        ".probe-{}-{}",
        std::process::id(),
        PROBES.fetch_add(1, Ordering::Relaxed)
    ));
    let written = std::fs::write(&probe, b"portcullis");
    let removed = std::fs::remove_file(&probe);
    Ok(written.and(removed)?)
}

fn capacity(base: &Path) -> io::Result<Capacity> {
    let space = rustix::fs::statvfs(base).map_err(|error: Errno| io::Error::from(error))?;
    // Some file systems, of networks and in user space, do not say.
    let known = space.f_blocks > 0;
    Ok(Capacity {
        total: known.then(|| space.f_blocks.saturating_mul(space.f_frsize)),
        available: known.then(|| space.f_bavail.saturating_mul(space.f_frsize)),
    })
}

#[cfg(test)]
mod tests;
