//! The key an issuer signs with: made here or imported, with the certificate that goes with it.

use std::{fmt, time::Duration};

use aws_lc_rs::{
    encoding::AsDer,
    rand::{self, SystemRandom},
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use chrono::{DateTime, TimeDelta, Utc};
use pem::Pem;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyUsagePurpose,
    SerialNumber,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    Algorithm, BundleError, Certificate, CertificateError, Claims, Jwk, KeyIdForm, PublicKey,
    PublicKeyError, certificate::pem_blocks,
};

/// How long a certificate we make is valid. Its key is replaced by rotation long before.
const CERTIFICATE_LIFETIME: TimeDelta = TimeDelta::days(3650);

/// How far before now a certificate begins, for registries whose clock is behind, and for a first start
/// with a clock that is put right, backwards, afterwards.
const CERTIFICATE_HEAD_START: TimeDelta = TimeDelta::days(1);

/// The algorithm that tokens are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SigningAlgorithm {
    /// ECDSA on P-256: small and fast, understood by every registry.
    #[default]
    Es256,
    /// ECDSA on P-384, for imported keys.
    Es384,
    /// RSA PKCS#1 v1.5 with SHA-256, for partners that know nothing else.
    Rs256,
}

impl From<SigningAlgorithm> for Algorithm {
    fn from(algorithm: SigningAlgorithm) -> Self {
        match algorithm {
            SigningAlgorithm::Es256 => Self::Es256,
            SigningAlgorithm::Es384 => Self::Es384,
            SigningAlgorithm::Rs256 => Self::Rs256,
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Algorithm::from(*self).fmt(formatter)
    }
}

/// The sizes of RSA keys that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RsaKeySize {
    /// 2048 bits.
    #[default]
    Bits2048,
    /// 3072 bits.
    Bits3072,
    /// 4096 bits.
    Bits4096,
}

