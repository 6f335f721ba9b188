//! Traces: a span for each request, sent to a collector, for who configures one.
//!
//! The variables are OpenTelemetry's own, and none of them switches nothing on:
//! `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) names the collector;
//! `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
//! `OTEL_EXPORTER_OTLP_HEADERS` and the rest are read by the SDK.
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
//!
//! A span is made when its request has ended, of what the access log is made of, so that nothing is
//! carried through handlers. `traceparent` is believed of trusted proxies alone, as request ids are:
//! a stranger could have every request sampled, or write into somebody else's trace.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

/// How long the last spans may take to reach the collector at the end.
const FLUSH_TIME: Duration = Duration::from_secs(3);

/// What the process is called unless a variable says otherwise.
const SERVICE_NAME: &str = "portcullis";

/// Why traces cannot be sent as the variables ask.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("{variable}={value}: traces are sent as http/protobuf only")]
    Protocol {
        variable: &'static str,
        value: String,
    },
    #[error("OTEL_TRACES_EXPORTER={0}: traces are sent by otlp, or by none")]
    Exporter(String),
    #[error("traces cannot be sent: {0}")]
    Unusable(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Where spans go. Clones share it.
#[derive(Clone, Debug)]
pub struct Traces(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
}

/// A request that is being traced.
#[derive(Debug)]
pub(crate) struct Traced {
    started: SystemTime,
    parent: Option<SpanContext>,
}

/// What a span tells of a request that has ended.
#[derive(Debug)]
pub(crate) struct Told<'r> {
    pub handler: &'static str,
    pub method: &'r str,
    pub path: &'r str,
    pub status: StatusCode,
    pub received: u64,
    pub sent: u64,
    pub client: Option<String>,
    pub user_agent: Option<&'r str>,
    pub subject: Option<&'r str>,
    pub action: Option<&'static str>,
    pub repository: Option<&'r str>,
    pub request_id: &'r str,
}

impl Traces {
    /// What the variables of this process ask for; `None` if nothing.
    pub fn from_environment() -> Result<Option<Self>, TracesError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if !wanted(variable)? {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_http().build()?;
        let mut resource = Resource::builder();
        let named = variable("OTEL_SERVICE_NAME").is_some()
            || variable("OTEL_RESOURCE_ATTRIBUTES")
                .is_some_and(|attributes| attributes.contains("service.name="));
        if !named {
            resource = resource.with_service_name(SERVICE_NAME);
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.with_attribute(version).build())
            .build();
        Ok(Some(Self(Arc::new(Inner {
            tracer: provider.tracer(SERVICE_NAME),
            provider,
            propagator: TraceContextPropagator::new(),
        }))))
    }

    /// A request begins. `trusted` if its headers are a trusted proxy's.
    pub(crate) fn begin(&self, headers: &HeaderMap, trusted: bool) -> Traced {
        let parent = trusted.then(|| {
            let empty = Context::new();
            let context = self
                .0
                .propagator
                .extract_with_context(&empty, &Headers(headers));
            context.span().span_context().clone()
        });
        Traced {
            started: now(),
            parent: parent.filter(SpanContext::is_valid),
        }
    }

    /// It has ended. Returns the id of its trace, if it is part of one that is kept.
    pub(crate) fn end(&self, traced: Traced, told: &Told<'_>) -> Option<String> {
        let parent = match traced.parent {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let mut span = self
            .0
            .tracer
            .span_builder(format!("{} {}", told.method, told.handler))
            .with_kind(SpanKind::Server)
            .with_start_time(traced.started)
            .start_with_context(&self.0.tracer, &parent);
        if !span.is_recording() {
            return None;
        }
        let text = |key: &'static str, value: Option<&str>| {
            value.map(|value| KeyValue::new(key, value.to_owned()))
        };
        let number = |key: &'static str, value: u64| {
            Some(KeyValue::new(key, i64::try_from(value).unwrap_or(i64::MAX)))
        };
        let attributes = [
            text("http.request.method", Some(told.method)),
            text("http.route", Some(told.handler)),
            text("url.path", Some(told.path)),
            number("http.response.status_code", u64::from(told.status.as_u16())),
            number("http.request.body.size", told.received),
            number("http.response.body.size", told.sent),
            text("client.address", told.client.as_deref()),
            text("user_agent.original", told.user_agent),
            text("enduser.id", told.subject),
            text("portcullis.action", told.action),
            text("portcullis.repository", told.repository),
            text("portcullis.request_id", Some(told.request_id)),
        ];
        span.set_attributes(attributes.into_iter().flatten());
        if told.status.is_server_error() {
            span.set_status(Status::error(""));
        }
        let id = span.span_context().trace_id().to_string();
        span.end();
        Some(id)
    }

    /// Sends what has not been sent yet. Blocks, for three seconds at most.
    pub fn flush(&self) {
        if let Err(error) = self.0.provider.shutdown_with_timeout(FLUSH_TIME) {
            tracing::warn!(%error, "the last traces are lost");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "collectors compare it with the clocks of other machines; nothing here depends on it"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Whether the variables ask for traces.
fn wanted(variable: impl Fn(&str) -> Option<String>) -> Result<bool, TracesError> {
    let is_disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value == "true");
    let exporter = variable("OTEL_TRACES_EXPORTER");
    let endpoints = [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ];
    let has_endpoint = endpoints.into_iter().any(|name| variable(name).is_some());
    match exporter.as_deref() {
        _ if is_disabled => return Ok(false),
        // It has an endpoint by default: on this machine.
        Some("otlp") => {}
        None if has_endpoint => {}
        None | Some("none") => return Ok(false),
        Some(other) => return Err(TracesError::Exporter(other.to_owned())),
    }
    for name in [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ] {
        match variable(name) {
            None => {}
            Some(protocol) if protocol == "http/protobuf" => return Ok(true),
            Some(value) => {
                return Err(TracesError::Protocol {
                    variable: name,
                    value,
                });
            }
        }
    }
    Ok(true)
}

struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(variables: &[(&str, &str)]) -> Result<bool, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        wanted(variable).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_sent_unless_somebody_says_where() {
        assert_eq!(asked(&[]), Ok(false));
        assert_eq!(asked(&[("OTEL_SERVICE_NAME", "a")]), Ok(false));
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        assert_eq!(asked(&[endpoint]), Ok(true));
        assert_eq!(asked(&[endpoint, ("OTEL_SDK_DISABLED", "true")]), Ok(false));
        assert_eq!(
            asked(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]),
            Ok(false)
        );
        assert_eq!(asked(&[("OTEL_TRACES_EXPORTER", "otlp")]), Ok(true));
        let traces = (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://c:4318/v1/traces",
        );
        assert_eq!(asked(&[traces]), Ok(true));
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let error = asked(&[endpoint, grpc]).unwrap_err();
        assert!(
            error.contains("OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
            "{error}"
        );
        // The more special one wins.
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf");
        assert_eq!(asked(&[endpoint, grpc, traces]), Ok(true));
        let error = asked(&[("OTEL_TRACES_EXPORTER", "zipkin")]).unwrap_err();
        assert!(error.contains("zipkin"), "{error}");
        assert_eq!(asked(&[grpc]), Ok(false), "nobody says where");
    }
}
