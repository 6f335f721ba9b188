use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use actix_web::body::to_bytes;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{App, test};
use serde_json::{Value, json};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// A check that fails while its switch is on, at an interval for tests.
fn switched(name: &str) -> (Check, Arc<AtomicBool>) {
    switched_with(name, || Failure::from("connection to 10.0.0.7 refused"))
}

fn switched_with(name: &str, failure: fn() -> Failure) -> (Check, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(false));
    let probe = {
        let broken = Arc::clone(&broken);
        move || {
            let result = if broken.load(Relaxed) {
                Err(failure())
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

fn state(health: &Health, check: &str) -> State {
    health.checks()[check].state.clone()
}

/// A line of the metrics.
fn shows(health: &Health, line: &str) -> bool {
    let metrics = Metrics::new();
    health.register(&metrics);
    metrics.encode().lines().any(|shown| shown == line)
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
    assert!(shows(&health, "health_check_passing{check=\"database\"} 1"));

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
    assert!(shows(&health, "health_check_passing{check=\"database\"} 0"));
    assert!(shows(&health, "health_check_passing{check=\"storage\"} 1"));
    assert!(shows(&health, "health_degraded 0"), "it is worse than that");
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
    until(|| state(&health, "other") != State::Passing).await;
    storage_broken.store(false, Relaxed);
    until(|| state(&health, "storage") == State::Passing).await;
    assert!(!health.is_serving(), "the other still fails");
    other_broken.store(false, Relaxed);
    until(|| health.is_serving()).await;
}

fn full() -> Failure {
    Failure::because("the disk is full", "/data: no space left on device")
}

#[actix_web::test]
async fn a_service_that_goes_on_with_less_gets_requests_and_says_why() {
    let (reading, reading_broken) = switched("reading");
    let (writing, writing_broken) = switched_with("writing", full);
    let health = Health::start([reading, writing.degrades()], &Shutdown::new());
    until(|| health.is_ready()).await;
    assert!(shows(&health, "health_degraded 0"));

    writing_broken.store(true, Relaxed);
    until(|| !health.is_passing()).await;
    assert!(health.is_ready() && health.is_serving());
    assert_eq!(
        ask(&health, "/readyz").await,
        (
            200,
            json!({"status": "degraded", "checks": {
                "reading": {"status": "ok"},
                "writing": {"status": "degraded", "reason": "the disk is full"}
            }})
        )
    );
    assert_eq!(
        ask(&health, "/debug/health").await,
        (200, json!({"writing": "/data: no space left on device"}))
    );
    assert!(shows(&health, "health_degraded 1"));
    assert!(shows(&health, "health_check_passing{check=\"writing\"} 0"));

    reading_broken.store(true, Relaxed);
    until(|| !health.is_ready()).await;
    let (status, body) = ask(&health, "/readyz").await;
    assert_eq!((status, &body["status"]), (503, &json!("unavailable")));
    assert_eq!(ask(&health, "/debug/health").await.0, 503);
    assert!(shows(&health, "health_degraded 0"));

    reading_broken.store(false, Relaxed);
    writing_broken.store(false, Relaxed);
    until(|| health.is_passing()).await;
}

#[actix_web::test]
async fn who_is_strict_gets_no_requests_while_degraded() {
    let (writing, broken) = switched_with("writing", full);
    let health = Health::start_strict([writing.degrades()], &Shutdown::new());
    until(|| health.is_ready()).await;
    broken.store(true, Relaxed);
    until(|| !health.is_ready()).await;
    let (status, body) = ask(&health, "/readyz").await;
    assert_eq!((status, &body["status"]), (503, &json!("degraded")));
    assert_eq!(ask(&health, "/debug/health").await.0, 503);
    assert!(health.is_serving(), "who comes all the same is answered");
    assert!(shows(&health, "health_degraded 1"));
}

/// It must not be out of service until the threshold is reached.
#[actix_web::test]
async fn a_service_may_start_degraded() {
    let (writing, broken) = switched_with("writing", full);
    broken.store(true, Relaxed);
    let writing = writing.interval(Duration::from_hours(1)).threshold(3);
    let health = Health::start([writing.degrades()], &Shutdown::new());
    until(|| health.is_ready()).await;
    assert_eq!(state(&health, "writing"), State::Failing(full()));
}

#[actix_web::test]
async fn not_ready_before_each_check_has_passed_once() {
    let pending = Check::new("slow", || async {
        std::future::pending::<()>().await;
        Ok::<(), String>(())
    });
    let (fine, _) = switched("fine");
    let health = Health::start([pending, fine], &Shutdown::new());
    until(|| state(&health, "fine") == State::Passing).await;
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
    let failed = State::Failing("no answer within 20ms".into());
    until(|| state(&health, "hanging") == failed).await;
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
