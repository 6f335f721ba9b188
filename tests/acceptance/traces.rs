//! Traces for who configures a collector, by OpenTelemetry's own variables.

use acceptance::collector::Collector;
use acceptance::served::{Configured, OPEN_REGISTRY};
use acceptance::{Image, Portcullis, Setup};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// `up`, with spans on their way soon.
async fn traced(collector: &Collector) -> Portcullis {
    Setup::up()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .env("REGISTRY_LOG_FORMATTER", "json")
        .start()
        .await
}

#[tokio::test]
async fn every_request_is_a_span_that_tells_who_did_what_where() {
    let collector = Collector::start();
    let portcullis = traced(&collector).await;
    let image = Image::random();
    let repository = portcullis.admin().repository("admin/app");
    repository.push(&image, "v1").await;

    let span = collector.until(|span| span.name == "PUT manifest").await;

    for (key, value) in [
        ("http.request.method", "PUT"),
        ("http.route", "manifest"),
        ("http.response.status_code", "201"),
        ("url.path", "/v2/admin/app/manifests/v1"),
        ("client.address", "127.0.0.1"),
        ("enduser.id", "admin"),
        ("portcullis.action", "push"),
        ("portcullis.repository", "admin/app"),
    ] {
        assert_eq!(span.attributes[key], value, "{key}: {span:#?}");
    }
    assert_eq!(span.resource["service.name"], "portcullis");
    assert_eq!((span.parent.as_str(), span.status), ("", 0));
    let id = &span.attributes["portcullis.request_id"];
    // The log leads to the trace, and back.
    let log = portcullis.log();
    let line = log
        .lines()
        .find(|line| line.contains(id) && line.contains("\"trace_id\""))
        .expect(&log);
    assert!(line.contains(&span.trace), "{line}");
    let token = repository.token().await;
    let told = format!("{:?}", collector.spans());
    assert!(!told.contains(token) && !told.contains(acceptance::ADMIN_PASSWORD));
}

#[tokio::test]
async fn a_trace_goes_on_that_a_trusted_proxy_began_and_no_other() {
    let collector = Collector::start();
    for (proxies, continued) in [("127.0.0.1", true), ("10.0.0.1", false)] {
        let registry = Configured::registry(OPEN_REGISTRY)
            .env("REGISTRY_HTTP_TRUSTEDPROXIES", &format!("[{proxies}]"))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
            .env("OTEL_SERVICE_NAME", proxies)
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
            .start()
            .await;
        let ask = registry.client().get("/v2/").header("traceparent", PARENT);
        ask.send().await.expect(200);

        let span = collector
            .until(|span| span.resource["service.name"] == proxies && span.name == "GET base")
            .await;

        assert_eq!(span.trace == TRACE, continued, "{span:#?}");
        assert_eq!(span.parent == "b7ad6b7169203331", continued, "{span:#?}");
    }
}

#[tokio::test]
async fn the_last_spans_arrive_before_the_end() {
    let collector = Collector::start();
    let mut registry = Configured::registry(OPEN_REGISTRY)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
        // By itself it would send nothing for an hour.
        .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .start()
        .await;
    registry.client().get("/v2/last").send().await;

    registry.process().stop().await;

    let spans = collector.spans();
    assert!(
        spans
            .iter()
            .any(|span| span.attributes["url.path"] == "/v2/last"),
        "{spans:#?}"
    );
}

#[tokio::test]
async fn a_collector_that_is_not_there_holds_nobody_up() {
    let registry = Configured::registry(OPEN_REGISTRY)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .start()
        .await;
    for _ in 0..20 {
        registry.client().get("/v2/").send().await.expect(200);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_at_the_start() {
    let registry = Configured::registry(OPEN_REGISTRY)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let refused = registry.invocation().run().expect_code(2);
    refused.expect_says(["OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "http/protobuf"]);
}
