//! TLS for listeners, with certificates that are replaced while connections are open.
//!
//! Certificate and key are read again every few seconds. A pair that does not fit, or half of a
//! replacement in progress, leaves the old pair in use and a warning in the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

use super::settings::TlsSettings;
use crate::shutdown::{Reload, Shutdown};
use crate::watch::{WatchedFile, watch};

const FROM_TLS12: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
const FROM_TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// How often the files are looked at. Whoever renews a certificate does so weeks ahead.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The oldest protocol version that is spoken, by distribution's names. Its `tls1.0` and `tls1.1`
/// are broken and not offered (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum MinimumTls {
    #[default]
    #[serde(rename = "tls1.2")]
    Tls12,
    #[serde(rename = "tls1.3")]
    Tls13,
}

/// What a listener asks of clients' certificates, where it has authorities to check them with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// None is fine, a wrong one is not.
    VerifyClientCertIfGiven,
    #[default]
    RequireAndVerifyClientCert,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    #[error("certificate {} and key {} do not belong together", certificate.display(), key.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("unknown cipher suite `{name}`; known are {known}")]
    UnknownCipherSuite { name: String, known: String },
    #[error("TLS settings do not fit together: {0}")]
    Settings(String),
}

/// A loaded certificate with what is needed to load the next one. Clones share it.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
}

impl Tls {
    pub fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let mut provider = aws_lc_rs::default_provider();
        select_suites(&mut provider, &settings.ciphersuites)?;
        let provider = Arc::new(provider);
        let files = PairFiles {
            certificate: settings.certificate.clone(),
            key: settings.key.clone(),
            provider: Arc::clone(&provider),
        };
        let resolver = Arc::new(Resolver {
            current: ArcSwap::from_pointee(files.load()?),
            files,
        });
        let unfit = |error: &dyn std::fmt::Display| TlsError::Settings(error.to_string());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(match settings.minimumtls {
                MinimumTls::Tls12 => FROM_TLS12,
                MinimumTls::Tls13 => FROM_TLS13,
            })
            .map_err(|error| unfit(&error))?;
        let builder = if settings.clientcas.is_empty() {
            builder.with_no_client_auth()
        } else {
            let roots = Arc::new(load_roots(&settings.clientcas)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match settings.clientauth {
                ClientAuth::VerifyClientCertIfGiven => verifier.allow_unauthenticated(),
                ClientAuth::RequireAndVerifyClientCert => verifier,
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| unfit(&error))?)
        };
        let config =
            builder.with_cert_resolver(Arc::clone(&resolver) as Arc<dyn ResolvesServerCert>);
        Ok(Self {
            config: Arc::new(config),
            resolver,
        })
    }

    /// What the listener hands to its acceptor.
    pub(super) fn config(&self) -> ServerConfig {
        (*self.config).clone()
    }

    /// Looks at the files once. Says whether another certificate is in use now.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.resolver.reload()
    }

    /// Looks at the files until the server ends.
    pub(super) async fn watch(self, shutdown: Shutdown, reload: Reload) {
        let file = WatchedFile {
            name: "certificate",
            path: self.resolver.files.certificate.clone(),
            interval: POLL_INTERVAL,
        };
        watch(file, move || self.reload(), shutdown, reload).await;
    }
}

#[derive(Debug)]
struct Resolver {
    current: ArcSwap<Loaded>,
    files: PairFiles,
}

#[derive(Debug)]
struct Loaded {
    /// The two files as they were, to see that they changed. Modification times would miss the
    /// symbolic links that Kubernetes replaces secrets by.
    bytes: (Vec<u8>, Vec<u8>),
    pair: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().pair))
    }
}

impl Resolver {
    fn reload(&self) -> Result<bool, TlsError> {
        let bytes = self.files.read()?;
        if self.current.load().bytes == bytes {
            return Ok(false);
        }
        let pair = Arc::new(self.files.parse(&bytes)?);
        self.current.store(Arc::new(Loaded { bytes, pair }));
        Ok(true)
    }
}

#[derive(Debug)]
struct PairFiles {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
}

impl PairFiles {
    fn load(&self) -> Result<Loaded, TlsError> {
        let bytes = self.read()?;
        let pair = Arc::new(self.parse(&bytes)?);
        Ok(Loaded { bytes, pair })
    }

    fn read(&self) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
        Ok((read(&self.certificate)?, read(&self.key)?))
    }

    fn parse(&self, (certificate, key): &(Vec<u8>, Vec<u8>)) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(&self.certificate, certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Malformed {
            path: self.key.clone(),
            reason: format!("no private key in PEM form: {error}"),
        })?;
        CertifiedKey::from_der(chain, key, &self.provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
            },
            other => TlsError::Malformed {
                path: self.certificate.clone(),
                reason: other.to_string(),
            },
        })
    }
}

fn select_suites(provider: &mut CryptoProvider, names: &[String]) -> Result<(), TlsError> {
    if names.is_empty() {
        return Ok(());
    }
    // IANA and Go say `TLS_AES_128_GCM_SHA256` where rustls says `TLS13_…`.
    let iana = |suite: &rustls::SupportedCipherSuite| {
        let name = suite.suite().as_str().unwrap_or_default();
        name.replace("TLS13_", "TLS_")
    };
    let known: Vec<String> = provider.cipher_suites.iter().map(iana).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(TlsError::UnknownCipherSuite {
            name: unknown.clone(),
            known: known.join(", "),
        });
    }
    provider
        .cipher_suites
        .retain(|suite| names.contains(&iana(suite)));
    Ok(())
}

fn load_roots(paths: &[PathBuf]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for path in paths {
        for certificate in certificates(path, &read(path)?)? {
            roots
                .add(certificate)
                .map_err(|error| TlsError::Malformed {
                    path: path.clone(),
                    reason: error.to_string(),
                })?;
        }
    }
    Ok(roots)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let malformed = |reason: String| TlsError::Malformed {
        path: path.to_owned(),
        reason,
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(format!("not in PEM form: {error}")))?;
    if chain.is_empty() {
        return Err(malformed("no certificate in PEM form".to_owned()));
    }
    Ok(chain)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}
