//! Verdicts on the certificates that a server shows.

use chrono::{DateTime, TimeDelta, Utc};
use rustls_pki_types::ServerName;

use crate::certificate::Certificate;
use crate::report::Verdict;
use crate::trust::{Trust, is_for};

/// Renewal that works has happened by then; what has not will not by itself.
const EXPIRES_SOON: TimeDelta = TimeDelta::days(21);

/// Where the setting of a server certificate is, in a sentence.
pub const CERTIFICATE_SETTING: &str = "the server's certificate file (`ssl_certificate` of nginx, \
     `SSLCertificateFile` of Apache, `http.tls.certificate` of a server without a proxy)";

/// Whether the chain leads to a root that is trusted here.
pub fn chain(chain: &[Certificate], trust: &Trust, now: DateTime<Utc>) -> Verdict {
    let Some(leaf) = chain.first() else {
        return Verdict::failure(
            "the server showed no certificate",
            format!("set {CERTIFICATE_SETTING}"),
        );
    };
    let der: Vec<_> = chain.iter().map(|one| one.der.clone()).collect();
    // Its own dates are another line.
    let at = now.clamp(leaf.not_before, leaf.not_after);
    if trust.leads_to_root(&der, at).is_ok() {
        let count = chain.len();
        let what = if trust.holds(leaf) {
            "the certificate itself is trusted".to_owned()
        } else {
            let certificates = if count == 1 {
                "certificate"
            } else {
                "certificates"
            };
            format!("{count} {certificates}, leading to a trusted root")
        };
        return Verdict::ok(what);
    }
    broken_chain(leaf, &chain[1..], trust, at)
}

fn broken_chain(
    leaf: &Certificate,
    others: &[Certificate],
    trust: &Trust,
    at: DateTime<Utc>,
) -> Verdict {
    // Up from the leaf, as far as what was sent goes.
    let mut top = leaf;
    let mut path = vec![leaf];
    while !top.is_self_signed() {
        let issuer = others
            .iter()
            .find(|one| top.is_signed_by(one) && !path.contains(one));
        let Some(issuer) = issuer else { break };
        path.push(issuer);
        top = issuer;
    }
    let outdated = path.iter().find(|one| at > one.not_after);
    if let Some(outdated) = outdated.filter(|one| **one != leaf) {
        return Verdict::failure(
            format!(
                "the intermediate certificate \"{}\" expired on {}",
                outdated.subject,
                day(outdated.not_after)
            ),
            format!("replace it by its successor in {CERTIFICATE_SETTING}"),
        );
    }
    if top.is_self_signed() {
        return untrusted_root(leaf, top, trust);
    }
    if let Some(root) = trust.issuer_of(top) {
        if !root.ca {
            return Verdict::failure(
                format!(
                    "\"{}\" was given as an authority, but may not sign others",
                    root.subject
                ),
                "give the certificate of the authority itself as --ca-file",
            );
        }
        if at > root.not_after {
            return Verdict::failure(
                format!(
                    "the root \"{}\" expired on {}",
                    root.subject,
                    day(root.not_after)
                ),
                "renew the root, and have it sign new certificates",
            );
        }
        return Verdict::failure(
            format!(
                "\"{}\" was not signed by the trusted root of the name \"{}\": there are two \
                 authorities of one name",
                top.subject, root.subject
            ),
            "trust the authority that signed the certificate: install it on clients, and give it \
             as --ca-file",
        );
    }
    missing_issuer(leaf, top, trust)
}

fn untrusted_root(leaf: &Certificate, top: &Certificate, trust: &Trust) -> Verdict {
    let install = "install it on every client (/etc/docker/certs.d/HOST/ca.crt for Docker) and \
                   give it as --ca-file, or get a certificate of a public authority";
    if top == leaf {
        return Verdict::failure(
            format!(
                "the certificate \"{}\" is signed by itself, and not trusted here",
                leaf.subject
            ),
            format!("{install}; `portcullis setup` makes a private authority and a certificate"),
        );
    }
    let hint = if trust.given().is_empty() {
        ""
    } else {
        ", and is not the given one"
    };
    Verdict::failure(
        format!(
            "the authority \"{}\" is not trusted here{hint}",
            top.subject
        ),
        install,
    )
}

