//! One place that keys are read from: reading it, and deciding when to look again.

use std::{
    error::Error,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use reqwest::header::{AGE, CACHE_CONTROL, HeaderMap};
use tokio::{fs::File, io::AsyncReadExt, time::Instant};
use url::Url;

use crate::{
    ContentError, KeyLocation, KeyOrigin, KeySourceError, KeySourceSettings, OriginStatus,
    TrustedKeys,
};

/// The biggest file or answer that is read. Two hundred certificates fit in easily.
const MAX_SIZE: u64 = 1024 * 1024;

/// The first pause after a failure; it doubles up to the regular interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// A place and what is known of it.
#[derive(Debug)]
pub(crate) struct Origin {
    place: KeyOrigin,
    reader: Reader,
    keys: TrustedKeys,
    last_read: Instant,
    due: Instant,
    failures_in_a_row: u32,
    failure: Option<String>,
    /// How long the issuer says that its last answer holds.
    fresh_for: Option<Duration>,
}

/// What a place said.
struct Read {
    /// `None`: nothing has changed since it was last read.
    keys: Option<TrustedKeys>,
    fresh_for: Option<Duration>,
}

#[derive(Debug)]
enum Reader {
    File {
        path: PathBuf,
        parse: fn(&[u8]) -> Result<TrustedKeys, ContentError>,
        /// What the file looked like when it was last read well.
        stamp: Option<FileStamp>,
    },
    Url {
        url: Url,
        client: reqwest::Client,
    },
}

/// What tells a changed file from an unchanged one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileStamp {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

/// Why a place could not be read, by what a starting server should make of it.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// A mistake in the configuration, or a file that is not what it should be.
    AtStart(KeySourceError),
    /// Something that time may heal.
    ForNow(String),
}

impl Origin {
    pub fn new(place: KeyOrigin, settings: &KeySourceSettings) -> Result<Self, KeySourceError> {
        let reader = match &place.location {
            KeyLocation::Bundle(path) => Reader::file(path, |text| {
                TrustedKeys::from_bundle_pem(text).map_err(ContentError::from)
            }),
            KeyLocation::JwksFile(path) => Reader::file(path, jwks_keys),
            KeyLocation::JwksUrl(url) => Reader::Url {
                url: url.clone(),
                client: client(url, &place.setting, settings.fetch_timeout)?,
            },
        };
        Ok(Self {
            place,
            reader,
            keys: TrustedKeys::none(),
            last_read: Instant::now(),
            due: Instant::now(),
            failures_in_a_row: 0,
            failure: None,
            fresh_for: None,
        })
    }

    pub fn keys(&self) -> &TrustedKeys {
        &self.keys
    }

    /// When to look next.
    pub fn due(&self) -> Instant {
        self.due
    }

    pub fn status(&self) -> OriginStatus {
        OriginStatus {
            location: self.place.location.to_string(),
            setting: self.place.setting.clone(),
            keys: self.keys.len(),
            failure: self.failure.clone(),
        }
    }

    /// Whether an unknown key would make the next look come earlier.
    pub fn can_hurry(&self, interval: Duration) -> bool {
        self.soonest(interval) < self.due
    }

    /// Looks again as soon as the interval since the last look allows.
    pub fn hurry(&mut self, interval: Duration) {
        self.due = self.due.min(self.soonest(interval));
    }

    /// Is due.
    pub fn look_now(&mut self) {
        self.due = Instant::now();
    }

    fn soonest(&self, interval: Duration) -> Instant {
        match self.reader {
            // Files are looked at often enough.
            Reader::File { .. } => self.due,
            Reader::Url { .. } => self.last_read + interval,
        }
    }

    /// Reads the place. True if the keys are others than before.
    pub async fn refresh(&mut self, settings: &KeySourceSettings) -> Result<bool, ReadError> {
        self.last_read = Instant::now();
        match self.reader.read(&self.place.setting, settings).await {
            Ok(read) => {
                self.fresh_for = read.fresh_for;
                self.due = self.last_read + self.interval(settings);
                Ok(self.accept(read.keys))
            }
            Err(error) => {
                self.due = self.last_read + self.retry_interval(settings);
                self.fail(&error);
                if self.tolerates(&error) {
                    Ok(false)
                } else {
                    Err(error)
                }
            }
        }
    }

