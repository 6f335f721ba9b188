//! Where the bytes of blobs are: content by digest, and uploads under way. Bytes only; which
//! repository may show which blob is `metadata`'s business.
//!
//! - [`BlobStore`]: what any backend does; [`FilesystemStore`] is one.
//! - [`MeasuredStore`]: any backend, with a clock beside it.
//! - [`UploadWriter`], [`UploadProgress`]: an upload, one append at a time, hashed on the way.
//! - [`Blob`], [`BlobStream`]: a stored blob, open for reading.
//! - [`BlobStoreError`]: what went wrong, by what the caller can do about it.
//! - [`conformance`]: the tests that every backend must pass.
//!
//! The promises, for every backend:
//!
//! 1. Content is stored under a digest only after the bytes were found to have it.
//! 2. What [`UploadWriter::finish`] and [`BlobStore::commit`] return `Ok` for is durable.
//! 3. A crash leaves an upload with at least its acknowledged bytes; whatever lies behind them is
//!    dropped by the next append.
//! 4. Two writers never mix their bytes in one upload: the later one gets [`BlobStoreError::Busy`].
//!
//! No backend needs to rename, to list or to append in place to keep them: an upload's
//! [`UploadProgress`] has room for what a backend must remember between appends (such as the
//! parts of a multipart upload), and travels through the database.

mod blob;
#[cfg(test)]
mod conformance;
mod error;
mod filesystem;
mod measured;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::stream::BoxStream;
use registry_token::RepositoryName;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::blob::{Blob, BlobStream};
pub use self::error::BlobStoreError;
pub use self::filesystem::{FilesystemStore, blob_folder};
pub use self::measured::MeasuredStore;
use crate::oci::{Algorithm, Digest, Hasher, Midstate};

/// A backend. Methods may be called at once from anywhere; see the module for what they promise.
#[async_trait]
pub trait BlobStore: fmt::Debug + Send + Sync {
    /// Opens a blob for reading. It stays readable through the handle even if it is deleted
    /// meanwhile.
    async fn open(&self, digest: &Digest) -> Result<Blob, BlobStoreError>;

    /// The size of a blob in bytes.
    async fn size(&self, digest: &Digest) -> Result<u64, BlobStoreError>;

    /// Removes a blob. One that is not there counts as removed.
    async fn delete(&self, digest: &Digest) -> Result<(), BlobStoreError>;

    /// Moves a blob that no record knows out of the way, where it is kept under the day of `now`. One that
    /// is not there counts as moved.
    ///
    /// It comes back by itself when it is asked for ([`open`](Self::open), [`size`](Self::size)), and
    /// [`blobs`](Self::blobs) does not list it.
    async fn set_aside(&self, digest: &Digest, now: DateTime<Utc>) -> Result<(), BlobStoreError>;

    /// Puts a blob back that was set aside. False if there is none.
    async fn take_back(&self, digest: &Digest) -> Result<bool, BlobStoreError>;

    /// Drops what was set aside on a day. A blob that is not there counts as dropped.
    async fn drop_aside(&self, blob: &AsideBlob) -> Result<(), BlobStoreError>;

    /// All that was set aside, in no particular order.
    fn aside(&self) -> BoxStream<'static, Result<AsideBlob, BlobStoreError>>;

    /// Goes on writing an upload behind its acknowledged bytes. A new upload goes on from
    /// [`UploadProgress::start`].
    ///
    /// Bytes that an earlier writer left without acknowledgement are dropped. If fewer than the
    /// acknowledged bytes are there, the upload is [`Damaged`](BlobStoreError::Damaged).
    async fn append(
        &self,
        upload: &UploadKey,
        progress: &UploadProgress,
    ) -> Result<Box<dyn UploadWriter>, BlobStoreError>;

    /// Makes an upload's acknowledged bytes the blob `digest`, if they have that digest
    /// ([`DigestMismatch`](BlobStoreError::DigestMismatch) leaves the upload as it was). The upload is
    /// gone afterwards.
    ///
    /// Idempotent: the blob may exist, another commit of it may be under way, and the same
    /// commit may be repeated after a crash.
    async fn commit(
        &self,
        upload: &UploadKey,
        progress: &UploadProgress,
        digest: &Digest,
    ) -> Result<(), BlobStoreError>;

