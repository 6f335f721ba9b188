//! A key pair that somebody else takes care of: two files, followed while the server runs.
//!
//! [`MountedPair`] reads them, and [`mount`] has what is in them sign: at the start, and whenever they
//! have changed. A pair that cannot sign leaves the one before in use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use database::Tx;
use registry_token::{SigningKey, SigningKeyError};
use secrecy::{ExposeSecret as _, SecretString};
use service::shutdown::{Reload, Shutdown};
use service::watch::{WatchedFile, watch};

use super::key_files::{self, KeyFile, KeyFileError};
use super::key_ring::{self, KeyError, KeyRing};
use super::key_start::{self, subject};
use super::signing_key::KeySchedule;
use crate::audit::{Action, Event};
use crate::clock::Clock;
use crate::context::Context;
use crate::store::signing_keys;

/// How often the files are looked at. Registries that read the certificate from the same place look
/// every three seconds.
const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// Why what is in the files does not sign.
#[derive(Debug, thiserror::Error)]
enum MountedError {
    #[error(transparent)]
    File(#[from] KeyFileError),
    #[error("{}: {problem}", path.display())]
    Dates { path: PathBuf, problem: String },
}

/// The files, and the pair that was last found in them. Clones share it.
#[derive(Clone, Debug)]
pub struct MountedPair(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: PathBuf,
    certificate: PathBuf,
    clock: Clock,
    found: ArcSwapOption<Found>,
    /// The one that the records know of.
    mounted: ArcSwapOption<Found>,
}

#[derive(Debug)]
struct Found {
    text: PairText,
    key: Arc<SigningKey>,
}

/// The two files as they were.
#[derive(Clone, Debug)]
struct PairText {
    key: SecretString,
    certificate: String,
}

impl PartialEq for PairText {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate
            && self.key.expose_secret() == other.key.expose_secret()
    }
}

