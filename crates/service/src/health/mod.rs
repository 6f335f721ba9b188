//! Is the process alive, may it get requests, and if not, why.
//!
//! - `/healthz` (liveness) answers 200 as long as the process answers at all. It looks at nothing
//!   else: a restart does not mend a database.
//! - `/readyz` answers 503 until each check has passed once, while one has failed, and during
//!   shutdown. It names the checks, but not their errors: those are for `/debug/health` and the log.
//! - `/debug/health` answers as distribution's does: 200 `{}`, or 503 with a map from the check to
//!   its error.
//!
//! A check may stop the whole service ([`Check::stops_service`]): while it fails, the server
//! answers every request with 503, so that a load balancer that knows no probe turns elsewhere.
//!
//! A check may merely degrade it ([`Check::degrades`]): a registry whose disk is full serves pulls, and
//! would not if probes took it out of service. Then both addresses name the check and stay at 200. Whoever
//! would rather have 503 asks for it (`strict`); requests that come all the same are answered.
//!
//! Checks run in the background at their interval. A probe reads the last result, so that probing
//! is cheap and an attacker cannot make us ask the database.

mod answers;
mod check;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

pub(crate) use self::answers::is_probe;
pub use self::check::{Check, Failure};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not known yet.
    Starting,
    Passing,
    Failing(Failure),
}

#[derive(Debug)]
struct Watched {
    degrades: bool,
    state: State,
}

/// From the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Whole,
    /// What fails is nothing that the service cannot go on without.
    Degraded,
    Unavailable,
}

impl Watched {
    fn standing(&self) -> Standing {
        match (&self.state, self.degrades) {
            (State::Passing, _) => Standing::Whole,
            (State::Failing(_), true) => Standing::Degraded,
            (State::Failing(_), false) | (State::Starting, _) => Standing::Unavailable,
        }
    }
}

/// The results of all checks. Clones share them.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    checks: Mutex<BTreeMap<String, Watched>>,
    /// How many checks fail that stop the service; kept beside them for those who ask at every request.
    stopping: AtomicUsize,
    /// Less than everything is not enough.
    strict: bool,
    shutdown: Shutdown,
}

impl Default for Health {
    /// Of a service that needs nothing.
    fn default() -> Self {
        Self(Arc::new(Inner {
            checks: Mutex::default(),
            stopping: AtomicUsize::new(0),
            strict: false,
            shutdown: Shutdown::new(),
        }))
    }
}

impl Health {
    /// Starts the checks, in the current runtime, until `shutdown` begins.
    pub fn start(checks: impl IntoIterator<Item = Check>, shutdown: &Shutdown) -> Self {
        Self::watch_all(checks, false, shutdown)
    }

    /// The same for who wants `/readyz` to answer 503 while the service is degraded.
    pub fn start_strict(checks: impl IntoIterator<Item = Check>, shutdown: &Shutdown) -> Self {
        Self::watch_all(checks, true, shutdown)
    }

    fn watch_all(
        checks: impl IntoIterator<Item = Check>,
        strict: bool,
        shutdown: &Shutdown,
    ) -> Self {
        let checks: Vec<Check> = checks.into_iter().collect();
        let starting = |check: &Check| Watched {
            degrades: check.degrades,
            state: State::Starting,
        };
        let watched = checks
            .iter()
            .map(|check| (check.name.clone(), starting(check)))
            .collect();
        let health = Self(Arc::new(Inner {
            checks: Mutex::new(watched),
            stopping: AtomicUsize::new(0),
            strict,
            shutdown: shutdown.clone(),
        }));
        for check in checks {
            tokio::spawn(health.clone().watch(check));
        }
        health
    }

    /// Adds `health_check_passing` to the metrics, 1 for each check that passes, else 0; and
    /// `health_degraded`, 1 while those that fail only degrade the service.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register_collector(self.clone());
    }

    /// Whether all checks pass.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.standing() == Standing::Whole
    }

    /// Whether requests are worth trying. Costs one load.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.0.stopping.load(Relaxed) == 0
    }

    /// Whether requests should come here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_good_enough() && !self.0.shutdown.has_begun()
    }

    fn is_good_enough(&self) -> bool {
        match self.standing() {
            Standing::Whole => true,
            Standing::Degraded => !self.0.strict,
            Standing::Unavailable => false,
        }
    }

    fn standing(&self) -> Standing {
        let checks = self.checks();
        let each = checks.values().map(Watched::standing);
        each.max().unwrap_or(Standing::Whole)
    }

    async fn watch(self, check: Check) {
        let mut failures = 0;
        let mut has_passed = false;
        loop {
            let result = tokio::select! {
                result = check.run() => result,
                () = self.0.shutdown.begun() => return,
            };
            match result {
                Ok(()) => {
                    failures = 0;
                    has_passed = true;
                    self.set(&check, State::Passing);
                }
                Err(failure) => {
                    failures += 1;
                    let starts_without = check.degrades && !has_passed;
                    if failures >= check.threshold || starts_without {
                        self.set(&check, State::Failing(failure));
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(check.interval) => {}
                () = self.0.shutdown.begun() => return,
            }
        }
    }

    fn set(&self, check: &Check, state: State) {
        let name = check.name.as_str();
        let mut checks = self.checks();
        let Some(Watched { state: known, .. }) = checks.get_mut(name) else {
            return;
        };
        match (&*known, &state) {
            (State::Failing(_), State::Passing) => tracing::info!(check = name, "healthy again"),
            (State::Starting | State::Passing, State::Failing(Failure { error, .. })) => {
                if check.degrades {
                    tracing::warn!(check = name, %error, "degraded");
                } else {
                    tracing::warn!(check = name, %error, "unhealthy");
                }
            }
            _ => {}
        }
        if check.stops_service {
            let failing = |state: &State| matches!(state, State::Failing(_));
            match (failing(known), failing(&state)) {
                (false, true) => _ = self.0.stopping.fetch_add(1, Relaxed),
                (true, false) => _ = self.0.stopping.fetch_sub(1, Relaxed),
                _ => {}
            }
        }
        *known = state;
    }

    fn checks(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Watched>> {
        self.0.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Health {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let degraded = i64::from(self.standing() == Standing::Degraded);
        let checks = self.checks();
        if checks.is_empty() {
            return Ok(());
        }
        let help = "Whether what the service needs for its work is there.";
        let name = "health_check_passing";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (check, watched) in checks.iter() {
            let labels = [("check", check.as_str())];
            let passing = i64::from(watched.state == State::Passing);
            family.encode_family(&labels)?.encode_gauge(&passing)?;
        }
        let help = "Whether the service goes on without some of what it needs.";
        encoder
            .encode_descriptor("health_degraded", help, None, MetricType::Gauge)?
            .encode_gauge(&degraded)
    }
}
