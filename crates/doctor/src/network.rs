//! Reaching a server: its name, its port, its TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::certificate::Certificate;
use crate::report::Verdict;
use crate::trust::to_look;

/// How long a name may take to resolve, a connection and a handshake to be made.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

impl Server {
    /// `None`: a URL without a host.
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self {
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
            tls: url.scheme() == "https",
        })
    }

    /// Whether it is this machine, whichever that is.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost"
            || host.ends_with(".localhost")
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

/// The addresses of a host, or why there are none.
pub async fn resolve(server: &Server) -> Result<Vec<SocketAddr>, String> {
    let host = server.host.trim_matches(['[', ']']).to_owned();
    let looked_up = timeout(PATIENCE, tokio::net::lookup_host((host, server.port))).await;
    match looked_up {
        Err(_) => Err("the name server does not answer".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(found)) => {
            let mut addresses: Vec<SocketAddr> = found.collect();
            addresses.dedup();
            Ok(addresses)
        }
    }
}

pub fn dns_verdict(server: &Server, found: &Result<Vec<SocketAddr>, String>) -> Verdict {
    let host = &server.host;
    let fix = format!("add an address record for {host} to the DNS, or correct the host name");
    match found {
        Err(reason) => Verdict::failure(format!("{host} cannot be resolved: {reason}"), fix),
        Ok(addresses) if addresses.is_empty() => {
            Verdict::failure(format!("{host} has no address"), fix)
        }
        Ok(addresses) => {
            let shown: Vec<String> = addresses.iter().map(|one| one.ip().to_string()).collect();
            Verdict::ok(format!("{host} is {}", shown.join(", ")))
        }
    }
}

/// Why no connection came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoConnection {
    Refused,
    TimedOut,
    Other(String),
}

/// An attempt at each address.
pub type Attempts = Vec<(SocketAddr, Result<(), NoConnection>)>;

/// Tries every address: clients pick any.
pub async fn connect_to_all(addresses: &[SocketAddr]) -> Attempts {
    let attempts = addresses.iter().map(|address| async move {
        let result = match timeout(PATIENCE, TcpStream::connect(address)).await {
            Err(_) => Err(NoConnection::TimedOut),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(match error.kind() {
                std::io::ErrorKind::ConnectionRefused => NoConnection::Refused,
                std::io::ErrorKind::TimedOut => NoConnection::TimedOut,
                _ => NoConnection::Other(error.to_string()),
            }),
        };
        (*address, result)
    });
    futures_util::future::join_all(attempts).await
}

pub fn port_verdict(server: &Server, attempts: &Attempts) -> Verdict {
    let port = server.port;
    let failed: Vec<_> = attempts
        .iter()
        .filter_map(|(address, result)| Some((address, result.as_ref().err()?)))
        .collect();
    if failed.is_empty() {
        return Verdict::ok(format!("port {port} is open"));
    }
    let reasons: Vec<String> = failed
        .iter()
        .map(|(address, reason)| match reason {
            NoConnection::Refused => format!("{address} refuses connections"),
            NoConnection::TimedOut => format!("{address} does not answer"),
            NoConnection::Other(reason) => format!("{address}: {reason}"),
        })
        .collect();
    let reasons = reasons.join(", ");
    if failed.len() < attempts.len() {
        return Verdict::warning(
            format!("not on every address: {reasons}"),
            format!("listen on port {port} of all addresses, or take those others from the DNS"),
        );
    }
    let refused = failed
        .iter()
        .any(|(_, reason)| **reason == NoConnection::Refused);
    let fix = if refused {
        format!("start the server, or correct the port: nothing listens on {port}")
    } else {
        format!("open port {port} in the firewall and the network between here and there")
    };
    Verdict::failure(reasons, fix)
}

/// Why TLS did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoTls {
    /// The other side speaks something else, most likely plain HTTP.
    NotTls,
    TimedOut,
    Refused(String),
}

/// The certificates that a server shows, whatever they are worth.
pub async fn handshake(server: &Server, address: SocketAddr) -> Result<Vec<Certificate>, NoTls> {
    let refused = |reason: &dyn std::fmt::Display| NoTls::Refused(reason.to_string());
    let mut config = to_look().map_err(|error| refused(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from(server.host.trim_matches(['[', ']']).to_owned())
        .map_err(|error| refused(&error))?;
    let connect = async {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    };
    let stream = match timeout(PATIENCE, connect).await {
        Err(_) => return Err(NoTls::TimedOut),
        Ok(Err(error)) => return Err(why_no_tls(&error)),
        Ok(Ok(stream)) => stream,
    };
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    Ok(chain.iter().filter_map(Certificate::from_der).collect())
}

fn why_no_tls(error: &std::io::Error) -> NoTls {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => NoTls::NotTls,
        Some(rustls::Error::AlertReceived(alert)) => {
            NoTls::Refused(format!("the server refused it with the alert {alert:?}"))
        }
        Some(other) => NoTls::Refused(other.to_string()),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            NoTls::Refused("the server closed the connection".to_owned())
        }
        None => NoTls::Refused(error.to_string()),
    }
}

pub fn handshake_verdict(server: &Server, result: &Result<Vec<Certificate>, NoTls>) -> Verdict {
    let port = server.port;
    match result {
        Ok(_) => Verdict::ok("the server speaks TLS"),
        Err(NoTls::NotTls) => Verdict::failure(
            format!("the server speaks plain HTTP on port {port}, not TLS"),
            "switch TLS on (`listen … ssl` of nginx, `SSLEngine on` of Apache, `http.tls` of a \
             server without a proxy), or correct the port",
        ),
        Err(NoTls::TimedOut) => Verdict::failure(
            format!("the server accepts connections on port {port} and then says nothing"),
            "look whether a firewall or a load balancer stands between, or another service listens",
        ),
        Err(NoTls::Refused(reason)) => Verdict::failure(
            format!("no TLS connection: {reason}"),
            "allow TLS 1.2 and 1.3 with their usual cipher suites, and set a certificate for this \
             host name",
        ),
    }
}

/// Over which a password is readable for everybody between.
pub fn plain_verdict(server: &Server) -> Verdict {
    if server.is_loopback() {
        return Verdict::ok("plain HTTP, which never leaves this machine");
    }
    Verdict::failure(
        "plain HTTP: passwords can be read on the way, and Docker refuses it for any host but \
         localhost",
        "put a proxy with TLS in front, or set `http.tls`, and use https://",
    )
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
