//! The settings of the auth-server: a YAML file, and variables `AUTH_…` over it.
//!
//! Everything has a default that works; what is refused is refused here, before anything listens.

mod credentials;
mod http;
mod values;

use std::path::{Path, PathBuf};

use database::DatabaseUrl;
use registry_token::SigningAlgorithm;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de};
use service::config::{ConfigError, Source, Warning};
use service::telemetry::{Format, Level};

use crate::accounts::password::{HashCost, PasswordPolicy, Passwords};
use crate::clock::Clock;
use crate::token::issue::TokenSettings;
use crate::token::key_files::{BUNDLE_FILE, KeyFolder};
use crate::token::key_settings::{KeyPlace, KeyRingSettings};
use crate::token::sealed::EncryptionKey;

pub use self::credentials::{AccessTokenSettings, LoginSettings, SessionSettings};
pub use self::http::HttpSettings;
pub use self::values::{Name, Names, Number, Span};

/// The prefix of the variables.
pub const PREFIX: &str = "AUTH";

/// The sections and keys that a change of the file is followed in without a restart.
pub const LIVE_SETTINGS: [&str; 1] = ["log.level"];

/// Settings that may come from a file of their own (`…_file`), and that no error shows.
const SECRETS: [&str; 3] = ["admin.password", "database.url", "keys.encryptionkey"];

/// The issuer and the service that both servers assume if nobody says otherwise.
const DEFAULT_ISSUER: &str = "portcullis-auth";
const DEFAULT_SERVICE: &str = "portcullis-registry";

/// All settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub http: HttpSettings,
    pub database: DatabaseSettings,
    pub keys: KeySettings,
    pub token: TokenSection,
    pub password: PasswordSettings,
    pub login: LoginSettings,
    pub session: SessionSettings,
    pub accesstoken: AccessTokenSettings,
    pub admin: AdminSettings,
    pub audit: AuditSettings,
    pub log: LogSettings,
}

/// `database`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSettings {
    /// `sqlite:PATH` or `postgres://…`; by default `auth.sqlite` in the data folder.
    pub url: Option<DatabaseUrl>,
    /// The most connections at once.
    pub connections: Number<1, 1_000>,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: None,
            connections: Number::clamped(8),
        }
    }
}

/// `keys`
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The folder of the signing key and of `bundle.pem`; by default `keys` in the data folder.
    pub path: Option<PathBuf>,
    /// A private key that somebody else has made, and its certificate.
    pub mounted: Option<MountedKey>,
    /// Keeps private keys in the database, encrypted with this one, and not in files.
    pub encryptionkey: Option<EncryptionKey>,
    /// Of a key that is to be made.
    pub algorithm: SigningAlgorithm,
    /// How long a new key is published before it signs.
    pub publishahead: Span<20, 2_592_000>,
    /// How long a key signs before the next one is made.
    pub rotateevery: Option<Span<3_600, 315_360_000>>,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            path: None,
            mounted: None,
            encryptionkey: None,
            algorithm: SigningAlgorithm::default(),
            publishahead: PUBLISH_AHEAD,
            rotateevery: None,
        }
    }
}

/// Twice what registries of ours take to look again, and what others take too.
const PUBLISH_AHEAD: Span<20, 2_592_000> = Span::clamped(600);

/// `keys.signingkey` and `keys.certificate`: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedKey {
    pub key: PathBuf,
    pub certificate: PathBuf,
}