/// A private key with its certificate chain; signs claims into tokens.
///
/// A token's header carries `typ`, `alg`, `kid` and `x5c`, so that whoever trusts the
/// certificate, the key id in either form, or the key in a JWKS, accepts it.
pub struct SigningKey {
    pair: Pair,
    algorithm: SigningAlgorithm,
    public_key: PublicKey,
    private_pem: SecretString,
    chain: Vec<Certificate>,
    key_id_form: KeyIdForm,
    /// The first part of every token, encoded once.
    header: String,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// Why a signing key cannot be made or imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// The file is no PEM.
    #[error("the key file is not valid PEM: a block is cut off or damaged")]
    Pem,
    /// The file has no private key in it.
    #[error(
        "the key file holds no private key (a block that starts with \
         -----BEGIN PRIVATE KEY-----, RSA PRIVATE KEY or EC PRIVATE KEY)"
    )]
    NoPrivateKey,
    /// The private key needs a passphrase.
    #[error("the private key is encrypted; remove its passphrase (openssl pkey -in … -out …)")]
    Encrypted,
    /// A kind of key we do not sign with.
    #[error("the private key is neither RSA from 2048 bits nor EC on P-256 or P-384")]
    Unsupported,
    /// The certificate file cannot be used.
    #[error("the certificate of the signing key: {0}")]
    Certificate(#[from] BundleError),
    /// The certificate is another key's.
    #[error("the certificate \"{subject}\" does not belong to the private key")]
    CertificateMismatch {
        /// Whose certificate it is.
        subject: crate::ShownText,
    },
    /// The cryptographic library refused, out of randomness for example.
    #[error("the cryptographic library failed to {0}")]
    Cryptography(&'static str),
}

/// Signing failed. Only a broken machine or a claim that is no JSON leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token could not be signed")]
pub struct SignError;

impl SigningKey {
    /// Makes a key and a self-signed certificate for it; an RSA key has 2048 bits.
    pub fn generate(
        algorithm: SigningAlgorithm,
        now: DateTime<Utc>,
    ) -> Result<Self, SigningKeyError> {
        let failed = |_| SigningKeyError::Cryptography("generate a key");
        let pair = match algorithm {
            SigningAlgorithm::Es256 => {
                Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?)
            }
            SigningAlgorithm::Es384 => {
                Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(failed)?)
            }
            SigningAlgorithm::Rs256 => return Self::generate_rsa(RsaKeySize::default(), now),
        };
        Self::self_signed(pair, algorithm, now)
    }

    /// Makes an RSA key of this size and a self-signed certificate for it. Takes up to seconds:
    /// not for an async worker.
    pub fn generate_rsa(size: RsaKeySize, now: DateTime<Utc>) -> Result<Self, SigningKeyError> {
        let size = match size {
            RsaKeySize::Bits2048 => KeySize::Rsa2048,
            RsaKeySize::Bits3072 => KeySize::Rsa3072,
            RsaKeySize::Bits4096 => KeySize::Rsa4096,
        };
        let pair = RsaKeyPair::generate(size);
        let pair = pair.map_err(|_| SigningKeyError::Cryptography("generate a key"))?;
        Self::self_signed(Pair::Rsa(pair), SigningAlgorithm::Rs256, now)
    }

    /// Imports a private key (PKCS#8, PKCS#1 or SEC 1) and its certificate, with intermediates
    /// behind it if there are any.
    pub fn from_pem(
        key_pem: &SecretString,
        certificate_pem: &str,
    ) -> Result<Self, SigningKeyError> {
        let (pair, algorithm) = import(key_pem)?;
        let chain = Certificate::bundle_from_pem(certificate_pem.as_bytes())?;
        Self::new(pair, algorithm, chain)
    }

    /// Imports a private key that has no certificate, and makes one. The certificate differs
    /// each time, so the result is meant to be stored.
    pub fn from_key_pem(
        key_pem: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<Self, SigningKeyError> {
        let (pair, algorithm) = import(key_pem)?;
        Self::self_signed(pair, algorithm, now)
    }

    fn self_signed(
        pair: Pair,
        algorithm: SigningAlgorithm,
        now: DateTime<Utc>,
    ) -> Result<Self, SigningKeyError> {
        let certificate = self_signed_certificate(&pair, &pair.public_key()?, now)?;
        Self::new(pair, algorithm, vec![certificate])
    }

    fn new(
        pair: Pair,
        algorithm: SigningAlgorithm,
        chain: Vec<Certificate>,
    ) -> Result<Self, SigningKeyError> {
        let public_key = pair.public_key()?;
        match chain.first() {
            Some(leaf) if *leaf.public_key() == public_key => {}
            Some(leaf) => {
                let subject = leaf.subject().clone();
                return Err(SigningKeyError::CertificateMismatch { subject });
            }
            None => return Err(BundleError::Empty.into()),
        }
        let private_pem = private_pem(&pair.pkcs8()?);
        let key_id_form = KeyIdForm::default();
        Ok(Self {
            header: header(algorithm, &public_key.id(key_id_form), &chain),
            pair,
            algorithm,
            public_key,
            private_pem,
            chain,
            key_id_form,
        })
    }

    /// Signs with this form of `kid` from now on.
    #[must_use]
    pub fn with_key_id_form(mut self, form: KeyIdForm) -> Self {
        self.key_id_form = form;
        self.header = header(self.algorithm, &self.key_id(), &self.chain);
        self
    }

    /// Signs claims: the token's text.
    ///
    /// About 30 µs with EC and half a millisecond with RSA of 2048 bits.
    pub fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        let claims = serde_json::to_vec(claims).map_err(|_| SignError)?;
        let mut token = self.header.clone();
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.pair.sign(token.as_bytes())?;
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// What the tokens are signed with.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The `kid` of the tokens.
    pub fn key_id(&self) -> String {
        self.public_key.id(self.key_id_form)
    }

    /// The id that distribution 2 computes.
    pub fn libtrust_id(&self) -> String {
        self.public_key.libtrust_id()
    }

    /// The id that distribution 3 computes.
    pub fn thumbprint(&self) -> String {
        self.public_key.thumbprint()
    }

    /// The public half as a JWK under the `kid` of the tokens.
    pub fn jwk(&self) -> Jwk {
        let mut jwk = self.public_key.to_jwk(self.key_id());
        jwk.alg = Some(self.algorithm.to_string());
        jwk
    }

    /// The certificate, and those behind it, the key's own first.
    pub fn certificates(&self) -> &[Certificate] {
        &self.chain
    }

    /// The certificate chain in PEM: what a registry takes as its root certificate bundle.
    pub fn certificate_pem(&self) -> String {
        self.chain.iter().map(Certificate::to_pem).collect()
    }

    /// The private key in PEM (PKCS#8).
    pub fn to_pem(&self) -> &SecretString {
        &self.private_pem
    }
}

impl Pair {
    fn public_key(&self) -> Result<PublicKey, SigningKeyError> {
        let spki = match self {
            Self::Ec(pair) => pair.public_key().as_der(),
            Self::Rsa(pair) => pair.public_key().as_der(),
        };
        let spki = spki.map_err(|_| SigningKeyError::Cryptography("encode the public key"))?;
        PublicKey::from_spki_der(spki.as_ref()).map_err(|reason| match reason {
            PublicKeyError::RsaSize { .. } | PublicKeyError::Unsupported => {
                SigningKeyError::Unsupported
            }
            PublicKeyError::Malformed => SigningKeyError::Cryptography("read its own public key"),
        })
    }

