//! The one middleware around every request: context, request id, metrics, access log, and the
//! last line of defence against a panic.
//!
//! It is a single layer because each layer costs a future, and written out by hand because an
//! `async` block would cost an allocation. Not an excuse for panics: one that arrives here is a
//! defect, which the panic hook has logged, and its client gets a 500 instead of a closed
//! connection.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode, Uri};
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage as _, HttpResponse, ResponseError};
use pin_project_lite::pin_project;

use super::listener::AccessLog;
use super::traffic::Traffic;
use crate::client_address::TrustedProxies;
use crate::error_body::error_response;
use crate::health::is_probe;
use crate::metrics::{HttpMetrics, Series, SeriesKey};
use crate::request::{Facts, HandlerName, RequestContext};
use crate::request_id::{self, RequestId, Scope};
use crate::telemetry::{Told, Traced, Traces};

/// What a request is counted as that never got an answer: its connection broke first, by the
/// client's doing or by a shutdown that could not wait. Nginx coined the number.
const WITHOUT_ANSWER: u16 = 499;

/// Shared by all workers of a listener.
#[derive(Clone)]
pub(super) struct Observe {
    /// Whether clients come over TLS.
    pub tls: bool,
    pub proxies: Arc<TrustedProxies>,
    pub metrics: Option<HttpMetrics>,
    pub access_log: AccessLog,
    pub traces: Option<Traces>,
    pub traffic: Arc<Traffic>,
}

impl<S, B> Transform<S, ServiceRequest> for Observe
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<ObservedBody<B>>;
    type Error = Error;
    type InitError = ();
    type Transform = ObserveService<S>;
    type Future = std::future::Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        std::future::ready(Ok(ObserveService {
            service,
            worker: Rc::new(Worker {
                shared: self.clone(),
                series: RefCell::default(),
            }),
        }))
    }
}

/// What belongs to one worker thread.
struct Worker {
    shared: Observe,
    /// Counters by label, so that the shared table is asked once per combination.
    series: RefCell<HashMap<SeriesKey, Arc<Series>>>,
}

impl Worker {
    fn series(&self, metrics: &HttpMetrics, key: SeriesKey) -> Arc<Series> {
        Arc::clone(
            self.series
                .borrow_mut()
                .entry(key)
                .or_insert_with(|| metrics.series(key)),
        )
    }
}

pub(super) struct ObserveService<S> {
    service: S,
    worker: Rc<Worker>,
}

impl<S, B> Service<ServiceRequest> for ObserveService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<ObservedBody<B>>;
    type Error = Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let shared = &self.worker.shared;
        Traffic::has_asked(&request);
        let context = RequestContext::new(request.head(), shared.tls, &shared.proxies);
        request.extensions_mut().insert(context.clone());
        let record = Record::begin(Rc::clone(&self.worker), &request, context.clone());
        let mut scope = Scope::new(context.id().clone());
        // Extractors and routing run here, before the first poll.
        let call = scope.enter(|| catch_unwind(AssertUnwindSafe(|| self.service.call(request))));
        Observed {
            future: call.ok(),
            scope,
            record: Some(record),
        }
    }
}

pin_project! {
    /// The answer in the making.
    pub(super) struct Observed<F> {
        // None if the call panicked, before there was a future.
        #[pin]
        future: Option<F>,
        scope: Scope,
        record: Option<Record>,
    }
}

impl<F, B> Future for Observed<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Result<ServiceResponse<ObservedBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let outcome = match this.future.as_mut().as_pin_mut() {
            None => Err(()),
            Some(future) => {
                let poll = this
                    .scope
                    .enter(|| catch_unwind(AssertUnwindSafe(|| future.poll(cx))));
                match poll {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(result)) => Ok(result),
                    Err(_) => Err(()),
                }
            }
        };
        // The future is spent, and after a panic must not be polled again.
        this.scope.enter(|| this.future.set(None));
        let Some(mut record) = this.record.take() else {
            return Poll::Pending;
        };
        let id = record.context.id().clone();
        Poll::Ready(match outcome {
            Ok(Ok(mut response)) => {
                response
                    .headers_mut()
                    .insert(request_id::HEADER, id.header_value());
                if record.worker.shared.traffic.is_ending() {
                    let head = response.response_mut().head_mut();
                    head.set_connection_type(ConnectionType::Close);
                }
                record.status = response.status();
                if record.context.handler().is_none()
                    && let Some(HandlerName(name)) = response.request().app_data()
                {
                    record.context.set_handler(name);
                }
                let scope = Scope::new(id);
                Ok(response.map_body(|_, body| ObservedBody {
                    body,
                    scope,
                    record: Some(record),
                }))
            }
            // From a middleware further in; handlers' errors are answers already.
            Ok(Err(error)) => {
                let mut response = error.error_response();
                response
                    .headers_mut()
                    .insert(request_id::HEADER, id.header_value());
                record.status = response.status();
                Err(InternalError::from_response(error, response).into())
            }
            Err(()) => {
                record.status = StatusCode::INTERNAL_SERVER_ERROR;
                Err(Panicked(id).into())
            }
        })
    }
}

/// What the client hears of a panic.
#[derive(Debug)]
struct Panicked(RequestId);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a handler panicked")
    }
}

