//! Blobs: pulling, and taking them out of a repository.

use super::{Error, REVIEW_DELAY, Registry, unless_unwritable};
use crate::auth::{Authorized, Delete, Pull};
use crate::blob_store::{Blob, BlobStoreError};
use crate::metadata;
use crate::oci::Digest;

impl Registry {
    /// The blob, open for reading.
    ///
    /// The layer of an image that is being rolled out is asked for a hundred times in a row, so
    /// what was found is kept for a moment.
    pub async fn blob(&self, access: &Authorized<Pull>, digest: &Digest) -> Result<Blob, Error> {
        let key = (access.repository().clone(), digest.clone());
        let open = self.open.get(&key);
        self.metrics.looked_up(open.is_some());
        if let Some(blob) = open {
            return Ok(blob);
        }
        let linked = {
            let mut tx = self.database.read().await?;
            metadata::blobs::find_linked(&mut tx, access.repository(), digest).await?
        };
        if linked.is_none() {
            return Err(Error::BlobUnknown(digest.clone()));
        }
        let blob = self.blobs.open(digest).await.map_err(|error| {
            self.metrics.look_up_failed();
            lost(error, digest)
        })?;
        self.open.insert(key, blob.clone());
        Ok(blob)
    }

    /// The size of a blob, for a client that wants to know whether it must push it. Told that it
    /// need not, the client relies on it: so its bytes are looked for, and its review is put off.
    pub async fn blob_size(
        &self,
        access: &Authorized<Pull>,
        digest: &Digest,
    ) -> Result<u64, Error> {
        let repository = access.repository();
        let linked = {
            let mut tx = self.database.read().await?;
            metadata::blobs::find_linked(&mut tx, repository, digest).await?
        };
        let linked = linked.ok_or_else(|| Error::BlobUnknown(digest.clone()))?;
        let size = self
            .blobs
            .size(digest)
            .await
            .map_err(|error| lost(error, digest))?;
        let now = self.clock.now();
        // Asked often, it is put off seldom: half of the time is enough for a push.
        if linked
            .review_due_at
            .is_some_and(|due| due < now + REVIEW_DELAY / 2)
            && !self.rules.load().read_only
        {
            let put_off = self
                .transaction(async |tx, now| {
                    let due = now + REVIEW_DELAY;
                    Ok(metadata::reviews::postpone_blob(tx, digest, due).await?)
                })
                .await;
            unless_unwritable(put_off)?;
        }
        Ok(size)
    }

    /// Takes a blob out of a repository. Its bytes go when no repository needs them.
    pub async fn delete_blob(
        &self,
        access: &Authorized<Delete>,
        digest: &Digest,
    ) -> Result<(), Error> {
        self.deletable()?;
        let repository = access.repository();
        let unlinked = self
            .transaction(async |tx, now| {
                if metadata::blobs::is_required(tx, repository, digest).await? {
                    return Err(Error::BlobRequired(digest.clone()));
                }
                let due = now + REVIEW_DELAY;
                Ok(metadata::blobs::unlink(tx, repository, digest, due).await?)
            })
            .await?;
        self.open.invalidate(&(repository.clone(), digest.clone()));
        if unlinked {
            Ok(())
        } else {
            Err(Error::BlobUnknown(digest.clone()))
        }
    }
}

/// Content that the database knows and the store has lost is answered as unknown: whoever pushes
/// it again mends it.
fn lost(error: BlobStoreError, digest: &Digest) -> Error {
    match error {
        BlobStoreError::NotFound | BlobStoreError::Damaged(_) => {
            tracing::error!(%digest, %error, "a blob is missing from the store");
            Error::BlobUnknown(digest.clone())
        }
        error => error.into(),
    }
}
