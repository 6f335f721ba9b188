//! When a certificate is ordered: at the first start, before the end of the one that is there, and again
//! after a failure, each time later.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use super::cache::{Cache, CacheError, Issued};
use super::challenge::Challenges;
use super::order::{OrderError, Ordering};
use super::settings::LetsEncryptSettings;
use crate::shutdown::{Reload, Shutdown};

/// A certificate is renewed when this part of its life is left: 30 days of 90, 2 of 6.
const LAST_PART: u32 = 3;
/// Clocks are set and machines sleep, so the time is looked at again.
const LOOK_AGAIN: Duration = Duration::from_hours(1);
/// After the first failure. Let's Encrypt forgives five per name and hour.
const FIRST_RETRY: Duration = Duration::from_mins(5);
/// The same, if the authority knows nothing of it.
const FIRST_FREE_RETRY: Duration = Duration::from_secs(30);
const LAST_RETRY: Duration = Duration::from_hours(6);

/// Has a certificate in use that does not end.
#[derive(Clone, Debug)]
pub(in crate::server) struct Renewal {
    settings: LetsEncryptSettings,
    cache: Cache,
    challenges: Challenges,
}

impl Renewal {
    pub fn new(
        settings: &LetsEncryptSettings,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, CacheError> {
        Ok(Self {
            settings: settings.clone(),
            cache: Cache::open(&settings.cachefile)?,
            challenges: Challenges::new(provider),
        })
    }

    /// The file that certificates are kept in.
    pub fn path(&self) -> &Path {
        self.cache.path()
    }

    pub fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// What was ordered before this start.
    pub fn cached(&self) -> Result<Option<Issued>, CacheError> {
        let content = self.cache.read(&self.settings.directoryurl)?;
        Ok(content.certificate)
    }

    /// Orders until the server ends. `use_it` puts a certificate into use, and says how long it is good.
    pub async fn keep(
        &self,
        mut term: Option<Term>,
        use_it: impl Fn(&Issued) -> Result<Term, String>,
        shutdown: Shutdown,
        reload: Reload,
    ) {
        let hosts = &self.settings.hosts;
        let mut requests = reload.subscribe();
        let mut failures = Failures::default();
        loop {
            let wait = failures.wait().unwrap_or_else(|| {
                let due = term
                    .as_ref()
                    .map_or(Duration::ZERO, |term| term.left(hosts, now()));
                due.min(LOOK_AGAIN)
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Whoever has corrected something does not wait for the next try.
                () = requests.next() => {}
                () = shutdown.begun() => return,
            }
            if term
                .as_ref()
                .is_some_and(|term| !term.left(hosts, now()).is_zero())
            {
                continue;
            }
            let ordered = tokio::select! {
                ordered = self.order(&use_it) => ordered,
                () = shutdown.begun() => return,
            };
            match ordered {
                Ok(new) => {
                    failures = Failures::default();
                    tracing::info!(hosts = %hosts.join(", "), until = %new.until(), "new certificate in use");
                    term = Some(new);
                }
                Err(error) => {
                    let wait = failures.count(&error);
                    self.report(&error, wait, term.as_ref());
                }
            }
        }
    }

    async fn order(
        &self,
        use_it: impl Fn(&Issued) -> Result<Term, String>,
    ) -> Result<Term, OrderError> {
        let (hosts, authority) = (&self.settings.hosts, &self.settings.directoryurl);
        tracing::info!(hosts = %hosts.join(", "), %authority, "ordering a certificate");
        let ordering = Ordering {
            settings: &self.settings,
            cache: &self.cache,
            challenges: &self.challenges,
        };
        let issued = ordering.place().await?;
        let term = use_it(&issued).map_err(OrderError::Unusable)?;
        if let Err(error) = ordering.keep(&issued).await {
            tracing::error!(%error, "the new certificate is lost with the next start, which orders another");
        }
        if term.left(hosts, now()).is_zero() {
            return Err(OrderError::Unusable(format!(
                "for {}, until {}",
                term.names.join(", "),
                term.until()
            )));
        }
        Ok(term)
    }

    fn report(&self, error: &OrderError, wait: Duration, term: Option<&Term>) {
        let hosts = self.settings.hosts.join(", ");
        let advice = error.advice();
        if let Some(term) = term.filter(|term| term.until > now()) {
            tracing::warn!(
                %hosts, %error, advice, again_in = ?wait,
                "the certificate is not renewed; the old one stays in use, until {}", term.until()
            );
        } else {
            tracing::error!(
                %hosts, %error, advice, again_in = ?wait,
                "there is no certificate that clients trust"
            );
        }
    }
}

/// What a certificate is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Term {
    names: Vec<String>,
    from: SystemTime,
    until: SystemTime,
}

impl Term {
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let names = parsed
            .subject_alternative_name()
            .ok()
            .flatten()
            .into_iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect();
        let time = |seconds: i64| {
            let seconds = u64::try_from(seconds).unwrap_or(0);
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        };
        let validity = parsed.validity();
        Ok(Self {
            names,
            from: time(validity.not_before.timestamp()),
            until: time(validity.not_after.timestamp()),
        })
    }

    /// Until another is ordered: nothing if it is not for all of these hosts.
    fn left(&self, hosts: &[String], now: SystemTime) -> Duration {
        if !hosts.iter().all(|host| self.names.contains(host)) {
            return Duration::ZERO;
        }
        let life = self.until.duration_since(self.from).unwrap_or_default();
        let due = self.until - life / LAST_PART;
        due.duration_since(now).unwrap_or_default()
    }

    /// For people.
    fn until(&self) -> impl fmt::Display {
        let since = self.until.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
        ASN1Time::from_timestamp(seconds).map_or_else(|_| String::new(), |time| time.to_string())
    }
}

/// One failure after the other.
#[derive(Debug, Default)]
struct Failures {
    wait: Option<Duration>,
}

impl Failures {
    /// How long to wait after them.
    fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// Another one; twice as long as the last, or as long as this kind needs.
    fn count(&mut self, error: &OrderError) -> Duration {
        let first = if error.is_free() {
            FIRST_FREE_RETRY
        } else {
            FIRST_RETRY
        };
        let wait = self.wait.map_or(first, |last| (last * 2).max(first));
        *self.wait.insert(wait.min(LAST_RETRY))
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "authorities write the real time into certificates, and clients compare it with theirs"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
#[path = "renewal_tests.rs"]
mod tests;
