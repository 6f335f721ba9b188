//! The start of a server: whatever an earlier one has left, afterwards there is a key to sign with,
//! or a sentence that says why not.
//!
//! - Nothing at all: a key is made, and signs at once.
//! - Files but no rows (a first start of this version, or a lost database): they are adopted, the
//!   oldest signs, and the others follow as after a rotation.
//! - Rows but no private keys: with `SQLite` there is one server, so the keys are lost, and a new one
//!   signs. With `PostgreSQL` it may be that this server alone cannot see them, so it does not start.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use database::{Database, Tx};
use registry_token::{Certificate, SigningKey};

use super::key_files::{self, KeyFile};
use super::key_ring::{self, KeyError, KeyRing};
use super::key_settings::{KeyPlace, KeyRingSettings};
use super::mounted;
use super::signing_key::KeySchedule;
use crate::audit::{Action, Actor, Event, Origin, Subject};
use crate::clock::Clock;
use crate::context::Context;
use crate::store::signing_keys::{self, StoredKey};

/// Loads the keys, and makes one if need be.
pub async fn start(
    settings: KeyRingSettings,
    database: Database,
    clock: Clock,
) -> Result<KeyRing, KeyError> {
    let ring = KeyRing::open(settings, database.clone(), clock.clone()).await?;
    let mut start = Start {
        files: HashMap::new(),
        context: Context {
            database,
            clock,
            origin: Origin::local(Actor::system()),
        },
        ring: ring.clone(),
    };
    match start.run().await {
        // What is there signs all the same, and whoever has an account can pull.
        Err(KeyError::Database(error)) if error.is_about_writing() && ring.current().is_some() => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the signing keys are used as they are");
        }
        done => done?,
    }
    ring.refresh().await?;
    let loaded = ring.load();
    let now = ring.clock().now();
    if let Some(warning) = loaded.signer(now).and_then(|key| check_dates(key, now)) {
        tracing::warn!("{warning}");
    }
    drop(loaded);
    Ok(ring)
}

struct Start {
    ring: KeyRing,
    context: Context,
    files: HashMap<String, KeyFile>,
}

impl Start {
    async fn run(&mut self) -> Result<(), KeyError> {
        let mut tx = self.context.database.begin().await?;
        let mut schedule = key_ring::lock(&mut tx).await?;
        // Not before the lock: another server may just have made a key.
        self.files = self.ring.files().await?;
        self.warn_of_permissions().await?;
        let settings = self.ring.settings().to_stored();
        signing_keys::set_settings(&mut tx, &settings).await?;
        signing_keys::raise_token_lifetime(&mut tx, self.ring.lifetime_seconds()).await?;
        if self.ring.mounted().is_none() {
            self.seal_files(&mut tx, &mut schedule).await?;
            if !self.can_sign(&schedule)? {
                self.find_or_make(&mut tx, &schedule).await?;
            }
            self.mention_strangers(&schedule);
        }
        tx.commit().await?;
        mounted::mount(&self.context, &self.ring).await
    }

    /// Moves what is in files into the database, once there is a key to encrypt it with. The files
    /// stay: who sets the key for a try has not burned a bridge.
    async fn seal_files(&self, tx: &mut Tx, schedule: &mut KeySchedule) -> Result<(), KeyError> {
        let KeyPlace::Database { key, .. } = &self.ring.settings().place else {
            return Ok(());
        };
        for row in schedule.live().filter(|row| row.private_sealed.is_none()) {
            if let Some(file) = self.files.get(&row.kid) {
                let sealed = key
                    .seal(&row.kid, file.key.to_pem())
                    .ok_or(KeyError::Seal)?;
                signing_keys::set_private(tx, &row.kid, &sealed).await?;
                say_sealed(file);
            }
        }
        *schedule = KeySchedule::new(signing_keys::all(tx).await?);
        Ok(())
    }

    /// Whether the key that signs, or any other, is here. An encrypted key that cannot be read is
    /// an error: somebody has it.
    fn can_sign(&self, schedule: &KeySchedule) -> Result<bool, KeyError> {
        let now = self.context.clock.now();
        let here = |row: &StoredKey| -> Result<bool, KeyError> {
            let place = &self.ring.settings().place;
            Ok(self.files.contains_key(&row.kid) || key_ring::unseal(row, place)?.is_some())
        };
        let Some(current) = schedule.current(now).or_else(|| schedule.live().next()) else {
            return Ok(false);
        };
        if here(current)? {
            return Ok(true);
        }
        if self.is_alone() {
            return Ok(false);
        }
        Err(key_ring::lost(current, &self.ring.settings().place))
    }

