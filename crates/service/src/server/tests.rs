//! Servers on real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use tokio::task::JoinHandle;

use super::*;
use crate::request::{HandlerName, RequestContext};

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

    async fn end(self) {
        self.shutdown.begin();
        tokio::time::timeout(Duration::from_secs(10), self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
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

async fn describe_request(
    context: RequestContext,
    request: actix_web::HttpRequest,
) -> HttpResponse {
    let client = context
        .client()
        .map_or_else(String::new, |ip| ip.to_string());
    let url = context.origin(&request).url("/here").unwrap_or_default();
    HttpResponse::Ok().body(format!("{client} {url}"))
}

fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/who")
                .app_data(HandlerName("who"))
                .route(web::get().to(describe_request)),
        )
        .route(
            "/panic",
            web::get().to(|| async {
                if true {
                    panic!("on purpose");
                }
                HttpResponse::Ok()
            }),
        );
}

#[tokio::test]
async fn answers_with_a_request_id() {
    let server = run(options(), vec![Listener::new("test", local(), routes)]);
    let response = reqwest::get(server.url("/who")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-request-id"].len(), 36);
    let port = server.address().port();
    assert_eq!(
        response.text().await.unwrap(),
        format!("127.0.0.1 http://localhost:{port}/here")
    );
    server.end().await;
}
