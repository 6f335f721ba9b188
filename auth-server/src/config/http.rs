//! The section `http`: where to listen and whom to believe. Used by `auth serve`; where both
//! servers share a listener, the command line brings its own.

use serde::Deserialize;
use service::client_address::{ForwardedHeaders, TrustedProxies};
use service::config::Duration;
use service::server::{DebugSettings, ListenAddress, TlsSettings};

/// The default port; the registry's is 5000.
const PORT: u16 = 5001;

/// `http`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    pub addr: ListenAddress,
    pub tls: Option<TlsSettings>,
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