    fn is_alone(&self) -> bool {
        matches!(self.context.database, Database::Sqlite(_))
    }

    /// Files that no row knows, or a new key.
    async fn find_or_make(&mut self, tx: &mut Tx, schedule: &KeySchedule) -> Result<(), KeyError> {
        let unknown = |kid: &String| schedule.find(kid).is_none();
        let mut found: Vec<&KeyFile> = self
            .files
            .iter()
            .filter(|(kid, _)| unknown(kid))
            .map(|(_, file)| file)
            .collect();
        // Verifiers have known the oldest for the longest.
        found.sort_by_key(|file| file.key.certificates().first().map(Certificate::not_before));
        let mut signs_from = self.context.clock.now();
        for file in &found {
            let place = &self.ring.settings().place;
            let sealed = match place {
                KeyPlace::Database { key, .. } => {
                    let kid = file.key.key_id();
                    let sealed = key.seal(&kid, file.key.to_pem()).ok_or(KeyError::Seal)?;
                    say_sealed(file);
                    Some(sealed)
                }
                KeyPlace::Folder(_) | KeyPlace::Mounted { .. } => None,
            };
            let row = self
                .ring
                .row(&file.key, "adopted", sealed, Some(signs_from));
            let reason = format!("found in {}", file.path.display());
            let action = Action::KeyImport;
            insert(&self.context, tx, schedule, row, action, &reason).await?;
            signs_from += self.ring.settings().publish_ahead;
        }
        if !found.is_empty() {
            return Ok(());
        }
        let reason = match schedule.live().next_back() {
            None => "the first start".to_owned(),
            Some(row) => {
                let reason = format!(
                    "the private key of {} is gone; registries refuse tokens of the new one until \
                     they have fetched it",
                    row.kid
                );
                tracing::warn!("{reason}");
                reason
            }
        };
        let key = self.ring.generate().await?;
        let sealed = self.ring.keep(&key).await?;
        let row = self.ring.row(&key, "generated", sealed, Some(signs_from));
        tracing::info!(kid = row.kid, "made a signing key");
        let action = Action::KeyGenerate;
        insert(&self.context, tx, schedule, row, action, &reason).await?;
        Ok(())
    }

    /// Files that are of no use, while there are keys that are.
    fn mention_strangers(&self, schedule: &KeySchedule) {
        let live = schedule.live().next().is_some();
        for (kid, file) in &self.files {
            if live && schedule.find(kid).is_none() {
                tracing::warn!(
                    "{}: no record knows this key, and nothing is signed with it; import it \
                     (`portcullis auth key import`) or remove it",
                    file.path.display()
                );
            }
        }
    }

    async fn warn_of_permissions(&self) -> Result<(), KeyError> {
        let paths: Vec<_> = self.files.values().map(|file| file.path.clone()).collect();
        let check = move || -> Result<Vec<String>, _> {
            let warnings = paths.iter().map(|path| key_files::check_permissions(path));
            warnings.filter_map(Result::transpose).collect()
        };
        for warning in tokio::task::spawn_blocking(check).await?? {
            tracing::warn!("{warning}");
        }
        Ok(())
    }
}

/// Adds a row, and says so in the audit log.
pub(super) async fn insert(
    context: &Context,
    tx: &mut Tx,
    schedule: &KeySchedule,
    row: StoredKey,
    action: Action,
    reason: &str,
) -> Result<(), database::Error> {
    signing_keys::insert(tx, &row).await?;
    let now = context.clock.now();
    let mut after = schedule.all().to_vec();
    after.push(row.clone());
    let info = KeySchedule::new(after).info(&row, now);
    let event = Event::success(action, subject(&row.kid))
        .after(info)
        .because(reason);
    context.record(tx, &event).await
}

fn say_sealed(file: &KeyFile) {
    tracing::info!(
        kid = file.key.key_id(),
        "the signing key is in the database now, encrypted; {} is needed no longer",
        file.path.display()
    );
}

pub(super) fn subject(kid: &str) -> Subject {
    Subject::new("key", None, kid)
}

/// What is wrong with the dates of the key's certificate.
pub(crate) fn check_dates(key: &SigningKey, now: DateTime<Utc>) -> Option<String> {
    let certificate = key.certificates().first()?;
    if now < certificate.not_before() {
        Some(format!(
            "the certificate of the signing key is valid from {} only; check the clock",
            certificate.not_before()
        ))
    } else if now > certificate.not_after() {
        Some(format!(
            "the certificate of the signing key has ended on {}; registries refuse its tokens",
            certificate.not_after()
        ))
    } else {
        None
    }
}

#[cfg(test)]
#[path = "key_start_tests.rs"]
mod tests;
