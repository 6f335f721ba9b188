//! Where trusted keys come from, and how a running verifier follows when they change.
//!
//! A [`KeySource`] reads certificate bundles and key sets from files and from the issuer itself.
//! Files are looked at every few seconds: that also works where no change is ever announced,
//! as with the symbolic links that Kubernetes swaps under a mounted Secret. Whatever goes wrong
//! later, the last good keys stay in force, the log says what happened, and [`KeySourceStatus`]
//! tells whoever asks about health.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use url::Url;

use crate::{
    BundleError, JwksError, TrustedKeys, Verifier,
    key_origin::{Origin, ReadError},
};

/// A place that holds keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyLocation {
    /// A PEM file of certificates.
    Bundle(PathBuf),
    /// A JSON Web Key Set in a file.
    JwksFile(PathBuf),
    /// A JSON Web Key Set that the issuer serves.
    JwksUrl(Url),
}

/// A place, and the setting that names it, so that errors can say what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOrigin {
    /// The place.
    pub location: KeyLocation,
    /// The setting, `auth.token.rootcertbundle` for example.
    pub setting: String,
    /// Whether a file that is not there yet is fine, because someone will write it soon.
    pub may_appear_later: bool,
}

/// Where keys come from and how often to look.
#[derive(Debug, Clone)]
pub struct KeySourceSettings {
    /// The places; what they hold is believed together.
    pub origins: Vec<KeyOrigin>,
    /// How often files are looked at.
    pub file_interval: Duration,
    /// How often a URL is fetched, at least: an issuer may say in `Cache-Control` that it wants to
    /// be asked sooner.
    pub fetch_interval: Duration,
    /// The shortest `max-age` that is heeded.
    pub shortest_interval: Duration,
    /// How soon a URL is fetched again when a token came with an unknown key. Nobody can make
    /// us ask the issuer more often, however many tokens they send.
    pub unknown_key_interval: Duration,
    /// How long one fetch may take.
    pub fetch_timeout: Duration,
}

impl KeySourceSettings {
    /// Files every 3 seconds; URLs every 5 minutes or when the issuer says so, from 5 seconds; half
    /// a minute apart for unknown keys; with a timeout of 10 seconds.
    pub fn new(origins: Vec<KeyOrigin>) -> Self {
        Self {
            origins,
            file_interval: Duration::from_secs(3),
            fetch_interval: Duration::from_mins(5),
            shortest_interval: Duration::from_secs(5),
            unknown_key_interval: Duration::from_secs(30),
            fetch_timeout: Duration::from_secs(10),
        }
    }
}

/// Why keys cannot be had from a place.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// The file cannot be read.
    #[error("{setting}: cannot read {}: {reason}", path.display())]
    File {
        /// The setting that names the file.
        setting: String,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        reason: io::Error,
    },
    /// The file holds something else.
    #[error("{setting}: {}: {reason}", path.display())]
    Content {
        /// The setting that names the file.
        setting: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: ContentError,
    },
    /// The URL is of a kind that keys cannot be fetched from.
    #[error("{setting}: the URL of a key set starts with https:// or http://, not {scheme}:")]
    Scheme {
        /// The setting that names the URL.
        setting: String,
        /// The scheme it has.
        scheme: String,
    },
    /// No HTTP client can be made, for want of root certificates for example.
    #[error("{setting}: cannot set up fetching: {reason}")]
    Client {
        /// The setting that names the URL.
        setting: String,
        /// What the client says.
        reason: String,
    },
}

/// What is wrong with the content of a file or an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Not a certificate bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Not a key set.
    #[error(transparent)]
    Jwks(#[from] JwksError),
    /// Too big to be either.
    #[error("it is bigger than 1 MiB")]
    TooBig,
}

/// Reads keys, and keeps a [`Verifier`] up to date with them.
#[derive(Debug)]
pub struct KeySource {
    settings: KeySourceSettings,
    origins: Vec<Origin>,
    status: KeySourceStatus,
    now: Arc<Notify>,
}

