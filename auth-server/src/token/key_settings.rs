//! [`KeyRingSettings`]: what the configuration says about keys, and what of it is in the database, so
//! that commands go by what the server was told.

use std::path::PathBuf;
use std::time::Duration;

use registry_token::SigningAlgorithm;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::key_files::KeyFolder;
use super::sealed::EncryptionKey;
use crate::store;
use crate::store::signing_keys::StoredSettings;

/// Where the private halves are.
#[derive(Clone, Debug)]
pub enum KeyPlace {
    /// In files of this folder, which all servers of one database share.
    Folder(KeyFolder),
    /// In the database, encrypted.
    Database {
        key: EncryptionKey,
        /// Where an earlier start may have left files.
        folder: Option<KeyFolder>,
    },
    /// In these files, which somebody else takes care of.
    Mounted { key: PathBuf, certificate: PathBuf },
}

/// What the ring is told by the configuration.
#[derive(Clone, Debug)]
pub struct KeyRingSettings {
    pub place: KeyPlace,
    /// Where to put `bundle.pem`, if anywhere.
    pub bundle: Option<KeyFolder>,
    /// Of keys that are to be made.
    pub algorithm: SigningAlgorithm,
    /// How long a key is published before it signs.
    pub publish_ahead: Duration,
    /// How long a key signs before the next is made; for ever if none.
    pub rotate_every: Option<Duration>,
    /// Of the tokens that this server makes.
    pub token_lifetime: Duration,
}

/// What verifiers take to look again that fetch a URL every five minutes, whatever they are told.
const USUAL_INTERVAL: Duration = Duration::from_mins(6);

impl KeyRingSettings {
    /// What commands on the machine of the database have to go by, too.
    pub(super) fn to_stored(&self) -> StoredSettings {
        StoredSettings {
            algorithm: self.algorithm.to_string(),
            publish_ahead: seconds(self.publish_ahead),
            token_lifetime: seconds(self.token_lifetime),
        }
    }

    /// The same with what the server goes by.
    pub(super) fn overruled_by(self, stored: &StoredSettings) -> Result<Self, database::Error> {
        let word: StrDeserializer<'_, ValueError> = stored.algorithm.as_str().into_deserializer();
        let algorithm = SigningAlgorithm::deserialize(word).map_err(store::undecodable)?;
        let duration = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        Ok(Self {
            algorithm,
            publish_ahead: duration(stored.publish_ahead),
            token_lifetime: duration(stored.token_lifetime),
            ..self
        })
    }

    /// What an operator should know.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let short = self.publish_ahead < USUAL_INTERVAL;
        let short = short && !matches!(self.place, KeyPlace::Mounted { .. });
        let warning = format!(
            "keys.publishahead is {} seconds: registries that do not look for new keys that often \
             (every five minutes, many that fetch a URL) refuse tokens after a rotation until they \
             do",
            self.publish_ahead.as_secs()
        );
        short.then_some(warning).into_iter().collect()
    }
}

pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
