//! The storage as a whole, and the database that it belongs to: see [`identity`](crate::identity).

use super::{Error, Registry};
use crate::blob_store::StorageIdentity;
use crate::identity::{IdentityError, Standing};

impl Registry {
    /// Whether the storage and the database go together. Those that meet for the first time are introduced,
    /// unless only to look is asked for.
    pub async fn standing(&self, only_look: bool) -> Result<Standing, IdentityError> {
        let only_look = only_look || self.rules.load().read_only;
        let (database, blobs) = (&self.database, &*self.blobs);
        self.identity.establish(database, blobs, only_look).await
    }

    /// Has the storage and the database go together from now on.
    pub async fn adopt_storage(&self) -> Result<StorageIdentity, IdentityError> {
        self.identity.adopt(&self.database, &*self.blobs).await
    }

    /// Content is about to come in: notes it in both. Refuses it if they do not go together.
    pub async fn expect_content(&self) -> Result<(), Error> {
        match self.identity.advance(&self.database, &*self.blobs).await {
            Ok(()) => Ok(()),
            // What cannot be written to refuses the content by itself, if it must.
            Err(error @ (IdentityError::Database(_) | IdentityError::Storage(_))) => {
                tracing::warn!(%error, "cannot note that content comes in");
                Ok(())
            }
            Err(error) => Err(Error::StoreUnavailable(std::io::Error::other(error))),
        }
    }
}
