//! Why the registry does not start.

use std::path::PathBuf;

use crate::blob_store::BlobStoreError;

/// Each names what to look at.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Database(#[from] database::StartError),
    #[error("the database does not work: {0}")]
    Statement(#[from] database::Error),
    #[error("cannot keep blobs in {}: {source}", path.display())]
    Storage {
        path: PathBuf,
        source: BlobStoreError,
    },
    #[error(transparent)]
    Passwords(#[from] crate::auth::passwords::PasswordsError),
    #[error("no keys to verify tokens with: {0}")]
    Keys(#[from] registry_token::KeySourceError),
}