    /// `None`: nothing has changed.
    fn accept(&mut self, keys: Option<TrustedKeys>) -> bool {
        let location = &self.place.location;
        if self.failure.take().is_some() {
            tracing::info!(%location, "trusted keys can be read again");
        }
        self.failures_in_a_row = 0;
        match keys {
            Some(keys) if keys != self.keys => {
                tracing::info!(%location, keys = keys.len(), "trusted keys loaded");
                self.keys = keys;
                true
            }
            Some(_) | None => false,
        }
    }

    fn fail(&mut self, error: &ReadError) {
        let reason = match error {
            ReadError::AtStart(error) => error.to_string(),
            ReadError::ForNow(reason) => reason.clone(),
        };
        self.failures_in_a_row += 1;
        // Once per reason: what is looked at every three seconds must not fill the log.
        if self.failure.as_ref() == Some(&reason) {
            return;
        }
        let (location, keys) = (&self.place.location, self.keys.len());
        tracing::warn!(%location, %reason, keys, "trusted keys cannot be read, the last ones stay");
        self.failure = Some(reason);
    }

    fn tolerates(&self, error: &ReadError) -> bool {
        match error {
            ReadError::AtStart(KeySourceError::File { reason, .. }) => {
                self.place.may_appear_later && reason.kind() == io::ErrorKind::NotFound
            }
            ReadError::AtStart(_) => false,
            ReadError::ForNow(_) => true,
        }
    }

    fn interval(&self, settings: &KeySourceSettings) -> Duration {
        match self.reader {
            Reader::File { .. } => settings.file_interval,
            Reader::Url { .. } => {
                let regular = settings.fetch_interval;
                self.fresh_for.map_or(regular, |fresh| fresh.min(regular))
            }
        }
    }

    fn retry_interval(&self, settings: &KeySourceSettings) -> Duration {
        let doubled = FIRST_RETRY.saturating_mul(1 << self.failures_in_a_row.min(16));
        doubled.min(self.interval(settings))
    }
}

impl Reader {
    fn file(path: &Path, parse: fn(&[u8]) -> Result<TrustedKeys, ContentError>) -> Self {
        Self::File {
            path: path.into(),
            parse,
            stamp: None,
        }
    }

    async fn read(
        &mut self,
        setting: &str,
        settings: &KeySourceSettings,
    ) -> Result<Read, ReadError> {
        match self {
            Self::Url { url, client } => {
                let shortest = settings.shortest_interval;
                let fetched = fetch(client, url, shortest).await;
                let (body, fresh_for) = fetched.map_err(ReadError::ForNow)?;
                let keys = jwks_keys(&body);
                let keys = keys.map_err(|reason| ReadError::ForNow(reason.to_string()))?;
                Ok(Read {
                    keys: Some(keys),
                    fresh_for,
                })
            }
            Self::File { path, parse, stamp } => {
                let known = stamp.take();
                let read = read_changed(path, known.as_ref()).await;
                let read = read.map_err(|reason| {
                    let (setting, path) = (setting.into(), path.clone());
                    ReadError::AtStart(KeySourceError::File {
                        setting,
                        path,
                        reason,
                    })
                })?;
                let Some((content, new)) = read else {
                    *stamp = known;
                    return Ok(Read {
                        keys: None,
                        fresh_for: None,
                    });
                };
                let keys = within_bounds(&content).and_then(|()| parse(&content));
                let keys = keys.map_err(|reason| {
                    let (setting, path) = (setting.into(), path.clone());
                    ReadError::AtStart(KeySourceError::Content {
                        setting,
                        path,
                        reason,
                    })
                })?;
                *stamp = Some(new);
                Ok(Read {
                    keys: Some(keys),
                    fresh_for: None,
                })
            }
        }
    }
}

impl FileStamp {
    async fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata().await?;
        Ok(Self {
            modified: metadata.modified()?,
            length: metadata.len(),
            inode: metadata.ino(),
        })
    }
}

