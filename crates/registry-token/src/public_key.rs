//! A public key that signatures are verified with, whatever it came in: a certificate or a JWK.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    encoding::AsDer,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
        ParsedPublicKey, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use x509_parser::{
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
        OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
    },
    prelude::FromDer,
    public_key::RSAPublicKey,
    x509::SubjectPublicKeyInfo,
};

use crate::Algorithm;

/// RSA keys below this cannot be used: NIST SP 800-131A disallows them, and so does aws-lc.
const MIN_RSA_BITS: usize = 2048;

/// Above this a single verification costs milliseconds, which a foreign JWKS must not demand.
const MAX_RSA_BITS: usize = 8192;

/// The kinds of key that an [`Algorithm`] can be asked to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA of 2048 to 8192 bits.
    Rsa,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// Ed25519.
    Ed25519,
}

/// A valid public key. Cheap to clone.
///
/// Two keys are equal if their `SubjectPublicKeyInfo` is, which is kept in its one canonical DER
/// form: key ids are hashes of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    kind: KeyKind,
    spki: Arc<[u8]>,
    /// The key alone, in the form the cryptography takes: an uncompressed point, PKCS#1
    /// `RSAPublicKey` or 32 bytes.
    bits: Arc<[u8]>,
}

/// Why a public key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// The bytes are no key of the kind they claim to be.
    #[error("the public key is malformed")]
    Malformed,
    /// A kind of key that no [`Algorithm`] works with.
    #[error("the public key is neither RSA, nor EC on P-256, P-384 or P-521, nor Ed25519")]
    Unsupported,
    /// An RSA key outside 2048 to 8192 bits.
    #[error("the RSA key has {bits} bits; from {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted")]
    RsaSize {
        /// The size of the refused key.
        bits: usize,
    },
}

/// The numbers a key consists of, big-endian, as a JWK names them.
pub(crate) enum KeyNumbers<'a> {
    /// Without leading zeros.
    Rsa {
        modulus: &'a [u8],
        exponent: &'a [u8],
    },
    /// Padded to the size of the curve.
    Ec {
        x: &'a [u8],
        y: &'a [u8],
    },
    Okp {
        x: &'a [u8],
    },
}

