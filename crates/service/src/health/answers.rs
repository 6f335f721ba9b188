//! What probes and operators are told.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::{Value, json};

use super::{Health, Standing, State, Watched};

const LIVENESS: &str = "/healthz";
const READINESS: &str = "/readyz";

/// Whether a request is a probe: they come every few seconds and say nothing that this module does
/// not log by itself, when health changes.
pub(crate) fn is_probe(path: &str) -> bool {
    [LIVENESS, READINESS].contains(&path)
}

impl Health {
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
            .checks()
            .iter()
            .map(|(name, check)| (name.clone(), told_to_anybody(check)))
            .collect();
        let status = if self.0.shutdown.has_begun() {
            "stopping"
        } else {
            match self.standing() {
                Standing::Whole => "ok",
                Standing::Degraded => "degraded",
                Standing::Unavailable => "unavailable",
            }
        };
        answer(self.is_ready()).json(json!({ "status": status, "checks": checks }))
    }

    fn debug_answer(&self) -> HttpResponse {
        let failing: serde_json::Map<String, Value> = self
            .checks()
            .iter()
            .filter_map(|(name, check)| match &check.state {
                State::Passing => None,
                State::Starting => Some((name.clone(), "not checked yet".into())),
                State::Failing(failure) => Some((name.clone(), failure.error.as_str().into())),
            })
            .collect();
        // A distribution that says 503 here answers nothing else to anybody, so whoever watches this
        // address takes such a registry out of service. One that only cannot write says 200: it does
        // not look.
        answer(self.is_good_enough()).json(failing)
    }
}

/// The state of a check, and why: in words that say nothing of the inside.
fn told_to_anybody(check: &Watched) -> Value {
    match (&check.state, check.degrades) {
        (State::Starting, _) => json!({ "status": "starting" }),
        (State::Passing, _) => json!({ "status": "ok" }),
        (State::Failing(failure), degrades) => {
            let word = if degrades { "degraded" } else { "failing" };
            match failure.reason {
                Some(reason) => json!({ "status": word, "reason": reason }),
                None => json!({ "status": word }),
            }
        }
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
