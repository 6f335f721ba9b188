//! [`Blob`] and [`BlobStream`]: reading, whichever backend the bytes come from.

use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;

use super::BlobStoreError;
use super::filesystem::{self, FileBlob, FileStream};
use crate::oci::Digest;

/// A stored blob, open for reading. Cheap to clone and worth keeping: reading needs no further
/// look-up.
#[derive(Clone, Debug)]
pub struct Blob(Source);

#[derive(Clone, Debug)]
enum Source {
    File(FileBlob),
}

impl Blob {
    pub(super) fn file(file: FileBlob) -> Self {
        Self(Source::File(file))
    }

    /// In bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.0 {
            Source::File(file) => file.size(),
        }
    }

    /// Where the blob, which has this digest, is below the folder of all blobs, for who else can read
    /// that folder; `None` if it is no file.
    #[must_use]
    pub fn below_blobs(&self, digest: &Digest) -> Option<PathBuf> {
        match &self.0 {
            Source::File(_) => Some(filesystem::below_blobs(digest)),
        }
    }

    /// The bytes of a small range if they can be had at once, without waiting and without a
    /// thread; `None` means: use [`read`](Self::read). Never more than [`BlobStream::CHUNK`].
    #[must_use]
    pub fn read_now(&self, range: Range<u64>) -> Option<Bytes> {
        match &self.0 {
            Source::File(file) => file.read_now(range),
        }
    }

    /// The bytes of a range, in order. What lies behind the blob's end is an error of the stream.
    #[must_use]
    pub fn read(&self, range: Range<u64>) -> BlobStream {
        match &self.0 {
            Source::File(file) => BlobStream(Reading::File(file.read(range))),
        }
    }
}

/// Yields a blob's bytes. Nothing is read before it is polled.
#[derive(Debug)]
pub struct BlobStream(Reading);

#[derive(Debug)]
enum Reading {
    File(FileStream),
}

impl BlobStream {
    /// The most bytes in one item, and about a third of the memory that one reader needs: an HTTP/1
    /// answer copies it into a buffer that grows to twice as much.
    pub const CHUNK: usize = 64 << 10;
}

impl Stream for BlobStream {
    type Item = Result<Bytes, BlobStoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Reading::File(stream) => Pin::new(stream).poll_next(context),
        }
    }
}
