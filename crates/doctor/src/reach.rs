//! The way to a server, step by step: name, port, TLS.

use chrono::{DateTime, Utc};
use url::Url;

use crate::certificate::Certificate;
use crate::network::{self, Server};
use crate::report::{Report, Verdict};
use crate::tls;
use crate::trust::Trust;

/// How far one got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Why nothing can be asked, if so.
    pub blocked: Option<String>,
    /// Whether a password may go there.
    pub trusted: bool,
    /// The certificates that were shown.
    pub chain: Vec<Certificate>,
}

impl Reach {
    fn blocked(because: String) -> Self {
        Self {
            blocked: Some(because),
            trusted: false,
            chain: Vec::new(),
        }
    }
}

/// Goes there; every step is a line that begins with `place`.
pub async fn reach(
    place: &str,
    url: &Url,
    trust: &Trust,
    now: DateTime<Utc>,
    report: &mut Report,
) -> Reach {
    let step = |name: &str| format!("{place}.{name}");
    let failed = |name: &str| format!("{place}.{name} failed");
    let Some(server) = Server::of(url) else {
        let verdict = Verdict::failure("the URL names no host", "name a host in it");
        report.add(step("dns"), verdict);
        return Reach::blocked(failed("dns"));
    };
    let found = network::resolve(&server).await;
    if report.add(step("dns"), network::dns_verdict(&server, &found)) {
        report.skip(&[step("port"), step("tls")], &failed("dns"));
        return Reach::blocked(failed("dns"));
    }
    let attempts = network::connect_to_all(&found.unwrap_or_default()).await;
    if report.add(step("port"), network::port_verdict(&server, &attempts)) {
        report.skip(&[step("tls")], &failed("port"));
        return Reach::blocked(failed("port"));
    }
    if !server.tls {
        let refused = report.add(step("tls"), network::plain_verdict(&server));
        return Reach {
            blocked: None,
            trusted: !refused,
            chain: Vec::new(),
        };
    }
    let open = attempts.iter().find(|(_, result)| result.is_ok());
    let Some((address, _)) = open else {
        return Reach::blocked(failed("port"));
    };
    let session = network::handshake(&server, *address).await;
    if report.add(step("tls"), network::handshake_verdict(&server, &session)) {
        return Reach::blocked(failed("tls"));
    }
    let chain = session.unwrap_or_default();
    let mut trusted = !report.add(step("tls.chain"), tls::chain(&chain, trust, now));
    if let Some(leaf) = chain.first() {
        trusted &= !report.add(step("tls.expiry"), tls::expiry(leaf, now));
        trusted &= !report.add(step("tls.name"), tls::name(leaf, &server.host));
    }
    Reach {
        blocked: None,
        trusted,
        chain,
    }
}