/// How the places of a [`KeySource`] are doing. A handle: clones show the same.
#[derive(Debug, Clone, Default)]
pub struct KeySourceStatus(Arc<Mutex<Vec<OriginStatus>>>);

/// How one place is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginStatus {
    /// The file or URL, without credentials.
    pub location: String,
    /// The setting that names it.
    pub setting: String,
    /// The number of keys it contributes.
    pub keys: usize,
    /// What went wrong last time, unless it went well.
    pub failure: Option<String>,
}

impl KeySourceStatus {
    /// All places, in the order of the settings.
    pub fn origins(&self) -> Vec<OriginStatus> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The places that failed last time.
    pub fn failures(&self) -> Vec<OriginStatus> {
        let mut failures = self.origins();
        failures.retain(|origin| origin.failure.is_some());
        failures
    }

    fn set(&self, origins: Vec<OriginStatus>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = origins;
    }
}

impl KeySource {
    /// Reads all places once.
    ///
    /// A file that is missing or holds something else is an error. An issuer that does not
    /// answer is not, because it may start after us: its keys are fetched again soon, and until
    /// then its tokens are refused.
    pub async fn load(settings: KeySourceSettings) -> Result<Self, KeySourceError> {
        let mut origins = Vec::with_capacity(settings.origins.len());
        for origin in &settings.origins {
            let mut origin = Origin::new(origin.clone(), &settings)?;
            if let Err(ReadError::AtStart(error)) = origin.refresh(&settings).await {
                return Err(error);
            }
            origins.push(origin);
        }
        let status = KeySourceStatus::default();
        let source = Self {
            settings,
            origins,
            status,
            now: Arc::default(),
        };
        source.publish_status();
        Ok(source)
    }

    /// All keys found so far.
    pub fn keys(&self) -> TrustedKeys {
        let keys = self.origins.iter().map(|origin| origin.keys().clone());
        keys.fold(TrustedKeys::none(), TrustedKeys::merge)
    }

    /// How the places are doing, from now on too.
    pub fn status(&self) -> KeySourceStatus {
        self.status.clone()
    }

    /// Notified, it looks at all places at once.
    pub fn look_now(&self) -> Arc<Notify> {
        Arc::clone(&self.now)
    }

    /// Watches all places for ever and gives the verifier what is new. To stop it, drop it.
    pub async fn run(mut self, verifier: Arc<Verifier>) {
        let now = Arc::clone(&self.now);
        loop {
            let Some(due) = self.origins.iter().map(Origin::due).min() else {
                return;
            };
            tokio::select! {
                () = sleep_until(due) => {}
                () = verifier.missed_a_key(), if self.can_hurry() => self.hurry(),
                () = now.notified() => self.origins.iter_mut().for_each(Origin::look_now),
            }
            if self.refresh_due(Instant::now()).await {
                verifier.replace_keys(self.keys());
            }
            self.publish_status();
        }
    }

    /// Reads the places whose time has come. True if the keys differ now.
    async fn refresh_due(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for origin in self.origins.iter_mut().filter(|origin| origin.due() <= now) {
            // What went wrong is in the log and in the status; the last good keys stay.
            changed |= origin.refresh(&self.settings).await.unwrap_or(false);
        }
        changed
    }

    /// Whether any URL could be fetched sooner than planned.
    fn can_hurry(&self) -> bool {
        let interval = self.settings.unknown_key_interval;
        self.origins.iter().any(|origin| origin.can_hurry(interval))
    }

    fn hurry(&mut self) {
        for origin in &mut self.origins {
            origin.hurry(self.settings.unknown_key_interval);
        }
    }

    fn publish_status(&self) {
        let status = self.origins.iter().map(Origin::status);
        self.status.set(status.collect());
    }
}

/// The path, or the URL without user and password.
impl fmt::Display for KeyLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle(path) | Self::JwksFile(path) => path.display().fmt(formatter),
            Self::JwksUrl(url) => {
                let mut shown = url.clone();
                // Fails for URLs that cannot have credentials, which is just as well.
                let _ = shown.set_username("");
                let _ = shown.set_password(None);
                shown.fmt(formatter)
            }
        }
    }
}
