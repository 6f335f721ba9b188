//! Where a server listens, and what it serves there.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use actix_web::web::ServiceConfig;

use super::tls::Tls;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `host:port`; `:port` is every address of the machine, as in Go; port 0 is any free one.
    Tcp(String),
    /// A socket file. A leftover of a dead server is replaced.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where a listener listens in fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An address and the routes served on it.
pub struct Listener {
    pub(super) name: &'static str,
    pub(super) address: Address,
    pub(super) tls: Option<Tls>,
    pub(super) http2: bool,
    pub(super) h2c: bool,
    pub(super) access_log: AccessLog,
    pub(super) traced: bool,
    pub(super) routes: Box<dyn Routes>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// Plain HTTP/1.1, with access log. `name` says in the log what this listener is for.
    pub fn new(
        name: &'static str,
        address: Address,
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> Self {
        Self {
            name,
            address,
            tls: None,
            http2: true,
            h2c: false,
            access_log: AccessLog::new(true),
            traced: true,
            routes: Box::new(routes),
        }
    }

    /// HTTPS, with HTTP/2 for clients that negotiate it. Not on Unix sockets.
    #[must_use]
    pub fn tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// Whether HTTP/2 is offered over TLS; it is by default.
    #[must_use]
    pub fn http2(mut self, on: bool) -> Self {
        self.http2 = on;
        self
    }

    /// HTTP/2 also without TLS, for clients that know beforehand.
    #[must_use]
    pub fn h2c(mut self, on: bool) -> Self {
        self.h2c = on;
        self
    }

    /// Leaves its requests out of logs and traces: operators look at themselves here.
    #[must_use]
    pub fn unobserved(mut self) -> Self {
        self.traced = false;
        self.access_log(AccessLog::new(false))
    }

    /// Whether each request is logged.
    #[must_use]
    pub fn access_log(mut self, access_log: AccessLog) -> Self {
        self.access_log = access_log;
        self
    }
}

/// Whether each request is logged; can be changed while the server runs. Clones share it.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<AtomicBool>);

impl AccessLog {
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self(Arc::new(AtomicBool::new(on)))
    }

    /// From the next request on.
    pub fn set(&self, on: bool) {
        self.0.store(on, Relaxed);
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// A route configuration as an object that each worker gets a copy of.
pub(super) trait Routes: Send {
    fn configure(&self, config: &mut ServiceConfig);
    fn copy(&self) -> Box<dyn Routes>;
}

impl<F: Fn(&mut ServiceConfig) + Clone + Send + 'static> Routes for F {
    fn configure(&self, config: &mut ServiceConfig) {
        self(config);
    }

    fn copy(&self) -> Box<dyn Routes> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Routes> {
    fn clone(&self) -> Self {
        (**self).copy()
    }
}

/// An open socket that nobody accepts from yet.
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Address {
    pub(super) fn bind(&self) -> io::Result<(Socket, BoundAddress)> {
        match self {
            Self::Tcp(address) => {
                let listener = bind_tcp(address)?;
                let bound = listener.local_addr()?;
                Ok((Socket::Tcp(listener), BoundAddress::Tcp(bound)))
            }
            Self::Unix(path) => {
                remove_dead_socket(path)?;
                let listener = UnixListener::bind(path)?;
                Ok((Socket::Unix(listener), BoundAddress::Unix(path.clone())))
            }
        }
    }
}

fn bind_tcp(address: &str) -> io::Result<TcpListener> {
    if let Some(port) = address.strip_prefix(':') {
        let port: u16 = port.parse().map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the port is no number up to 65535",
            )
        })?;
        // One socket for both families; a kernel without IPv6 refuses it.
        return TcpListener::bind(("::", port)).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            _ => TcpListener::bind(("0.0.0.0", port)),
        });
    }
    let mut addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    // A name stands for one socket, preferably IPv4, as in Go: two sockets would get two ports
    // where the port is 0.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    TcpListener::bind(addresses.as_slice())
}

/// A server that was killed leaves its socket file behind, which nobody can bind again.
fn remove_dead_socket(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.file_type().is_socket() => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)
            }
            _ => Err(io::ErrorKind::AddrInUse.into()),
        },
        // Whatever else is there is not ours to remove; binding fails and says so.
        _ => Ok(()),
    }
}