impl ResponseError for Panicked {
    fn error_response(&self) -> HttpResponse {
        let message = format!(
            "internal error; the server's log has details under request id {}",
            self.0
        );
        let mut response = error_response(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", &message);
        response
            .headers_mut()
            .insert(request_id::HEADER, self.0.header_value());
        response
    }
}

pin_project! {
    /// A body that counts its bytes and ends the record when it ends.
    pub(super) struct ObservedBody<B> {
        #[pin]
        body: B,
        scope: Scope,
        record: Option<Record>,
    }
}

impl<B: MessageBody> MessageBody for ObservedBody<B> {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        let body = this.body;
        let poll = this
            .scope
            .enter(|| catch_unwind(AssertUnwindSafe(|| body.poll_next(cx))));
        match poll {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Some(Ok(bytes)))) => {
                if let Some(record) = this.record {
                    record.response_bytes += bytes.len() as u64;
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            Ok(Poll::Ready(Some(Err(error)))) => Poll::Ready(Some(Err(error.into()))),
            Ok(Poll::Ready(None)) => {
                *this.record = None;
                Poll::Ready(None)
            }
            // The head is out already; all that is left is to break the answer off.
            Err(_) => Poll::Ready(Some(Err("a response body panicked".into()))),
        }
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self {
            body,
            scope,
            mut record,
        } = self;
        match body.try_into_bytes() {
            Ok(bytes) => {
                if let Some(record) = &mut record {
                    record.response_bytes += bytes.len() as u64;
                }
                Ok(bytes)
            }
            Err(body) => Err(Self {
                body,
                scope,
                record,
            }),
        }
    }
}

/// What is known of one request; metrics and access log are written when it goes.
struct Record {
    worker: Rc<Worker>,
    context: RequestContext,
    started: Instant,
    method: Method,
    request_bytes: u64,
    response_bytes: u64,
    status: StatusCode,
    /// Only where an access log or traces are wanted.
    line: Option<Line>,
}

struct Line {
    /// Shares the request's buffer.
    uri: Uri,
    user_agent: Option<HeaderValue>,
    logged: bool,
    traced: Option<(Traces, Traced)>,
}

impl Record {
    fn begin(worker: Rc<Worker>, request: &ServiceRequest, context: RequestContext) -> Self {
        let shared = &worker.shared;
        shared.traffic.request_begins();
        if let Some(metrics) = &shared.metrics {
            metrics.begin();
        }
        let head = request.head();
        let logged = shared.access_log.is_on();
        let wanted = (logged || shared.traces.is_some()) && !is_probe(head.uri.path());
        let line = wanted.then(|| {
            context.want_facts();
            Line {
                logged,
                traced: shared.traces.clone().map(|traces| {
                    let traced = traces.begin(head.headers(), context.through_trusted_proxy());
                    (traces, traced)
                }),
                uri: head.uri.clone(),
                user_agent: head.headers().get(header::USER_AGENT).cloned(),
            }
        });
        Self {
            context,
            started: Instant::now(),
            method: head.method.clone(),
            request_bytes: content_length(head),
            response_bytes: 0,
            status: StatusCode::from_u16(WITHOUT_ANSWER).unwrap_or(StatusCode::BAD_REQUEST),
            line,
            worker,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let shared = &self.worker.shared;
        let duration = self.started.elapsed();
        let response_bytes = self.response_bytes + self.context.handed_over();
        // A body need not say how long it is, and need not be read.
        let request_bytes = match self.context.received() {
            0 => self.request_bytes,
            received => received,
        };
        shared.traffic.request_ends();
        if let Some(metrics) = &shared.metrics {
            metrics.end();
            let key = SeriesKey {
                handler: self.context.handler().unwrap_or("other"),
                method: (&self.method).into(),
                code: self.status.as_u16(),
            };
            self.worker
                .series(metrics, key)
                .observe(duration, request_bytes, response_bytes);
        }
        if let Some(line) = self.line.take() {
            let Facts {
                subject,
                repository,
                action,
            } = self.context.facts();
            let user_agent = line
                .user_agent
                .as_ref()
                .map(|value| bounded(&value.as_bytes()[..value.len().min(MAX_USER_AGENT)]));
            // Without the query, which may hold credentials.
            let path = line.uri.path().as_bytes();
            let path = bounded(&path[..path.len().min(MAX_PATH)]);
            let trace_id = line.traced.and_then(|(traces, traced)| {
                let told = Told {
                    handler: self.context.handler().unwrap_or("other"),
                    method: self.method.as_str(),
                    path: &path,
                    status: self.status,
                    received: request_bytes,
                    sent: response_bytes,
                    client: self.context.client().map(|client| client.to_string()),
                    user_agent: user_agent.as_deref(),
                    subject: subject.as_deref(),
                    action,
                    repository: repository.as_deref(),
                    request_id: self.context.id().as_str(),
                };
                traces.end(traced, &told)
            });
            if !line.logged {
                return;
            }
            tracing::info!(
                target: "access",
                method = self.method.as_str(),
                path = &*path,
                status = self.status.as_u16(),
                bytes = response_bytes,
                received = request_bytes,
                duration_ms = milliseconds(duration),
                client = self.context.client().map(tracing::field::display),
                subject,
                action,
                repository,
                user_agent = user_agent.as_deref(),
                request_id = self.context.id().as_str(),
                trace_id,
                "request"
            );
        }
    }
}

/// What is logged of a path, in bytes: the longest name and digest fit twice.
const MAX_PATH: usize = 1_024;

/// What is logged of a user agent, in bytes.
const MAX_USER_AGENT: usize = 256;

fn bounded(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// To the microsecond; what is finer is noise.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn content_length(head: &actix_web::dev::RequestHead) -> u64 {
    head.headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}
