//! Uploads: how blobs come in.
//!
//! A session belongs to a repository and to the subject that opened it. Requests that write to it
//! hold its [lease](super::leases). What a request has stored is acknowledged by its commit, and a
//! session goes on from there, in another process if need be. Bytes that come to nothing, because
//! they cannot be written or acknowledged, are dropped at once: nobody would use them.

use std::future::ready;
use std::ops::Range;
use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use uuid::Uuid;

use super::allowance::Allowance;
use super::leases::{Held, redeem};
use super::{Error, Interrupted, Registry};
use crate::auth::{Authorized, Delete, Pull, Push, UploadProof};
use crate::blob_store::{BlobStoreError, UploadKey, UploadProgress, UploadWriter};
use crate::metadata::uploads;
use crate::oci::{Algorithm, Digest};

/// How many bytes come in between two looks at the room that is left.
const STRIDE: u64 = 8 << 20;

/// What a request says of its body before it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Where the bytes belong.
    pub chunk: Option<Range<u64>>,
    /// How many there are.
    pub length: Option<u64>,
}

impl Announced {
    fn bytes(&self) -> Option<u64> {
        let chunk = self.chunk.as_ref().map(|chunk| chunk.end - chunk.start);
        chunk.or(self.length)
    }
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

    /// Adds bytes to a session. Returns how many it has then.
    pub async fn append_to_upload(
        &self,
        proof: UploadProof<Push>,
        id: Uuid,
        announced: Announced,
        body: impl Stream<Item = Result<Bytes, Interrupted>>,
    ) -> Result<u64, Error> {
        self.writable()?;
        let held = self.hold(proof, id).await?;
        self.settled(&held, async {
            let received = self.receive(&held, announced, body).await;
            let (progress, interrupted) = self.end_if_lost(&held, received).await?;
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
        announced: Announced,
        body: impl Stream<Item = Result<Bytes, Interrupted>>,
        digest: &Digest,
    ) -> Result<(), Error> {
        self.writable()?;
        let held = self.hold(proof, id).await?;
        self.settled(&held, async {
            if self.finish_verified(&held, digest).await? {
                // The same bytes once more. A client does not listen before it has sent them.
                body.take_while(|bytes| ready(bytes.is_ok()))
                    .for_each(|_| ready(()))
                    .await;
                return Ok(());
            }
            let received = self.receive(&held, announced, body).await;
            let (progress, interrupted) = self.end_if_lost(&held, received).await?;
            if let Some(interrupted) = interrupted {
                self.acknowledge(&held, &progress).await?;
                return Err(interrupted.into());
            }
            let key = &held.upload.key;
            let stored = self.store(key, &progress, digest, Some(held.writer)).await;
            match &stored {
                Ok(()) => {}
                Err(Error::DigestMismatch { .. }) => self.end(&held).await,
                Err(_) => self.cut_back(&held).await,
            }
            self.end_if_lost(&held, stored).await
        })
        .await
    }

    /// Takes a blob that comes in one piece, without a session.
    pub async fn push_blob(
        &self,
        access: &Authorized<Push>,
        digest: &Digest,
        length: Option<u64>,
        body: impl Stream<Item = Result<Bytes, Interrupted>>,
    ) -> Result<(), Error> {
        self.writable()?;
        let key = self.new_key(access);
        let start = UploadProgress::start(digest.algorithm());
        let mut allowance = self.admit(access.caller().subject(), length).await?;
        let writer = self.open_writer(&key, &start).await?;
        let result = match self.write(writer, None, &mut allowance, body).await {
            Ok((progress, None)) => self.store(&key, &progress, digest, None).await,
            Ok((_, Some(interrupted))) => Err(interrupted.into()),
            Err(error) => Err(error),
        };
        if result.is_err() {
            // Nobody knows the key, so nothing can be continued.
            self.drop_bytes(&key, &start).await;
        }
        match result {
            // There is no session that could be over. A sweep takes such an upload for abandoned
            // when the clock is set forward.
            Err(Error::UploadLost) => Err(Error::ContentSwept),
            result => result,
        }
    }

    /// Ends a session and drops its bytes.
    pub async fn cancel_upload(&self, proof: UploadProof<Delete>, id: Uuid) -> Result<(), Error> {
        self.writable()?;
        let held = self.hold(proof, id).await?;
        self.settled(&held, self.discard(&held)).await
    }

    fn new_key(&self, access: &Authorized<Push>) -> UploadKey {
        UploadKey {
            repository: access.repository().clone(),
            id: self.clock.unguessable_id(),
        }
    }

    /// Writes what comes in behind the session's bytes.
    async fn receive(
        &self,
        held: &Held,
        announced: Announced,
        body: impl Stream<Item = Result<Bytes, Interrupted>>,
    ) -> Result<(UploadProgress, Option<Interrupted>), Error> {
        let progress = &held.upload.progress;
        if let Some(chunk) = &announced.chunk
            && chunk.start != progress.offset
        {
            return Err(Error::OutOfOrder {
                offset: progress.offset,
            });
        }
        let subject = held.upload.subject.as_deref();
        // What is announced is refused before it is sent.
        let admitted = match announced.bytes() {
            None | Some(0) => None,
            length => Some(self.admit(subject, length).await?),
        };
        // Most sessions are completed by a request without a body.
        let mut body = pin!(body.peekable());
        if body.as_mut().peek().await.is_none() && announced.chunk.is_none() {
            return Ok((progress.clone(), None));
        }
        let mut allowance = match admitted {
            Some(admitted) => admitted,
            None => self.admit(subject, None).await?,
        };
        let writer = self.open_writer(&held.upload.key, progress).await?;
        let exactly = announced.chunk.map(|chunk| chunk.end - chunk.start);
        let written = self.write(writer, exactly, &mut allowance, body).await?;
        allowance.keep();
        Ok(written)
    }

    async fn open_writer(
        &self,
        key: &UploadKey,
        progress: &UploadProgress,
    ) -> Result<Box<dyn UploadWriter>, Error> {
        self.sparing_files(async || self.blobs.append(key, progress).await)
            .await
            .map_err(upload_error)
    }

    /// Writes a body to its end, or to where it is interrupted: what has arrived until then is kept.
    /// A body that cannot be written, or is not `exactly` as long as was announced, is not.
    async fn write(
        &self,
        mut writer: Box<dyn UploadWriter>,
        exactly: Option<u64>,
        allowance: &mut Allowance<'_>,
        body: impl Stream<Item = Result<Bytes, Interrupted>>,
    ) -> Result<(UploadProgress, Option<Interrupted>), Error> {
        match self.copy(&mut *writer, exactly, allowance, body).await {
            Ok(interrupted) => Ok((writer.finish().await.map_err(upload_error)?, interrupted)),
            Err(error) => {
                writer.abandon().await;
                Err(error)
            }
        }
    }

    async fn copy(
        &self,
        writer: &mut dyn UploadWriter,
        exactly: Option<u64>,
        allowance: &mut Allowance<'_>,
        body: impl Stream<Item = Result<Bytes, Interrupted>>,
    ) -> Result<Option<Interrupted>, Error> {
        let wrong_length = |received| match exactly {
            Some(announced) => Err(Error::ChunkSize {
                announced,
                received,
            }),
            None => Ok(None),
        };
        let start = writer.offset();
        let mut looked = start;
        let mut body = pin!(body);
        while let Some(bytes) = body.next().await {
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(interrupted) => return Ok(Some(interrupted)),
            };
            allowance.take(bytes.len() as u64)?;
            writer.write(bytes).await.map_err(upload_error)?;
            let received = writer.offset() - start;
            if exactly.is_some_and(|announced| received > announced) {
                return wrong_length(received);
            }
            if writer.offset() - looked >= STRIDE {
                looked = writer.offset();
                self.expect_room(None).await?;
            }
        }
        let received = writer.offset() - start;
        if exactly.is_some_and(|announced| received != announced) {
            return wrong_length(received);
        }
        Ok(None)
    }

    /// Records what has become durable, and gives the lease back.
    async fn acknowledge(&self, held: &Held, progress: &UploadProgress) -> Result<(), Error> {
        let advanced = self
            .transaction(async |tx, now| {
                let key = &held.upload.key;
                Ok(uploads::advance(tx, key, held.writer, progress, now).await?)
            })
            .await;
        match advanced {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::UploadBusy),
            Err(error) => {
                self.cut_back(held).await;
                Err(error)
            }
        }
    }