/// The content, cut just above the bound, unless the file is the one that is known.
async fn read_changed(
    path: &Path,
    known: Option<&FileStamp>,
) -> io::Result<Option<(Vec<u8>, FileStamp)>> {
    let mut file = File::open(path).await?;
    // Of the opened file, so stamp and content belong together whatever happens to the path.
    let stamp = FileStamp::of(&file).await?;
    if known == Some(&stamp) {
        return Ok(None);
    }
    let mut content = Vec::new();
    (&mut file)
        .take(MAX_SIZE + 1)
        .read_to_end(&mut content)
        .await?;
    Ok(Some((content, stamp)))
}

fn within_bounds(content: &[u8]) -> Result<(), ContentError> {
    if content.len() as u64 > MAX_SIZE {
        return Err(ContentError::TooBig);
    }
    Ok(())
}

fn jwks_keys(text: &[u8]) -> Result<TrustedKeys, ContentError> {
    Ok(TrustedKeys::from_jwks_json(text)?)
}

fn client(url: &Url, setting: &str, timeout: Duration) -> Result<reqwest::Client, KeySourceError> {
    if !matches!(url.scheme(), "https" | "http") {
        return Err(KeySourceError::Scheme {
            setting: setting.into(),
            scheme: url.scheme().into(),
        });
    }
    let client = reqwest::Client::builder()
        .timeout(timeout)
        // A redirect must not take a request that began with TLS out of it.
        .https_only(url.scheme() == "https")
        .redirect(reqwest::redirect::Policy::limited(3))
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .build();
    client.map_err(|error| KeySourceError::Client {
        setting: setting.into(),
        reason: with_causes(&error),
    })
}

/// The answer, and how long it holds.
async fn fetch(
    client: &reqwest::Client,
    url: &Url,
    shortest: Duration,
) -> Result<(Vec<u8>, Option<Duration>), String> {
    let failed = |error: reqwest::Error| with_causes(&error.without_url());
    let request = client.get(url.clone()).header("accept", "application/json");
    let mut response = request.send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(format!("the issuer answered {}", response.status()));
    }
    let fresh_for = fresh_for(response.headers(), shortest);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        within_bounds(&body).map_err(|reason| reason.to_string())?;
    }
    Ok((body, fresh_for))
}

/// What is left of the `max-age` of an answer, some of which it may have spent in a proxy, but not
/// less than `shortest`. RFC 9111, sections 4.2 and 5.2.2.1.
///
/// An issuer that is about to sign with a new key wants to be asked sooner. A `max-age` below
/// `shortest`, the 0 that many frameworks put everywhere, says nothing about keys.
fn fresh_for(headers: &HeaderMap, shortest: Duration) -> Option<Duration> {
    let directives = headers.get_all(CACHE_CONTROL).iter();
    let max_age = directives
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|directive| directive.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("max-age"))
        .and_then(|(_, seconds)| seconds.trim_matches('"').parse().ok())
        .map(Duration::from_secs)
        .filter(|max_age| *max_age >= shortest)?;
    let age = headers.get(AGE).and_then(|value| value.to_str().ok());
    let age = Duration::from_secs(age.and_then(|age| age.parse().ok()).unwrap_or(0));
    Some(max_age.saturating_sub(age).max(shortest))
}

/// "error sending request: client error (Connect): connection refused"
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let sentences: Vec<String> = causes.map(ToString::to_string).collect();
    sentences.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_may_say_how_long_its_keys_hold() {
        let shortest = Duration::from_secs(5);
        for (cache_control, age, expected) in [
            ("public, max-age=60", None, Some(60)),
            ("Max-Age=60", Some("20"), Some(40)),
            ("max-age=\"60\"", Some("58"), Some(5)),
            ("max-age=60", Some("600"), Some(5)),
            ("max-age=60", Some("much"), Some(60)),
            ("max-age=5", None, Some(5)),
            ("max-age=4", None, None),
            ("max-age=0, private, must-revalidate", None, None),
            ("max-age=-1", None, None),
            ("no-store", None, None),
            ("s-maxage=60", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, cache_control.parse().unwrap());
            if let Some(age) = age {
                headers.insert(AGE, age.parse().unwrap());
            }
            let expected = expected.map(Duration::from_secs);
            assert_eq!(fresh_for(&headers, shortest), expected, "{cache_control}");
        }
        assert_eq!(fresh_for(&HeaderMap::new(), shortest), None);
    }
}
