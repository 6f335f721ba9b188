//! Issuers that are not ours: keys, certificates and tokens made by hand.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "calls with json!() read better"
)]

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
        RsaEncoding, RsaKeyPair,
    },
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData,
    RsaKeySize,
};
use registry_token::{Algorithm, Certificate, PublicKey, Verifier, VerifierSettings};
use serde_json::{Value, json};

pub const ISSUER: &str = "issuer.example";
pub const SERVICE: &str = "registry.example";

/// The moment at which all tests take place.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub fn settings() -> VerifierSettings {
    VerifierSettings::new(ISSUER, SERVICE)
}

pub fn verifier(keys: registry_token::TrustedKeys) -> Verifier {
    Verifier::new(settings(), keys)
}

/// Claims that are valid now.
pub fn claims() -> Value {
    let now = now().timestamp();
    json!({
        "iss": ISSUER, "sub": "alice", "aud": SERVICE,
        "exp": now + 300, "nbf": now - 5, "iat": now, "jti": "1",
        "access": [{"type": "repository", "name": "team/app", "actions": ["pull", "push"]}],
    })
}

/// The claims with some replaced; `null` removes one.
pub fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// Joins header, claims and signature, whatever they are.
pub fn assemble(header: &[u8], claims: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", encode(&signature))
}

/// A key of somebody else's.
pub struct Signer {
    pub pair: KeyPair,
    pub algorithm: Algorithm,
}

impl Signer {
    pub fn new(algorithm: Algorithm) -> Self {
        use Algorithm as A;
        let pair = match algorithm {
            A::Es256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            A::Es384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            A::Es512 => KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512),
            A::EdDsa => KeyPair::generate_for(&PKCS_ED25519),
            A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512 => {
                KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
            }
        };
        let pair = pair.unwrap();
        Self { pair, algorithm }
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_spki_der(&self.pair.subject_public_key_info()).unwrap()
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        use Algorithm as A;
        let der = self.pair.serialized_der();
        let random = SystemRandom::new();
        let ec = |curve| {
            let pair = EcdsaKeyPair::from_pkcs8(curve, der).unwrap();
            pair.sign(&random, message).unwrap().as_ref().to_vec()
        };
        let rsa = |padding: &'static dyn RsaEncoding| {
            let pair = RsaKeyPair::from_pkcs8(der).unwrap();
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &random, message, &mut signature)
                .unwrap();
            signature
        };
        match self.algorithm {
            A::Es256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            A::Es384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            A::Es512 => ec(&ECDSA_P521_SHA512_FIXED_SIGNING),
            A::Rs256 => rsa(&RSA_PKCS1_SHA256),
            A::Rs384 => rsa(&RSA_PKCS1_SHA384),
            A::Rs512 => rsa(&RSA_PKCS1_SHA512),
            A::Ps256 => rsa(&RSA_PSS_SHA256),
            A::Ps384 => rsa(&RSA_PSS_SHA384),
            A::Ps512 => rsa(&RSA_PSS_SHA512),
            A::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(der).unwrap();
                pair.sign(message).as_ref().to_vec()
            }
        }
    }

    /// A token with this header; `alg` is filled in.
    pub fn token(&self, mut header: Value, claims: &Value) -> String {
        let fields = header.as_object_mut().unwrap();
        fields
            .entry("alg")
            .or_insert(self.algorithm.as_str().into());
        fields.entry("typ").or_insert("JWT".into());
        let (header, claims) = (header.to_string(), claims.to_string());
        assemble(header.as_bytes(), claims.as_bytes(), |message| {
            self.sign(message)
        })
    }

    /// A self-signed certificate that is no CA, as `openssl req -x509` can make one.
    pub fn self_signed(&self, name: &str) -> Certificate {
        let certificate = params(name).self_signed(&self.pair).unwrap();
        Certificate::from_der(certificate.der()).unwrap()
    }
}

/// A certificate valid from a day before [`now`] to a day after it.
pub fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    set_dates(
        &mut params,
        now() - TimeDelta::days(1),
        now() + TimeDelta::days(1),
    );
    params
}

pub fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

pub fn set_dates(params: &mut CertificateParams, from: DateTime<Utc>, to: DateTime<Utc>) {
    let time = |at: DateTime<Utc>| {
        let seconds = at.timestamp().try_into().unwrap();
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds)
    };
    params.not_before = time(from);
    params.not_after = time(to);
}

/// A certificate authority, or an intermediate one.
pub struct Authority {
    pub signer: Signer,
    pub params: CertificateParams,
    pub certificate: Certificate,
}

impl Authority {
    pub fn root(params: CertificateParams) -> Self {
        let signer = Signer::new(Algorithm::Es256);
        let certificate = params.self_signed(&signer.pair).unwrap();
        let certificate = Certificate::from_der(certificate.der()).unwrap();
        Self {
            signer,
            params,
            certificate,
        }
    }

    pub fn below(&self, params: CertificateParams) -> Self {
        let signer = Signer::new(Algorithm::Es256);
        let certificate = self.certify(&params, &signer);
        Self {
            signer,
            params,
            certificate,
        }
    }

    pub fn certify(&self, params: &CertificateParams, signer: &Signer) -> Certificate {
        let issuer = Issuer::from_params(&self.params, &self.signer.pair);
        let certificate = params.signed_by(&signer.pair, &issuer).unwrap();
        Certificate::from_der(certificate.der()).unwrap()
    }
}

/// Certificates as they stand in a header.
pub fn x5c<'a>(chain: impl IntoIterator<Item = &'a Certificate>) -> Value {
    let encode = |certificate: &Certificate| BASE64_STANDARD.encode(certificate.der());
    json!(chain.into_iter().map(encode).collect::<Vec<_>>())
}
