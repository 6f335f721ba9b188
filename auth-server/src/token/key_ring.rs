//! [`KeyRing`]: the signing keys of this server, in step with those of all others.
//!
//! What exists and when it signs is in the database; [`refresh`](KeyRing::refresh) reads it every
//! few seconds. The private halves are in files, in the same rows and encrypted, or mounted. Who
//! issues a token takes [`current`](KeyRing::current): one load, no lock, no wait for the database.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use database::{Database, Tx};
use registry_token::{Certificate, SigningKey, SigningKeyError};
use tokio::sync::Mutex;
use tokio::task::JoinError;

use super::jwks::{PublicHalf, PublishedKeys};
use super::key_files::{KeyFile, KeyFileError};
use super::key_settings::{self, KeyPlace, KeyRingSettings};
use super::mounted::MountedPair;
use super::signing_key::KeySchedule;
use crate::clock::Clock;
use crate::store::signing_keys::{self, StoredKey};

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    File(#[from] KeyFileError),
    #[error("{0}")]
    Key(#[from] SigningKeyError),
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error("the public keys cannot be written as JSON: {0}")]
    Publish(#[from] serde_json::Error),
    #[error("a thread died: {0}")]
    Thread(#[from] JoinError),
    #[error("there is no randomness to encrypt the key with")]
    Seal,
    #[error(
        "the private key of {kid} in the database cannot be decrypted: keys.encryptionkey is not \
         the key that it was encrypted with"
    )]
    WrongEncryptionKey { kid: String },
    #[error(
        "the private key of {kid} is kept encrypted in the database: set keys.encryptionkey to \
         the key that it was encrypted with"
    )]
    NoEncryptionKey { kid: String },
    #[error(
        "the private key of {kid} is not here ({place}). All servers of one database share their \
         keys: by one folder (keys.path), or encrypted in the database (keys.encryptionkey). If it \
         is lost for good, `portcullis auth key retire {kid} --force` lets the next start make \
         another"
    )]
    Lost { kid: String, place: String },
    #[error(
        "the keys in {} belong to other accounts than those in {database}: correct `database.url` or \
         `keys.path`. If these accounts are to have those keys, and the others nothing any more, run \
         `portcullis auth key adopt`",
        folder.display()
    )]
    OtherAccounts { folder: PathBuf, database: String },
    #[error(
        "the mounted key {kid} was retired on {at}, and registries refuse its tokens: mount \
         another pair (keys.signingkey, keys.certificate)"
    )]
    MountedRetired { kid: String, at: DateTime<Utc> },
}

/// What this server knows of the keys at one moment.
#[derive(Debug)]
pub struct Ring {
    pub(crate) schedule: KeySchedule,
    /// Those whose private half is here, those that sign last at the end.
    signers: Vec<Signer>,
    pub(crate) published: PublishedKeys,
    /// What an operator should do something about.
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Debug)]
struct Signer {
    kid: String,
    signs_from: Option<DateTime<Utc>>,
    key: Arc<SigningKey>,
}

impl Ring {
    /// The key that signs now: of those that are here and whose time has come, the last. If the
    /// time of none has come, because clocks differ or somebody had to retire a key at once, the
    /// first.
    #[must_use]
    pub fn signer(&self, now: DateTime<Utc>) -> Option<&Arc<SigningKey>> {
        let begun = |signer: &&Signer| signer.signs_from.is_some_and(|from| from <= now);
        let current = self.signers.iter().rfind(begun);
        current.or(self.signers.first()).map(|signer| &signer.key)
    }

    pub(crate) fn has_private(&self, kid: &str) -> bool {
        self.private(kid).is_some()
    }

    fn private(&self, kid: &str) -> Option<&Arc<SigningKey>> {
        let found = self.signers.iter().find(|signer| signer.kid == kid);
        found.map(|signer| &signer.key)
    }
}

/// A handle: clones show the same keys.
#[derive(Clone, Debug)]
pub struct KeyRing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: KeyRingSettings,
    database: Database,
    clock: Clock,
    mounted: Option<MountedPair>,
    ring: ArcSwap<Ring>,
    /// Whether this is a command beside the servers.
    is_beside: bool,
    /// One refresh at a time: an older answer of the database must not overwrite a newer one.
    refreshing: Mutex<()>,
}

