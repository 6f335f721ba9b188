//! [`BlobStoreError`]: errors by meaning.

use std::io;

use rustix::io::Errno;

use crate::oci::Digest;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BlobStoreError {
    #[error("there is no such content in the store")]
    NotFound,
    /// The disk or a quota is full. Nothing was acknowledged.
    #[error("the store is full")]
    NoSpace(#[source] io::Error),
    /// The store cannot be written to: a read-only mount, missing permission.
    #[error("the store is read-only")]
    ReadOnly(#[source] io::Error),
    /// Another writer has the upload.
    #[error("the upload is being written by somebody else")]
    Busy,
    /// The bytes are not what they were said to be.
    #[error("the content has the digest {actual}, not {expected}")]
    DigestMismatch { expected: Digest, actual: Digest },
    /// Stored bytes are missing or shorter than acknowledged. Nothing that a client can mend.
    #[error("stored content is damaged: {0}")]
    Damaged(&'static str),
    /// Anything else; it may work later.
    #[error("the store is unavailable")]
    Unavailable(#[source] io::Error),
}

impl From<io::Error> for BlobStoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::NoSpace(error),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly(error)
            }
            _ => Self::Unavailable(error),
        }
    }
}

impl BlobStoreError {
    /// Of what was only read: a file that may not be opened does not make the store read-only.
    pub(super) fn while_reading(self) -> Self {
        match self {
            Self::ReadOnly(error) => Self::Unavailable(error),
            error => error,
        }
    }
}

impl From<Errno> for BlobStoreError {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl BlobStoreError {
    /// Whether the process, or the machine, may not open any more files: what is kept open for later
    /// is in the way.
    #[must_use]
    pub fn is_out_of_files(&self) -> bool {
        let Self::Unavailable(error) = self else {
            return false;
        };
        [Errno::MFILE, Errno::NFILE]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    }
}