impl<'de> Deserialize<'de> for KeySettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Keys {
            path: Option<PathBuf>,
            signingkey: Option<PathBuf>,
            certificate: Option<PathBuf>,
            encryptionkey: Option<EncryptionKey>,
            algorithm: SigningAlgorithm,
            publishahead: Option<Span<20, 2_592_000>>,
            rotateevery: Option<Span<3_600, 315_360_000>>,
        }

        let keys = Keys::deserialize(deserializer)?;
        let mounted = match (keys.signingkey, keys.certificate) {
            (Some(key), Some(certificate)) => Some(MountedKey { key, certificate }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(de::Error::custom(
                    "signingkey needs its certificate too: registries check tokens against it",
                ));
            }
            (None, Some(_)) => {
                return Err(de::Error::custom(
                    "certificate needs its private key too: set signingkey",
                ));
            }
        };
        if mounted.is_some() && keys.encryptionkey.is_some() {
            return Err(de::Error::custom(
                "signingkey and encryptionkey exclude each other: a mounted key is not kept",
            ));
        }
        if mounted.is_some() && keys.rotateevery.is_some() {
            return Err(de::Error::custom(
                "signingkey and rotateevery exclude each other: rotating a mounted key takes \
                 somebody who mounts another",
            ));
        }
        let publishahead = keys.publishahead.unwrap_or(PUBLISH_AHEAD);
        if keys
            .rotateevery
            .is_some_and(|every| every.get() <= publishahead.get())
        {
            return Err(de::Error::custom(
                "rotateevery must be longer than publishahead: a key signs before the next is made",
            ));
        }
        Ok(Self {
            path: keys.path,
            mounted,
            encryptionkey: keys.encryptionkey,
            algorithm: keys.algorithm,
            publishahead,
            rotateevery: keys.rotateevery,
        })
    }
}

/// `token`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenSection {
    /// The claim `iss`; the registry's `auth.token.issuer`.
    pub issuer: Name,
    /// The registries that tokens are issued for: each one's `auth.token.service`.
    pub services: Names,
    /// Docker takes less than a minute for a minute, so there is no less.
    pub lifetime: Span<60, 86_400>,
    /// How long a `docker login` lasts.
    pub refreshlifetime: Span<3_600, 315_360_000>,
}

impl Default for TokenSection {
    fn default() -> Self {
        Self {
            issuer: Name::constant(DEFAULT_ISSUER),
            services: Names::of(Name::constant(DEFAULT_SERVICE)),
            lifetime: Span::clamped(300),
            refreshlifetime: Span::clamped(90 * 86_400),
        }
    }
}

/// `password`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PasswordSettings {
    /// Of a password that somebody chooses, in characters.
    pub minlength: Number<8, 128>,
    pub argon2: HashCost,
    /// How many passwords are checked at once; each takes `argon2.memory`.
    pub concurrency: Number<1, 256>,
    /// How many wait for their turn before others are turned away.
    pub queue: Number<0, 65_536>,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            minlength: Number::clamped(12),
            argon2: HashCost::default(),
            concurrency: Number::clamped(u32::try_from(cores.min(4)).unwrap_or(1)),
            queue: Number::clamped(64),
        }
    }
}

impl PasswordSettings {
    /// What a new password must be.
    #[must_use]
    pub fn policy(&self) -> PasswordPolicy {
        PasswordPolicy {
            minimum_length: self.minlength.as_usize(),
        }
    }

    /// What hashes and verifies.
    pub fn passwords(&self, clock: &Clock) -> Result<Passwords, argon2::Error> {
        let (concurrency, queue) = (self.concurrency.as_usize(), self.queue.as_usize());
        Passwords::new(self.argon2, concurrency, queue, clock)
    }
}

/// The recommendation of OWASP's Password Storage Cheat Sheet.
impl Default for HashCost {
    fn default() -> Self {
        Self {
            memory: 19_456,
            iterations: 2,
            parallelism: 1,
        }
    }
}

impl<'de> Deserialize<'de> for HashCost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Argon2 {
            /// The lowest of OWASP's equivalent settings, to 4 GiB.
            memory: Number<7_168, 4_194_304>,
            iterations: Number<1, 1_000>,
            parallelism: Number<1, 64>,
        }

        impl Default for Argon2 {
            fn default() -> Self {
                let cost = HashCost::default();
                Self {
                    memory: Number::clamped(cost.memory),
                    iterations: Number::clamped(cost.iterations),
                    parallelism: Number::clamped(cost.parallelism),
                }
            }
        }

        let argon2 = Argon2::deserialize(deserializer)?;
        let cost = Self {
            memory: argon2.memory.get(),
            iterations: argon2.iterations.get(),
            parallelism: argon2.parallelism.get(),
        };
        cost.check().map_err(de::Error::custom)?;
        Ok(cost)
    }
}

