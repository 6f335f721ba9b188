//! Bundles and key sets of others: what is read, what is skipped, what is refused.

#![allow(clippy::unwrap_used, reason = "a test may fail on what it builds")]

mod support;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use proptest::prelude::*;
use registry_token::{
    Algorithm, BundleError, Certificate, CertificateError, Jwk, JwksError, PublicKey,
    PublicKeyError, TrustedKeys,
};
use serde_json::{Value, json};
use support::*;

fn jwk(algorithm: Algorithm) -> Value {
    let key = Signer::new(algorithm).public_key();
    serde_json::to_value(key.to_jwk("id".into())).unwrap()
}

fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
    key[name] = value.into();
    key
}

fn read(keys: &[Value]) -> Result<TrustedKeys, JwksError> {
    TrustedKeys::from_jwks_json(json!({ "keys": keys }).to_string().as_bytes())
}

/// Computed with OpenSSL and Python from keys that OpenSSL made.
#[test]
fn key_ids_are_those_that_others_compute() {
    for (spki, libtrust, thumbprint) in [
        (
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXblAUK3hOwkGUEuShsDVuwcyitOohSY+AbNpaoq5XMII0w\
             taes+0ifwaqDhRfjcJNit9d/DHd6XkfsEP4B+fWA==",
            "4XFK:6I3S:4BUT:UOBS:G4ZM:HQOW:ANPF:RUYZ:KMLS:TP4Q:WL42:GERY",
            "aYuIFQG79HOcnoU5CBaCaoJ0sbkEDjI7XKx7ZSVx74I",
        ),
        (
            "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAn1TKFqK44qdoEyRDfI8y5zpOhMPalbweIBEXVH\
             ua9ZfieIi1p50djMCc697znRKEjlRzJHyOAkeVyPaZGqPsUwK8ghV3viuTmZd77NRSYmVYjPA8Iqzz7qHe\
             H3HocCY6xavvYNJneXCGyfeHzB3ZtbbN0unnqfGWwT4aM6NPbbVeFlUbsUzPBkuNDFixSJjnAdPxDN0DkT\
             NfNs9mzjl8OSdi9d0PkWbei05bWhjVwxTsK4U4S8gp/S9OyKT+Dp0p8EFCstZl7Xo451A/nni+QA2dUUUI\
             4FMnqBQdwp24wGSGUb9H0XKyzITisV3rpIgHTRJbruLD+SnAqr1HIm6cQQIDAQAB",
            "IZGP:MEHF:TPLZ:PAHT:IXVR:OS3Z:5HJB:VHTQ:CZ2N:572V:QBSL:L2J2",
            "gPbRuWh0HSpfggIh6NdLGbf0JDab86g7_c0Ax_T9zMc",
        ),
    ] {
        let key = PublicKey::from_spki_der(&BASE64_STANDARD.decode(spki).unwrap()).unwrap();
        assert_eq!(key.libtrust_id(), libtrust);
        assert_eq!(key.thumbprint(), thumbprint);
        // However the key arrives, it is the same one.
        let by_jwk = key.to_jwk("x".into()).public_key().unwrap();
        assert_eq!(by_jwk, key);
        assert_eq!(by_jwk.libtrust_id(), libtrust);
    }
}

#[test]
fn keys_need_neither_id_nor_algorithm_nor_use() {
    for algorithm in Algorithm::ALL {
        let mut key = jwk(algorithm);
        for member in ["kid", "alg", "use"] {
            key.as_object_mut().unwrap().remove(member);
        }
        assert_eq!(read(&[key]).unwrap().len(), 1, "{algorithm}");
    }
}

