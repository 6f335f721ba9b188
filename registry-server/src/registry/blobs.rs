//! Blobs: pulling, mounting, and taking them out of a repository.
//!
//! A blob whose bytes are gone, or are not as many as they were, is answered as unknown: whoever
//! pushes it again mends it, and no client would if it were told that the blob is there.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Error, REVIEW_DELAY, Registry, unless_unwritable};
use crate::auth::{Authorized, Delete, Pull, Push};
use crate::blob_store::{Blob, BlobStoreError};
use crate::metadata;
use crate::metadata::{blobs, repositories};
use crate::oci::{Descriptor, Digest};

/// How many files of one manifest's blobs are looked at together.
const LOOKS: usize = 8;

impl Registry {
    /// The blob, open for reading. What was found is kept for a moment.
    pub async fn blob(&self, access: &Authorized<Pull>, digest: &Digest) -> Result<Blob, Error> {
        let key = (access.repository().clone(), digest.clone());
        let open = self.open.get(&key);
        self.metrics.looked_up(open.is_some());
        if let Some(blob) = open {
            return Ok(blob);
        }
        let asked = self.open.now();
        let linked = {
            let mut tx = self.database.read().await?;
            blobs::find_linked(&mut tx, access.repository(), digest).await?
        };
        let linked = linked.ok_or_else(|| Error::BlobUnknown(digest.clone()))?;
        let blob = self
            .sparing_files(async || self.blobs.open(digest).await)
            .await
            .map_err(|error| self.lost(digest, error))
            .and_then(|blob| {
                self.expect_size(digest, linked.size, blob.size())
                    .map(|()| blob)
            })
            .inspect_err(|_| self.metrics.look_up_failed())?;
        self.open.keep(&key, blob.clone(), asked);
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
            blobs::find_linked(&mut tx, repository, digest).await?
        };
        let linked = linked.ok_or_else(|| Error::BlobUnknown(digest.clone()))?;
        let stored = self.blobs.size(digest).await;
        let stored = stored.map_err(|error| self.lost(digest, error))?;
        self.expect_size(digest, linked.size, stored)?;
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
        Ok(linked.size)
    }

    /// Shows a blob here that is in another repository already. False if it cannot be: then the
    /// client must push it.
    ///
    /// Without `source`, the repositories that the caller may pull from are tried: those that the
    /// token names, and nothing else, or knowing a digest would be enough to get its content.
    pub async fn mount(
        &self,
        access: &Authorized<Push>,
        source: Option<&Authorized<Pull>>,
        digest: &Digest,
    ) -> Result<bool, Error> {
        self.writable()?;
        let stored = match self.blobs.size(digest).await {
            Ok(size) => size,
            Err(BlobStoreError::NotFound) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let sources = match source {
            Some(source) => Some(vec![source.repository().clone()]),
            None => access.caller().pullable(),
        };
        let mounted = self
            .transaction(async |tx, now| {
                let to = repositories::ensure(tx, access.repository(), now).await?;
                let due = now + REVIEW_DELAY;
                let from_each = match &sources {
                    // An open registry: everything may be pulled.
                    None => vec![None],
                    Some(sources) => sources.iter().map(Some).collect(),
                };
                for from in from_each {
                    let size = blobs::mount(tx, from, to, digest, due, now).await?;
                    if let Some(size) = size {
                        self.expect_size(digest, size, stored)?;
                        return Ok(true);
                    }
                }
                // Rolled back, so that a repository without content stays unknown.
                Err(Error::BlobUnknown(digest.clone()))
            })
            .await;
        match mounted {
            Err(Error::BlobUnknown(_)) => Ok(false),
            mounted => mounted,
        }
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
                blobs::lock_to_unlink(tx, digest).await?;
                if blobs::is_required(tx, repository, digest).await? {
                    return Err(Error::BlobRequired(digest.clone()));
                }
                let due = now + REVIEW_DELAY;
                Ok(blobs::unlink(tx, repository, digest, due).await?)
            })
            .await?;
        self.open.forget(&(repository.clone(), digest.clone()));
        if unlinked {
            Ok(())
        } else {
            Err(Error::BlobUnknown(digest.clone()))
        }
    }

    /// Those of the blobs whose bytes are gone, or are not as many as the manifest says.
    pub(super) async fn damaged<'d>(
        &self,
        required: impl Iterator<Item = &'d Descriptor>,
    ) -> Result<Vec<Digest>, Error> {
        let looks =
            required.map(
                async |descriptor| match self.blobs.size(&descriptor.digest).await {
                    Ok(size) if size == descriptor.size => Ok(None),
                    Ok(_) | Err(BlobStoreError::NotFound) => Ok(Some(descriptor.digest.clone())),
                    Err(error) => Err(error),
                },
            );
        let damaged: Vec<Option<Digest>> = stream::iter(looks)
            .buffer_unordered(LOOKS)
            .try_collect()
            .await?;
        let mut damaged: Vec<Digest> = damaged.into_iter().flatten().collect();
        damaged.sort();
        damaged.dedup();
        Ok(damaged)
    }

    /// The answer to a manifest that needs such blobs, which the database knows.
    pub(super) fn content_damaged(&self, damaged: &[Digest]) -> Error {
        for digest in damaged {
            tracing::error!(
                %digest, "a manifest needs a blob that is damaged or missing in the store: push it again"
            );
            self.metrics.found_damaged();
        }
        Error::ContentMissing(damaged.to_vec())
    }

    /// A blob that the database knows has as many bytes in the store, or it is as good as gone.
    fn expect_size(&self, digest: &Digest, known: u64, stored: u64) -> Result<(), Error> {
        if stored == known {
            return Ok(());
        }
        tracing::error!(
            %digest, known, stored, "a blob in the store has another size than it had: push it again"
        );
        self.metrics.found_damaged();
        Err(Error::BlobUnknown(digest.clone()))
    }

    /// What to answer if a blob that the database knows cannot be had from the store.
    fn lost(&self, digest: &Digest, error: BlobStoreError) -> Error {
        match error {
            BlobStoreError::NotFound | BlobStoreError::Damaged(_) => {
                tracing::error!(%digest, %error, "a blob is missing from the store: push it again");
                self.metrics.found_damaged();
                Error::BlobUnknown(digest.clone())
            }
            error => error.into(),
        }
    }
}
