//! Is the process alive, may it get requests, and if not, why.
//!
//! - `/healthz` (liveness) answers 200 as long as the process answers at all. It looks at nothing
//!   else: a restart does not mend a database.
//! - `/readyz` answers 503 until each check has passed once, while one has failed, and during
//!   shutdown. It names the checks, but not their errors: those are for `/debug/health` and the log.
//! - `/debug/health` answers as distribution's does: 200 `{}`, or 503 with a map from the check to
//!   its error.
//!
//! A check may also stop the whole service ([`Check::stops_service`]): while it fails, the server
//! answers every request with 503, so that a load balancer that knows no probe turns elsewhere.
//!
//! Checks run in the background at their interval. A probe reads the last result, so that probing
//! is cheap and an attacker cannot make us ask the database.

mod answers;
mod check;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

pub(crate) use self::answers::is_probe;
pub use self::check::Check;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not known yet.
    Starting,
    Passing,
    Failing(String),
}

/// The results of all checks. Clones share them.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    states: Mutex<BTreeMap<String, State>>,
    /// All checks pass; kept beside the states for those who ask at every request.
    passing: AtomicBool,
    /// How many checks fail that stop the service.
    stopping: AtomicUsize,
    shutdown: Shutdown,
}

impl Default for Health {
    /// Of a service that needs nothing.
    fn default() -> Self {
        Self(Arc::new(Inner {
            states: Mutex::default(),
            passing: AtomicBool::new(true),
            stopping: AtomicUsize::new(0),
            shutdown: Shutdown::new(),
        }))
    }
}

impl Health {
    /// Starts the checks, in the current runtime, until `shutdown` begins.
    pub fn start(checks: impl IntoIterator<Item = Check>, shutdown: &Shutdown) -> Self {
        let checks: Vec<Check> = checks.into_iter().collect();
        let states = checks
            .iter()
            .map(|check| (check.name.clone(), State::Starting))
            .collect();
        let health = Self(Arc::new(Inner {
            states: Mutex::new(states),
            passing: AtomicBool::new(checks.is_empty()),
            stopping: AtomicUsize::new(0),
            shutdown: shutdown.clone(),
        }));
        for check in checks {
            tokio::spawn(health.clone().watch(check));
        }
        health
    }

    /// Adds `health_check_passing` to the metrics: 1 for each check that passes, else 0.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register_collector(self.clone());
    }

    /// Whether all checks pass. Costs one load.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.0.passing.load(Relaxed)
    }

    /// Whether requests are worth trying. Costs one load.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.0.stopping.load(Relaxed) == 0
    }

    /// Whether requests should come here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_passing() && !self.0.shutdown.has_begun()
    }

    async fn watch(self, check: Check) {
        let mut failures = 0;
        loop {
            let result = tokio::select! {
                result = check.run() => result,
                () = self.0.shutdown.begun() => return,
            };
            match result {
                Ok(()) => {
                    failures = 0;
                    self.set(&check, State::Passing);
                }
                Err(error) => {
                    failures += 1;
                    if failures >= check.threshold {
                        self.set(&check, State::Failing(error));
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
        let mut states = self.states();
        let Some(known) = states.get_mut(name) else {
            return;
        };
        match (&*known, &state) {
            (State::Failing(_), State::Passing) => tracing::info!(check = name, "healthy again"),
            (State::Starting | State::Passing, State::Failing(error)) => {
                tracing::warn!(check = name, %error, "unhealthy");
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
        let passing = states.values().all(|state| *state == State::Passing);
        self.0.passing.store(passing, Relaxed);
    }

    fn states(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, State>> {
        self.0.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Health {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let states = self.states();
        if states.is_empty() {
            return Ok(());
        }
        let help = "Whether what the service cannot do without works.";
        let name = "health_check_passing";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (check, state) in states.iter() {
            let labels = [("check", check.as_str())];
            let passing = i64::from(*state == State::Passing);
            family.encode_family(&labels)?.encode_gauge(&passing)?;
        }
        Ok(())
    }
}