/// The chain stops below its root. Either the server leaves an intermediate out, or it sends all it
/// has to, and the root is not known here. What an authority publishes about itself, or another root
/// that was given, tells the two apart.
fn missing_issuer(leaf: &Certificate, top: &Certificate, trust: &Trust) -> Verdict {
    let issuer = &top.issuer;
    let from = if top == leaf {
        "the server's certificate".to_owned()
    } else {
        format!("\"{}\"", top.subject)
    };
    if let Some(url) = &top.issuer_url {
        return Verdict::failure(
            format!(
                "the intermediate certificate \"{issuer}\" is missing: the server does not send it"
            ),
            format!("append it to {CERTIFICATE_SETTING}; its authority has it at {url}"),
        );
    }
    if !trust.given().is_empty() {
        return Verdict::failure(
            format!(
                "the intermediate certificate \"{issuer}\" is missing: {from} was issued by it, the \
                 server does not send it, and the given authority is another"
            ),
            format!("append it to {CERTIFICATE_SETTING}"),
        );
    }
    Verdict::failure(
        format!("the issuer \"{issuer}\" of {from} is neither sent by the server nor trusted here"),
        format!(
            "if it is an intermediate, append its certificate to {CERTIFICATE_SETTING}; if it is \
             your own authority, install it on every client (/etc/docker/certs.d/HOST/ca.crt for \
             Docker) and give it as --ca-file"
        ),
    )
}

/// Whether the server's certificate is valid now, and for a while.
pub fn expiry(leaf: &Certificate, now: DateTime<Utc>) -> Verdict {
    let renew = format!("renew it, and see that the renewed one is in {CERTIFICATE_SETTING}");
    if now > leaf.not_after {
        return Verdict::failure(format!("expired on {}", day(leaf.not_after)), renew);
    }
    if now < leaf.not_before {
        return Verdict::failure(
            format!("not valid before {}", second(leaf.not_before)),
            "set the clock of this machine, or of the one that issued the certificate",
        );
    }
    let left = leaf.not_after - now;
    if left < EXPIRES_SOON {
        let days = left.num_days();
        let days = if days == 1 {
            "1 day".to_owned()
        } else {
            format!("{days} days")
        };
        return Verdict::warning(
            format!("expires in {days}, on {}", day(leaf.not_after)),
            renew,
        );
    }
    Verdict::ok(format!("valid until {}", day(leaf.not_after)))
}

/// Whether the certificate is for the host.
pub fn name(leaf: &Certificate, host: &str) -> Verdict {
    let Ok(server) = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()) else {
        return Verdict::failure(
            format!("`{host}` is no host name that a certificate could be for"),
            "use a host name of letters, digits, hyphens and dots",
        );
    };
    if is_for(&leaf.der, &server).is_ok() {
        return Verdict::ok(format!("for {host}"));
    }
    if leaf.names.is_empty() {
        let common = leaf.common_name.as_deref().unwrap_or_default();
        let (matches, what) = if common.eq_ignore_ascii_case(host) {
            (
                true,
                "the host name is only its common name (CN), which clients ignore".to_owned(),
            )
        } else {
            (
                false,
                format!("it names no host (its subject is \"{}\")", leaf.subject),
            )
        };
        let fix = if matches {
            format!("issue it again with subjectAltName=DNS:{host}")
        } else {
            format!("set {CERTIFICATE_SETTING} to one with subjectAltName=DNS:{host}")
        };
        return Verdict::failure(format!("no subjectAltName: {what}"), fix);
    }
    Verdict::failure(
        format!("for {}, not for {host}", leaf.names.join(", ")),
        format!("issue it again with subjectAltName=DNS:{host}, or use a host name that it is for"),
    )
}

pub fn day(time: DateTime<Utc>) -> impl std::fmt::Display {
    time.format("%Y-%m-%d")
}

pub fn second(time: DateTime<Utc>) -> impl std::fmt::Display {
    time.format("%Y-%m-%d %H:%M:%S UTC")
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