#[test]
fn what_cannot_verify_tokens_is_skipped() {
    let good = jwk(Algorithm::Es256);
    let rsa = jwk(Algorithm::Rs256);
    for skipped in [
        json!(null),
        json!("key"),
        json!({}),
        json!({"kty": "oct", "k": "c2VjcmV0"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"}),
        json!({"kty": "OKP", "crv": "X25519", "x": "AAAA"}),
        json!({"kty": 7}),
        with(good.clone(), "use", "enc"),
        with(good.clone(), "key_ops", json!(["sign"])),
        with(good.clone(), "alg", "ECDH-ES"),
        with(good.clone(), "alg", "RS256"),
        with(good.clone(), "alg", "HS256"),
        with(good.clone(), "kty", "RSA"),
        with(good.clone(), "crv", "P-384"),
        with(good.clone(), "x", "not base64!"),
        with(good.clone(), "x", good["y"].clone()),
        with(good.clone(), "x", "A".repeat(100)),
        with(good.clone(), "y", Value::Null),
        with(rsa.clone(), "n", "AQAB"),
        with(rsa.clone(), "n", "/".repeat(2000)),
        with(rsa.clone(), "e", "AA"),
        with(rsa.clone(), "e", ""),
    ] {
        assert_eq!(
            read(std::slice::from_ref(&skipped)),
            Err(JwksError::NoUsableKey),
            "{skipped}"
        );
        assert_eq!(
            read(&[skipped.clone(), good.clone()]).unwrap().len(),
            1,
            "{skipped}"
        );
    }
}

#[test]
fn small_deviations_are_forgiven() {
    let good = jwk(Algorithm::Es256);
    let x = good["x"].as_str().unwrap();
    for key in [
        with(good.clone(), "x", format!("{x}=")),
        with(good.clone(), "key_ops", json!(["verify"])),
        with(
            good.clone(),
            "d",
            "a private member that has no business here",
        ),
        with(good.clone(), "x5c", json!(["AAAA"])),
        with(good.clone(), "unknown", json!({"a": [1]})),
    ] {
        assert!(read(std::slice::from_ref(&key)).is_ok(), "{key}");
    }
}

/// About one EC key in 256 has a coordinate that starts with a zero byte.
#[test]
fn a_coordinate_without_its_leading_zeros() {
    let coordinate = |jwk: &Jwk| {
        BASE64_URL_SAFE_NO_PAD
            .decode(jwk.x.as_ref().unwrap())
            .unwrap()
    };
    let short = std::iter::repeat_with(|| Signer::new(Algorithm::Es256).public_key())
        .map(|key| key.to_jwk("id".into()))
        .find(|jwk| coordinate(jwk)[0] == 0)
        .unwrap();
    let stripped = Jwk {
        x: Some(BASE64_URL_SAFE_NO_PAD.encode(&coordinate(&short)[1..])),
        ..short.clone()
    };
    assert_eq!(stripped.public_key(), short.public_key());
}

#[test]
fn what_is_no_key_set_is_refused() {
    for text in [
        "",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":null}",
        "<html>",
        "{\"keys\":[]",
    ] {
        assert_eq!(
            TrustedKeys::from_jwks_json(text.as_bytes()),
            Err(JwksError::Malformed),
            "{text}"
        );
    }
    assert_eq!(read(&[]), Err(JwksError::NoUsableKey));
    assert_eq!(
        read(&vec![json!({}); 257]),
        Err(JwksError::TooManyKeys { count: 257 })
    );
}

#[test]
fn a_bundle_is_read_with_all_the_clutter_around() {
    let (one, two) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Rs256));
    let (first, second) = (one.self_signed("one"), two.self_signed("two"));
    let text = format!(
        "subject=CN = one\n{}\n# the other\n{}-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        first.to_pem(),
        second.to_pem().replace('\n', "\r\n"),
    );
    let read = Certificate::bundle_from_pem(text.as_bytes()).unwrap();
    assert_eq!(read, [first, second]);
    let trusted = TrustedKeys::from_bundle_pem(text.as_bytes()).unwrap();
    assert_eq!((trusted.len(), trusted.certificates().len()), (2, 2));
}

