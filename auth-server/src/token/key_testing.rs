//! What the tests of keys share: servers of one database, and what a registry makes of their keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use database::{Database, sql};
use registry_token::{
    Access, Claims, Denials, SigningAlgorithm, SigningKey, TrustedKeys, Verifier, VerifierSettings,
};
use secrecy::ExposeSecret as _;

use super::key_files::KeyFolder;
use super::key_ring::{KeyError, KeyRing};
use super::key_settings::{KeyPlace, KeyRingSettings};
use super::sealed::EncryptionKey;
use super::{key_start, upkeep};
use crate::audit::{Actor, Origin};
use crate::clock::Clock;
use crate::context::Context;
use crate::testing;

pub const AHEAD: Duration = Duration::from_mins(10);
pub const LIFETIME: Duration = Duration::from_mins(5);

/// All servers of one database, with one clock.
pub struct Servers {
    pub folder: tempfile::TempDir,
    pub database: Database,
    pub clock: Clock,
}

impl Servers {
    pub fn new(database: &Database) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: database.clone(),
            clock: testing::clock(),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Keys in files of one folder.
    pub fn in_files(&self) -> KeyRingSettings {
        self.settings(KeyPlace::Folder(KeyFolder::new(self.path())))
    }

    /// Keys in the database, and an earlier start's in the folder.
    pub fn encrypted(&self, byte: u8) -> KeyRingSettings {
        let key = EncryptionKey::from_text(&hex::encode([byte; 32]).into()).unwrap();
        self.settings(KeyPlace::Database {
            key,
            folder: Some(KeyFolder::new(self.path())),
        })
    }

    /// A pair that is mounted; one after another at the same place.
    pub fn mounted(&self, pair: &SigningKey) -> KeyRingSettings {
        let (key, certificate) = (self.path().join("tls.key"), self.path().join("tls.crt"));
        std::fs::write(&key, pair.to_pem().expose_secret()).unwrap();
        std::fs::write(&certificate, pair.certificate_pem()).unwrap();
        self.settings(KeyPlace::Mounted { key, certificate })
    }

    fn settings(&self, place: KeyPlace) -> KeyRingSettings {
        KeyRingSettings {
            place,
            bundle: Some(KeyFolder::new(self.path())),
            algorithm: SigningAlgorithm::Es256,
            publish_ahead: AHEAD,
            rotate_every: None,
            token_lifetime: LIFETIME,
        }
    }

    pub async fn start(&self, settings: KeyRingSettings) -> Result<KeyRing, KeyError> {
        key_start::start(settings, self.database.clone(), self.clock.clone()).await
    }

    /// For looking and repairing.
    pub async fn open(&self, settings: KeyRingSettings) -> KeyRing {
        let opened = KeyRing::open(settings, self.database.clone(), self.clock.clone());
        opened.await.unwrap()
    }

    pub fn context(&self) -> Context {
        Context {
            database: self.database.clone(),
            clock: self.clock.clone(),
            origin: Origin::local(Actor::operator("root")),
        }
    }

    pub fn generate(&self) -> SigningKey {
        SigningKey::generate(SigningAlgorithm::Es256, self.clock.now()).unwrap()
    }

    /// Files that are named like keys.
    pub fn key_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.display().to_string().contains("/signing"));
        paths
    }

    /// Lets time go by as the job would.
    pub async fn pass(&self, rings: &[&KeyRing], time: Duration) {
        self.clock.advance(time);
        for ring in rings {
            upkeep::tick(ring).await.unwrap();
        }
    }

    /// The events of keys: action, actor and key.
    pub async fn events(&self) -> Vec<(String, String, String)> {
        let mut tx = self.database.read().await.unwrap();
        sql!(
            &mut tx,
            fetch_all(String, String, String),
            "SELECT action, actor_kind, subject_name FROM audit_events
             WHERE action LIKE 'key.%' ORDER BY number"
        )
        .unwrap()
    }

    /// A token made now.
    pub fn token(&self, ring: &KeyRing) -> String {
        let now = self.clock.now();
        let claims = Claims {
            issuer: "issuer".to_owned(),
            subject: None,
            audience: "service".to_owned().into(),
            expires_at: now + LIFETIME,
            not_before: Some(now),
            issued_at: Some(now),
            id: None,
            access: Access::none(),
            auth_type: None,
            denials: Denials::default(),
        };
        ring.current().unwrap().sign(&claims).unwrap()
    }

    /// A registry that has read what is published here now.
    pub fn registry(&self, ring: &KeyRing) -> Registry {
        let loaded = ring.load();
        let published = &loaded.published;
        let verifier = |keys| Verifier::new(VerifierSettings::new("issuer", "service"), keys);
        let bundle = published.bundle.body.as_bytes();
        let jwks = published.jwks.body.as_bytes();
        Registry {
            clock: self.clock.clone(),
            by_bundle: verifier(TrustedKeys::from_bundle_pem(bundle).unwrap()),
            by_jwks: verifier(TrustedKeys::from_jwks_json(jwks).unwrap()),
        }
    }
}

/// Two registries in truth: one believes the certificates, one the key set.
pub struct Registry {
    clock: Clock,
    by_bundle: Verifier,
    by_jwks: Verifier,
}

impl Registry {
    #[track_caller]
    pub fn believes(&self, token: &str) -> bool {
        let now = self.clock.now();
        let bundle = self.by_bundle.verify(token, now).is_ok();
        let jwks = self.by_jwks.verify(token, now).is_ok();
        assert_eq!(bundle, jwks, "bundle and key set hold the same keys");
        bundle
    }
}

pub fn kid(ring: &KeyRing) -> String {
    ring.current().unwrap().key_id()
}
