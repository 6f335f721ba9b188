//! Changing keys: a new one made or imported, an old one retired, by somebody or by time.
//!
//! A new key is published at once and signs later, so that every verifier knows it by then; the old
//! one stays published until its last token has expired. So no request fails. The exception is a
//! key that somebody else has got hold of: [`retire`] with force ends it here and now.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use database::{Database, Tx};
use registry_token::{
    Certificate, KeyKind, ShownText, SigningAlgorithm, SigningKey, SigningKeyError,
};
use secrecy::SecretString;

use super::key_ring::{self, KeyError, KeyRing};
use super::key_settings::KeyPlace;
use super::key_start::subject;
use super::signing_key::{KeySchedule, KeyState, SigningKeyInfo};
use crate::audit::{Action, Event};
use crate::context::Context;
use crate::store::signing_keys::{self, StoredKey};

/// Why keys stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    #[error(
        "the signing key is mounted (keys.signingkey), so its rotation is yours: import the \
         certificate of the new pair, which publishes it; replace the files when all registries have \
         fetched it"
    )]
    Mounted,
    #[error(
        "the key {kid} is published already and waits for its turn to sign: let it, or retire it \
         first"
    )]
    Pending { kid: String },
    #[error(
        "this command does not see the key that signs, so the server would not see one that is \
         made here: give it the server's configuration (--config, and the variables AUTH_KEYS_…), \
         or have the server do it (--server). {0}"
    )]
    Blind(String),
    #[error("there is no signing key {0}")]
    NotFound(ShownText),
    #[error("the key {kid} was retired on {at}")]
    Retired { kid: String, at: DateTime<Utc> },
    #[error(
        "the key {kid} signs tokens: rotate, and it retires by itself when its last token has \
         expired; if somebody else has got hold of it, force its retirement"
    )]
    Signing { kid: String },
    #[error(
        "tokens of the key {kid} are good until {until}; it retires by itself then; if somebody \
         else has got hold of it, force its retirement"
    )]
    Verifying { kid: String, until: DateTime<Utc> },
    #[error(
        "the mounted key {kid} signs tokens: put another pair into the files (keys.signingkey, \
         keys.certificate), and retire this one then"
    )]
    MountedSigns { kid: String },
    #[error("the key {kid} is here already")]
    Known { kid: String },
    #[error("a private key is needed, in PEM: nothing can be signed with a certificate alone")]
    NoPrivateKey,
    #[error(
        "the private key of a mounted pair is mounted (keys.signingkey), and never sent: import \
         its certificate alone"
    )]
    PrivateKeyOfMounted,
    #[error("a key that is not made here comes with its certificate, in PEM")]
    NoCertificate,
    #[error("{0}")]
    Unusable(#[from] SigningKeyError),
    #[error("the certificate has ended on {0}: registries would refuse its tokens")]
    CertificateEnded(DateTime<Utc>),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// A key pair that somebody else has made.
#[derive(Clone, Debug, Default)]
pub struct KeyImport {
    /// PEM: PKCS#8, PKCS#1 or SEC 1. None, if the private key will be mounted.
    pub private_key: Option<SecretString>,
    /// PEM, followed by those of its authorities. None: one is made.
    pub certificate: Option<String>,
}

/// A key that was ended, and what follows from that.
#[derive(Clone, Debug)]
pub struct Retirement {
    pub key: SigningKeyInfo,
    /// For people: what does not work for a while.
    pub warnings: Vec<String>,
}

/// Every key, those that sign last at the end; retired ones are never forgotten.
pub async fn list(
    database: &Database,
    now: DateTime<Utc>,
) -> Result<Vec<SigningKeyInfo>, database::Error> {
    let mut tx = database.read().await?;
    let schedule = KeySchedule::new(signing_keys::all(&mut tx).await?);
    Ok(schedule
        .all()
        .iter()
        .map(|key| schedule.info(key, now))
        .collect())
}

/// One key, by its id in either form.
pub async fn find(
    database: &Database,
    now: DateTime<Utc>,
    id: &str,
) -> Result<Option<SigningKeyInfo>, database::Error> {
    let keys = list(database, now).await?;
    Ok(keys
        .into_iter()
        .find(|key| key.id == id || key.thumbprint == id))
}

/// Makes a key, publishes it, and lets it sign when all verifiers have it.
pub async fn rotate(context: &Context, ring: &KeyRing) -> Result<SigningKeyInfo, RotationError> {
    if matches!(ring.settings().place, KeyPlace::Mounted { .. }) {
        return Err(RotationError::Mounted);
    }
    let key = ring.generate().await?;
    add(context, ring, &key, Action::KeyGenerate, None).await
}

/// The same with a key that somebody else has made. With a mounted key it takes the certificate of
/// the one that will be mounted next; otherwise a private key too.
pub async fn import(
    context: &Context,
    ring: &KeyRing,
    import: KeyImport,
) -> Result<SigningKeyInfo, RotationError> {
    let now = context.clock.now();
    if matches!(ring.settings().place, KeyPlace::Mounted { .. }) {
        if import.private_key.is_some() {
            return Err(RotationError::PrivateKeyOfMounted);
        }
        let certificate = import.certificate.ok_or(RotationError::NoCertificate)?;
        return announce(context, ring, &certificate).await;
    }
    let private_key = import.private_key.ok_or(RotationError::NoPrivateKey)?;
    let read = move || match import.certificate {
        Some(certificate) => SigningKey::from_pem(&private_key, &certificate),
        None => SigningKey::from_key_pem(&private_key, now),
    };
    let read = tokio::task::spawn_blocking(read).await;
    let key = Arc::new(read.map_err(KeyError::Thread)??);
    refuse_ended(key.certificates(), now)?;
    add(context, ring, &key, Action::KeyImport, None).await
}

fn refuse_ended(chain: &[Certificate], now: DateTime<Utc>) -> Result<(), RotationError> {
    match chain.first().map(Certificate::not_after) {
        Some(end) if end <= now => Err(RotationError::CertificateEnded(end)),
        _ => Ok(()),
    }
}

pub(super) async fn add(
    context: &Context,
    ring: &KeyRing,
    key: &Arc<SigningKey>,
    action: Action,
    reason: Option<&str>,
) -> Result<SigningKeyInfo, RotationError> {
    let mut tx = context.database.begin().await?;
    let schedule = key_ring::lock(&mut tx).await?;
    let now = context.clock.now();
    let known = schedule.find(&key.key_id());
    let restored = match known {
        None => {
            if let Some(problem) = ring.blindness() {
                return Err(RotationError::Blind(problem));
            }
            refuse_pending(&schedule, now)?;
            false
        }
        Some(row) => {
            if let Some(at) = row.retired_at {
                let kid = row.kid.clone();
                return Err(RotationError::Retired { kid, at });
            }
            if ring.load().has_private(&row.kid) {
                let kid = row.kid.clone();
                return Err(RotationError::Known { kid });
            }
            true
        }
    };
    // First the private half, then the row: what no row knows is not used by anybody.
    let sealed = ring.keep(key).await?;
    let added = async {
        let row = if let Some(row) = known {
            if let Some(sealed) = &sealed {
                signing_keys::set_private(&mut tx, &row.kid, sealed).await?;
            }
            row.clone()
        } else {
            let origin = match action {
                Action::KeyImport => "imported",
                _ => "generated",
            };
            let signs_from = match schedule.live().next() {
                // Nobody else signs: there is nothing to wait for.
                None => now,
                Some(_) => now + ring.settings().publish_ahead,
            };
            let row = ring.row(key, origin, sealed, Some(signs_from));
            signing_keys::insert(&mut tx, &row).await?;
            row
        };
        let after = KeySchedule::new(signing_keys::all(&mut tx).await?);
        let info = after.info(&row, now);
        let event = Event::success(action, subject(&row.kid)).after(&info);
        let event = match reason {
            Some(reason) => event.because(reason),
            None if restored => event.because("its private key was missing"),
            None => event,
        };
        context.record(&mut tx, &event).await?;
        Ok::<_, database::Error>(info)
    };
    let info = match added.await {
        Ok(info) => info,
        Err(error) => {
            ring.forget(key).await;
            return Err(error.into());
        }
    };
    // If this fails, nobody knows whether the row is there. Then the private half had better be.
    tx.commit().await?;
    refresh(ring).await;
    Ok(info)
}

/// Publishes the certificate of a key that will be mounted.
async fn announce(
    context: &Context,
    ring: &KeyRing,
    certificate: &str,
) -> Result<SigningKeyInfo, RotationError> {
    let now = context.clock.now();
    let chain = Certificate::bundle_from_pem(certificate.as_bytes());
    let chain = chain.map_err(SigningKeyError::from)?;
    refuse_ended(&chain, now)?;
    let own = chain.first().ok_or(RotationError::NoCertificate)?;
    let algorithm = match own.public_key().kind() {
        KeyKind::Rsa => SigningAlgorithm::Rs256,
        KeyKind::P256 => SigningAlgorithm::Es256,
        KeyKind::P384 => SigningAlgorithm::Es384,
        KeyKind::P521 | KeyKind::Ed25519 => return Err(SigningKeyError::Unsupported.into()),
    };
    let row = StoredKey {
        kid: own.public_key().libtrust_id(),
        algorithm: algorithm.to_string(),
        origin: "mounted".to_owned(),
        certificate: chain.iter().map(Certificate::to_pem).collect(),
        private_sealed: None,
        published_at: now,
        signs_from: None,
        activated_at: None,
        last_signed_at: None,
        token_lifetime: ring.lifetime_seconds(),
        retired_at: None,
    };
    let mut tx = context.database.begin().await?;
    let schedule = key_ring::lock(&mut tx).await?;
    if let Some(known) = schedule.find(&row.kid) {
        let kid = row.kid;
        return Err(match known.retired_at {
            Some(at) => RotationError::Retired { kid, at },
            None => RotationError::Known { kid },
        });
    }
    refuse_pending(&schedule, now)?;
    signing_keys::insert(&mut tx, &row).await?;
    let info = schedule.info(&row, now);
    let event = Event::success(Action::KeyImport, subject(&row.kid)).after(&info);
    context.record(&mut tx, &event).await?;
    tx.commit().await?;
    refresh(ring).await;
    Ok(info)
}

fn refuse_pending(schedule: &KeySchedule, now: DateTime<Utc>) -> Result<(), RotationError> {
    match schedule.pending(now) {
        Some(pending) => Err(RotationError::Pending {
            kid: pending.kid.clone(),
        }),
        None => Ok(()),
    }
}

/// Ends a key: it is published no longer, and registries refuse its tokens as soon as they look
/// again.
///
/// One that has not signed yet can be ended at any time. One that signs, or whose tokens are still
/// good, only with `force`; then another takes its place at once, the next one if there is one.
pub async fn retire(
    context: &Context,
    ring: &KeyRing,
    id: &str,
    force: bool,
) -> Result<Retirement, RotationError> {
    let found = find(&context.database, context.clock.now(), id).await?;
    let kid = found
        .ok_or_else(|| RotationError::NotFound(ShownText::new(id)))?
        .id;
    // Made before the table is locked: RSA takes its time.
    let successor = if force && !matches!(ring.settings().place, KeyPlace::Mounted { .. }) {
        Some(ring.generate().await?)
    } else {
        None
    };
    let mut tx = context.database.begin().await?;
    let schedule = key_ring::lock(&mut tx).await?;
    let now = context.clock.now();
    let row = schedule
        .find(&kid)
        .ok_or_else(|| RotationError::NotFound(ShownText::new(id)))?;
    let state = schedule.state(row, now);
    let mut warnings = Vec::new();
    match state {
        KeyState::Retired => {
            let at = row.retired_at.unwrap_or(now);
            return Err(RotationError::Retired { kid, at });
        }
        KeyState::Published => {}
        KeyState::Signing if !force => return Err(RotationError::Signing { kid }),
        KeyState::Verifying if !force => {
            let until = schedule.verifies_until(row).unwrap_or(now);
            return Err(RotationError::Verifying { kid, until });
        }
        KeyState::Verifying => warnings.push(tokens_refused()),
        KeyState::Signing => {
            let Some(successor) = &successor else {
                return Err(RotationError::MountedSigns { kid });
            };
            warnings.push(tokens_refused());
            let replace = Replace {
                context,
                ring,
                schedule: &schedule,
            };
            replace.replace(&mut tx, successor, &mut warnings).await?;
        }
    }
    let key = end(context, &mut tx, &schedule, row, force.then_some("forced")).await?;
    tx.commit().await?;
    refresh(ring).await;
    Ok(Retirement { key, warnings })
}

fn tokens_refused() -> String {
    "registries refuse its tokens as soon as they look again: after seconds where they read \
     bundle.pem, after minutes where they fetch a URL, after a restart with distribution; clients \
     have to ask for new tokens"
        .to_owned()
}

/// Somebody has to sign from now on.
struct Replace<'a> {
    context: &'a Context,
    ring: &'a KeyRing,
    schedule: &'a KeySchedule,
}