impl PublicKey {
    /// Reads a DER `SubjectPublicKeyInfo`, as certificates hold one.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        let (rest, spki) =
            SubjectPublicKeyInfo::from_der(der).map_err(|_| PublicKeyError::Malformed)?;
        if !rest.is_empty() {
            return Err(PublicKeyError::Malformed);
        }
        Self::from_spki(&spki)
    }

    pub(crate) fn from_spki(spki: &SubjectPublicKeyInfo<'_>) -> Result<Self, PublicKeyError> {
        let bits = &*spki.subject_public_key.data;
        let algorithm = &spki.algorithm.algorithm;
        if *algorithm == OID_PKCS1_RSAENCRYPTION {
            let (modulus, exponent) = rsa_numbers(bits).ok_or(PublicKeyError::Malformed)?;
            return Self::from_rsa(modulus, exponent);
        }
        if *algorithm == OID_SIG_ED25519 {
            return Self::from_ed25519(bits);
        }
        if *algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
            return Err(PublicKeyError::Unsupported);
        }
        let parameters = spki.algorithm.parameters.as_ref();
        let curve = parameters.and_then(|curve| curve.as_oid().ok());
        match curve {
            Some(curve) if curve == OID_EC_P256 => Self::from_point(KeyKind::P256, bits),
            Some(curve) if curve == OID_NIST_EC_P384 => Self::from_point(KeyKind::P384, bits),
            Some(curve) if curve == OID_NIST_EC_P521 => Self::from_point(KeyKind::P521, bits),
            _ => Err(PublicKeyError::Unsupported),
        }
    }

    /// From modulus and exponent; leading zeros do no harm.
    pub(crate) fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, PublicKeyError> {
        let (n, e) = (trim_zeros(modulus), trim_zeros(exponent));
        let unused_bits = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let bits = n.len() * 8 - unused_bits;
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(PublicKeyError::RsaSize { bits });
        }
        let components = RsaPublicKeyComponents { n, e };
        let spki = components.as_der().map_err(|_| PublicKeyError::Malformed)?;
        Self::canonical(KeyKind::Rsa, spki.as_ref())
    }

    /// From an uncompressed point (SEC 1).
    pub(crate) fn from_point(kind: KeyKind, point: &[u8]) -> Result<Self, PublicKeyError> {
        let curve: &'static dyn VerificationAlgorithm = match kind {
            KeyKind::P256 => &ECDSA_P256_SHA256_FIXED,
            KeyKind::P384 => &ECDSA_P384_SHA384_FIXED,
            KeyKind::P521 => &ECDSA_P521_SHA512_FIXED,
            KeyKind::Rsa | KeyKind::Ed25519 => return Err(PublicKeyError::Unsupported),
        };
        if point.len() != 1 + 2 * kind.coordinate_length() || point.first() != Some(&4) {
            return Err(PublicKeyError::Malformed);
        }
        Self::parsed(kind, curve, point)
    }

    pub(crate) fn from_ed25519(key: &[u8]) -> Result<Self, PublicKeyError> {
        if key.len() != KeyKind::Ed25519.coordinate_length() {
            return Err(PublicKeyError::Malformed);
        }
        Self::parsed(KeyKind::Ed25519, &ED25519, key)
    }

    fn parsed(
        kind: KeyKind,
        algorithm: &'static dyn VerificationAlgorithm,
        bits: &[u8],
    ) -> Result<Self, PublicKeyError> {
        let parsed = ParsedPublicKey::new(algorithm, bits);
        let spki = parsed.map_err(|_| PublicKeyError::Malformed)?.as_der();
        Self::canonical(kind, spki.map_err(|_| PublicKeyError::Malformed)?.as_ref())
    }

    /// `spki` is what the cryptographic library encoded, so equal keys have equal bytes.
    fn canonical(kind: KeyKind, spki: &[u8]) -> Result<Self, PublicKeyError> {
        let (_, parsed) =
            SubjectPublicKeyInfo::from_der(spki).map_err(|_| PublicKeyError::Malformed)?;
        Ok(Self {
            kind,
            spki: spki.into(),
            bits: (&*parsed.subject_public_key.data).into(),
        })
    }

    /// Which algorithms it works with.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The DER `SubjectPublicKeyInfo`.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Whether `signature` is this key's, by this algorithm, over this message.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        algorithm.fits(self.kind)
            && UnparsedPublicKey::new(algorithm.verification(), &self.bits)
                .verify(message, signature)
                .is_ok()
    }

    pub(crate) fn numbers(&self) -> KeyNumbers<'_> {
        match self.kind {
            KeyKind::Rsa => {
                let (modulus, exponent) = rsa_numbers(&self.bits).unwrap_or_default();
                KeyNumbers::Rsa { modulus, exponent }
            }
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => {
                let point = self.bits.get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                KeyNumbers::Ec { x, y }
            }
            KeyKind::Ed25519 => KeyNumbers::Okp { x: &self.bits },
        }
    }
}

impl KeyKind {
    /// Bytes of one coordinate; zero where there are none.
    pub(crate) const fn coordinate_length(self) -> usize {
        match self {
            Self::Rsa => 0,
            Self::P256 | Self::Ed25519 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// Modulus and exponent of a PKCS#1 `RSAPublicKey`, without leading zeros.
fn rsa_numbers(pkcs1: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, key) = RSAPublicKey::from_der(pkcs1).ok()?;
    rest.is_empty()
        .then(|| (trim_zeros(key.modulus), trim_zeros(key.exponent)))
}

fn trim_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// Kind and id: enough to tell keys apart in a log.
impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {}", self.kind, self.libtrust_id())
    }
}
