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
    Identity(#[from] crate::identity::IdentityError),
    #[error("cannot note that content may come in: {0}")]
    Content(#[from] crate::registry::Error),
    #[error(transparent)]
    Passwords(#[from] crate::auth::passwords::PasswordsError),
    #[error("no keys to verify tokens with: {0}")]
    Keys(#[from] registry_token::KeySourceError),
}