    /// Drops the bytes of an upload that lie behind its acknowledged ones: those of a request that came
    /// to nothing. One without any is left as it is.
    async fn cut_back(
        &self,
        upload: &UploadKey,
        progress: &UploadProgress,
    ) -> Result<(), BlobStoreError>;

    /// Drops an upload's bytes. One without any counts as dropped.
    async fn abort(
        &self,
        upload: &UploadKey,
        progress: &UploadProgress,
    ) -> Result<(), BlobStoreError>;

    /// All blobs, in no particular order, for sweeps. What is written or deleted meanwhile may
    /// or may not appear.
    fn blobs(&self) -> BoxStream<'static, Result<StoredBlob, BlobStoreError>>;

    /// All uploads that have bytes, in no particular order, for sweeps.
    fn uploads(&self) -> BoxStream<'static, Result<StoredUpload, BlobStoreError>>;

    /// Which storage this is; `None` before its first database has met it.
    async fn identity(&self) -> Result<Option<StorageIdentity>, BlobStoreError>;

    /// Says which storage this is, durably.
    async fn identify(&self, identity: StorageIdentity) -> Result<(), BlobStoreError>;

    /// Whether another registry keeps its records here, as distribution does: what it knows of
    /// blobs, this one does not.
    async fn has_foreign_records(&self) -> Result<bool, BlobStoreError>;

    /// How much room there is.
    async fn capacity(&self) -> Result<Capacity, BlobStoreError>;

    /// Whether the store can return bytes at all, for health checks. Writes nothing: a store that is
    /// full or read-only passes.
    async fn check_reading(&self) -> Result<(), BlobStoreError>;

    /// Whether the store can take bytes, for health checks.
    async fn check_writing(&self) -> Result<(), BlobStoreError>;
}

/// Takes the bytes of one append. Dropping it gives up what was not [finished](Self::finish), but the
/// bytes may stay until the next append; [`abandon`](Self::abandon) gives their room back.
#[async_trait]
pub trait UploadWriter: fmt::Debug + Send {
    /// The upload's size in bytes, those included that are not acknowledged yet.
    fn offset(&self) -> u64;

    /// Takes the next bytes. Returns as soon as it can take more; an error may stem from bytes
    /// taken earlier, and every later call fails as well.
    async fn write(&mut self, bytes: Bytes) -> Result<(), BlobStoreError>;

    /// Makes everything that was written durable. The result is what to acknowledge. If it fails, the
    /// bytes are abandoned.
    async fn finish(self: Box<Self>) -> Result<UploadProgress, BlobStoreError>;

    /// Drops what was written, as far as that can be done: nobody is told if it cannot.
    async fn abandon(self: Box<Self>);
}

/// Names an upload: the session's id, and the repository below which its bytes are kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadKey {
    pub repository: RepositoryName,
    pub id: Uuid,
}

/// How far an upload has come: all that must be remembered to go on, here or on another replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadProgress {
    /// The algorithm that is computed on the way. Committing under another one costs a second read.
    pub algorithm: Algorithm,
    /// Acknowledged bytes.
    pub offset: u64,
    /// The digest so far.
    pub midstate: Midstate,
    /// What the backend wants to remember; opaque to everyone else.
    pub backend: Vec<u8>,
}

impl UploadProgress {
    /// Of an upload without bytes.
    #[must_use]
    pub fn start(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            offset: 0,
            midstate: Hasher::new(algorithm).midstate(),
            backend: Vec::new(),
        }
    }
}

/// A blob found by a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    pub digest: Digest,
    pub size: u64,
    /// When it was last written, or came into this storage, whichever is later.
    pub modified: DateTime<Utc>,
}

/// A blob that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsideBlob {
    pub digest: Digest,
    pub size: u64,
    /// The day on which it was moved, in UTC.
    pub since: NaiveDate,
}

/// What a storage and its database know each other by; see [`identity`](crate::identity).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageIdentity {
    #[serde(rename = "storage")]
    pub id: Uuid,
    /// Grows while content comes in.
    pub counter: u64,
}

/// An upload found by a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUpload {
    pub key: UploadKey,
    /// Bytes, acknowledged or not.
    pub size: u64,
    pub modified: DateTime<Utc>,
}

/// Room in bytes; `None` where the backend knows no bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    pub total: Option<u64>,
    pub available: Option<u64>,
}