    fn pkcs8(&self) -> Result<SecretBytes, SigningKeyError> {
        let failed = |_| SigningKeyError::Cryptography("encode the private key");
        Ok(match self {
            Self::Ec(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec().into(),
            Self::Rsa(pair) => pair.as_der().map_err(failed)?.as_ref().to_vec().into(),
        })
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| SignError)?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| SignError)?;
                Ok(signature)
            }
        }
    }
}

type SecretBytes = secrecy::SecretSlice<u8>;

fn private_pem(pkcs8: &SecretBytes) -> SecretString {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&Pem::new("PRIVATE KEY", pkcs8.expose_secret()), config).into()
}

/// Finds the private key in a PEM file and what it is good for.
fn import(key_pem: &SecretString) -> Result<(Pair, SigningAlgorithm), SigningKeyError> {
    let blocks = pem_blocks(key_pem.expose_secret().as_bytes()).ok_or(SigningKeyError::Pem)?;
    let mut keys = blocks
        .iter()
        .filter(|block| block.tag().ends_with("PRIVATE KEY"));
    let block = keys.next().ok_or(SigningKeyError::NoPrivateKey)?;
    // Old OpenSSL marks an encrypted key by a header, new OpenSSL by the tag.
    if block.tag().starts_with("ENCRYPTED") || block.headers().get("DEK-Info").is_some() {
        return Err(SigningKeyError::Encrypted);
    }
    let der = block.contents();
    let curves: [(&'static EcdsaSigningAlgorithm, _); 2] = [
        (&ECDSA_P256_SHA256_FIXED_SIGNING, SigningAlgorithm::Es256),
        (&ECDSA_P384_SHA384_FIXED_SIGNING, SigningAlgorithm::Es384),
    ];
    for (curve, algorithm) in curves {
        if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve, der) {
            return Ok((Pair::Ec(pair), algorithm));
        }
    }
    let rsa = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
    let rsa = rsa.map_err(|_| SigningKeyError::Unsupported)?;
    Ok((Pair::Rsa(rsa), SigningAlgorithm::Rs256))
}

/// A certificate that Go's and our verification accept as a root: a CA that signs no CAs, with
/// the usages that a token signer and a root need.
fn self_signed_certificate(
    pair: &Pair,
    public_key: &PublicKey,
    now: DateTime<Utc>,
) -> Result<Certificate, SigningKeyError> {
    let failed = |_| SigningKeyError::Cryptography("make a certificate");
    let pkcs8 = pair.pkcs8()?;
    let signer = rcgen::KeyPair::try_from(pkcs8.expose_secret()).map_err(failed)?;

    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_| SigningKeyError::Cryptography("find randomness"))?;
    // A serial number is a positive integer without leading zeros.
    serial[0] = serial[0] & 0x7f | 0x40;

    let mut subject = DistinguishedName::new();
    // The id keeps the subjects of successive keys apart, for people and for path building.
    let id = public_key.thumbprint();
    subject.push(
        DnType::CommonName,
        format!("Portcullis token signing {}", &id[..8]),
    );

    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    let time = |at: DateTime<Utc>| {
        let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    params.not_before = time(now - CERTIFICATE_HEAD_START);
    params.not_after = time(now + CERTIFICATE_LIFETIME);
    let certificate = params.self_signed(&signer).map_err(failed)?;
    Certificate::from_der(certificate.der()).map_err(|reason: CertificateError| {
        let position = 1;
        BundleError::Certificate { position, reason }.into()
    })
}

/// The first part of every token.
fn header(algorithm: SigningAlgorithm, key_id: &str, chain: &[Certificate]) -> String {
    #[derive(Serialize)]
    struct Header<'a> {
        typ: &'a str,
        alg: SigningAlgorithm,
        kid: &'a str,
        x5c: Vec<String>,
    }

    let x5c = chain
        .iter()
        .map(|certificate| BASE64_STANDARD.encode(certificate.der()));
    let header = Header {
        typ: "JWT",
        alg: algorithm,
        kid: key_id,
        x5c: x5c.collect(),
    };
    // Strings in a structure always have a JSON form.
    let json = serde_json::to_vec(&header).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.encode(json)
}

/// Algorithm and id; nothing of the private half.
impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id())
            .finish_non_exhaustive()
    }
}
