//! Metrics: a registry to add to, what Prometheus scrapes, and numbers about the process.

mod histogram;
mod http;
mod process;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, ServiceConfig};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::registry::{Metric, Registry};

pub use self::histogram::Histogram;
pub use self::http::HttpMetrics;
pub(crate) use self::http::{Series, SeriesKey};

/// So that all crates register metrics of one version.
pub use prometheus_client;

/// What Prometheus negotiates for `OpenMetrics` text.
/// <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process' metrics. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// With memory, file descriptors, processor time and start time of the process.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::ProcessCollector::new()));
        Self(Arc::new(Mutex::new(registry)))
    }

    /// Adds a metric. A counter's name is given without its `_total`.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.with(|registry| registry.register(name, help, metric));
    }

    /// Adds something that computes its metrics when asked.
    pub fn register_collector(&self, collector: impl Collector) {
        self.with(|registry| registry.register_collector(Box::new(collector)));
    }

    /// All metrics as `OpenMetrics` text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let result = self.with(|registry| text::encode(&mut text, registry));
        if let Err(error) = result {
            tracing::error!(%error, "metrics cannot be encoded");
        }
        text
    }

    /// The route that Prometheus scrapes, usually `/metrics` on the debug listener.
    pub fn routes(&self, path: &str) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
        let (metrics, path) = (self.clone(), path.to_owned());
        move |config: &mut ServiceConfig| {
            let metrics = metrics.clone();
            config.route(
                &path,
                web::get().to(move || {
                    let body = metrics.encode();
                    async move {
                        HttpResponse::Ok()
                            .insert_header((header::CONTENT_TYPE, CONTENT_TYPE))
                            .body(body)
                    }
                }),
            );
        }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Registry) -> R) -> R {
        // A panic while registering leaves the registry as it was: usable.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
