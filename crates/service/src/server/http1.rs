//! HTTPS without HTTP/2, for operators who have switched that off.
//!
//! actix's own server offers HTTP/2 to everybody once it is compiled in, so this one is put together
//! from the same parts: the handshake, which offers HTTP/1.1 alone, and the protocol behind it.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::MessageBody;
use actix_http::{HttpService, Request, Response};
use actix_service::{IntoServiceFactory, ServiceFactoryExt as _, map_config};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::{AppConfig, Server, Service, ServiceFactory};
use rustls::ServerConfig;
use tokio::net::TcpStream;

use super::ServerOptions;
use super::traffic::Traffic;

/// How long a client may take to say goodbye: as actix's own server has it.
const DISCONNECT_TIME: Duration = Duration::from_secs(1);

pub(super) fn start<F, I, S, B>(
    options: &ServerOptions,
    socket: TcpListener,
    mut tls: ServerConfig,
    traffic: &Arc<Traffic>,
    application: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    tls.alpn_protocols.insert(0, b"http/1.1".to_vec());
    let builder = Server::build()
        .disable_signals()
        .workers(options.workers())
        .max_concurrent_connections(options.max_connections)
        .shutdown_timeout(options.shutdown_seconds());
    let builder = match options.blocking_threads_per_worker() {
        Some(threads) => builder.worker_max_blocking_threads(threads),
        None => builder,
    };
    let ending = builder.graceful_shutdown_signal();
    let (keep_alive, head_timeout) = (options.keep_alive, options.head_timeout);
    let handshake_timeout = options.handshake_timeout;
    let traffic = Arc::clone(traffic);
    let builder = builder.listen("https", socket, move || {
        let (ending, welcome) = (ending.clone(), Arc::clone(&traffic).welcome());
        let application = application().into_factory();
        let application = application.map_err(|error| error.into().error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let ending = ending.clone();
                async move { ending.notified().await }
            })
            .keep_alive(keep_alive)
            .client_request_timeout(head_timeout)
            .client_disconnect_timeout(DISCONNECT_TIME)
            .on_connect_ext(move |stream: &TlsStream<TcpStream>, connection| {
                welcome(stream, connection);
            })
            .h1(map_config(application, |()| AppConfig::default()));
        let mut handshake = Acceptor::new(tls.clone());
        handshake.set_handshake_timeout(handshake_timeout);
        handshake
            .map_err(TlsError::into_service_error)
            .map(|stream: TlsStream<TcpStream>| {
                let socket = stream.get_ref().0;
                // Answers are written whole; without it their last part waits for an
                // acknowledgement. Refused only for a connection that is gone already.
                let _ = socket.set_nodelay(true);
                let peer = socket.peer_addr().ok();
                (stream, peer)
            })
            .and_then(http.map_err(TlsError::Service))
    })?;
    Ok(builder.run())
}
