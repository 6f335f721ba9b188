//! Uploads: how blobs come in.
//!
//! A session belongs to a repository and to the subject that opened it. Requests that write to it
//! hold its lease, so that two of them never mix their bytes, on whichever replicas they are; a lease
//! runs out if its holder dies. What a request has stored is acknowledged by its commit, and a
//! session goes on from there, in another process if need be.

use std::future::Future;
use std::ops::Range;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{Stream, StreamExt as _};
use registry_token::RepositoryName;
use uuid::Uuid;

use super::{Error, Interrupted, REVIEW_DELAY, Registry};
use crate::auth::{Authorized, Delete, Permission, Pull, Push, UploadProof};
use crate::blob_store::{BlobStoreError, UploadKey, UploadProgress, UploadWriter};
use crate::metadata::blobs;
use crate::metadata::repositories;
use crate::metadata::uploads::{self, Lease, Upload};
use crate::oci::{Algorithm, Digest, Hasher};

/// How long a lease is believed after its holder was last heard of. A crashed replica's upload can
/// be continued after this time.
const LEASE: TimeDelta = TimeDelta::seconds(30);

/// How often a holder makes itself heard.
const RENEWAL: Duration = Duration::from_secs(10);

/// A session whose lease this request holds.
#[derive(Debug)]
struct Held {
    upload: Upload,
    writer: Uuid,
}

impl Registry {
    /// Opens a session. Hashing goes on while bytes come in, by the algorithm that the client is
    /// likely to name them by.
    pub async fn open_upload(
        &self,
        access: &Authorized<Push>,
        algorithm: Algorithm,
    ) -> Result<Uuid, Error> {
        self.writable()?;
        let key = self.new_key(access);
        let subject = access.caller().subject();
        // Nothing has been entrusted to it yet: one that a power cut takes is opened again.
        self.relaxed_transaction(async |tx, now| {
            Ok(uploads::create(tx, &key, subject, algorithm, now).await?)
        })
        .await?;
        Ok(key.id)
    }

    /// How many bytes of a session are stored. Not known while a request writes to it: the broken
    /// one that its client is about to make up for may not have ended yet.
    pub async fn upload_offset(&self, proof: UploadProof<Pull>, id: Uuid) -> Result<u64, Error> {
        let key = UploadKey {
            repository: proof.repository().clone(),
            id,
        };
        let mut tx = self.database.read().await?;
        let found = uploads::find(&mut tx, &key).await?;
        let upload = redeem(proof, found)?;
        if upload.is_being_written(self.clock.now()) {
            return Err(Error::UploadBusy);
        }
        Ok(upload.progress.offset)
    }

    /// Adds bytes to a session: those of `chunk`, or whatever comes. Returns how many it has then.
    pub async fn append_to_upload(
        &self,
        proof: UploadProof<Push>,
        id: Uuid,
        chunk: Option<Range<u64>>,
        body: impl Stream<Item = Result<Bytes, Interrupted>>,
    ) -> Result<u64, Error> {
        self.writable()?;
        let held = self.hold(proof, id).await?;
        self.settled(&held, async {
            let (progress, interrupted) = self.receive(&held, chunk, body).await?;
            self.acknowledge(&held, &progress).await?;
            match interrupted {
                Some(interrupted) => Err(interrupted.into()),
                None => Ok(progress.offset),
            }
        })
        .await
    }

    /// Adds the last bytes, if there are any, and makes the session's content the blob `digest`.
    ///
    /// Content with another digest ends the session, as distribution has it: no client can mend
    /// what it has sent.
    pub async fn complete_upload(
        &self,
        proof: UploadProof<Push>,
        id: Uuid,
        chunk: Option<Range<u64>>,
        body: impl Stream<Item = Result<Bytes, Interrupted>>,
        digest: &Digest,
    ) -> Result<(), Error> {
        self.writable()?;
        let held = self.hold(proof, id).await?;
        self.settled(&held, async {
            let (progress, interrupted) = self.receive(&held, chunk, body).await?;
            if let Some(interrupted) = interrupted {
                self.acknowledge(&held, &progress).await?;
                return Err(interrupted.into());
            }
            let key = &held.upload.key;
            let stored = self.store(key, &progress, digest, Some(held.writer)).await;
            if let Err(Error::DigestMismatch { .. }) = &stored {
                self.discard(&held).await?;
            }
            stored
        })
        .await
    }

    /// Takes a blob that comes in one piece, without a session.
    pub async fn push_blob(
        &self,
        access: &Authorized<Push>,
        digest: &Digest,
        body: impl Stream<Item = Result<Bytes, Interrupted>>,
    ) -> Result<(), Error> {
        self.writable()?;
        let key = self.new_key(access);
        let start = UploadProgress::start(digest.algorithm());
        let writer = self.blobs.append(&key, &start).await?;
        let result = match write(writer, None, body).await {
            Ok((progress, None)) => self.store(&key, &progress, digest, None).await,
            Ok((_, Some(interrupted))) => Err(interrupted.into()),
            Err(error) => Err(error),
        };
        if result.is_err() {
            // Nobody knows the key, so nothing can be continued. What stays is swept.
            if let Err(error) = self.blobs.abort(&key, &start).await {
                tracing::warn!(%error, "cannot drop the bytes of a failed upload");
            }
        }
        result
    }