impl MountedPair {
    pub(super) fn new(key: PathBuf, certificate: PathBuf, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            key,
            certificate,
            clock,
            found: ArcSwapOption::empty(),
            mounted: ArcSwapOption::empty(),
        }))
    }

    /// The pair that can sign, which is read now if it was not before. Blocks.
    pub(super) fn load(&self) -> Result<KeyFile, KeyFileError> {
        let found = if let Some(found) = self.0.found.load_full() {
            found
        } else {
            let found = Arc::new(self.parse(self.read()?)?);
            self.0.found.store(Some(Arc::clone(&found)));
            found
        };
        Ok(KeyFile {
            path: self.0.key.clone(),
            key: Arc::clone(&found.key),
        })
    }

    /// What was found since the records were last told.
    fn changed(&self) -> Option<Arc<Found>> {
        let (found, mounted) = (self.0.found.load_full()?, self.0.mounted.load());
        let is_mounted = mounted.as_ref().is_some_and(|it| Arc::ptr_eq(it, &found));
        (!is_mounted).then_some(found)
    }

    /// Looks at the files until the server ends.
    pub(crate) async fn follow(self, shutdown: Shutdown, reload: Reload) {
        let file = WatchedFile {
            name: "mounted signing key",
            path: self.0.key.clone(),
            interval: POLL_INTERVAL,
        };
        let mut doubtful = None;
        let look = move || self.look(&mut doubtful);
        watch(file, look, shutdown, reload).await;
    }

    /// Looks at the files once. Says whether there is another pair in them. Of two files one is
    /// replaced before the other, so what is wrong counts when it is still there at the next look:
    /// until then it is in `doubtful`. Blocks.
    fn look(&self, doubtful: &mut Option<PairText>) -> Result<bool, MountedError> {
        let text = self.read()?;
        let found = self.0.found.load();
        if found.as_ref().is_some_and(|found| found.text == text) {
            *doubtful = None;
            return Ok(false);
        }
        match self.take(text.clone()) {
            Ok(()) => {
                *doubtful = None;
                Ok(true)
            }
            Err(_) if doubtful.replace(text.clone()) != Some(text) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn take(&self, text: PairText) -> Result<(), MountedError> {
        let found = self.parse(text)?;
        if let Some(problem) = key_start::check_dates(&found.key, self.0.clock.now()) {
            let path = self.0.certificate.clone();
            return Err(MountedError::Dates { path, problem });
        }
        if let Some(warning) = key_files::check_permissions(&self.0.key)? {
            tracing::warn!("{warning}");
        }
        self.0.found.store(Some(Arc::new(found)));
        Ok(())
    }

    fn read(&self) -> Result<PairText, KeyFileError> {
        Ok(PairText {
            key: read(&self.0.key)?.into(),
            certificate: read(&self.0.certificate)?,
        })
    }

    fn parse(&self, text: PairText) -> Result<Found, KeyFileError> {
        let key = SigningKey::from_pem(&text.key, &text.certificate).map_err(|source| {
            let path = match &source {
                SigningKeyError::Certificate(_) | SigningKeyError::CertificateMismatch { .. } => {
                    &self.0.certificate
                }
                SigningKeyError::Pem
                | SigningKeyError::NoPrivateKey
                | SigningKeyError::Encrypted
                | SigningKeyError::Unsupported
                | SigningKeyError::Cryptography(_) => &self.0.key,
            };
            KeyFileError::Key {
                path: path.clone(),
                source,
            }
        })?;
        let key = Arc::new(key);
        Ok(Found { text, key })
    }
}

fn read(path: &Path) -> Result<String, KeyFileError> {
    fs::read_to_string(path).map_err(|source: io::Error| KeyFileError::File {
        doing: "read",
        path: path.to_owned(),
        source,
    })
}

/// Has the pair that was found in the files sign from now on, unless the records know of it: the
/// operator has decided so.
pub(super) async fn mount(context: &Context, ring: &KeyRing) -> Result<(), KeyError> {
    let Some((pair, found)) = ring
        .mounted()
        .and_then(|pair| Some((pair, pair.changed()?)))
    else {
        return Ok(());
    };
    let mut tx = context.database.begin().await?;
    let schedule = key_ring::lock(&mut tx).await?;
    let signs_anew = record(context, ring, &mut tx, &schedule, &found.key).await?;
    tx.commit().await?;
    if signs_anew {
        tracing::info!(
            kid = found.key.key_id(),
            "the mounted key signs from now on; registries that do not know it yet refuse its \
             tokens until they have read its certificate"
        );
    }
    pair.0.mounted.store(Some(found));
    ring.refresh().await
}

/// Whether another key has signed so far.
async fn record(
    context: &Context,
    ring: &KeyRing,
    tx: &mut Tx,
    schedule: &KeySchedule,
    key: &SigningKey,
) -> Result<bool, KeyError> {
    let (kid, now) = (key.key_id(), context.clock.now());
    let Some(row) = schedule.find(&kid) else {
        let row = ring.row(key, "mounted", None, Some(now));
        key_start::insert(context, tx, schedule, row, Action::KeyImport, "mounted").await?;
        return Ok(true);
    };
    if let Some(at) = row.retired_at {
        return Err(KeyError::MountedRetired { kid, at });
    }
    if row.certificate != key.certificate_pem() {
        signing_keys::set_certificate(tx, &kid, &key.certificate_pem()).await?;
    }
    let current = schedule.current(now);
    if current.is_some_and(|current| current.kid == kid) {
        return Ok(false);
    }
    signing_keys::set_signs_from(tx, &kid, now).await?;
    signing_keys::set_activated(tx, &kid, now).await?;
    let event = Event::success(Action::KeyActivate, subject(&kid))
        .before(schedule.info(row, now))
        .because("mounted");
    context.record(tx, &event).await?;
    Ok(true)
}

#[cfg(test)]
#[path = "mounted_tests.rs"]
mod tests;
