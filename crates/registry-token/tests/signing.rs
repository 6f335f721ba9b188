//! Our own keys: made, stored, imported, and what their tokens look like to others.

#![allow(clippy::unwrap_used, reason = "a test may fail on what it builds")]

mod support;

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::AsDer,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet as OtherJwkSet};
use registry_token::{
    Access, AccessEntry, Action, Algorithm, Claims, Denials, JwkSet, KeyIdForm, RepositoryName,
    RsaKeySize, SigningAlgorithm, SigningKey, SigningKeyError, TrustedKeys,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use support::*;

static EC: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(SigningAlgorithm::Es256, now()).unwrap());
static EC_384: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(SigningAlgorithm::Es384, now()).unwrap());
static RSA: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(SigningAlgorithm::Rs256, now()).unwrap());

fn all() -> [&'static SigningKey; 3] {
    [&EC, &EC_384, &RSA]
}

fn our_claims() -> Claims {
    let repository: RepositoryName = "team/app".parse().unwrap();
    Claims {
        issuer: ISSUER.into(),
        subject: Some("alice".into()),
        audience: SERVICE.into(),
        expires_at: now() + TimeDelta::minutes(5),
        not_before: Some(now() - TimeDelta::seconds(5)),
        issued_at: Some(now()),
        id: Some("0199".into()),
        access: Access::from(vec![AccessEntry::new(repository, Action::Pull)]),
        auth_type: None,
        denials: Denials::default(),
    }
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn a_token_survives_signing_and_verifying() {
    for key in all() {
        let token = key.sign(&our_claims()).unwrap();
        let by_bundle = TrustedKeys::from_bundle_pem(key.certificate_pem().as_bytes()).unwrap();
        let verified = verifier(by_bundle).verify(&token, now()).unwrap();
        assert_eq!(*verified, our_claims());

        let jwks = serde_json::to_vec(&JwkSet {
            keys: vec![key.jwk()],
        })
        .unwrap();
        let by_jwks = TrustedKeys::from_jwks_json(&jwks).unwrap();
        assert!(verifier(by_jwks).verify(&token, now()).is_ok());
    }
}

#[test]
fn the_header_satisfies_every_registry() {
    for key in all() {
        let header = part(&key.sign(&our_claims()).unwrap(), 0);
        assert_eq!(header["typ"], "JWT");
        assert_eq!(header["alg"], key.algorithm().to_string());
        assert_eq!(header["kid"], key.libtrust_id());
        assert_eq!(header["x5c"], x5c(key.certificates()));
    }
    assert_eq!(EC.libtrust_id().split(':').count(), 12);
}

#[test]
fn the_key_id_can_take_the_other_form() {
    let key = SigningKey::generate(SigningAlgorithm::Es256, now()).unwrap();
    let key = key.with_key_id_form(KeyIdForm::Thumbprint);
    let header = part(&key.sign(&our_claims()).unwrap(), 0);
    assert_eq!(header["kid"], key.thumbprint());
    assert_eq!(key.jwk().kid, Some(key.thumbprint()));
    assert_eq!(key.jwk().kid, Some(key.key_id()));
}

#[test]
fn the_claims_have_the_types_that_distribution_2_demands() {
    let claims = part(&EC.sign(&our_claims()).unwrap(), 1);
    assert_eq!(claims["aud"], SERVICE, "a list would be refused");
    for time in ["exp", "nbf", "iat"] {
        assert!(claims[time].is_i64(), "{time}");
    }
    let anonymous = Claims {
        subject: None,
        access: Access::none(),
        ..our_claims()
    };
    let claims = part(&EC.sign(&anonymous).unwrap(), 1);
    assert!(claims.get("sub").is_none() && claims.get("auth_type").is_none());
    assert_eq!(claims["access"], serde_json::json!([]));
}

/// A second opinion: another library believes our tokens, by the key set we publish.
#[test]
fn another_library_accepts_our_tokens() {
    for key in all() {
        let published = serde_json::to_string(&JwkSet {
            keys: vec![key.jwk()],
        })
        .unwrap();
        let set: OtherJwkSet = serde_json::from_str(&published).unwrap();
        let token = key.sign(&our_claims()).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        let found = set.find(header.kid.as_deref().unwrap()).unwrap();
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[SERVICE]);
        validation.set_issuer(&[ISSUER]);
        // The tests take place at a moment of their own.
        validation.validate_exp = false;
        let decoding = DecodingKey::from_jwk(found).unwrap();
        let decoded = jsonwebtoken::decode::<Claims>(&token, &decoding, &validation).unwrap();
        assert_eq!(decoded.claims, our_claims());
    }
}

