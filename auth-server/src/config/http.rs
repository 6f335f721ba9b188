//! The section `http`: where to listen and whom to believe. Used by `auth serve`; where both
//! servers share a listener, the command line brings its own.

use std::path::PathBuf;

use serde::Deserialize;
use service::client_address::{ForwardedHeaders, TrustedProxies};
use service::config::Duration;
use service::server::{ClientAuth, MinimumTls, TlsSettings};

use super::values::{ListenAddress, UrlPath};

/// The default port; the registry's is 5000.
const PORT: u16 = 5001;

/// `http`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    pub addr: ListenAddress,
    pub tls: Option<TlsSection>,
    /// Proxies whose forwarded addresses, schemes and hosts are believed.
    pub trustedproxies: TrustedProxies,
    /// Which headers these proxies set.
    pub forwardedheaders: ForwardedHeaders,
    /// How long requests in flight may take to finish at the end.
    pub draintimeout: Duration,
    pub debug: DebugSettings,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            addr: ListenAddress::any(PORT),
            tls: None,
            trustedproxies: TrustedProxies::default(),
            forwardedheaders: ForwardedHeaders::default(),
            draintimeout: Duration::from_secs(30),
            debug: DebugSettings::default(),
        }
    }
}

impl HttpSettings {
    /// The proxies, with the headers that are believed from them.
    #[must_use]
    pub fn proxies(&self) -> TrustedProxies {
        self.trustedproxies
            .clone()
            .with_headers(self.forwardedheaders)
    }
}

/// `http.tls`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// The certificate, followed by the intermediates that clients need.
    pub certificate: PathBuf,
    pub key: PathBuf,
    #[serde(default)]
    pub minimumtls: MinimumTls,
    #[serde(default)]
    pub clientcas: Vec<PathBuf>,
    #[serde(default)]
    pub clientauth: ClientAuth,
    #[serde(default)]
    pub ciphersuites: Vec<String>,
}

impl From<&TlsSection> for TlsSettings {
    fn from(tls: &TlsSection) -> Self {
        Self {
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
            minimum: tls.minimumtls,
            client_cas: tls.clientcas.clone(),
            client_auth: tls.clientauth,
            cipher_suites: tls.ciphersuites.clone(),
        }
    }
}

/// `http.debug`: a listener for operators alone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DebugSettings {
    pub addr: Option<ListenAddress>,
    pub prometheus: PrometheusSettings,
}

/// `http.debug.prometheus`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrometheusSettings {
    pub enabled: bool,
    pub path: UrlPath,
}

impl Default for PrometheusSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            path: UrlPath::constant("/metrics"),
        }
    }
}
