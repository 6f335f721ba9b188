//! What a configuration says of listeners, by distribution's names: the sections `http.tls` and
//! `http.debug`, and addresses. Both servers read them.

use std::path::PathBuf;

use serde::de::{self, Error as _};
use serde::{Deserialize, Deserializer};

use super::acme::LetsEncryptSettings;
use super::listener::Address;
use super::tls::{ClientAuth, MinimumTls};

/// `http.tls`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    pub source: CertificateSource,
    /// The oldest version that is spoken.
    pub minimumtls: MinimumTls,
    /// Authorities of client certificates, PEM files; empty: clients are not asked for one.
    pub clientcas: Vec<PathBuf>,
    pub clientauth: ClientAuth,
    /// IANA names; empty: all that are safe.
    pub ciphersuites: Vec<String>,
}

/// Where the server's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files. The certificate is followed by the intermediates that clients need.
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
    LetsEncrypt(LetsEncryptSettings),
}

impl TlsSettings {
    /// A certificate and its key, and all else as it is by default.
    #[must_use]
    pub fn files(certificate: PathBuf, key: PathBuf) -> Self {
        Self {
            source: CertificateSource::Files { certificate, key },
            minimumtls: MinimumTls::default(),
            clientcas: Vec::new(),
            clientauth: ClientAuth::default(),
            ciphersuites: Vec::new(),
        }
    }
}

/// The section as it is written.
#[derive(Deserialize)]
struct WrittenTls {
    #[serde(default)]
    certificate: Option<PathBuf>,
    #[serde(default)]
    key: Option<PathBuf>,
    #[serde(default)]
    minimumtls: MinimumTls,
    #[serde(default)]
    clientcas: Vec<PathBuf>,
    #[serde(default)]
    clientauth: ClientAuth,
    #[serde(default)]
    ciphersuites: Vec<String>,
    #[serde(default)]
    letsencrypt: Option<LetsEncryptSettings>,
}

impl<'de> Deserialize<'de> for TlsSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = WrittenTls::deserialize(deserializer)?;
        let source = match (written.certificate, written.key, written.letsencrypt) {
            (None, None, Some(settings)) => CertificateSource::LetsEncrypt(settings),
            (Some(certificate), Some(key), None) => CertificateSource::Files { certificate, key },
            (None, _, None) => return Err(D::Error::missing_field("certificate")),
            (_, None, None) => return Err(D::Error::missing_field("key")),
            (_, _, Some(_)) => {
                return Err(D::Error::custom(
                    "the certificate is either in files or ordered from an authority: set \
                     `certificate` and `key`, or `letsencrypt`, not both",
                ));
            }
        };
        Ok(Self {
            source,
            minimumtls: written.minimumtls,
            clientcas: written.clientcas,
            clientauth: written.clientauth,
            ciphersuites: written.ciphersuites,
        })
    }
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