    /// Gives back the room of bytes that were not acknowledged, if that is certain: a connection that
    /// is lost in a commit may hide that it took place.
    async fn cut_back(&self, held: &Held) {
        let Held { upload, writer } = held;
        let certain = async {
            let mut tx = self.database.read().await?;
            uploads::is_held(&mut tx, &upload.key, *writer).await
        };
        let cut = match certain.await {
            Ok(true) => self.blobs.cut_back(&upload.key, &upload.progress).await,
            Ok(false) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "cannot tell whether the bytes of a failed upload are needed");
                Ok(())
            }
        };
        if let Err(error) = cut {
            tracing::warn!(%error, "cannot give back the room of an upload that failed");
        }
    }

    /// A session whose acknowledged bytes are gone is over: nothing that its client could send would
    /// bring them back.
    async fn end_if_lost<T>(&self, held: &Held, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::UploadLost) = result {
            let Held { upload, .. } = held;
            let UploadKey { repository, id } = &upload.key;
            let offset = upload.progress.offset;
            tracing::warn!(%repository, %id, offset, "the bytes of an upload are gone: it is over");
            self.end(held).await;
        }
        result
    }

    /// Ends a session that is of no use any more, whatever its client is told.
    async fn end(&self, held: &Held) {
        if let Err(error) = self.discard(held).await {
            tracing::warn!(%error, "cannot end an upload");
        }
    }

    /// Ends a session, unless somebody else has it meanwhile; then drops its bytes. What a crash leaves
    /// in between is swept.
    async fn discard(&self, held: &Held) -> Result<(), Error> {
        let Held { upload, writer } = held;
        let deleted = self
            .transaction(async |tx, _| Ok(uploads::delete(tx, &upload.key, *writer).await?))
            .await?;
        if !deleted {
            return Err(Error::UploadBusy);
        }
        self.drop_bytes(&upload.key, &upload.progress).await;
        Ok(())
    }

    /// Drops the bytes of an upload that is over. What stays is swept.
    pub(super) async fn drop_bytes(&self, key: &UploadKey, progress: &UploadProgress) {
        if let Err(error) = self.blobs.abort(key, progress).await {
            tracing::warn!(%error, "cannot drop the bytes of an upload");
        }
    }
}

/// What the store says of an upload that goes on.
pub(super) fn upload_error(error: BlobStoreError) -> Error {
    match error {
        BlobStoreError::NotFound | BlobStoreError::Damaged(_) => Error::UploadLost,
        error => error.into(),
    }
}
