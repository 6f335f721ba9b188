//! The certificates that are shown while no trusted one is there: to the authority, which looks for its
//! own question in them, and to everybody before the first is issued.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;

/// What an authority offers, and nobody else (RFC 8737, 6.2).
pub(in crate::server) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Shown as the subject, where people look who wonder about the certificate.
const PLACEHOLDER: &str = "no certificate by the authority yet: see the log of the server";

/// Why a certificate of our own cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    #[error("cannot make a certificate: {0}")]
    Made(#[from] rcgen::Error),
    #[error("cannot use the certificate that was made: {0}")]
    Used(#[from] rustls::Error),
}

/// Answers to the authority, by name. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::server) struct Challenges {
    provider: Arc<CryptoProvider>,
    answers: Arc<ArcSwap<HashMap<String, Arc<CertifiedKey>>>>,
}

impl Challenges {
    pub fn new(provider: Arc<CryptoProvider>) -> Self {
        Self {
            provider,
            answers: Arc::default(),
        }
    }

    /// Whether this client is an authority, which sees answers and nothing else.
    pub fn is_asked(hello: &ClientHello<'_>) -> bool {
        hello
            .alpn()
            .is_some_and(|mut offered| offered.next() == Some(PROTOCOL) && offered.next().is_none())
    }

    pub fn answer(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        self.answers.load().get(&name).map(Arc::clone)
    }

    /// From now on the authority finds the digest of the key authorization at this name (RFC 8737, 3).
    pub fn put(&self, host: &str, digest: [u8; 32]) -> Result<(), SelfSignedError> {
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
        let certificate = self_signed(&params, &self.provider)?;
        let mut answers = HashMap::clone(&self.answers.load());
        answers.insert(host.to_ascii_lowercase(), certificate);
        self.answers.store(Arc::new(answers));
        Ok(())
    }

    pub fn clear(&self) {
        self.answers.store(Arc::default());
    }
}

/// A certificate that nobody trusts and that says why. The listener works with it: probes are answered,
/// and clients are told what is wrong in their own words.
pub(in crate::server) fn placeholder(
    hosts: &[String],
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, SelfSignedError> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, PLACEHOLDER);
    self_signed(&params, provider)
}

fn self_signed(
    params: &CertificateParams,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, SelfSignedError> {
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    // Not `from_der`, which refuses the extension that answers.
    let key = provider.key_provider.load_private_key(key)?;
    let chain = vec![certificate.der().clone()];
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}
