//! Metrics of HTTP requests, by handler, status code and method.
//!
//! Names and labels are distribution's (`registry_http_requests_total`), so that its dashboards
//! work. A worker looks each combination up once and then holds on to its counters.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix_web::http::Method;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::{Histogram, Metrics};

/// From a cached manifest to a slow upload of a large layer.
const DURATION_MICROSECONDS: &[u64] = &[
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// Powers of four from a small manifest to a large layer.
const SIZE_BYTES: &[u64] = &[
    1 << 8,
    1 << 10,
    1 << 12,
    1 << 14,
    1 << 16,
    1 << 18,
    1 << 20,
    1 << 22,
    1 << 24,
    1 << 26,
    1 << 28,
    1 << 30,
    1 << 32,
];

/// The metrics of one server. Clones share them.
#[derive(Clone, Debug)]
pub struct HttpMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    prefix: String,
    in_flight: AtomicI64,
    series: RwLock<HashMap<SeriesKey, Arc<Series>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SeriesKey {
    pub handler: &'static str,
    pub method: MethodLabel,
    pub code: u16,
}

/// A method as a label: the known ones, so that a client cannot invent time series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MethodLabel(&'static str);

impl From<&Method> for MethodLabel {
    fn from(method: &Method) -> Self {
        // Lower case, as distribution has it.
        Self(match *method {
            Method::GET => "get",
            Method::HEAD => "head",
            Method::PUT => "put",
            Method::PATCH => "patch",
            Method::POST => "post",
            Method::DELETE => "delete",
            Method::OPTIONS => "options",
            _ => "other",
        })
    }
}

#[derive(Debug)]
pub(crate) struct Series {
    requests: AtomicU64,
    duration: Histogram,
    request_size: Histogram,
    response_size: Histogram,
}

impl Series {
    fn new() -> Self {
        Self {
            requests: AtomicU64::new(0),
            duration: Histogram::new(DURATION_MICROSECONDS, 1e6),
            request_size: Histogram::new(SIZE_BYTES, 1.0),
            response_size: Histogram::new(SIZE_BYTES, 1.0),
        }
    }

    pub(crate) fn observe(&self, duration: Duration, request_bytes: u64, response_bytes: u64) {
        self.requests.fetch_add(1, Relaxed);
        self.duration
            .observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        self.request_size.observe(request_bytes);
        self.response_size.observe(response_bytes);
    }
}

impl HttpMetrics {
    /// Registers `<prefix>_http_…`; the registry's prefix is `registry`.
    #[must_use]
    pub fn register(metrics: &Metrics, prefix: &str) -> Self {
        let inner = Arc::new(Inner {
            prefix: prefix.to_owned(),
            in_flight: AtomicI64::new(0),
            series: RwLock::new(HashMap::new()),
        });
        metrics.register_collector(Arc::clone(&inner));
        Self(inner)
    }

    pub(crate) fn begin(&self) {
        self.0.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }

    pub(crate) fn series(&self, key: SeriesKey) -> Arc<Series> {
        let mut series = self
            .0
            .series
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(series.entry(key).or_insert_with(|| Arc::new(Series::new())))
    }
}

impl Collector for Inner {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut family =
            |name: &str,
             help: &str,
             kind: MetricType,
             encode: &dyn Fn(&Series, MetricEncoder<'_>) -> std::fmt::Result| {
                let name = format!("{}_http_{name}", self.prefix);
                let mut family = encoder.encode_descriptor(&name, help, None, kind)?;
                for (key, series) in &*series {
                    let labels = [
                        ("handler", key.handler.to_owned()),
                        ("method", key.method.0.to_owned()),
                        ("code", key.code.to_string()),
                    ];
                    encode(series, family.encode_family(&labels)?)?;
                }
                Ok(())
            };
        family(
            "requests",
            "Requests answered.",
            MetricType::Counter,
            &|series, mut encoder| {
                encoder.encode_counter::<NoLabelSet, _, u64>(&series.requests.load(Relaxed), None)
            },
        )?;
        family(
            "request_duration_seconds",
            "Time from the request's head to the answer's last byte.",
            MetricType::Histogram,
            &|series, mut encoder| series.duration.encode_into(&mut encoder),
        )?;
        family(
            "request_size_bytes",
            "Announced size of request bodies.",
            MetricType::Histogram,
            &|series, mut encoder| series.request_size.encode_into(&mut encoder),
        )?;
        family(
            "response_size_bytes",
            "Size of response bodies.",
            MetricType::Histogram,
            &|series, mut encoder| series.response_size.encode_into(&mut encoder),
        )?;
        encoder
            .encode_descriptor(
                &format!("{}_http_in_flight_requests", self.prefix),
                "Requests being answered.",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&self.in_flight.load(Relaxed))
    }
}
