//! Servers on real sockets.

mod drain;
mod http;
mod tls;

use std::net::SocketAddr;
use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::ServiceConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::request::{HandlerName, RequestContext};

/// Longer than anything here takes; a hang fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server and its end.
struct Running {
    bound: Vec<Bound>,
    shutdown: Shutdown,
    task: JoinHandle<io::Result<()>>,
}

impl Running {
    fn address(&self) -> SocketAddr {
        match &self.bound[0].address {
            BoundAddress::Tcp(address) => *address,
            BoundAddress::Unix(path) => panic!("listens on {}", path.display()),
        }
    }

    fn url(&self, path: &str) -> String {
        let scheme = if self.bound[0].tls { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.address().port())
    }

    /// How long it takes to end.
    async fn ended(self) -> Duration {
        let started = Instant::now();
        timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        started.elapsed()
    }

    async fn end(self) {
        self.shutdown.begin();
        self.ended().await;
    }
}

fn options() -> ServerOptions {
    ServerOptions {
        workers: Some(1),
        ..ServerOptions::default()
    }
}

fn local() -> Address {
    Address::Tcp("127.0.0.1:0".to_owned())
}

fn run(options: ServerOptions, listeners: Vec<Listener>) -> Running {
    let server = Server::bind(options, listeners).unwrap();
    let bound = server.bound().to_vec();
    let shutdown = Shutdown::new();
    let task = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { server.run(&shutdown).await }
    });
    Running {
        bound,
        shutdown,
        task,
    }
}

fn run_one(options: ServerOptions) -> Running {
    run(options, vec![Listener::new("test", local(), routes)])
}

fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/who")
                .app_data(HandlerName("who"))
                .route(web::get().to(describe_request)),
        )
        .service(
            web::resource("/fails")
                .wrap(from_fn(failing_middleware))
                .route(web::get().to(describe_request)),
        )
        .route("/panic", web::to(panicking))
        .route("/panic-in-body", web::to(panicking_body))
        .route("/slow", web::to(slow))
        .route("/endless", web::to(endless))
        .route(
            "/echo",
            web::to(async |body: web::Bytes| HttpResponse::Ok().body(body)),
        );
}

async fn describe_request(
    context: RequestContext,
    request: actix_web::HttpRequest,
) -> HttpResponse {
    assert_eq!(crate::request_id::current().as_ref(), Some(context.id()));
    let client = context
        .client()
        .map_or_else(String::new, |ip| ip.to_string());
    let url = context.origin(&request).url("/here").unwrap_or_default();
    HttpResponse::Ok().body(format!("{client} {url}"))
}

async fn failing_middleware(
    _: ServiceRequest,
    _: Next<impl actix_web::body::MessageBody>,
) -> Result<ServiceResponse, actix_web::Error> {
    Err(actix_web::error::ErrorForbidden("not for you"))
}

async fn panicking() -> HttpResponse {
    panic!("on purpose")
}

async fn panicking_body() -> HttpResponse {
    let mut chunks = 0;
    HttpResponse::Ok().streaming(futures_util::stream::poll_fn(move |_| {
        chunks += 1;
        assert!(chunks < 3, "on purpose");
        std::task::Poll::Ready(Some(Ok::<_, io::Error>(web::Bytes::from("chunk"))))
    }))
}

async fn slow() -> HttpResponse {
    tokio::time::sleep(Duration::from_millis(700)).await;
    HttpResponse::Ok().body("done")
}

async fn endless() -> HttpResponse {
    tokio::time::sleep(PATIENCE * 2).await;
    HttpResponse::Ok().body("done")
}

/// Waits until all these lines are among the metrics.
async fn until_counted(metrics: &crate::metrics::Metrics, lines: &[&str]) {
    let complete = async {
        loop {
            let text = metrics.encode();
            let found: std::collections::HashSet<&str> = text.lines().collect();
            if lines.iter().all(|line| found.contains(line)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let outcome = timeout(PATIENCE, complete).await;
    assert!(outcome.is_ok(), "{lines:#?}\nnot in\n{}", metrics.encode());
}

/// Sends bytes as they are and reads until the server closes.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset counts as closed.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