impl KeyRing {
    /// The ring as the database has it, for looking at keys and changing them. Nothing is made, and
    /// no private key needs to be here: that would be in the way of who repairs something.
    pub async fn open(
        settings: KeyRingSettings,
        database: Database,
        clock: Clock,
    ) -> Result<Self, KeyError> {
        Self::load_from(settings, database, clock, false).await
    }

    async fn load_from(
        settings: KeyRingSettings,
        database: Database,
        clock: Clock,
        is_beside: bool,
    ) -> Result<Self, KeyError> {
        let ring = Ring {
            schedule: KeySchedule::default(),
            signers: Vec::new(),
            published: PublishedKeys::of(&[])?,
            problem: None,
        };
        let mounted = match &settings.place {
            KeyPlace::Mounted { key, certificate } => Some(MountedPair::new(
                key.clone(),
                certificate.clone(),
                clock.clone(),
            )),
            KeyPlace::Folder(_) | KeyPlace::Database { .. } => None,
        };
        let opened = Self(Arc::new(Inner {
            settings,
            database,
            clock,
            mounted,
            ring: ArcSwap::from_pointee(ring),
            is_beside,
            refreshing: Mutex::default(),
        }));
        opened.refresh().await?;
        Ok(opened)
    }

    /// The same for a command beside the servers: where they were told something else than the
    /// command about what keys are like and when they sign, that holds.
    pub async fn open_beside(
        settings: KeyRingSettings,
        database: Database,
        clock: Clock,
    ) -> Result<Self, KeyError> {
        let mut tx = database.read().await?;
        let stored = signing_keys::settings(&mut tx).await?;
        drop(tx);
        let settings = match stored {
            Some(stored) => settings.overruled_by(&stored)?,
            None => settings,
        };
        Self::load_from(settings, database, clock, true).await
    }

    /// Why a key that is made here would be seen by no server: this is a command that does not see
    /// the servers' keys either.
    pub(super) fn blindness(&self) -> Option<String> {
        let problem = self.load().problem.clone();
        problem.filter(|_| self.0.is_beside)
    }

    #[must_use]
    pub fn settings(&self) -> &KeyRingSettings {
        &self.0.settings
    }

    /// The files to follow, if the key is in files of somebody else.
    #[must_use]
    pub(crate) fn mounted(&self) -> Option<&MountedPair> {
        self.0.mounted.as_ref()
    }

    /// The keys as they are known here.
    #[must_use]
    pub fn load(&self) -> arc_swap::Guard<Arc<Ring>> {
        self.0.ring.load()
    }

    /// The key that signs now.
    #[must_use]
    pub fn current(&self) -> Option<Arc<SigningKey>> {
        self.load().signer(self.0.clock.now()).cloned()
    }

