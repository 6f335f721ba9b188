//! `http.tls.letsencrypt`, by distribution's names.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use url::Url;

/// Where distribution asks, too.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Whom to ask for a certificate, and for which names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LetsEncryptSettings {
    /// Where account, certificate and key are kept. In a directory, which distribution makes of it, a
    /// file of ours.
    #[serde(deserialize_with = "cachefile")]
    pub cachefile: PathBuf,
    /// Where the authority writes to.
    #[serde(default, deserialize_with = "email")]
    pub email: Option<String>,
    /// The names that the certificate is for: lower case, one at least.
    #[serde(deserialize_with = "hosts")]
    pub hosts: Vec<String>,
    /// The authority's directory (RFC 8555, 7.1.1).
    #[serde(default = "lets_encrypt", deserialize_with = "directory")]
    pub directoryurl: String,
}

fn lets_encrypt() -> String {
    LETS_ENCRYPT.to_owned()
}

fn refused<E: de::Error>(reason: impl fmt::Display) -> E {
    E::custom(reason)
}

fn cachefile<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() {
        return Err(refused(
            "name the file that keeps the certificate: without one, every start would order another, \
             and the authority soon refuses",
        ));
    }
    Ok(path)
}

fn email<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    // It becomes part of a `mailto:` URL, in which `?` and `,` have a meaning (RFC 8555, 7.3).
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"?,:<>".contains(c);
    match text.split_once('@') {
        Some((user, host)) if !user.is_empty() && !host.is_empty() && text.chars().all(plain) => {
            Ok(Some(text))
        }
        _ => Err(refused(format!(
            "`{text}` is no e-mail address; write it like admin@example.com"
        ))),
    }
}

fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<Host>::deserialize(deserializer)?;
    if names.is_empty() {
        return Err(refused(
            "name the hosts that a certificate is ordered for; with none, distribution orders one for \
             whatever name a stranger asks by, until the authority refuses",
        ));
    }
    let mut hosts: Vec<String> = Vec::with_capacity(names.len());
    for Host(name) in names {
        if !hosts.contains(&name) {
            hosts.push(name);
        }
    }
    Ok(hosts)
}

/// A DNS name that a certificate can be ordered for.
struct Host(String);

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        check_host(&text).map_err(refused)?;
        Ok(Self(text.to_ascii_lowercase()))
    }
}

fn check_host(text: &str) -> Result<(), String> {
    if text.contains('*') {
        return Err(format!(
            "`{text}` stands for many names, which the authority does not certify this way; list the \
             names, or have a proxy in front order the certificate"
        ));
    }
    if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(format!(
            "`{text}` is an address; certificates are ordered for names"
        ));
    }
    if !text.is_ascii() {
        return Err(format!(
            "`{text}` has letters beyond ASCII; write it as the DNS does, xn--…"
        ));
    }
    // RFC 1123, 2.1, and RFC 1035, 2.3.4.
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if text.len() > 253 || !text.split('.').all(label) {
        return Err(format!(
            "`{text}` is no host name; write it like registry.example.com, without scheme and port"
        ));
    }
    Ok(())
}

fn directory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(lets_encrypt());
    }
    match Url::parse(&text) {
        Ok(url) if url.scheme() == "https" && url.has_host() => Ok(text),
        _ => Err(refused(format!(
            "`{text}` is no https URL; write the directory of the authority, like {LETS_ENCRYPT}"
        ))),
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