impl Replace<'_> {
    async fn replace(
        &self,
        tx: &mut Tx,
        new: &Arc<SigningKey>,
        warnings: &mut Vec<String>,
    ) -> Result<(), RotationError> {
        let (context, schedule) = (self.context, self.schedule);
        let now = context.clock.now();
        let pending = schedule.pending(now);
        if let Some(next) = pending.filter(|key| self.ring.load().has_private(&key.kid)) {
            signing_keys::set_signs_from(tx, &next.kid, now).await?;
            signing_keys::set_activated(tx, &next.kid, now).await?;
            let event = Event::success(Action::KeyActivate, subject(&next.kid))
                .before(schedule.info(next, now))
                .because("the key before it was retired by force");
            context.record(tx, &event).await?;
            warnings.push(format!(
                "{} signs from now on; registries that have not fetched it yet refuse its tokens \
                 until they have",
                next.kid
            ));
            return Ok(());
        }
        let sealed = self.ring.keep(new).await?;
        let row = self.ring.row(new, "generated", sealed, Some(now));
        signing_keys::insert(tx, &row).await?;
        let event = Event::success(Action::KeyGenerate, subject(&row.kid))
            .after(schedule.info(&row, now))
            .because("the key before it was retired by force");
        context.record(tx, &event).await?;
        warnings.push(format!(
            "{} was made and signs from now on; registries refuse its tokens until they have \
             fetched it",
            row.kid
        ));
        Ok(())
    }
}

/// Writes down that a key is over.
pub(super) async fn end(
    context: &Context,
    tx: &mut Tx,
    schedule: &KeySchedule,
    row: &StoredKey,
    reason: Option<&str>,
) -> Result<SigningKeyInfo, database::Error> {
    let now = context.clock.now();
    signing_keys::retire(tx, &row.kid, now).await?;
    let after = KeySchedule::new(signing_keys::all(tx).await?);
    let ended = after.find(&row.kid).unwrap_or(row);
    let info = after.info(ended, now);
    let event = Event::success(Action::KeyRetire, subject(&row.kid))
        .before(schedule.info(row, now))
        .after(&info);
    let event = match reason {
        Some(reason) => event.because(reason),
        None => event,
    };
    context.record(tx, &event).await?;
    Ok(info)
}

/// What was changed holds whether this server has read it already or not.
pub(super) async fn refresh(ring: &KeyRing) {
    if let Err(error) = ring.refresh().await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the signing keys could not be read again; trying again soon"
        );
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
