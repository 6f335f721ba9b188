//! What can go wrong, in the words of the registry; [`http`](crate::http) turns it into status
//! and OCI code.

use crate::auth::Refusal;
use crate::blob_store::BlobStoreError;
use crate::oci::{Digest, ManifestError, Tag};

/// Why the registry did not do what it was asked. The messages are for clients.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),

    #[error("the registry has no repository of this name")]
    RepositoryUnknown,
    #[error("the repository has no blob {0}")]
    BlobUnknown(Digest),
    #[error("a manifest of the repository needs the blob {0}: delete the manifest first")]
    BlobRequired(Digest),
    #[error("the repository has no such manifest")]
    ManifestUnknown,
    #[error("the repository has no tag {0}")]
    TagUnknown(Tag),

    #[error("there is no such upload: it was finished, cancelled, has expired or never began")]
    UploadUnknown,
    /// Acknowledged bytes are not there any more. The session is over.
    #[error("what this upload had received is gone: start the upload again")]
    UploadLost,
    /// Two requests write to one session. The later one loses; nothing of it is kept.
    #[error("another request is writing to this upload")]
    UploadBusy,
    /// Chunks are to come in order.
    #[error("the upload has {offset} bytes, so the next chunk must start at byte {offset}")]
    OutOfOrder { offset: u64 },
    #[error("the chunk was announced with {announced} bytes, but has {received}")]
    ChunkSize { announced: u64, received: u64 },
    /// The content is not what its name says. Nothing is stored, and an upload is over.
    #[error("the content has the digest {actual}, not {expected}")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),

    #[error(transparent)]
    ManifestInvalid(#[from] ManifestError),
    #[error(
        "clients would fetch content from {0:?}, which this registry does not allow: see \
         `validation.manifests.urls.allow` in its configuration"
    )]
    UrlForbidden(String),
    /// A manifest names content that the repository does not have.
    #[error("the manifest names content that the repository does not have")]
    ContentMissing(Vec<Digest>),

    #[error("the blob {digest} has {size} bytes, not as many as the manifest says")]
    SizeMismatch { digest: Digest, size: u64 },

    #[error("this registry does not delete: set `storage.delete.enabled` to allow it")]
    DeletionDisabled,
    #[error("the registry is read-only for maintenance")]
    Maintenance,

    /// One subject has too much in unfinished uploads.
    #[error(
        "the unfinished uploads of one user may take {limit} bytes in all, and this would be more: \
         finish or cancel some of them first, or see `uploads.maxheld` in the registry's \
         configuration"
    )]
    TooMuchHeld { limit: u64 },
    /// Storing the content took so long that it was swept as abandoned. It may be pushed again.
    #[error(
        "the content was removed while it was being stored, as nobody seemed to want it: push it again"
    )]
    ContentSwept,

    /// What is announced does not fit, or nothing would.
    #[error("the registry's storage has no room for {}", needed(*bytes))]
    NoRoom { bytes: Option<u64> },
    #[error("the registry's storage is full: nothing can be pushed until its operator makes room")]
    StoreFull(#[source] std::io::Error),
    #[error(
        "the registry's storage is read-only: nothing can be pushed or deleted until its operator \
         makes it writable"
    )]
    StoreReadOnly(#[source] std::io::Error),
    #[error("the registry's storage is unavailable")]
    StoreUnavailable(#[source] std::io::Error),
    #[error("the registry's database is unavailable")]
    DatabaseUnavailable(#[source] database::Error),
    #[error("the disk of the registry's database is full")]
    DatabaseFull(#[source] database::Error),
    #[error("the registry's database is read-only")]
    DatabaseReadOnly(#[source] database::Error),
    /// A defect, or damage. Clients learn only that.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn needed(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || "more uploads".to_owned(),
        |bytes| format!("{bytes} more bytes"),
    )
}

/// Why a body did not arrive whole. What did arrive, and is stored, is kept: the client may ask
/// for the upload's status and go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    #[error("the connection ended before the body was complete")]
    Disconnected,
    #[error("the client sent nothing for too long")]
    TooSlow,
    #[error("the body is not encoded as its headers say")]
    Malformed,
}

impl From<database::Error> for Error {
    fn from(error: database::Error) -> Self {
        match error {
            // Whoever lost a race wins the next one: to clients it is a short unavailability.
            database::Error::Unavailable(_) | database::Error::Race(_) => {
                Self::DatabaseUnavailable(error)
            }
            database::Error::Full(_) => Self::DatabaseFull(error),
            database::Error::ReadOnly(_) => Self::DatabaseReadOnly(error),
            database::Error::Conflict(_) | database::Error::Internal(_) => {
                Self::Internal(Box::new(error))
            }
        }
    }
}

impl From<BlobStoreError> for Error {
    fn from(error: BlobStoreError) -> Self {
        match error {
            BlobStoreError::Busy => Self::UploadBusy,
            BlobStoreError::DigestMismatch { expected, actual } => {
                Self::DigestMismatch { expected, actual }
            }
            BlobStoreError::NoSpace(source) => Self::StoreFull(source),
            BlobStoreError::ReadOnly(source) => Self::StoreReadOnly(source),
            BlobStoreError::Unavailable(source) => Self::StoreUnavailable(source),
            // Whoever asks for content that may be missing handles it; here the database says
            // that it is there.
            BlobStoreError::NotFound | BlobStoreError::Damaged(_) => {
                Self::Internal(Box::new(error))
            }
        }
    }
}
