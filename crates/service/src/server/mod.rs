//! HTTP servers: sockets, TLS, workers, and their orderly end.
//!
//! [`Server::bind`] opens everything and reports where it listens; [`Server::run`] serves until the
//! [`Shutdown`]. What is served is in the [`Listener`]s.

mod acme;
mod door;
mod http1;
mod listener;
mod observe;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod traffic;

use std::fmt;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpServer, web};
use futures_util::future::try_join_all;

pub use self::acme::{CacheError, LetsEncryptSettings};
pub use self::listener::{AccessLog, Address, BoundAddress, Listener};
pub use self::settings::{
    CertificateSource, DebugSettings, ListenAddress, PrometheusSettings, TlsSettings, UrlPath,
};
pub use self::tls::{ClientAuth, MinimumTls, Tls, TlsError};

use self::door::Door;
use self::listener::Socket;
use self::observe::Observe;
use self::traffic::Traffic;
use crate::client_address::TrustedProxies;
use crate::error_body::error_response;
use crate::metrics::HttpMetrics;
use crate::shutdown::{Reload, Shutdown};
use crate::telemetry::Traces;

/// After the last answer is complete, its bytes may still be in a buffer on their way out.
const FLUSH_TIME: Duration = Duration::from_millis(500);

/// How long a server that ends goes on accepting who had come in already. On a machine that is too busy
/// its turn was seen to be 300 milliseconds off.
const LAST_ACCEPTS: Duration = Duration::from_secs(1);

/// How long who has come in may then still take to send the head of a request. A proxy sends it at once;
/// what says nothing for so long are connections that were opened in advance.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Settings that all listeners of a process share.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Worker threads per listener; None: one per processor.
    pub workers: Option<usize>,
    /// Threads that wait for disks on behalf of all workers of a listener; None: 512.
    pub blocking_threads: Option<usize>,
    /// Open connections per worker, before new ones wait in the kernel's queue.
    pub max_connections: usize,
    /// How long an idle connection is kept for its next request.
    pub keep_alive: Duration,
    /// How long a client may take to send the head of a request. Bodies have no limit here: a
    /// large layer over a slow line takes what it takes.
    pub head_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long requests in flight may go on after a shutdown begins.
    pub drain_time: Duration,
    pub trusted_proxies: TrustedProxies,
    pub metrics: Option<HttpMetrics>,
    /// Where spans of requests go, if anywhere.
    pub traces: Option<Traces>,
    /// When certificates are to be read again at once.
    pub reload: Reload,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            workers: None,
            blocking_threads: None,
            max_connections: 25_000,
            // Longer than the 60 s after which Nginx and most load balancers give up an idle
            // connection: the side that sends the next request should be the one that closes.
            keep_alive: Duration::from_secs(75),
            head_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            drain_time: Duration::from_mins(1),
            trusted_proxies: TrustedProxies::default(),
            metrics: None,
            traces: None,
            reload: Reload::default(),
        }
    }
}

impl ServerOptions {
    fn workers(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.workers.unwrap_or_else(processors).max(1)
    }

    /// Each worker has threads of its own.
    fn blocking_threads_per_worker(&self) -> Option<usize> {
        let threads = self.blocking_threads?;
        Some((threads / self.workers()).max(1))
    }

    fn shutdown_seconds(&self) -> u64 {
        self.drain_time.as_secs().saturating_add(1)
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address} ({name}): {reason}")]
    Bind {
        name: &'static str,
        address: Address,
        reason: String,
        #[source]
        source: io::Error,
    },
    #[error("{0}: TLS is not available on a Unix socket")]
    TlsOnUnixSocket(&'static str),
}

/// A listener that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub name: &'static str,
    pub address: BoundAddress,
    pub tls: bool,
}

/// Sockets that are open, and what will be served on them.
pub struct Server {
    options: ServerOptions,
    listeners: Vec<(Listener, Socket)>,
    bound: Vec<Bound>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Opens all sockets. From here on clients can connect; they are answered once the server runs.
    pub fn bind(options: ServerOptions, listeners: Vec<Listener>) -> Result<Self, StartError> {
        raise_file_limit();
        let mut server = Self {
            options,
            listeners: Vec::new(),
            bound: Vec::new(),
        };
        for listener in listeners {
            if listener.tls.is_some() && matches!(listener.address, Address::Unix(_)) {
                return Err(StartError::TlsOnUnixSocket(listener.name));
            }
            let (socket, address) = listener.address.bind().map_err(|source| StartError::Bind {
                name: listener.name,
                address: listener.address.clone(),
                reason: explain(&source),
                source,
            })?;
            server.bound.push(Bound {
                name: listener.name,
                address,
                tls: listener.tls.is_some(),
            });
            server.listeners.push((listener, socket));
        }
        Ok(server)
    }

