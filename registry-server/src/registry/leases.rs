//! Leases: of requests that write to one session, one goes on.
//!
//! A request holds the session's lease while it writes, so that two of them never mix their bytes, on
//! whichever replicas they are; a lease runs out if its holder dies. Sessions that nobody holds and
//! nobody goes on with end.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use registry_token::RepositoryName;
use uuid::Uuid;

use super::{Error, Registry};
use crate::auth::{Permission, UploadProof};
use crate::blob_store::UploadKey;
use crate::metadata::uploads::{self, Lease, Upload};

/// How long a lease is believed after its holder was last heard of. A crashed replica's upload can
/// be continued after this time.
pub(super) const LEASE: TimeDelta = TimeDelta::seconds(30);

/// How often a holder makes itself heard.
const RENEWAL: Duration = Duration::from_secs(10);

/// A session whose lease this request holds.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) upload: Upload,
    pub(super) writer: Uuid,
}

impl Registry {
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
                if dry_run || self.expire(&key, before).await? {
                    expired.push(key);
                }
            }
            // Those that are being written to again would be found for ever.
            if dry_run || found < BATCH as usize || expired.len() == dropped {
                return Ok(expired);
            }
        }
    }

    /// Decides by the row as it is now: since it was listed, bytes may have been acknowledged.
    async fn expire(&self, key: &UploadKey, before: DateTime<Utc>) -> Result<bool, Error> {
        let mut tx = self.database.begin().await?;
        let expired = uploads::expire(&mut tx, key, before, self.clock.now()).await?;
        tx.commit().await?;
        if let Some(upload) = &expired {
            self.drop_bytes(key, &upload.progress).await;
        }
        Ok(expired.is_some())
    }

    /// Takes the lease of a session that the caller may go on with.
    pub(super) async fn hold<P>(&self, proof: UploadProof<P>, id: Uuid) -> Result<Held, Error>
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

    /// Runs `work` while the lease is kept alive. If it fails, the lease is given back, so that the
    /// client may try again at once.
    pub(super) async fn settled<T>(
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
pub(super) fn redeem<P>(proof: UploadProof<P>, found: Option<Upload>) -> Result<Upload, Error>
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

#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
