//! [`FileWriter`]: one append to an upload, hashed and written behind the caller's back.
//!
//! Two buffers: while the blocking pool hashes and writes one, the caller fills the other. What is
//! written is [flushed](super::flush) on the way, so that the fsync at the end finds little left to
//! do.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::flush::Flushing;
use super::{FilesystemStore, durable, run_blocking};
use crate::blob_store::{BlobStoreError, UploadKey, UploadProgress, UploadWriter};
use crate::oci::{Algorithm, Hasher};

/// Memory for the buffers of all uploads together, two each.
const BUFFERS: usize = 8 << 20;

/// Of each buffer. Smaller ones cost thread hops, and the kernel more effort per byte: a large write
/// goes into large pages.
const SMALLEST: usize = 64 << 10;
const LARGEST: usize = 512 << 10;

/// Of the buffer that stored bytes are hashed again with.
const REREAD: usize = 128 << 10;

/// How long to wait for a writer whose request is gone to finish its last write.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct FileWriter {
    store: FilesystemStore,
    upload: UploadKey,
    file: Arc<File>,
    algorithm: Algorithm,
    /// Filled by the caller; handed to `writing` when full.
    filling: Vec<u8>,
    /// Where this append started.
    start: u64,
    /// Accepted bytes, `filling` included.
    offset: u64,
    flushing: Flushing,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle(Box<Work>),
    Writing(JoinHandle<Result<Box<Work>, BlobStoreError>>),
    /// An error was reported, or a call was abandoned half-way.
    Failed,
}

/// What travels to the blocking pool and back.
#[derive(Debug)]
struct Work {
    file: Arc<File>,
    hasher: Hasher,
    /// Written and hashed up to here.
    written: u64,
    buffer: Vec<u8>,
}

impl FileWriter {
    pub(super) async fn open(
        store: FilesystemStore,
        upload: &UploadKey,
        progress: &UploadProgress,
    ) -> Result<Self, BlobStoreError> {
        let offset = progress.offset;
        let Some(file) = lock(&store, upload, offset == 0).await? else {
            return Err(BlobStoreError::Damaged(
                "the bytes of an upload have disappeared",
            ));
        };
        let resumed = Hasher::resume(&progress.midstate)
            .ok()
            .filter(|hasher| hasher.length() == offset);
        let algorithm = progress.algorithm;
        let work = run_blocking(move || {
            let on_disk = file.metadata()?.len();
            if on_disk < offset {
                return Err(BlobStoreError::Damaged(
                    "an upload has fewer bytes than were acknowledged",
                ));
            }
            cut(&file, offset)?;
            let hasher = match resumed {
                Some(hasher) => hasher,
                None => hash(&file, offset, algorithm)?,
            };
            Ok(Box::new(Work {
                file: Arc::new(file),
                hasher,
                written: offset,
                buffer: Vec::new(),
            }))
        })
        .await?;
        Ok(Self {
            flushing: store.0.flushes.of_upload(offset),
            store,
            upload: upload.clone(),
            file: Arc::clone(&work.file),
            algorithm,
            filling: Vec::new(),
            start: offset,
            offset,
            state: State::Idle(work),
        })
    }

    /// Gives the empty buffer the size that is this upload's now. They grow step by step: most blobs
    /// are small, and where many uploads begin at once, no two of them are to take everything.
    fn fit(&mut self) {
        let share = (self.flushing.share(BUFFERS) / 2).clamp(SMALLEST, LARGEST);
        let next = (self.filling.capacity() * 2).max(SMALLEST);
        // A power of two, so that not every upload that comes or goes costs an allocation.
        let size = next.min(1 << share.ilog2());
        if self.filling.capacity() != size {
            self.filling = Vec::with_capacity(size);
        }
    }

    /// Waits until no write is under way.
    async fn idle(&mut self) -> Result<Box<Work>, BlobStoreError> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(work) => Ok(work),
            State::Writing(task) => match task.await {
                Ok(result) => result,
                Err(error) => Err(BlobStoreError::Unavailable(io::Error::other(error))),
            },
            State::Failed => Err(failed_before()),
        }
    }

    /// Swaps the buffers and starts to write the full one.
    async fn flush(&mut self) -> Result<(), BlobStoreError> {
        let mut work = self.idle().await?;
        self.flushing.written(&work.file, work.written).await?;
        std::mem::swap(&mut self.filling, &mut work.buffer);
        self.state = State::Writing(tokio::task::spawn_blocking(move || {
            work.write()?;
            Ok(work)
        }));
        Ok(())
    }
}