    /// How long what is published holds: a verifier that asks again after this time knows a new
    /// key long before it signs.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        const BOUNDS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));
        (self.0.settings.publish_ahead / 4).clamp(BOUNDS.0, BOUNDS.1)
    }

    /// Takes over what the database says, and publishes it.
    pub async fn refresh(&self) -> Result<(), KeyError> {
        let inner = &self.0;
        let _one_at_a_time = inner.refreshing.lock().await;
        let mut tx = inner.database.read().await?;
        let schedule = KeySchedule::new(signing_keys::all(&mut tx).await?);
        drop(tx);
        let known = inner.ring.load_full();
        let mut signers = Vec::new();
        let mut missing = Vec::new();
        for row in schedule.live() {
            let known = known.private(&row.kid);
            // A token shows the certificate, too, and that may have been renewed.
            match known.filter(|key| key.certificate_pem() == row.certificate) {
                Some(key) => signers.push(signer(row, Arc::clone(key))),
                None => missing.push((row.clone(), known.cloned())),
            }
        }
        if known.schedule == schedule && missing.is_empty() {
            return self.publish(&known.published).await;
        }
        let problem = match self.find_private(&schedule, &missing, &mut signers).await {
            Ok(()) => problem(
                &schedule,
                &signers,
                &inner.settings.place,
                inner.clock.now(),
            ),
            Err(error) => Some(error.to_string()),
        };
        signers.sort_by_key(|signer| (signer.signs_from.is_none(), signer.signs_from));
        if let Some(problem) = &problem
            && known.problem.as_ref() != Some(problem)
        {
            tracing::error!("{problem}");
        }
        let published = PublishedKeys::of(&public_halves(&schedule, inner.clock.now()))?;
        let retired_changed = known.schedule != schedule;
        inner.ring.store(Arc::new(Ring {
            schedule,
            signers,
            published: published.clone(),
            problem,
        }));
        // After the store: whatever happens to files, this server goes by what the database says.
        self.publish(&published).await?;
        if retired_changed {
            self.remove_retired().await?;
        }
        Ok(())
    }

    async fn find_private(
        &self,
        schedule: &KeySchedule,
        missing: &[(StoredKey, Option<Arc<SigningKey>>)],
        signers: &mut Vec<Signer>,
    ) -> Result<(), KeyError> {
        if missing.is_empty() {
            return Ok(());
        }
        let mut files = self.files().await?;
        let now = self.0.clock.now();
        let matters = |kid: &str| {
            let of = |key: Option<&StoredKey>| key.is_some_and(|key| key.kid == kid);
            of(schedule.current(now)) || of(schedule.pending(now))
        };
        for (row, known) in missing {
            let key = match files.remove(&row.kid) {
                Some(file) => Some(file.key),
                None => match unseal(row, &self.0.settings.place) {
                    // Its tokens can be verified all the same.
                    Err(_) if !matters(&row.kid) => None,
                    key => key?.map(Arc::new),
                },
            };
            if let Some(key) = key.or_else(|| known.clone()) {
                signers.push(signer(row, key));
            }
        }
        Ok(())
    }

    /// The keys in files, by their id.
    pub(super) async fn files(&self) -> Result<HashMap<String, KeyFile>, KeyError> {
        let (place, mounted) = (self.0.settings.place.clone(), self.0.mounted.clone());
        let read = move || {
            Ok::<_, KeyFileError>(match (&mounted, &place) {
                (Some(pair), _) => vec![pair.load()?],
                (
                    None,
                    KeyPlace::Folder(folder)
                    | KeyPlace::Database {
                        folder: Some(folder),
                        ..
                    },
                ) => folder.keys()?,
                (None, KeyPlace::Database { .. } | KeyPlace::Mounted { .. }) => Vec::new(),
            })
        };
        let files = tokio::task::spawn_blocking(read).await??;
        let by_id = files.into_iter().map(|file| (file.key.key_id(), file));
        Ok(by_id.collect())
    }

    async fn publish(&self, published: &PublishedKeys) -> Result<(), KeyError> {
        let Some(folder) = self.0.settings.bundle.clone() else {
            return Ok(());
        };
        let bundle = published.bundle.body.clone();
        // Without a key there is nothing to tell, and a registry refuses an empty bundle.
        if bundle.is_empty() {
            return Ok(());
        }
        tokio::task::spawn_blocking(move || folder.publish(&bundle)).await??;
        Ok(())
    }

    /// Removes the files of keys that nobody may sign with any more.
    async fn remove_retired(&self) -> Result<(), KeyError> {
        let (KeyPlace::Folder(folder)
        | KeyPlace::Database {
            folder: Some(folder),
            ..
        }) = &self.0.settings.place
        else {
            return Ok(());
        };
        let retired: Vec<String> = {
            let ring = self.load();
            let keys = ring.schedule.all().iter();
            let retired = keys.filter(|key| key.retired_at.is_some());
            retired.map(|key| key.kid.clone()).collect()
        };
        let folder = folder.clone();
        let remove = move || retired.iter().try_for_each(|kid| folder.remove(kid));
        tokio::task::spawn_blocking(remove).await??;
        Ok(())
    }

    /// Puts a new private key where this server keeps them; what goes into its row.
    pub(super) async fn keep(&self, key: &Arc<SigningKey>) -> Result<Option<Vec<u8>>, KeyError> {
        match &self.0.settings.place {
            KeyPlace::Folder(folder) => {
                let (folder, key) = (folder.clone(), Arc::clone(key));
                tokio::task::spawn_blocking(move || folder.add(&key)).await??;
                Ok(None)
            }
            KeyPlace::Database {
                key: encryption, ..
            } => encryption
                .seal(&key.key_id(), key.to_pem())
                .map(Some)
                .ok_or(KeyError::Seal),
            KeyPlace::Mounted { .. } => Ok(None),
        }
    }

    /// Takes back what [`keep`](Self::keep) has put there.
    pub(super) async fn forget(&self, key: &Arc<SigningKey>) {
        if let KeyPlace::Folder(folder) = &self.0.settings.place {
            let (folder, kid) = (folder.clone(), key.key_id());
            let removed = tokio::task::spawn_blocking(move || folder.remove(&kid)).await;
            if !matches!(removed, Ok(Ok(()))) {
                tracing::warn!(
                    kid = key.key_id(),
                    "a key that is not used stays in its file"
                );
            }
        }
    }

    /// Makes a key. RSA takes up to seconds.
    pub(super) async fn generate(&self) -> Result<Arc<SigningKey>, KeyError> {
        let (algorithm, now) = (self.0.settings.algorithm, self.0.clock.now());
        let generate = move || SigningKey::generate(algorithm, now);
        Ok(Arc::new(tokio::task::spawn_blocking(generate).await??))
    }

    /// A row for a key of this server.
    pub(super) fn row(
        &self,
        key: &SigningKey,
        origin: &str,
        private_sealed: Option<Vec<u8>>,
        signs_from: Option<DateTime<Utc>>,
    ) -> StoredKey {
        let now = self.0.clock.now();
        StoredKey {
            kid: key.key_id(),
            algorithm: key.algorithm().to_string(),
            origin: origin.to_owned(),
            certificate: key.certificate_pem(),
            private_sealed,
            published_at: now,
            signs_from,
            activated_at: signs_from.filter(|from| *from <= now),
            last_signed_at: None,
            token_lifetime: self.lifetime_seconds(),
            retired_at: None,
        }
    }

    pub(super) fn lifetime_seconds(&self) -> i64 {
        key_settings::seconds(self.0.settings.token_lifetime)
    }

    pub(super) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }
}

