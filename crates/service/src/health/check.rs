//! [`Check`]: one thing that must work, and how often that is looked at.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

type ProbeFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Something the service cannot do without.
pub struct Check {
    pub(super) name: String,
    pub(super) interval: Duration,
    timeout: Duration,
    pub(super) threshold: u32,
    pub(super) stops_service: bool,
    probe: Box<dyn Fn() -> ProbeFuture + Send + Sync>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Check {
    /// Runs `probe` every 10 seconds; it has 5 seconds to answer; one failure counts at once.
    pub fn new<F, Fut, E>(name: &str, probe: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        Self {
            name: name.to_owned(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            threshold: 1,
            stops_service: false,
            probe: Box::new(move || {
                let answer = probe();
                Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
            }),
        }
    }

    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many failures in a row make the check fail. 0 is 1.
    #[must_use]
    pub fn threshold(mut self, threshold: u32) -> Self {
        self.threshold = threshold.max(1);
        self
    }

    /// While it fails, requests are not worth trying.
    #[must_use]
    pub fn stops_service(mut self) -> Self {
        self.stops_service = true;
        self
    }

    pub(super) async fn run(&self) -> Result<(), String> {
        match tokio::time::timeout(self.timeout, (self.probe)()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }
}