    /// Ends a session and drops its bytes.
    pub async fn cancel_upload(&self, proof: UploadProof<Delete>, id: Uuid) -> Result<(), Error> {
        self.writable()?;
        let held = self.hold(proof, id).await?;
        self.discard(&held).await
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
        match self.blobs.size(digest).await {
            Ok(_) => {}
            Err(BlobStoreError::NotFound) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
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
                    if size.is_some() {
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

    /// Drops sessions that nobody has written to since `before`. Returns those it dropped, or would
    /// have.
    pub async fn expire_uploads(
        &self,
        before: DateTime<Utc>,
        dry_run: bool,
    ) -> Result<Vec<UploadKey>, Error> {
        const BATCH: u32 = 1_000;
        let mut expired = Vec::new();
        loop {
            let keys = {
                let mut tx = self.database.read().await?;
                uploads::expired(&mut tx, before, self.clock.now(), BATCH).await?
            };
            let found = keys.len();
            let dropped = expired.len();
            for key in keys {
                if dry_run || self.expire(&key).await? {
                    expired.push(key);
                }
            }
            // Those that are being written to again would be found for ever.
            if dry_run || found < BATCH as usize || expired.len() == dropped {
                return Ok(expired);
            }
        }
    }

    async fn expire(&self, key: &UploadKey) -> Result<bool, Error> {
        let writer = self.clock.unguessable_id();
        let now = self.clock.now();
        let mut tx = self.database.begin_relaxed().await?;
        let lease = uploads::acquire(&mut tx, key, writer, now + LEASE, now).await?;
        tx.commit().await?;
        match lease {
            Lease::Held(upload) => {
                self.discard(&Held { upload, writer }).await?;
                Ok(true)
            }
            Lease::Busy | Lease::Unknown => Ok(false),
        }
    }

    fn new_key(&self, access: &Authorized<Push>) -> UploadKey {
        UploadKey {
            repository: access.repository().clone(),
            id: self.clock.unguessable_id(),
        }
    }

    /// Takes the lease of a session that the caller may go on with.
    async fn hold<P>(&self, proof: UploadProof<P>, id: Uuid) -> Result<Held, Error>
    where
        P: Permission<Resource = RepositoryName> + Clone,
    {
        let key = UploadKey {
            repository: proof.repository().clone(),
            id,
        };
        let writer = self.clock.unguessable_id();
        // No holder outlives a power cut, so neither need its lease.
        let lease = self
            .relaxed_transaction(async |tx, now| {
                let found = uploads::find(tx, &key).await?;
                redeem(proof.clone(), found)?;
                Ok(uploads::acquire(tx, &key, writer, now + LEASE, now).await?)
            })
            .await?;
        match lease {
            Lease::Held(upload) => Ok(Held { upload, writer }),
            Lease::Busy => Err(Error::UploadBusy),
            Lease::Unknown => Err(Error::UploadUnknown),
        }
    }

    /// Writes what comes in behind the session's bytes.
    async fn receive(
        &self,
        held: &Held,
        chunk: Option<Range<u64>>,
        body: impl Stream<Item = Result<Bytes, Interrupted>>,
    ) -> Result<(UploadProgress, Option<Interrupted>), Error> {
        let progress = &held.upload.progress;
        if let Some(chunk) = &chunk
            && chunk.start != progress.offset
        {
            return Err(Error::OutOfOrder {
                offset: progress.offset,
            });
        }
        // Most sessions are completed by a request without a body.
        let mut body = pin!(body.peekable());
        if body.as_mut().peek().await.is_none() && chunk.is_none() {
            return Ok((progress.clone(), None));
        }
        let writer = self.blobs.append(&held.upload.key, progress).await?;
        let announced = chunk.map(|chunk| chunk.end - chunk.start);
        write(writer, announced, body).await
    }

    /// Makes an upload's bytes a blob, and shows it in the repository. The session of `writer` ends.
    async fn store(
        &self,
        key: &UploadKey,
        progress: &UploadProgress,
        digest: &Digest,
        writer: Option<Uuid>,
    ) -> Result<(), Error> {
        // Wrong digests are common enough to be found before anything is written for them.
        if let Ok(hasher) = Hasher::resume(&progress.midstate)
            && hasher.algorithm() == digest.algorithm()
        {
            let actual = hasher.finish();
            if actual != *digest {
                return Err(Error::DigestMismatch {
                    expected: digest.clone(),
                    actual,
                });
            }
        }
        self.expect_content().await?;
        // Keeps collectors away while the bytes move. After a power cut that takes the reservation
        // they are bytes without a row, like those of any push that died.
        self.relaxed_transaction(async |tx, now| {
            let due = now + REVIEW_DELAY;
            Ok(blobs::reserve(tx, digest, progress.offset, due, now).await?)
        })
        .await?;
        self.blobs.commit(key, progress, digest).await?;
        self.transaction(async |tx, now| {
            if let Some(writer) = writer
                && !uploads::delete(tx, key, writer).await?
            {
                return Err(Error::UploadBusy);
            }
            let repository = repositories::ensure(tx, &key.repository, now).await?;
            if blobs::link(tx, repository, digest, progress.offset, now).await? {
                Ok(())
            } else {
                Err(Error::Internal("the reservation of a blob is gone".into()))
            }
        })
        .await
    }

    /// Records what has become durable, and gives the lease back.
    async fn acknowledge(&self, held: &Held, progress: &UploadProgress) -> Result<(), Error> {
        let advanced = self
            .transaction(async |tx, now| {
                let key = &held.upload.key;
                Ok(uploads::advance(tx, key, held.writer, progress, now).await?)
            })
            .await?;
        if advanced {
            Ok(())
        } else {
            Err(Error::UploadBusy)
        }
    }

    /// Ends a session: its bytes first, so that no session is forgotten while it has some.
    async fn discard(&self, held: &Held) -> Result<(), Error> {
        let Held { upload, writer } = held;
        self.blobs.abort(&upload.key, &upload.progress).await?;
        let mut tx = self.database.begin().await?;
        uploads::delete(&mut tx, &upload.key, *writer).await?;
        Ok(tx.commit().await?)
    }

    /// Runs `work` while the lease is kept alive. If it fails, the lease is given back, so that the
    /// client may try again at once.
    async fn settled<T>(
        &self,
        held: &Held,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let result =
            beside_renewals(work, RENEWAL, async || Box::pin(self.renew(held)).await).await;
        if result.is_err() {
            let released = self
                .relaxed_transaction(async |tx, _| {
                    Ok(uploads::release(tx, &held.upload.key, held.writer).await?)
                })
                .await;
            if let Err(error) = released {
                tracing::warn!(%error, "cannot give back the lease of an upload");
            }
        }
        result
    }

    async fn renew(&self, held: &Held) -> Result<bool, Error> {
        self.relaxed_transaction(async |tx, now| {
            Ok(uploads::renew(tx, &held.upload.key, held.writer, now + LEASE).await?)
        })
        .await
    }
}

/// Runs `work`, and `renew` at each `interval` until then. `renew` answers whether the lease still holds.
///
/// Both are polled all the time: `work` may be in the middle of a transaction, which a renewal that
/// wants one, too, has to wait for.
async fn beside_renewals<T>(
    work: impl Future<Output = Result<T, Error>>,
    interval: Duration,
    renew: impl AsyncFn() -> Result<bool, Error>,
) -> Result<T, Error> {
    let renewals = async {
        let mut due = tokio::time::interval(interval);
        due.tick().await;
        loop {
            due.tick().await;
            match renew().await {
                Ok(true) => {}
                Ok(false) => return Error::UploadBusy,
                // Whether the lease still holds is seen when its work is acknowledged.
                Err(error) => tracing::warn!(%error, "cannot renew the lease of an upload"),
            }
        }
    };
    tokio::select! {
        result = work => result,
        lost = renewals => Err(lost),
    }
}

/// The session, if the caller may go on with it.
fn redeem<P>(proof: UploadProof<P>, found: Option<Upload>) -> Result<Upload, Error>
where
    P: Permission<Resource = RepositoryName>,
{
    let Some(upload) = found else {
        proof.redeem_nothing()?;
        return Err(Error::UploadUnknown);
    };
    proof.redeem(upload.subject.as_deref(), upload.created_at)?;
    Ok(upload)
}

/// Writes a body to its end, or to where it is interrupted: what has arrived until then is kept.
/// A body that is not as long as was announced is not.
async fn write(
    mut writer: Box<dyn UploadWriter>,
    announced: Option<u64>,
    body: impl Stream<Item = Result<Bytes, Interrupted>>,
) -> Result<(UploadProgress, Option<Interrupted>), Error> {
    let start = writer.offset();
    let mut body = pin!(body);
    let mut interrupted = None;
    while let Some(bytes) = body.next().await {
        match bytes {
            Ok(bytes) => writer.write(bytes).await?,
            Err(error) => {
                interrupted = Some(error);
                break;
            }
        }
        let received = writer.offset() - start;
        if let Some(announced) = announced
            && received > announced
        {
            return Err(Error::ChunkSize {
                announced,
                received,
            });
        }
    }
    let received = writer.offset() - start;
    if let Some(announced) = announced
        && interrupted.is_none()
        && received != announced
    {
        return Err(Error::ChunkSize {
            announced,
            received,
        });
    }
    Ok((writer.finish().await?, interrupted))
}

#[cfg(test)]
#[path = "uploads_tests.rs"]
mod tests;
