//! TLS for listeners, with certificates that are replaced while connections are open.
//!
//! Certificate and key are files that are read again every few seconds. A pair that does not fit, or
//! half of a replacement in progress, leaves the old pair in use and a warning in the log. Or they are
//! ordered from an authority: [`acme`].

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
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::acme::{self, CacheError, Challenges, Issued, Renewal, Term};
use super::settings::{CertificateSource, TlsSettings};
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
    #[error("http.tls.letsencrypt.cachefile: {0}")]
    Cache(#[from] CacheError),
}

/// A loaded certificate with what is needed to load the next one. Clones share it.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
    source: Arc<Source>,
}

/// Where the next certificate comes from.
#[derive(Debug)]
enum Source {
    Files { certificate: PathBuf, key: PathBuf },
    Authority(Renewal),
}

impl Tls {
    pub fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let mut provider = aws_lc_rs::default_provider();
        select_suites(&mut provider, &settings.ciphersuites)?;
        let provider = Arc::new(provider);
        let (source, pair) = load_source(&settings.source, &provider)?;
        let resolver = Arc::new(Resolver {
            current: ArcSwap::from_pointee(pair),
            challenges: match &source {
                Source::Files { .. } => None,
                Source::Authority(renewal) => Some(renewal.challenges().clone()),
            },
            provider: Arc::clone(&provider),
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
        let mut config =
            builder.with_cert_resolver(Arc::clone(&resolver) as Arc<dyn ResolvesServerCert>);
        if resolver.challenges.is_some() {
            // The acceptor puts those of HTTP before it.
            config.alpn_protocols.push(acme::PROTOCOL.to_vec());
        }
        Ok(Self {
            config: Arc::new(config),
            resolver,
            source: Arc::new(source),
        })
    }

    /// What the listener hands to its acceptor.
    pub(super) fn config(&self) -> ServerConfig {
        (*self.config).clone()
    }

    /// Looks at the files once. Says whether another certificate is in use now.
    pub fn reload(&self) -> Result<bool, TlsError> {
        match &*self.source {
            Source::Files { certificate, key } => {
                let text = PairText::read(certificate, key)?;
                self.resolver.use_pair(text, certificate, key)
            }
            Source::Authority(_) => Ok(false),
        }
    }

    /// Sees to the next certificate until the server ends.
    pub(super) async fn watch(self, shutdown: Shutdown, reload: Reload) {
        match &*self.source {
            Source::Files { certificate, .. } => {
                let file = WatchedFile {
                    name: "certificate",
                    path: certificate.clone(),
                    interval: POLL_INTERVAL,
                };
                watch(file, move || self.reload(), shutdown, reload).await;
            }
            Source::Authority(renewal) => {
                let resolver = &self.resolver;
                let term = resolver.term().ok();
                let path = renewal.path();
                let use_it = |issued: &Issued| {
                    let text = PairText::of(issued);
                    let used = resolver.use_pair(text, path, path);
                    used.map_err(|error| error.to_string())?;
                    resolver.term()
                };
                renewal.keep(term, use_it, shutdown, reload).await;
            }
        }
    }
}

fn load_source(
    source: &CertificateSource,
    provider: &Arc<CryptoProvider>,
) -> Result<(Source, Loaded), TlsError> {
    match source {
        CertificateSource::Files { certificate, key } => {
            let text = PairText::read(certificate, key)?;
            let loaded = text.parse(certificate, key, provider)?;
            let source = Source::Files {
                certificate: certificate.clone(),
                key: key.clone(),
            };
            Ok((source, loaded))
        }
        CertificateSource::LetsEncrypt(settings) => {
            let renewal = Renewal::new(settings, Arc::clone(provider))?;
            let path = renewal.path();
            let loaded = match renewal.cached()? {
                Some(issued) => PairText::of(&issued).parse(path, path, provider)?,
                None => Loaded {
                    text: PairText::default(),
                    pair: acme::placeholder(&settings.hosts, provider)
                        .map_err(|error| TlsError::Settings(error.to_string()))?,
                },
            };
            Ok((Source::Authority(renewal), loaded))
        }
    }
}

#[derive(Debug)]
struct Resolver {
    current: ArcSwap<Loaded>,
    /// For who is asked by an authority.
    challenges: Option<Challenges>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Loaded {
    /// To see that it changed. Modification times would miss the symbolic links that Kubernetes
    /// replaces secrets by.
    text: PairText,
    pair: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match &self.challenges {
            Some(challenges) if Challenges::is_asked(&hello) => challenges.answer(&hello),
            _ => Some(Arc::clone(&self.current.load().pair)),
        }
    }
}

impl Resolver {
    /// How long what is shown now is good.
    fn term(&self) -> Result<Term, String> {
        let loaded = self.current.load();
        match loaded.pair.cert.first() {
            Some(certificate) if !loaded.text.is_placeholder() => Term::of(certificate),
            _ => Err("nobody has issued it".to_owned()),
        }
    }

    /// Says whether it is another pair.
    fn use_pair(&self, text: PairText, certificate: &Path, key: &Path) -> Result<bool, TlsError> {
        if self.current.load().text == text {
            return Ok(false);
        }
        let loaded = text.parse(certificate, key, &self.provider)?;
        self.current.store(Arc::new(loaded));
        Ok(true)
    }
}

/// A certificate with its chain, and its key: PEM, from one file or two.
#[derive(Default, PartialEq, Eq)]
struct PairText {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl std::fmt::Debug for PairText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairText").finish_non_exhaustive()
    }
}

impl PairText {
    fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self {
            chain: read(certificate)?,
            key: read(key)?,
        })
    }

    /// What is made in memory was never text.
    fn is_placeholder(&self) -> bool {
        self.chain.is_empty()
    }

    fn of(issued: &Issued) -> Self {
        Self {
            chain: issued.chain.as_bytes().to_vec(),
            key: issued.key.expose_secret().as_bytes().to_vec(),
        }
    }

    /// The paths are for errors.
    fn parse(
        self,
        certificate: &Path,
        key: &Path,
        provider: &CryptoProvider,
    ) -> Result<Loaded, TlsError> {
        let chain = certificates(certificate, &self.chain)?;
        let private =
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::Malformed {
                path: key.to_owned(),
                reason: format!("no private key in PEM form: {error}"),
            })?;
        let pair =
            CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
                    certificate: certificate.to_owned(),
                    key: key.to_owned(),
                },
                other => TlsError::Malformed {
                    path: certificate.to_owned(),
                    reason: other.to_string(),
                },
            })?;
        Ok(Loaded {
            text: self,
            pair: Arc::new(pair),
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
