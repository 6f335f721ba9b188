//! [`Check`]: one thing that is to work, and how often that is looked at. [`Failure`]: why it does not.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

type ProbeFuture = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// What is wrong: in full for operators, and in a few words for strangers, if there are any.
///
/// Made of any error; those of [`Failure::because`] have the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub(super) error: String,
    pub(super) reason: Option<&'static str>,
}

impl Failure {
    /// `reason` is shown to anybody who asks `/readyz`, and is fixed, so that no path or address gets into it.
    pub fn because(reason: &'static str, error: impl fmt::Display) -> Self {
        Self {
            error: error.to_string(),
            reason: Some(reason),
        }
    }
}

// `Failure` itself must never have `Display`, or this would contradict `From<Failure>`.
impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            error: error.to_string(),
            reason: None,
        }
    }
}

/// Something that the service cannot do without, or not do all of its work.
pub struct Check {
    pub(super) name: String,
    pub(super) interval: Duration,
    timeout: Duration,
    pub(super) threshold: u32,
    pub(super) stops_service: bool,
    pub(super) degrades: bool,
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
        E: Into<Failure>,
    {
        Self {
            name: name.to_owned(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            threshold: 1,
            stops_service: false,
            degrades: false,
            probe: Box::new(move || {
                let answer = probe();
                Box::pin(async move { answer.await.map_err(Into::into) })
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

    /// While it fails, the service goes on with what is left: requests should still come here.
    ///
    /// A server may start without it, so the first failure counts if there was no success before.
    #[must_use]
    pub fn degrades(mut self) -> Self {
        self.degrades = true;
        self
    }

    pub(super) async fn run(&self) -> Result<(), Failure> {
        match tokio::time::timeout(self.timeout, (self.probe)()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {:?}", self.timeout).into()),
        }
    }
}