#[test]
fn tokens_of_another_library_are_accepted() {
    let pem = RSA.to_pem().expose_secret();
    let encoding = jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let trusted = TrustedKeys::from_certificates(RSA.certificates().iter().cloned());
    let verifier = verifier(trusted);
    for algorithm in [
        jsonwebtoken::Algorithm::RS256,
        jsonwebtoken::Algorithm::RS512,
        jsonwebtoken::Algorithm::PS256,
    ] {
        let mut header = jsonwebtoken::Header::new(algorithm);
        header.kid = Some(RSA.libtrust_id());
        let token = jsonwebtoken::encode(&header, &our_claims(), &encoding).unwrap();
        assert!(verifier.verify(&token, now()).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn the_certificate_can_be_a_root_and_lasts_ten_years() {
    for key in all() {
        let [certificate] = key.certificates() else {
            unreachable!("a made key has one certificate");
        };
        assert!(certificate.not_before() < now());
        assert!(certificate.not_after() > now() + TimeDelta::days(3649));
        let (_, x509) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
        let constraints = x509.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(0));
        let usage = x509.key_usage().unwrap().unwrap();
        assert!(usage.value.digital_signature() && usage.value.key_cert_sign());
        assert!(x509.verify_signature(None).is_ok());
        // RFC 5280: positive, at most 20 octets.
        let serial = x509.raw_serial();
        assert!(
            serial.len() <= 20 && serial[0] & 0x80 == 0 && serial[0] != 0,
            "{serial:?}"
        );
    }
}

#[test]
fn stored_and_read_again_it_is_the_same_key() {
    for key in all() {
        let pem = key.to_pem();
        assert!(
            pem.expose_secret()
                .starts_with("-----BEGIN PRIVATE KEY-----\n")
        );
        let read = SigningKey::from_pem(pem, &key.certificate_pem()).unwrap();
        assert_eq!(read.algorithm(), key.algorithm());
        assert_eq!(read.public_key(), key.public_key());
        assert_eq!(read.certificates(), key.certificates());
        assert_eq!(read.to_pem().expose_secret(), pem.expose_secret());
        let trusted = TrustedKeys::from_certificates(key.certificates().iter().cloned());
        let token = read.sign(&our_claims()).unwrap();
        assert!(verifier(trusted).verify(&token, now()).is_ok());
    }
}

fn block(tag: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(tag, der))
}

#[test]
fn every_usual_form_of_private_key_is_imported() {
    let ec = pem::parse(EC.to_pem().expose_secret()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.contents()).unwrap();
    let sec1 = pair.private_key().as_der().unwrap();
    // OpenSSL writes the curve in front.
    let parameters = block("EC PARAMETERS", &[6, 8, 42, 134, 72, 206, 61, 3, 1, 7]);
    let sec1 = format!("{parameters}{}", block("EC PRIVATE KEY", sec1.as_ref()));

    let rsa = pem::parse(RSA.to_pem().expose_secret()).unwrap();
    // PKCS#8 puts 26 bytes in front of a PKCS#1 key of this size.
    let pkcs1 = block("RSA PRIVATE KEY", &rsa.contents()[26..]);

    for (text, key) in [(sec1, &*EC), (pkcs1, &*RSA)] {
        let imported = SigningKey::from_pem(&text.into(), &key.certificate_pem()).unwrap();
        assert_eq!(imported.public_key(), key.public_key());
        let pkcs8 = key.to_pem().expose_secret();
        assert_eq!(imported.to_pem().expose_secret(), pkcs8, "stored as PKCS#8");
    }
}

#[test]
fn a_key_without_a_certificate_gets_one() {
    let imported = SigningKey::from_key_pem(EC.to_pem(), now()).unwrap();
    assert_eq!(imported.public_key(), EC.public_key());
    assert_ne!(imported.certificates(), EC.certificates());
    // Both are about the same key, so whoever trusts one accepts tokens with the other.
    let trusted = TrustedKeys::from_certificates(EC.certificates().iter().cloned());
    let token = imported.sign(&our_claims()).unwrap();
    assert!(verifier(trusted).verify(&token, now()).is_ok());
}

#[test]
fn a_certificate_chain_is_sent_along() {
    let root = Authority::root(ca_params("root"));
    let middle = root.below(ca_params("middle"));
    let signer = Signer::new(Algorithm::Es256);
    let leaf = middle.certify(&params("leaf"), &signer);
    let key: SecretString = signer.pair.serialize_pem().into();
    let chain = format!("{}{}", leaf.to_pem(), middle.certificate.to_pem());
    let key = SigningKey::from_pem(&key, &chain).unwrap();
    let token = key.sign(&our_claims()).unwrap();
    assert!(
        verifier(TrustedKeys::from_certificates([root.certificate]))
            .verify(&token, now())
            .is_ok()
    );
}

#[test]
fn rsa_keys_come_in_sizes() {
    for (size, bytes) in [(RsaKeySize::Bits2048, 256), (RsaKeySize::Bits3072, 384)] {
        let key = SigningKey::generate_rsa(size, now()).unwrap();
        let token = key.sign(&our_claims()).unwrap();
        let signature = token.rsplit('.').next().unwrap();
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap().len(),
            bytes
        );
    }
}

