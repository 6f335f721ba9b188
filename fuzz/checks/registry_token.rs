//! What must hold for any input of `registry-token`.
//!
//! Each function is one fuzz target, and runs over the seeds as an ordinary test too.

#![allow(dead_code, reason = "each fuzz target calls one of the checks")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a check fails"
)]

use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use registry_token::{
    Access, Action, Certificate, MAX_SCOPES, RepositoryName, Resource, Scope, TrustedKeys,
    Verifier, VerifierSettings, parse_scopes,
};

/// A moment at which the tokens among the seeds are valid.
const NOW: i64 = 1_800_000_000;

static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed"));

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let x = BASE64_URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref());
    let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"k"}}]}}"#);
    let keys = TrustedKeys::from_jwks_json(jwks.as_bytes()).expect("this is a key set");
    Verifier::new(VerifierSettings::new("issuer", "service"), keys)
});

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW, 0).expect("the moment exists")
}

/// A refusal goes into headers and logs.
fn is_one_clean_line(sentence: &str) {
    assert!(sentence.len() < 8192, "unbounded: {sentence}");
    assert!(
        !sentence.contains(|c: char| c.is_control()),
        "unsafe: {sentence:?}"
    );
}

pub fn repository_name(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match RepositoryName::parse(text) {
        Ok(name) => {
            assert_eq!(name.as_str(), text);
            assert!(
                name.components()
                    .all(|part| !part.is_empty() && part != "." && part != "..")
            );
            assert!(text.len() <= 255 && text.starts_with(name.namespace()));
        }
        Err(error) => is_one_clean_line(&error.to_string()),
    }
}

pub fn scopes(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match parse_scopes([text]) {
        Ok(scopes) => {
            assert!(scopes.len() <= MAX_SCOPES);
            for scope in &scopes {
                assert!(!scope.actions.is_empty());
                assert_eq!(Scope::parse(&scope.to_string()).as_ref(), Ok(scope));
                let same = |other: &&Scope| other.resource == scope.resource;
                assert_eq!(scopes.iter().filter(same).count(), 1);
            }
        }
        Err(error) => is_one_clean_line(&error.to_string()),
    }
}

pub fn access(input: &[u8]) {
    let Ok(access) = serde_json::from_slice::<Access>(input) else {
        return;
    };
    let json = serde_json::to_vec(&access).expect("access has a JSON form");
    let again: Access = serde_json::from_slice(&json).expect("what was written can be read");
    assert_eq!(again, access);
    assert_eq!(access.intersect(&Access::none()), Access::none());
    for entry in &access {
        let common = access.intersect(&again).actions_on(&entry.resource);
        assert_eq!(common, access.actions_on(&entry.resource));
        if let Resource::Repository(name) = &entry.resource {
            let allowed = entry.actions.contains(Action::Push);
            assert!(!allowed || access.allows(name, Action::Push));
        }
    }
}

/// Arbitrary text as a token.
pub fn token(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    verify(text);
}

/// Arbitrary header and claims, separated by a line break, under a good signature.
pub fn signed_token(input: &[u8]) {
    let end = input
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(input.len());
    let (header, claims) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = KEY.sign(signed.as_bytes());
    verify(&format!("{signed}.{}", encode(signature.as_ref())));
}

fn verify(token: &str) {
    match VERIFIER.verify(token, now()) {
        Ok(claims) => {
            assert_eq!(claims.issuer, "issuer");
            assert!(claims.audience.contains("service"));
            assert!(claims.expires_at.timestamp() >= NOW - 60);
            let again = VERIFIER
                .verify(token, now())
                .expect("a second look sees the same");
            assert_eq!(again, claims);
        }
        Err(error) => is_one_clean_line(&error.to_string()),
    }
}

pub fn jwks(input: &[u8]) {
    match TrustedKeys::from_jwks_json(input) {
        Ok(keys) => {
            assert!(!keys.is_empty());
            assert_eq!(keys.clone().merge(keys.clone()), keys);
            for key in keys.public_keys() {
                let jwk = key.to_jwk("k".into());
                assert_eq!(jwk.public_key().as_ref(), Ok(key));
            }
        }
        Err(error) => is_one_clean_line(&error.to_string()),
    }
}

/// A PEM bundle, and the same bytes as a single DER certificate.
pub fn bundle(input: &[u8]) {
    if let Ok(certificate) = Certificate::from_der(input) {
        assert_eq!(certificate.der(), input);
        is_one_clean_line(certificate.subject().as_str());
    }
    match Certificate::bundle_from_pem(input) {
        Ok(certificates) => {
            let text: String = certificates.iter().map(Certificate::to_pem).collect();
            let again = Certificate::bundle_from_pem(text.as_bytes());
            assert_eq!(again.as_ref(), Ok(&certificates));
            assert!(!TrustedKeys::from_certificates(certificates).is_empty());
        }
        Err(error) => is_one_clean_line(&error.to_string()),
    }
}
