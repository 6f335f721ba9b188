//! Whom this machine trusts, and whether a chain of certificates leads there.
//!
//! Trust is judged as servers and command lines do: system roots and what was given, no
//! intermediates from a cache, no download of what is missing. A browser is more forgiving, which is
//! why what works there fails here.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::Certificate;
use crate::files::{PATIENCE, patiently};

/// System roots, and certificates that somebody named.
#[derive(Clone, Debug)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    known: Arc<Vec<CertificateDer<'static>>>,
    /// Those that were named.
    given: Vec<Certificate>,
}

impl Trust {
    /// The roots of this machine, `SSL_CERT_FILE` and `SSL_CERT_DIR` respected, and `given`.
    pub fn system_and(given: Vec<Certificate>) -> Self {
        let system = || rustls_native_certs::load_native_certs().certs;
        let mut known = patiently(PATIENCE, system).unwrap_or_default();
        known.extend(given.iter().map(|certificate| certificate.der.clone()));
        Self::of(known, given)
    }

    /// These, and nobody else.
    pub fn only(given: Vec<Certificate>) -> Self {
        let known = given.iter().map(|one| one.der.clone()).collect();
        Self::of(known, given)
    }

    fn of(known: Vec<CertificateDer<'static>>, given: Vec<Certificate>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(known.iter().cloned());
        Self {
            roots: Arc::new(roots),
            known: Arc::new(known),
            given,
        }
    }

    pub fn given(&self) -> &[Certificate] {
        &self.given
    }

    /// Whether `certificate` itself is trusted.
    pub fn holds(&self, certificate: &Certificate) -> bool {
        self.known.contains(&certificate.der)
    }

    /// A trusted certificate that may have signed this one, by its name.
    pub fn issuer_of(&self, certificate: &Certificate) -> Option<Certificate> {
        self.known
            .iter()
            .filter_map(Certificate::from_der)
            .find(|known| certificate.names_as_issuer(known))
    }

    /// Whether the chain leads from its first certificate to a trusted one, at that time. Host names
    /// are another matter.
    pub fn leads_to_root(
        &self,
        chain: &[CertificateDer<'_>],
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err(Error::NoCertificatesPresented);
        };
        // What is trusted itself needs no authority. Clients written in Go agree.
        let pinned = self.given.iter().any(|given| given.der == *leaf);
        if pinned && let Some(leaf) = Certificate::from_der(leaf) {
            return check_dates(&leaf, at);
        }
        let leaf = ParsedCertificate::try_from(leaf)?;
        let algorithms = provider().signature_verification_algorithms;
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            u64::try_from(at.timestamp()).unwrap_or(0),
        ));
        verify_server_cert_signed_by_trust_anchor(
            &leaf,
            &self.roots,
            intermediates,
            time,
            algorithms.all,
        )
    }
}

fn check_dates(certificate: &Certificate, at: DateTime<Utc>) -> Result<(), Error> {
    if at > certificate.not_after {
        return Err(CertificateError::Expired.into());
    }
    if at < certificate.not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    Ok(())
}

/// Whether the certificate is for this host.
pub fn is_for(certificate: &CertificateDer<'_>, host: &ServerName<'_>) -> Result<(), Error> {
    verify_server_name(&ParsedCertificate::try_from(certificate)?, host)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// How TLS connections are made: [`strictly`] where a password may go over one, [`to_look`] where it is
/// to be seen what is wrong, and nothing secret may be said.
pub(crate) fn strictly(trust: Trust) -> Result<ClientConfig, Error> {
    connecting(Some(trust))
}

pub(crate) fn to_look() -> Result<ClientConfig, Error> {
    connecting(None)
}

fn connecting(trust: Option<Trust>) -> Result<ClientConfig, Error> {
    let provider = provider();
    let verifier = Arc::new(Doorkeeper {
        trust,
        provider: Arc::clone(&provider),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

/// Lets nobody pass whom [`Trust`] does not; without one, everybody.
#[derive(Debug)]
struct Doorkeeper {
    trust: Option<Trust>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Doorkeeper {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trust) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let chain: Vec<_> = std::iter::once(leaf)
            .chain(intermediates)
            .cloned()
            .collect();
        let now = i64::try_from(now.as_secs())
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .ok_or(Error::FailedToGetCurrentTime)?;
        trust.leads_to_root(&chain, now)?;
        is_for(leaf, host)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
