//! X.509 certificates as far as token signing needs them, and bundles of them in PEM.
//!
//! Names inside certificates play no part: a token has no host name that a certificate could
//! vouch for. What counts is the key, the dates, who signed, and whether the signer may.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use pem::Pem;
use x509_parser::{
    certificate::X509Certificate,
    extensions::ParsedExtension,
    oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA},
    prelude::FromDer,
};

use crate::{PublicKey, PublicKeyError, text::ShownText};

/// How many certificates a bundle may hold.
const MAX_BUNDLE: usize = 256;

/// A parsed certificate with a usable key. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

struct Parts {
    der: Vec<u8>,
    public_key: PublicKey,
    /// The raw names, because that is how chains are linked.
    subject: Vec<u8>,
    issuer: Vec<u8>,
    shown_subject: ShownText,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
    authority: Authority,
}

/// Whether a certificate may sign others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Authority {
    None,
    /// At most this many further authorities may stand between it and the leaf.
    Signs {
        path_length: Option<u32>,
    },
}

/// Why a certificate or a bundle cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a DER certificate.
    #[error("the certificate is malformed")]
    Malformed,
    /// A critical extension that is not understood here, so it must not be ignored.
    #[error("the certificate \"{subject}\" has a critical extension that is not supported")]
    CriticalExtension {
        /// Whose certificate.
        subject: ShownText,
    },
    /// The key in it cannot verify tokens.
    #[error("the certificate \"{subject}\" cannot be used: {reason}")]
    Key {
        /// Whose certificate.
        subject: ShownText,
        /// What is wrong with its key.
        reason: PublicKeyError,
    },
}

/// Why a file is not a certificate bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// A PEM block that does not end, or is not base64.
    #[error("the file is not valid PEM: a block is cut off or damaged")]
    Pem,
    /// There is no certificate in it.
    #[error("the file holds no certificate (a block that starts with -----BEGIN CERTIFICATE-----)")]
    Empty,
    /// A private key, which has no business where certificates are published.
    #[error("the file holds a private key; a certificate bundle is public and must not")]
    PrivateKey,
    /// An unreasonable number of certificates.
    #[error("the file holds {count} certificates, more than {MAX_BUNDLE}")]
    TooMany {
        /// How many there were.
        count: usize,
    },
    /// One of the certificates cannot be used.
    #[error("certificate {position} of the file: {reason}")]
    Certificate {
        /// Its place, from 1.
        position: usize,
        /// What is wrong with it.
        reason: CertificateError,
    },
}

impl Certificate {
    /// Reads one DER certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        let subject = ShownText::new(&certificate.subject().to_string());
        let not_understood = certificate.extensions().iter().any(|extension| {
            extension.critical
                && matches!(
                    extension.parsed_extension(),
                    ParsedExtension::UnsupportedExtension { .. }
                        | ParsedExtension::ParseError { .. }
                )
        });
        if not_understood {
            return Err(CertificateError::CriticalExtension { subject });
        }
        let public_key = match PublicKey::from_spki(certificate.public_key()) {
            Ok(key) => key,
            Err(reason) => return Err(CertificateError::Key { subject, reason }),
        };
        let time =
            |seconds| DateTime::from_timestamp(seconds, 0).ok_or(CertificateError::Malformed);
        Ok(Self(Arc::new(Parts {
            der: der.to_vec(),
            public_key,
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            shown_subject: subject,
            not_before: time(certificate.validity().not_before.timestamp())?,
            not_after: time(certificate.validity().not_after.timestamp())?,
            authority: authority(&certificate)?,
        })))
    }

    /// Reads a PEM bundle. Text around the blocks and blocks of other kinds are ignored, private
    /// keys are not.
    pub fn bundle_from_pem(text: &[u8]) -> Result<Vec<Self>, BundleError> {
        let blocks = pem_blocks(text).ok_or(BundleError::Pem)?;
        if blocks
            .iter()
            .any(|block| block.tag().ends_with("PRIVATE KEY"))
        {
            return Err(BundleError::PrivateKey);
        }
        let is_certificate = |block: &&Pem| block.tag() == "CERTIFICATE";
        let count = blocks.iter().filter(is_certificate).count();
        match count {
            0 => return Err(BundleError::Empty),
            1..=MAX_BUNDLE => {}
            _ => return Err(BundleError::TooMany { count }),
        }
        let certificates = blocks.iter().filter(is_certificate).enumerate();
        certificates
            .map(|(index, block)| {
                Self::from_der(block.contents()).map_err(|reason| BundleError::Certificate {
                    position: index + 1,
                    reason,
                })
            })
            .collect()
    }

    /// The DER encoding, as it was read.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The PEM encoding.
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&Pem::new("CERTIFICATE", self.der()), config)
    }

    /// The key it is about.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// The subject in words, for people.
    pub fn subject(&self) -> &ShownText {
        &self.0.shown_subject
    }

    /// When it starts to be valid.
    pub fn not_before(&self) -> DateTime<Utc> {
        self.0.not_before
    }

    /// When it stops being valid.
    pub fn not_after(&self) -> DateTime<Utc> {
        self.0.not_after
    }

    /// Whether `issuer` signed this certificate and was allowed to, with `below` authorities
    /// between the two and the leaf. Costs a signature verification if the names match.
    pub(crate) fn is_signed_by(&self, issuer: &Self, below: u32) -> bool {
        let Authority::Signs { path_length } = issuer.0.authority else {
            return false;
        };
        path_length.is_none_or(|most| below <= most)
            && self.names_as_issuer(issuer)
            && self.has_signature_of(issuer)
    }

    pub(crate) fn names_as_issuer(&self, issuer: &Self) -> bool {
        self.0.issuer == issuer.0.subject
    }

    fn has_signature_of(&self, issuer: &Self) -> bool {
        let (Ok((_, certificate)), Ok((_, issuer))) = (
            X509Certificate::from_der(self.der()),
            X509Certificate::from_der(issuer.der()),
        ) else {
            return false;
        };
        let algorithm = &certificate.signature_algorithm.algorithm;
        // Collisions of SHA-1 are cheap enough to forge a certificate with.
        if *algorithm == OID_PKCS1_SHA1WITHRSA || *algorithm == OID_SHA1_WITH_RSA {
            return false;
        }
        certificate
            .verify_signature(Some(issuer.public_key()))
            .is_ok()
    }
}

fn authority(certificate: &X509Certificate<'_>) -> Result<Authority, CertificateError> {
    let malformed = |_| CertificateError::Malformed;
    let constraints = certificate.basic_constraints().map_err(malformed)?;
    let usage = certificate.key_usage().map_err(malformed)?;
    let may_sign = usage.is_none_or(|usage| usage.value.key_cert_sign());
    Ok(match constraints {
        Some(constraints) if constraints.value.ca && may_sign => Authority::Signs {
            path_length: constraints.value.path_len_constraint,
        },
        _ => Authority::None,
    })
}

/// All blocks of a PEM file, or nothing if any is cut off or damaged.
pub(crate) fn pem_blocks(text: &[u8]) -> Option<Vec<Pem>> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let blocks = pem::parse_many(text).ok()?;
    // The parser passes over a block without an end, as a half-written file has one.
    let begun = text.windows(BEGIN.len()).filter(|window| *window == BEGIN);
    (begun.count() == blocks.len()).then_some(blocks)
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Certificate")
            .field("subject", &self.0.shown_subject)
            .field("key", &self.0.public_key)
            .field("not_after", &self.0.not_after)
            .finish_non_exhaustive()
    }
}