#[test]
fn what_is_no_bundle_is_refused_with_a_reason() {
    let signer = Signer::new(Algorithm::Es256);
    let good = signer.self_signed("good").to_pem();
    let refuse = |text: &str| TrustedKeys::from_bundle_pem(text.as_bytes()).unwrap_err();
    assert_eq!(refuse(""), BundleError::Empty);
    assert_eq!(refuse("hello"), BundleError::Empty);
    assert_eq!(
        refuse(&good.replace("CERTIFICATE", "PUBLIC KEY")),
        BundleError::Empty
    );
    let key = signer.pair.serialize_pem();
    assert_eq!(refuse(&format!("{good}{key}")), BundleError::PrivateKey);
    assert_eq!(refuse(&key), BundleError::PrivateKey);
    assert_eq!(
        refuse(&good[..good.len() - 40]),
        BundleError::Pem,
        "cut off"
    );
    assert_eq!(
        refuse(&format!("{good}{}", &good[..100])),
        BundleError::Pem,
        "second one cut off"
    );
    assert_eq!(refuse(&good.replacen("MII", "M%I", 1)), BundleError::Pem);
    let many = good.repeat(257);
    assert_eq!(refuse(&many), BundleError::TooMany { count: 257 });

    let weak = include_str!("data/rsa-1024.crt");
    let refused = refuse(&format!("{good}{weak}"));
    let sentence = "certificate 2 of the file: the certificate \"CN=weak\" cannot be used: \
                    the RSA key has 1024 bits; from 2048 to 8192 are accepted";
    assert_eq!(refused.to_string(), sentence);
    let garbage = pem::encode(&pem::Pem::new("CERTIFICATE", b"garbage"));
    let reason = CertificateError::Malformed;
    assert_eq!(
        refuse(&garbage),
        BundleError::Certificate {
            position: 1,
            reason
        }
    );
    let mut longer = signer.self_signed("x").der().to_vec();
    longer.push(0);
    assert_eq!(
        Certificate::from_der(&longer),
        Err(CertificateError::Malformed)
    );
}

#[test]
fn merging_believes_both_once() {
    let (one, two) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::EdDsa));
    let bundle = TrustedKeys::from_certificates([one.self_signed("one")]);
    let key = |signer: &Signer, id: &str| signer.public_key().to_jwk(id.into());
    let set = json!({"keys": [key(&one, "a"), key(&two, "b")]}).to_string();
    let set = TrustedKeys::from_jwks_json(set.as_bytes()).unwrap();
    let merged = bundle.clone().merge(set.clone());
    assert_eq!(merged.len(), 2);
    assert_eq!(merged, set.merge(bundle.clone()), "in either order");
    assert_eq!(merged.clone().merge(bundle.clone()), merged);
    assert_ne!(merged, bundle);
    for (signer, id) in [(&one, "a"), (&two, "b")] {
        let token = signer.token(json!({ "kid": id }), &claims());
        assert!(
            verifier(merged.clone()).verify(&token, now()).is_ok(),
            "{id}"
        );
    }
}

#[test]
fn a_key_on_no_curve_is_refused() {
    let mut spki = Signer::new(Algorithm::Es256)
        .public_key()
        .spki_der()
        .to_vec();
    *spki.last_mut().unwrap() ^= 1;
    assert_eq!(
        PublicKey::from_spki_der(&spki),
        Err(PublicKeyError::Malformed)
    );
    assert_eq!(
        PublicKey::from_spki_der(b""),
        Err(PublicKeyError::Malformed)
    );
}

proptest! {
    #[test]
    fn damaged_input_never_panics(
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        static PEM: std::sync::LazyLock<String> =
            std::sync::LazyLock::new(|| Signer::new(Algorithm::Es256).self_signed("x").to_pem());
        let mut der = pem::parse(PEM.as_bytes()).unwrap().into_contents();
        let position = position.index(der.len());
        der[position] = byte;
        let _ = Certificate::from_der(&der).map_err(|error| error.to_string());
        let _ = Certificate::from_der(&der[..cut.index(der.len())]);
        let mut text = PEM.clone().into_bytes();
        let position = position % text.len();
        text[position] = byte;
        let _ = TrustedKeys::from_bundle_pem(&text).map_err(|error| error.to_string());
        let _ = TrustedKeys::from_jwks_json(&text);
    }
}
