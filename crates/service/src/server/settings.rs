//! What a configuration says of listeners, by distribution's names: the sections `http.tls` and
//! `http.debug`, and addresses. Both servers read them.

use std::path::PathBuf;

use serde::de::{self, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::listener::Address;
use super::tls::{ClientAuth, MinimumTls};

/// `http.tls`. PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TlsSettings {
    /// The certificate, followed by the intermediates that clients need.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The oldest version that is spoken.
    #[serde(default)]
    pub minimumtls: MinimumTls,
    /// Authorities of client certificates; empty: clients are not asked for one.
    #[serde(default)]
    pub clientcas: Vec<PathBuf>,
    #[serde(default)]
    pub clientauth: ClientAuth,
    /// IANA names; empty: all that are safe.
    #[serde(default)]
    pub ciphersuites: Vec<String>,
    /// Refused in a sentence.
    #[serde(default, deserialize_with = "letsencrypt")]
    pub letsencrypt: (),
}

fn letsencrypt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    IgnoredAny::deserialize(deserializer)?;
    Err(de::Error::custom(
        "certificates are not ordered from Let's Encrypt here: set `certificate` and `key`, which \
         are read again when they are renewed, or let a proxy in front do it",
    ))
}

/// `http.debug`: a listener for operators alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DebugSettings {
    pub addr: Option<ListenAddress>,
    pub prometheus: PrometheusSettings,
}

/// `http.debug.prometheus`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PrometheusSettings {
    pub enabled: bool,
    pub path: UrlPath,
}

impl Default for PrometheusSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            path: UrlPath("/metrics".to_owned()),
        }
    }
}

impl PrometheusSettings {
    /// Where metrics are to be had, if they are.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.enabled.then_some(self.path.as_str())
    }
}

/// Where to listen: `host:port`, `:port`, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress(Address);

impl ListenAddress {
    #[must_use]
    pub fn get(&self) -> &Address {
        &self.0
    }

    /// Every address of the machine.
    #[must_use]
    pub fn any(port: u16) -> Self {
        Self(Address::Tcp(format!(":{port}")))
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self(Address::Unix(path.into())));
        }
        match text.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => Ok(Self(Address::Tcp(text))),
            _ => Err(de::Error::custom(format!(
                "`{text}` is no address; write host:port, :port or unix:PATH"
            ))),
        }
    }
}

/// The path of an address: starts with `/`, and means nothing but itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPath(String);

impl UrlPath {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for UrlPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
        if text.starts_with('/') && text.chars().all(plain) {
            Ok(Self(text))
        } else {
            Err(de::Error::custom(format!(
                "`{text}` is no path; write it like /metrics"
            )))
        }
    }
}
