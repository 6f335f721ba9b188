//! What verifiers need to know of the signing keys, ready to be sent.

use registry_token::{Certificate, Jwk, JwkSet};
use sha2::{Digest as _, Sha256};

/// A text and the tag that changes with it.
#[derive(Clone, Debug)]
pub struct Document {
    pub body: String,
    /// With its quotation marks. RFC 9110, section 8.8.3.
    pub etag: String,
}

impl Document {
    fn new(body: String) -> Self {
        let digest = hex::encode(Sha256::digest(body.as_bytes()));
        let etag = format!("\"{}\"", digest.get(..32).unwrap_or(&digest));
        Self { body, etag }
    }
}

/// The public halves of the keys, in the two forms that verifiers take.
#[derive(Clone, Debug)]
pub struct PublishedKeys {
    /// A JSON Web Key Set.
    pub jwks: Document,
    /// PEM certificates.
    pub bundle: Document,
}

/// A key to publish.
#[derive(Clone, Debug)]
pub struct PublicHalf {
    pub kid: String,
    pub algorithm: String,
    /// Its own certificate, and those behind it.
    pub chain: Vec<Certificate>,
}

impl PublishedKeys {
    /// Keeps the order: some verifiers take the first key they find.
    pub fn of(keys: &[PublicHalf]) -> Result<Self, serde_json::Error> {
        let jwk = |key: &PublicHalf| {
            let own = key.chain.first()?;
            Some(Jwk {
                alg: Some(key.algorithm.clone()),
                ..own.public_key().to_jwk(key.kid.clone())
            })
        };
        let set = JwkSet {
            keys: keys.iter().filter_map(jwk).collect(),
        };
        // Keys may have an authority in common.
        let mut certificates: Vec<&Certificate> = Vec::new();
        for certificate in keys.iter().flat_map(|key| &key.chain) {
            if !certificates.contains(&certificate) {
                certificates.push(certificate);
            }
        }
        let bundle = certificates.into_iter().map(Certificate::to_pem).collect();
        Ok(Self {
            jwks: Document::new(serde_json::to_string(&set)?),
            bundle: Document::new(bundle),
        })
    }
}
