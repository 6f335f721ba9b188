//! What verifiers need to know of the signing key, ready to be sent.

use registry_token::{JwkSet, SigningKey};
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

/// The public half of the signing key, in the two forms that verifiers take.
#[derive(Clone, Debug)]
pub struct PublishedKeys {
    /// A JSON Web Key Set.
    pub jwks: Document,
    /// PEM certificates.
    pub bundle: Document,
}

impl PublishedKeys {
    pub fn of(key: &SigningKey) -> Result<Self, serde_json::Error> {
        let set = JwkSet {
            keys: vec![key.jwk()],
        };
        Ok(Self {
            jwks: Document::new(serde_json::to_string(&set)?),
            bundle: Document::new(key.certificate_pem()),
        })
    }
}