/// The private key of a row, if it is there and can be decrypted.
pub(super) fn unseal(row: &StoredKey, place: &KeyPlace) -> Result<Option<SigningKey>, KeyError> {
    let kid = || row.kid.clone();
    match (&row.private_sealed, place) {
        (None, _) | (Some(_), KeyPlace::Mounted { .. }) => Ok(None),
        (Some(_), KeyPlace::Folder(_)) => Err(KeyError::NoEncryptionKey { kid: kid() }),
        (Some(sealed), KeyPlace::Database { key, .. }) => {
            let opened = key.open(&row.kid, sealed);
            let pem = opened.map_err(|_| KeyError::WrongEncryptionKey { kid: kid() })?;
            Ok(Some(SigningKey::from_pem(&pem, &row.certificate)?))
        }
    }
}

/// Everything that changes keys goes through one at a time, on all servers.
pub(super) async fn lock(tx: &mut Tx) -> Result<KeySchedule, database::Error> {
    signing_keys::lock(tx).await?;
    Ok(KeySchedule::new(signing_keys::all(tx).await?))
}

fn signer(row: &StoredKey, key: Arc<SigningKey>) -> Signer {
    Signer {
        kid: row.kid.clone(),
        signs_from: row.signs_from,
        key,
    }
}

/// The one that signs first, then those that will, then those that did.
fn public_halves(schedule: &KeySchedule, now: DateTime<Utc>) -> Vec<PublicHalf> {
    let current = schedule.current(now).map(|key| key.kid.as_str());
    let mut live: Vec<&StoredKey> = schedule.live().rev().collect();
    live.sort_by_key(|key| Some(key.kid.as_str()) != current);
    live.into_iter()
        .filter_map(
            |key| match Certificate::bundle_from_pem(key.certificate.as_bytes()) {
                Ok(chain) => Some(PublicHalf {
                    kid: key.kid.clone(),
                    algorithm: key.algorithm.clone(),
                    chain,
                }),
                Err(error) => {
                    tracing::error!(kid = key.kid, %error, "the certificate of a key is damaged");
                    None
                }
            },
        )
        .collect()
}

/// A key that signs, or will, and that this server cannot sign with.
fn problem(
    schedule: &KeySchedule,
    signers: &[Signer],
    place: &KeyPlace,
    now: DateTime<Utc>,
) -> Option<String> {
    let here = |key: &&StoredKey| signers.iter().any(|signer| signer.kid == key.kid);
    let next = schedule
        .pending(now)
        .filter(|_| !matches!(place, KeyPlace::Mounted { .. }));
    let missing = schedule.current(now).into_iter().chain(next);
    let mut missing = missing.filter(|key| !here(key));
    missing.next().map(|key| lost(key, place).to_string())
}

pub(super) fn lost(key: &StoredKey, place: &KeyPlace) -> KeyError {
    let place = match place {
        KeyPlace::Folder(folder) => folder.path().display().to_string(),
        KeyPlace::Database { .. } => "in the database".to_owned(),
        KeyPlace::Mounted { key, .. } => key.display().to_string(),
    };
    KeyError::Lost {
        kid: key.kid.clone(),
        place,
    }
}