impl FileWriter {
    /// Writes what is left, and waits until all of it is on the disk.
    async fn sync(&mut self) -> Result<UploadProgress, BlobStoreError> {
        let mut work = self.idle().await?;
        self.flushing.settle().await?;
        let turn = self.flushing.last_turn(self.offset).await?;
        work.buffer = std::mem::take(&mut self.filling);
        let (store, upload) = (self.store.clone(), self.upload.clone());
        let (algorithm, start) = (self.algorithm, self.start);
        run_blocking(move || {
            work.write()?;
            work.file.sync_data()?;
            drop(turn);
            // Bytes acknowledged before have brought the way to them along.
            if start == 0 {
                let directory = store.0.layout.upload_directory(&upload);
                durable::sync_directory(&directory)?;
                store.0.directories.keep(&directory)?;
            }
            Ok(UploadProgress {
                algorithm,
                offset: work.written,
                midstate: work.hasher.midstate(),
                backend: Vec::new(),
            })
        })
        .await
    }
}

impl Work {
    fn write(&mut self) -> Result<(), BlobStoreError> {
        self.hasher.update(&self.buffer);
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

#[async_trait]
impl UploadWriter for FileWriter {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), BlobStoreError> {
        if matches!(self.state, State::Failed) {
            return Err(failed_before());
        }
        let mut rest: &[u8] = &bytes;
        while !rest.is_empty() {
            if self.filling.is_empty() {
                self.fit();
            }
            let room = self.filling.capacity() - self.filling.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.filling.extend_from_slice(now);
            self.offset += now.len() as u64;
            rest = later;
            if self.filling.len() == self.filling.capacity() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<UploadProgress, BlobStoreError> {
        let finished = self.sync().await;
        if finished.is_err() {
            self.abandon().await;
        }
        finished
    }

    async fn abandon(mut self: Box<Self>) {
        // What is still under way holds the file, and would write behind the cut.
        let _ = self.idle().await;
        let _ = self.flushing.settle().await;
        let (file, start) = (self.file, self.start);
        if let Err(error) = run_blocking(move || Ok(cut(&file, start)?)).await {
            tracing::warn!(%error, "cannot give back the room of an upload that failed");
        }
    }
}

fn failed_before() -> BlobStoreError {
    BlobStoreError::Unavailable(io::Error::other("the writer has failed before"))
}

/// Drops what lies behind `offset`.
pub(super) fn cut(file: &File, offset: u64) -> io::Result<()> {
    if file.metadata()?.len() > offset {
        file.set_len(offset)?;
    }
    Ok(())
}

/// Opens an upload's file, for this caller alone. `None` if there is none, unless `create` asks
/// for it.
pub(super) async fn lock(
    store: &FilesystemStore,
    upload: &UploadKey,
    create: bool,
) -> Result<Option<File>, BlobStoreError> {
    let path: Arc<Path> = store.0.layout.upload(upload).into();
    let deadline = tokio::time::Instant::now() + LOCK_PATIENCE;
    loop {
        let (store, path) = (store.clone(), Arc::clone(&path));
        let attempt = move || {
            // Or an upload on a disk that is gone for a while would count as lost.
            store.0.presence.check()?;
            try_lock(&path, create)
        };
        match run_blocking(attempt).await? {
            Attempt::Locked(file) => return Ok(Some(file)),
            Attempt::Absent => return Ok(None),
            Attempt::Taken if tokio::time::Instant::now() >= deadline => {
                return Err(BlobStoreError::Busy);
            }
            Attempt::Taken => tokio::time::sleep(LOCK_INTERVAL).await,
        }
    }
}

enum Attempt {
    Locked(File),
    Absent,
    Taken,
}

fn try_lock(path: &Path, create: bool) -> Result<Attempt, BlobStoreError> {
    if create && let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let file = match OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // With `create`: somebody removed the directory meanwhile; try again.
            return Ok(if create {
                Attempt::Taken
            } else {
                Attempt::Absent
            });
        }
        Err(error) => return Err(error.into()),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Attempt::Taken),
        // A file system without locks: the lease in the database has to do.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    // The file may have been committed or dropped before we got the lock: writing to it now would
    // write into a blob.
    let ours = file.metadata()?;
    let same = std::fs::metadata(path)
        .is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
    Ok(if same {
        Attempt::Locked(file)
    } else {
        Attempt::Taken
    })
}

/// Reads the first `length` bytes again; for a midstate that cannot be resumed, and for a commit
/// under another algorithm than was computed on the way.
pub(super) fn hash(
    file: &File,
    length: u64,
    algorithm: Algorithm,
) -> Result<Hasher, BlobStoreError> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; REREAD];
    while hasher.length() < length {
        let want = usize::try_from(length - hasher.length())
            .unwrap_or(usize::MAX)
            .min(REREAD);
        match file.read_at(&mut buffer[..want], hasher.length()) {
            Ok(0) => {
                return Err(BlobStoreError::Damaged(
                    "an upload has fewer bytes than were acknowledged",
                ));
            }
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(hasher)
}