/// `admin`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSettings {
    /// Of the first administrator, at the first start; generated and shown once if not set.
    pub password: Option<SecretString>,
}

/// `audit`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// How long events are kept: a day to a hundred years.
    pub retention: Span<86_400, 3_153_600_000>,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            retention: Span::clamped(365 * 86_400),
        }
    }
}

/// `log`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    pub level: Level,
    pub formatter: Format,
}

impl Settings {
    /// Reads the settings: the file, if there is one, and this process' variables over it.
    pub fn load(file: Option<&Path>) -> Result<(Self, Vec<Warning>), ConfigError> {
        service::config::load(&Self::source(file))
    }

    /// Where they are read from.
    #[must_use]
    pub fn source(file: Option<&Path>) -> Source {
        let source = Source::new(PREFIX).secrets(SECRETS);
        match file {
            Some(file) => source.file(file),
            None => source,
        }
    }

    /// The same from a source that the caller has prepared.
    pub fn from_source(source: Source) -> Result<(Self, Vec<Warning>), ConfigError> {
        service::config::load(&source.secrets(SECRETS))
    }

    /// Puts into `folder` what has no place of its own yet: the database and the keys.
    #[must_use]
    pub fn in_data_folder(mut self, folder: &Path) -> Self {
        self.database
            .url
            .get_or_insert_with(|| DatabaseUrl::Sqlite(folder.join("auth.sqlite")));
        self.keys.path.get_or_insert_with(|| folder.join("keys"));
        self
    }

    /// The certificates that a registry checks our tokens against.
    #[must_use]
    pub fn bundle_path(&self) -> PathBuf {
        match (&self.keys.path, &self.keys.mounted) {
            (None, Some(mounted)) => mounted.certificate.clone(),
            _ => self.key_folder().join(BUNDLE_FILE),
        }
    }

    fn key_folder(&self) -> PathBuf {
        self.keys.path.clone().unwrap_or_else(|| "keys".into())
    }

    /// What the signing keys are like, and where they are.
    pub(crate) fn key_ring(&self) -> KeyRingSettings {
        let keys = &self.keys;
        let folder = keys.path.clone().map(KeyFolder::new);
        let (place, bundle) = match (&keys.mounted, &keys.encryptionkey) {
            (Some(mounted), _) => {
                let place = KeyPlace::Mounted {
                    key: mounted.key.clone(),
                    certificate: mounted.certificate.clone(),
                };
                (place, folder)
            }
            (None, Some(key)) => {
                let place = KeyPlace::Database {
                    key: key.clone(),
                    folder: folder.clone(),
                };
                (place, folder)
            }
            (None, None) => {
                let folder = KeyFolder::new(self.key_folder());
                (KeyPlace::Folder(folder.clone()), Some(folder))
            }
        };
        KeyRingSettings {
            place,
            bundle,
            algorithm: keys.algorithm,
            publish_ahead: keys.publishahead.get(),
            rotate_every: keys.rotateevery.map(Span::get),
            token_lifetime: self.token.lifetime.get(),
        }
    }

    /// Where the database is.
    #[must_use]
    pub fn database_url(&self) -> DatabaseUrl {
        self.database
            .url
            .clone()
            .unwrap_or_else(|| DatabaseUrl::Sqlite("auth.sqlite".into()))
    }

    pub(crate) fn token_settings(&self) -> TokenSettings {
        TokenSettings {
            issuer: self.token.issuer.as_str().to_owned(),
            services: self.token.services.iter().map(str::to_owned).collect(),
            lifetime: self.token.lifetime.get(),
            refresh_lifetime: self.token.refreshlifetime.get(),
        }
    }
}

#[cfg(test)]
mod tests;
