//! A collector of OpenTelemetry's: takes what is exported over OTLP, and shows it.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;

/// Listens on this machine until the test ends.
#[derive(Debug)]
pub struct Collector {
    address: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// A span that arrived.
#[derive(Clone, Debug)]
pub struct Span {
    pub name: String,
    /// Hexadecimal; empty if there is none.
    pub trace: String,
    pub parent: String,
    /// 2 is an error.
    pub status: i32,
    pub attributes: HashMap<String, String>,
    /// Of the process that sent it.
    pub resource: HashMap<String, String>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let spans = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&spans);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = Arc::clone(&taken);
                std::thread::spawn(move || while take(&stream, &taken).is_some() {});
            }
        });
        Self { address, spans }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    /// Waits for a span that this is true of.
    pub async fn until(&self, wanted: impl Fn(&Span) -> bool) -> Span {
        for _ in 0..400 {
            if let Some(span) = self.spans().into_iter().find(&wanted) {
                return span;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no such span among {:#?}", self.spans());
    }
}

/// Takes one request of a connection. `None` when there is none any more.
fn take(stream: &TcpStream, spans: &Mutex<Vec<Span>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    assert!(line.starts_with("POST /v1/traces "), "{line}");
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
        if name.eq_ignore_ascii_case("content-type") {
            assert_eq!(value, "application/x-protobuf");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let export = ExportTraceServiceRequest::decode(&body[..]).unwrap();
    for sent in export.resource_spans {
        let resource = attributes(sent.resource.unwrap_or_default().attributes);
        for span in sent.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.lock().unwrap().push(Span {
                name: span.name,
                trace: hex::encode(span.trace_id),
                parent: hex::encode(span.parent_span_id),
                status: span.status.unwrap_or_default().code,
                attributes: attributes(span.attributes),
                resource: resource.clone(),
            });
        }
    }
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    let mut stream = stream;
    stream.write_all(answer.as_bytes()).ok()
}

fn attributes(attributes: Vec<KeyValue>) -> HashMap<String, String> {
    attributes
        .into_iter()
        .map(|attribute| (attribute.key, text(attribute.value)))
        .collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    }
}
