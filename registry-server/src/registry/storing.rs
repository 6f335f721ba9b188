//! The end of an upload: its bytes become a blob, and a repository shows it.
//!
//! A crash may come between the move of the bytes and the commit of the rows. So the session notes
//! beforehand what its bytes are: whoever repeats the request finds them at their place, and only the
//! rows are made up for.

use uuid::Uuid;

use super::leases::{Held, LEASE};
use super::uploads::upload_error;
use super::{Error, REVIEW_DELAY, Registry};
use crate::blob_store::{BlobStoreError, UploadKey, UploadProgress};
use crate::metadata::blobs::{self, Reservation};
use crate::metadata::repositories;
use crate::metadata::uploads::{self, Verified};
use crate::oci::{Digest, Hasher};

impl Registry {
    /// Makes an upload's bytes a blob, and shows it in the repository. The session of `writer` ends.
    pub(super) async fn store(
        &self,
        key: &UploadKey,
        progress: &UploadProgress,
        digest: &Digest,
        writer: Option<Uuid>,
    ) -> Result<(), Error> {
        let size = progress.offset;
        let verified = verify(progress, digest)?.then(|| Verified {
            digest: digest.clone(),
            size,
        });
        self.expect_content().await?;
        // Keeps collectors away while the bytes move. After a power cut that takes the reservation
        // they are bytes without a row, like those of any push that died.
        let reservation = self
            .relaxed_transaction(async |tx, now| {
                if let Some(writer) = writer
                    && !uploads::verify(tx, key, writer, verified.as_ref(), now + LEASE).await?
                {
                    return Err(Error::UploadBusy);
                }
                Ok(blobs::reserve(tx, digest, size, now + REVIEW_DELAY, now).await?)
            })
            .await?;
        let moved = self.blobs.commit(key, progress, digest).await;
        moved.map_err(upload_error)?;
        self.show(key, digest, size, reservation, writer).await
    }

    /// Ends a session whose bytes an earlier request has made the blob `digest`, or had found to be it
    /// when somebody else did. False if they are still to be stored.
    pub(super) async fn finish_verified(
        &self,
        held: &Held,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let Held { upload, writer } = held;
        let Some(Verified { size, .. }) = upload
            .verified
            .as_ref()
            .filter(|verified| verified.digest == *digest)
        else {
            return Ok(false);
        };
        // First, so that no collector comes between the look and the link.
        let reservation = self
            .relaxed_transaction(async |tx, now| {
                Ok(blobs::reserve(tx, digest, *size, now + REVIEW_DELAY, now).await?)
            })
            .await?;
        match self.blobs.size(digest).await {
            Ok(stored) if stored == *size => {}
            Ok(_) | Err(BlobStoreError::NotFound) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        self.show(&upload.key, digest, *size, reservation, Some(*writer))
            .await?;
        self.drop_bytes(&upload.key, &upload.progress).await;
        Ok(true)
    }

    async fn show(
        &self,
        key: &UploadKey,
        digest: &Digest,
        size: u64,
        reservation: Reservation,
        writer: Option<Uuid>,
    ) -> Result<(), Error> {
        self.transaction(async |tx, now| {
            if let Some(writer) = writer
                && !uploads::delete(tx, key, writer).await?
            {
                return Err(Error::UploadBusy);
            }
            let repository = repositories::ensure(tx, &key.repository, now).await?;
            if blobs::link(tx, repository, digest, reservation, size, now).await? {
                Ok(())
            } else {
                Err(Error::ContentSwept)
            }
        })
        .await
    }
}

/// Whether the bytes have this digest, as far as that was computed on the way. Wrong digests are common
/// enough to be found before anything is written for them.
fn verify(progress: &UploadProgress, digest: &Digest) -> Result<bool, Error> {
    match Hasher::resume(&progress.midstate) {
        Ok(hasher)
            if hasher.algorithm() == digest.algorithm() && hasher.length() == progress.offset =>
        {
            let actual = hasher.finish();
            if actual == *digest {
                Ok(true)
            } else {
                Err(Error::DigestMismatch {
                    expected: digest.clone(),
                    actual,
                })
            }
        }
        // The store finds out: it reads the bytes again.
        Ok(_) | Err(_) => Ok(false),
    }
}
