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

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::{App, test as actix};
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[actix_web::test]
    async fn what_prometheus_gets() {
        let metrics = Metrics::new();
        let counter: Counter = Counter::default();
        metrics.register("things", "Things done.", counter.clone());
        counter.inc_by(3);
        let app = actix::init_service(App::new().configure(metrics.routes("/metrics"))).await;
        let request = actix::TestRequest::with_uri("/metrics").to_request();
        let response = actix::call_service(&app, request).await;
        assert_eq!(
            response.headers().get(header::CONTENT_TYPE).unwrap(),
            CONTENT_TYPE
        );
        let body = to_bytes(response.into_body()).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(
            text.contains("# TYPE things counter\nthings_total 3\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn the_process_measures_itself() {
        let text = Metrics::new().encode();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| {
                line.strip_prefix(name)
                    .and_then(|rest| rest.strip_prefix(' '))
            });
            line.unwrap_or_else(|| panic!("no {name} in {text}"))
                .parse()
                .unwrap()
        };
        let mebibyte = 1024.0 * 1024.0;
        assert!(value("process_resident_memory_bytes") > mebibyte);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        // Started in this century, and not in the future.
        let started = value("process_start_time_seconds");
        let modified = std::fs::metadata("/proc/self").unwrap().modified().unwrap();
        let now = modified
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert!((now - started).abs() < 3600.0, "{started} against {now}");
    }

    #[test]
    fn a_histogram_counts_by_upper_bounds() {
        let metrics = Metrics::new();
        let histogram = Histogram::new(&[1_000, 2_000], 1e3);
        metrics.register("size", "Sizes.", histogram.clone());
        for value in [0, 1_000, 1_001, 2_000, 2_001, 1_000_000] {
            histogram.observe(value);
        }
        let text = metrics.encode();
        let (_, text) = text.split_once("# TYPE size histogram\n").unwrap();
        let (text, _) = text.split_once("# HELP process").unwrap();
        assert_eq!(
            text,
            "size_sum 1006.002\nsize_count 6\nsize_bucket{le=\"1.0\"} 2\n\
             size_bucket{le=\"2.0\"} 4\nsize_bucket{le=\"+Inf\"} 6\n"
        );
    }
}
