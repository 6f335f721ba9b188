//! Who is asking, and by which address they know us, when proxies stand between.
//!
//! Forwarded headers are believed from `http.trustedproxies` alone. **By default nobody is
//! trusted**, not even loopback: whoever shares the host (a container with host networking, an SSH
//! tunnel) would otherwise choose their own address, which brute-force limits and the audit log
//! rest on. A deployment behind a proxy names it, by address, network, or one of the words
//! `loopback`, `private` and `unix`.
//!
//! Only one family of headers is believed, since a proxy passes those that it does not know from
//! the client: `X-Forwarded-For/-Proto/-Host/-Prefix` with `X-Real-IP`, or RFC 7239 `Forwarded`.

mod host;
mod trusted;

use std::net::IpAddr;

use actix_web::dev::RequestHead;
use actix_web::http::header::{HeaderMap, HeaderName};

pub use self::host::{Host, PathPrefix};
pub use self::trusted::{ForwardedHeaders, InvalidProxy, TrustedProxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// Proxies in a row that are followed back; a longer chain is a loop or an attack.
const MAX_HOPS: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("https") {
            Some(Self::Https)
        } else if text.eq_ignore_ascii_case("http") {
            Some(Self::Http)
        } else {
            None
        }
    }
}

/// The address by which the client reached us, as far as it can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub scheme: Scheme,
    /// None when the client sent no host, or one that is not a host.
    pub host: Option<Host>,
    pub prefix: PathPrefix,
}

impl Origin {
    /// An absolute URL of `path` (which begins with `/`), if the host is known.
    #[must_use]
    pub fn url(&self, path: &str) -> Option<String> {
        let host = self.host.as_ref()?;
        Some(format!(
            "{}://{host}{}{path}",
            self.scheme.as_str(),
            self.prefix
        ))
    }
}

impl TrustedProxies {
    /// The address of the client: the last one on the way to us that no trusted proxy vouches for.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        self.forwarded_for(headers).unwrap_or(peer)
    }

    /// The same for a peer without an address, on a Unix socket.
    #[must_use]
    pub fn client_on_unix_socket(&self, headers: &HeaderMap) -> Option<IpAddr> {
        self.trusts_unix()
            .then(|| self.forwarded_for(headers))
            .flatten()
    }

    fn forwarded_for(&self, headers: &HeaderMap) -> Option<IpAddr> {
        match self.headers() {
            ForwardedHeaders::XForwarded => self
                .nearest_untrusted(elements(headers, &X_FORWARDED_FOR).map(Some))
                .or_else(|| parse_address(last(headers, &X_REAL_IP)?)),
            ForwardedHeaders::Forwarded => self.nearest_untrusted(
                elements(headers, &FORWARDED).map(|element| parameter(element, "for")),
            ),
        }
    }

    /// Walks back from the proxy next to us. What cannot be read ends the walk: nobody vouches for
    /// what lies beyond it.
    fn nearest_untrusted<'h>(
        &self,
        hops: impl DoubleEndedIterator<Item = Option<&'h str>>,
    ) -> Option<IpAddr> {
        let mut nearest = None;
        for hop in hops.rev().take(MAX_HOPS) {
            let Some(address) = hop.and_then(parse_address) else {
                break;
            };
            nearest = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }

    /// How the client addressed us. `trusted` says whether the peer is a trusted proxy, `tls`
    /// whether it reached our own listener over TLS.
    #[must_use]
    pub(crate) fn origin(&self, head: &RequestHead, trusted: bool, tls: bool) -> Origin {
        let own_scheme = if tls { Scheme::Https } else { Scheme::Http };
        let own_host = || {
            let host = head.headers().get(actix_web::http::header::HOST);
            let text = match host {
                Some(value) => value.to_str().ok()?,
                // HTTP/2 has the host in `:authority`.
                None => head.uri.authority()?.as_str(),
            };
            Host::parse(text)
        };
        if !trusted {
            return Origin {
                scheme: own_scheme,
                host: own_host(),
                prefix: PathPrefix::default(),
            };
        }
        let headers = head.headers();
        let (scheme, host, prefix) = match self.headers() {
            ForwardedHeaders::XForwarded => (
                last(headers, &X_FORWARDED_PROTO),
                last(headers, &X_FORWARDED_HOST),
                last(headers, &X_FORWARDED_PREFIX),
            ),
            ForwardedHeaders::Forwarded => {
                let element = elements(headers, &FORWARDED).next_back();
                let of = |name| element.and_then(|element| parameter(element, name));
                (of("proto"), of("host"), None)
            }
        };
        Origin {
            scheme: scheme.and_then(Scheme::parse).unwrap_or(own_scheme),
            host: host.and_then(Host::parse).or_else(own_host),
            prefix: prefix.and_then(PathPrefix::parse).unwrap_or_default(),
        }
    }
}

/// The elements of a list header, over all its lines, in order.
fn elements<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = &'h str> + use<'h> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    lines
        .into_iter()
        .flat_map(|line| line.split(',').map(str::trim))
}

/// The first element of the last line. A proxy that adds a line instead of replacing the client's
/// adds it behind; within one line, the proxy nearest to the client writes first.
fn last<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let line = headers.get_all(name).last()?.to_str().ok()?;
    line.split(',').next().map(str::trim)
}

/// A parameter of one `Forwarded` element: `for=192.0.2.1;proto=https`, values maybe quoted.
fn parameter<'h>(element: &'h str, name: &str) -> Option<&'h str> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim();
        let value = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(value);
        key.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// An address with or without brackets and port, as the various proxies write it.
fn parse_address(text: &str) -> Option<IpAddr> {
    let address = if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        if !(after.is_empty() || is_port(after.strip_prefix(':')?)) {
            return None;
        }
        IpAddr::V6(address.parse().ok()?)
    } else {
        let (address, port) = text.split_once(':')?;
        if !is_port(port) {
            return None;
        }
        IpAddr::V4(address.parse().ok()?)
    };
    // On a socket for both families an IPv4 peer shows up as `::ffff:192.0.2.1`.
    Some(address.to_canonical())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests;
