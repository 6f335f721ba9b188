//! [`FileBlob`], [`FileStream`]: reading without a thread where the page cache allows it.
//!
//! `preadv2` with `RWF_NOWAIT` returns what is in the page cache and never waits for a disk, so it
//! may run on an async worker; only what is not cached goes through the blocking pool. A hop to
//! another thread per read costs more than reading small blobs.

use std::fs::File;
use std::future::Future as _;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use rustix::io::{Errno, ReadWriteFlags};
use tokio::task::JoinHandle;

use crate::blob_store::{BlobStoreError, BlobStream};

/// An open file. Clones share it.
#[derive(Clone, Debug)]
pub struct FileBlob(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    file: File,
    size: u64,
    /// Cleared for good when the file system turns out not to know `RWF_NOWAIT`.
    nowait: AtomicBool,
}

impl FileBlob {
    /// Blocks: asks for the size.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self(Arc::new(Opened {
            file,
            size,
            nowait: AtomicBool::new(true),
        })))
    }

    pub fn size(&self) -> u64 {
        self.0.size
    }

    pub fn read_now(&self, range: Range<u64>) -> Option<Bytes> {
        let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        if length > BlobStream::CHUNK {
            return None;
        }
        let mut buffer = BytesMut::zeroed(length);
        let read = self.0.read_cached(&mut buffer, range.start)?;
        (read == length).then(|| buffer.freeze())
    }

    #[cfg(test)]
    pub(super) fn never_inline(&self) {
        self.0.nowait.store(false, Ordering::Relaxed);
    }

    pub fn read(&self, range: Range<u64>) -> FileStream {
        FileStream {
            blob: self.clone(),
            at: range.start,
            end: range.end,
            recycled: None,
            waiting: None,
        }
    }
}

impl Opened {
    /// Reads from the page cache alone; `None` if the start of the range is not there (or the
    /// file system cannot tell).
    fn read_cached(&self, buffer: &mut [u8], at: u64) -> Option<usize> {
        if buffer.is_empty() {
            return Some(0);
        }
        if !self.nowait.load(Ordering::Relaxed) {
            return None;
        }
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.file, &mut slices, at, ReadWriteFlags::NOWAIT) {
            // None at all is the end of the file: let the waiting read report it.
            Ok(read) => (read > 0).then_some(read),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(_) => {
                self.nowait.store(false, Ordering::Relaxed);
                None
            }
        }
    }
}

/// A range of a file, chunk by chunk.
#[derive(Debug)]
pub struct FileStream {
    blob: FileBlob,
    at: u64,
    end: u64,
    /// A second handle on the chunk handed out last. Whoever took it has usually dropped it when
    /// the next one is due (an HTTP/1 body is copied into the socket's buffer), and then its
    /// memory is used again: no allocation and no zeroing per chunk.
    recycled: Option<Bytes>,
    waiting: Option<JoinHandle<(BytesMut, io::Result<usize>)>>,
}

impl FileStream {
    fn buffer(&mut self) -> BytesMut {
        let length = usize::try_from(self.end - self.at)
            .unwrap_or(usize::MAX)
            .min(BlobStream::CHUNK);
        match self.recycled.take().map(Bytes::try_into_mut) {
            Some(Ok(mut buffer)) => {
                buffer.resize(length, 0);
                buffer
            }
            Some(Err(_)) | None => BytesMut::zeroed(length),
        }
    }

    fn hand_out(&mut self, mut buffer: BytesMut, read: usize) -> Bytes {
        buffer.truncate(read);
        self.at += read as u64;
        let chunk = buffer.freeze();
        if self.at < self.end {
            self.recycled = Some(chunk.clone());
        }
        chunk
    }

    fn read_waiting(&self, mut buffer: BytesMut) -> JoinHandle<(BytesMut, io::Result<usize>)> {
        let blob = self.blob.clone();
        let at = self.at;
        tokio::task::spawn_blocking(move || {
            let result = loop {
                match blob.0.file.read_at(&mut buffer, at) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result,
                }
            };
            (buffer, result)
        })
    }

    fn fail(&mut self, error: BlobStoreError) -> Poll<Option<<Self as Stream>::Item>> {
        self.at = self.end;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for FileStream {
    type Item = Result<Bytes, BlobStoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut waiting = match this.waiting.take() {
            Some(waiting) => waiting,
            None if this.at >= this.end => return Poll::Ready(None),
            None => {
                let mut buffer = this.buffer();
                match this.blob.0.read_cached(&mut buffer, this.at) {
                    Some(read) => {
                        return Poll::Ready(Some(Ok(this.hand_out(buffer, read))));
                    }
                    None => this.read_waiting(buffer),
                }
            }
        };
        let Poll::Ready(joined) = Pin::new(&mut waiting).poll(context) else {
            this.waiting = Some(waiting);
            return Poll::Pending;
        };
        match joined {
            Ok((_, Ok(0))) => this.fail(BlobStoreError::Damaged("a blob is shorter than it was")),
            Ok((buffer, Ok(read))) => Poll::Ready(Some(Ok(this.hand_out(buffer, read)))),
            Ok((_, Err(error))) => this.fail(BlobStoreError::Unavailable(error)),
            Err(error) => this.fail(BlobStoreError::Unavailable(io::Error::other(error))),
        }
    }
}
