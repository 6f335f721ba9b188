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

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, HttpResponseBuilder};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use serde_json::{Value, json};

use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

type ProbeFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

const LIVENESS: &str = "/healthz";
const READINESS: &str = "/readyz";

/// Whether a request is a probe: they come every few seconds and say nothing that this module does
/// not log by itself, when health changes.
pub(crate) fn is_probe(path: &str) -> bool {
    [LIVENESS, READINESS].contains(&path)
}

/// Something the service cannot do without.
pub struct Check {
    name: String,
    interval: Duration,
    timeout: Duration,
    threshold: u32,
    stops_service: bool,
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

    async fn run(&self) -> Result<(), String> {
        match tokio::time::timeout(self.timeout, (self.probe)()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }
}

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

    /// `/healthz` and `/readyz`, for the main listener.
    pub fn routes(&self) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
        let health = self.clone();
        move |config: &mut ServiceConfig| {
            let health = health.clone();
            config
                .route(
                    LIVENESS,
                    web::to(|| async { answer(true).json(json!({ "status": "ok" })) }),
                )
                .route(
                    READINESS,
                    web::to(move || {
                        let answer = health.ready_answer();
                        async move { answer }
                    }),
                );
        }
    }

    /// `/debug/health`, for a listener that only operators reach.
    pub fn debug_routes(&self) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
        let health = self.clone();
        move |config: &mut ServiceConfig| {
            let health = health.clone();
            config.route(
                "/debug/health",
                web::to(move || {
                    let answer = health.debug_answer();
                    async move { answer }
                }),
            );
        }
    }

    fn ready_answer(&self) -> HttpResponse {
        let checks: serde_json::Map<String, Value> = self
            .states()
            .iter()
            .map(|(name, state)| {
                let word = match state {
                    State::Starting => "starting",
                    State::Passing => "ok",
                    State::Failing(_) => "failing",
                };
                (name.clone(), json!({ "status": word }))
            })
            .collect();
        let status = if self.0.shutdown.has_begun() {
            "stopping"
        } else if self.is_passing() {
            "ok"
        } else {
            "unavailable"
        };
        answer(self.is_ready()).json(json!({ "status": status, "checks": checks }))
    }

    fn debug_answer(&self) -> HttpResponse {
        let failing: serde_json::Map<String, Value> = self
            .states()
            .iter()
            .filter_map(|(name, state)| match state {
                State::Passing => None,
                State::Starting => Some((name.clone(), "not checked yet".into())),
                State::Failing(error) => Some((name.clone(), error.as_str().into())),
            })
            .collect();
        answer(failing.is_empty()).json(failing)
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

fn answer(good: bool) -> HttpResponseBuilder {
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut answer = HttpResponse::build(status);
    answer.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use actix_web::body::to_bytes;
    use actix_web::{App, test};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A check that fails while its switch is on, at an interval for tests.
    fn switched(name: &str) -> (Check, Arc<AtomicBool>) {
        let broken = Arc::new(AtomicBool::new(false));
        let probe = {
            let broken = Arc::clone(&broken);
            move || {
                let result = if broken.load(Relaxed) {
                    Err("connection to 10.0.0.7 refused")
                } else {
                    Ok(())
                };
                async move { result }
            }
        };
        let check = Check::new(name, probe).interval(Duration::from_millis(10));
        (check, broken)
    }

    async fn until(condition: impl Fn() -> bool) {
        let wait = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
    }

    async fn ask(health: &Health, path: &str) -> (u16, Value) {
        let app = App::new()
            .configure(health.routes())
            .configure(health.debug_routes());
        let app = test::init_service(app).await;
        let request = test::TestRequest::with_uri(path).to_request();
        let response = test::call_service(&app, request).await;
        assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), "no-store");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body()).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[actix_web::test]
    async fn a_failing_check_shows_and_passes_again() {
        let (database, broken) = switched("database");
        let (storage, _) = switched("storage");
        let health = Health::start([database, storage], &Shutdown::new());
        until(|| health.is_ready()).await;
        assert_eq!(
            ask(&health, "/readyz").await,
            (
                200,
                json!({"status": "ok", "checks": {
                    "database": {"status": "ok"}, "storage": {"status": "ok"}
                }})
            )
        );
        assert_eq!(ask(&health, "/debug/health").await, (200, json!({})));
        let metrics = Metrics::new();
        health.register(&metrics);
        let shown = |line: &str| metrics.encode().lines().any(|shown| shown == line);
        assert!(shown("health_check_passing{check=\"database\"} 1"));

        broken.store(true, Relaxed);
        until(|| !health.is_ready()).await;
        assert_eq!(
            ask(&health, "/readyz").await,
            (
                503,
                json!({"status": "unavailable", "checks": {
                    "database": {"status": "failing"}, "storage": {"status": "ok"}
                }})
            )
        );
        assert_eq!(
            ask(&health, "/debug/health").await,
            (503, json!({"database": "connection to 10.0.0.7 refused"}))
        );
        assert!(shown("health_check_passing{check=\"database\"} 0"));
        assert!(shown("health_check_passing{check=\"storage\"} 1"));
        assert_eq!(
            ask(&health, "/healthz").await,
            (200, json!({"status": "ok"})),
            "a restart does not mend a database"
        );

        broken.store(false, Relaxed);
        until(|| health.is_ready()).await;
    }

    #[actix_web::test]
    async fn a_service_stops_while_what_it_cannot_do_without_fails() {
        let (database, database_broken) = switched("database");
        let (storage, storage_broken) = switched("storage");
        let (other, other_broken) = switched("other");
        let checks = [database, storage.stops_service(), other.stops_service()];
        let health = Health::start(checks, &Shutdown::new());
        assert!(health.is_serving(), "not known to fail yet");
        until(|| health.is_ready()).await;

        database_broken.store(true, Relaxed);
        until(|| !health.is_ready()).await;
        assert!(
            health.is_serving(),
            "requests that need it say so themselves"
        );
        storage_broken.store(true, Relaxed);
        until(|| !health.is_serving()).await;
        other_broken.store(true, Relaxed);
        until(|| health.states()["other"] != State::Passing).await;
        storage_broken.store(false, Relaxed);
        until(|| health.states()["storage"] == State::Passing).await;
        assert!(!health.is_serving(), "the other still fails");
        other_broken.store(false, Relaxed);
        until(|| health.is_serving()).await;
    }

    #[actix_web::test]
    async fn not_ready_before_each_check_has_passed_once() {
        let pending = Check::new("slow", || async {
            std::future::pending::<()>().await;
            Ok::<(), String>(())
        });
        let (fine, _) = switched("fine");
        let health = Health::start([pending, fine], &Shutdown::new());
        until(|| *health.states().get("fine").unwrap() == State::Passing).await;
        assert_eq!(
            ask(&health, "/readyz").await,
            (
                503,
                json!({"status": "unavailable", "checks": {
                    "fine": {"status": "ok"}, "slow": {"status": "starting"}
                }})
            )
        );
        assert_eq!(
            ask(&health, "/debug/health").await,
            (503, json!({"slow": "not checked yet"}))
        );
    }

    #[actix_web::test]
    async fn a_check_that_hangs_fails() {
        let hanging = Check::new("hanging", || async {
            std::future::pending::<()>().await;
            Ok::<(), String>(())
        });
        let health = Health::start(
            [hanging.timeout(Duration::from_millis(20))],
            &Shutdown::new(),
        );
        let failed = State::Failing("no answer within 20ms".to_owned());
        until(|| *health.states().get("hanging").unwrap() == failed).await;
    }

    #[actix_web::test]
    async fn failures_below_the_threshold_do_not_count() {
        let runs = Arc::new(AtomicU32::new(0));
        let probe = {
            let runs = Arc::clone(&runs);
            // Passes once, then fails for ever.
            move || {
                let run = runs.fetch_add(1, Relaxed);
                async move { if run == 0 { Ok(()) } else { Err("down") } }
            }
        };
        let check = Check::new("flaky", probe)
            .interval(Duration::from_millis(30))
            .threshold(3);
        let health = Health::start([check], &Shutdown::new());
        until(|| runs.load(Relaxed) == 3).await;
        assert!(health.is_passing(), "two failures of three");
        until(|| !health.is_passing()).await;
        assert!(runs.load(Relaxed) >= 4);
    }

    #[actix_web::test]
    async fn a_shutdown_ends_readiness_and_checks() {
        let runs = Arc::new(AtomicU32::new(0));
        let probe = {
            let runs = Arc::clone(&runs);
            move || {
                runs.fetch_add(1, Relaxed);
                async { Ok::<(), String>(()) }
            }
        };
        let shutdown = Shutdown::new();
        let check = Check::new("any", probe).interval(Duration::from_millis(10));
        let health = Health::start([check], &shutdown);
        until(|| health.is_ready()).await;
        shutdown.begin();
        let (status, body) = ask(&health, "/readyz").await;
        assert_eq!((status, &body["status"]), (503, &json!("stopping")));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let after = runs.load(Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(runs.load(Relaxed), after);
    }

    #[actix_web::test]
    async fn nothing_to_check_is_ready() {
        let health = Health::start([], &Shutdown::new());
        assert!(health.is_ready());
    }
}