#[test]
fn what_cannot_be_imported_says_why() {
    use SigningKeyError as E;
    let certificate = EC.certificate_pem();
    let refuse =
        |key: &str| SigningKey::from_pem(&key.to_owned().into(), &certificate).unwrap_err();
    let pem = EC.to_pem().expose_secret();
    assert_eq!(refuse(""), E::NoPrivateKey);
    assert_eq!(refuse(&certificate), E::NoPrivateKey);
    assert_eq!(refuse(&pem[..pem.len() - 30]), E::Pem);
    assert_eq!(refuse(&pem.replace("MIG", "%%%")), E::Pem);
    assert_eq!(
        refuse(&pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")),
        E::Encrypted
    );
    let old_style = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                     DEK-Info: AES-256-CBC,AF724D23BE9B817B13DBD73C22BC6C5A\n\nMVrhdg==\n\
                     -----END EC PRIVATE KEY-----\n";
    assert_eq!(refuse(old_style), E::Encrypted);
    assert_eq!(refuse(&block("PRIVATE KEY", b"nonsense")), E::Unsupported);
    for algorithm in [Algorithm::Es512, Algorithm::EdDsa] {
        assert_eq!(
            refuse(&Signer::new(algorithm).pair.serialize_pem()),
            E::Unsupported
        );
    }
    let stranger = Signer::new(Algorithm::Es256).pair.serialize_pem();
    assert!(matches!(refuse(&stranger), E::CertificateMismatch { .. }));
    let no_certificate = SigningKey::from_pem(EC.to_pem(), "").unwrap_err();
    assert!(
        matches!(no_certificate, E::Certificate(_)),
        "{no_certificate}"
    );
}

#[test]
fn debugging_shows_nothing_private() {
    let shown = format!("{:?} {:?}", *EC, EC.to_pem());
    assert!(shown.contains(&EC.libtrust_id()));
    for line in EC
        .to_pem()
        .expose_secret()
        .lines()
        .filter(|line| !line.starts_with('-'))
    {
        assert!(!shown.contains(&line[..8]), "{shown}");
    }
}