    /// Where it listens, in the order in which the listeners were given.
    #[must_use]
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// Serves until `shutdown` begins and what is in flight has ended, or its time is up.
    ///
    /// Must run inside a tokio runtime; workers have threads of their own.
    pub async fn run(self, shutdown: &Shutdown) -> io::Result<()> {
        let traffic = Arc::new(Traffic::default());
        let drain_time = self.options.drain_time;
        let mut servers = Vec::new();
        let mut doors = Vec::new();
        for (listener, socket) in self.listeners {
            if let Socket::Tcp(socket) = &socket {
                doors.push(Door::of(socket)?);
            }
            if let Some(tls) = &listener.tls {
                tokio::spawn(
                    tls.clone()
                        .watch(shutdown.clone(), self.options.reload.clone()),
                );
            }
            servers.push(start(&self.options, listener, socket, &traffic)?);
        }
        for bound in &self.bound {
            let scheme = if bound.tls { "https" } else { "http" };
            tracing::info!(listener = bound.name, scheme, address = %bound.address, "listening");
        }
        let handles: Vec<_> = servers.iter().map(actix_web::dev::Server::handle).collect();
        let stop = async {
            shutdown.begun().await;
            traffic.end();
            shut(doors, &traffic, shutdown).await;
            // What is idle is closed with this, and what has not been read of it is lost.
            let stopping: Vec<_> = handles.iter().map(|handle| handle.stop(true)).collect();
            drain(&traffic, drain_time, shutdown).await;
            // Not awaited before: an idle HTTP/2 connection would hold it up for the whole time.
            drop(stopping);
        };
        tokio::select! {
            result = try_join_all(servers) => {
                result?;
            }
            // Dropping the servers closes what is still open, within a second.
            () = stop => {}
        }
        for bound in &self.bound {
            if let BoundAddress::Unix(path) = &bound.address {
                let _ = std::fs::remove_file(path);
            }
        }
        Ok(())
    }
}

/// Lets nobody in any more, and hears who is in.
async fn shut(doors: Vec<Door>, traffic: &Traffic, shutdown: &Shutdown) {
    for door in &doors {
        if let Err(error) = door.shut() {
            tracing::warn!(%error, "the kernel lets clients in to the end; the last of them may be cut off");
        }
    }
    let heard = async {
        tokio::time::sleep(LAST_ACCEPTS).await;
        let _ = tokio::time::timeout(LAST_WORDS, traffic.no_newcomers()).await;
    };
    tokio::select! {
        () = heard => {}
        () = shutdown.forced() => {}
    }
}

/// Returns when no request has been in flight for a moment, or there is no more time.
async fn drain(traffic: &Traffic, drain_time: Duration, shutdown: &Shutdown) {
    tokio::select! {
        () = traffic.idle_for(FLUSH_TIME) => {}
        () = shutdown.forced() => {}
        () = tokio::time::sleep(drain_time) => {
            let cut_off = traffic.requests();
            tracing::warn!(cut_off, "drain time is up; closing connections with requests in flight");
        }
    }
}

fn start(
    options: &ServerOptions,
    listener: Listener,
    socket: Socket,
    traffic: &Arc<Traffic>,
) -> io::Result<actix_web::dev::Server> {
    let observe = Observe {
        tls: listener.tls.is_some(),
        proxies: Arc::new(options.trusted_proxies.clone()),
        metrics: options.metrics.clone(),
        access_log: listener.access_log,
        traces: options.traces.clone().filter(|_| listener.traced),
        traffic: Arc::clone(traffic),
    };
    let routes = listener.routes;
    let application = move || {
        let routes = routes.clone();
        App::new()
            .wrap(observe.clone())
            .default_service(web::to(not_found))
            .configure(move |config| routes.configure(config))
    };
    let socket = match (socket, &listener.tls) {
        (Socket::Tcp(socket), Some(tls)) if !listener.http2 => {
            return http1::start(options, socket, tls.config(), traffic, application);
        }
        (socket, _) => socket,
    };
    let server = HttpServer::new(application)
        .on_connect(Arc::clone(traffic).welcome())
        .disable_signals()
        .workers(options.workers())
        .max_connections(options.max_connections)
        .keep_alive(options.keep_alive)
        .client_request_timeout(options.head_timeout)
        .tls_handshake_timeout(options.handshake_timeout)
        .tcp_nodelay(true)
        .shutdown_timeout(options.shutdown_seconds());
    let server = match options.blocking_threads_per_worker() {
        Some(threads) => server.worker_max_blocking_threads(threads),
        None => server,
    };
    let server = match (socket, listener.tls) {
        (Socket::Unix(socket), _) => server.listen_uds(socket)?,
        (Socket::Tcp(socket), Some(tls)) => server.listen_rustls_0_23(socket, tls.config())?,
        (Socket::Tcp(socket), None) if listener.h2c => server.listen_auto_h2c(socket)?,
        (Socket::Tcp(socket), None) => server.listen(socket)?,
    };
    Ok(server.run())
}

/// Raises the soft limit of open files to the hard one. The soft one is 1024 on most systems, for
/// the sake of programs that use `select`; a registry has a connection and a file per download.
/// Go programs, distribution among them, do the same.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// For paths that no route of the application knows.
async fn not_found() -> actix_web::HttpResponse {
    error_response(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        "there is nothing at this path",
    )
}

/// The system's words, and what an operator can do about the usual ones.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there already".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!("{error} (ports below 1024 need a privilege; take a higher one)")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{error} (no interface of this machine has that address)")
        }
        _ => error.to_string(),
    }
}
