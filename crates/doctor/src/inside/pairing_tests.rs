use std::path::PathBuf;

use registry_token::{Algorithm, Certificate, SigningAlgorithm, SigningKey};

use super::*;
use crate::inside::{Storage, TokenSide};
use crate::report::Status;
use crate::testing::noon;

fn trusted(keys: &[&SigningKey]) -> TrustedKeys {
    let certificates = keys.iter().map(|key| {
        let pem = key.certificate_pem();
        Certificate::bundle_from_pem(pem.as_bytes())
            .unwrap()
            .remove(0)
    });
    TrustedKeys::from_certificates(certificates)
}

fn key() -> SigningKey {
    SigningKey::generate(SigningAlgorithm::Es256, noon()).unwrap()
}

fn belief(keys: TrustedKeys, algorithms: &[Algorithm]) -> Belief {
    Belief {
        issuer: "issuer".to_owned(),
        service: "registry".to_owned(),
        algorithms: algorithms.to_vec(),
        keys,
        source: "/bundle.pem".to_owned(),
    }
}

#[test]
fn services_are_compared_to_the_letter() {
    let known = |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
    assert_eq!(
        service(&known(&["a", "registry"]), "registry").status,
        Status::Ok
    );
    let verdict = service(&known(&["Registry"]), "registry");
    assert!(verdict.is_failure());
    assert!(
        verdict.message.contains("upper and lower case"),
        "{verdict:?}"
    );
    assert!(verdict.fix.unwrap().contains("token.services"));
    let several = service(&known(&["a", "b"]), "registry");
    assert!(several.message.contains("knows \"a', 'b\""), "{several:?}");
}

#[test]
fn the_path_of_the_realm_is_one_that_is_served() {
    for good in [
        "https://a.test/auth/token",
        "https://a.test/pre/jwt/auth?x=y",
    ] {
        assert_eq!(realm(good).status, Status::Ok, "{good}");
    }
    assert_eq!(realm("https://a.test/token").status, Status::Warning);
}

#[test]
fn every_key_that_signs_must_be_believed() {
    let (one, two) = (key(), key());
    let all = Algorithm::ALL;
    let judge = |signers: &[&SigningKey], believed: &[&SigningKey]| {
        keys(&trusted(signers), &belief(trusted(believed), &all))
    };
    assert_eq!(judge(&[&one], &[&one, &two]).status, Status::Ok);
    assert_eq!(judge(&[&one, &two], &[&one]).status, Status::Warning);
    let none = judge(&[&one], &[&two]);
    assert!(
        none.is_failure() && none.message.contains("believes none"),
        "{none:?}"
    );
    assert!(none.message.contains(&one.key_id()), "{none:?}");
    assert_eq!(judge(&[], &[&two]).status, Status::Skipped);
}

#[test]
fn the_algorithm_must_be_allowed() {
    let one = key();
    let judge =
        |allowed: &[Algorithm]| algorithm(&trusted(&[&one]), &belief(trusted(&[&one]), allowed));
    assert_eq!(judge(&[Algorithm::Es256]).status, Status::Ok);
    let verdict = judge(&[Algorithm::Rs256]);
    assert!(verdict.is_failure());
    assert!(
        verdict
            .fix
            .unwrap()
            .contains("auth.token.signingalgorithms")
    );
}

fn side(realm: &str) -> RegistrySide {
    RegistrySide {
        tokens: Some(TokenSide {
            realm: Some(realm.to_owned()),
            service: "registry".to_owned(),
            issuer: "issuer".to_owned(),
            bundle: None,
            jwks: None,
            algorithms: Vec::new(),
        }),
        tls: None,
        serves_https: false,
        storage: Storage {
            folder: PathBuf::from("/data"),
            read_only: false,
        },
        database: "sqlite:/data/registry.sqlite".parse().unwrap(),
        schema: database::Schema::EMPTY,
        host: None,
        location_from_request: false,
        trusts_proxies: false,
    }
}

#[test]
fn where_uploads_go_on_can_be_told_by_the_settings() {
    let mut registry = side("https://auth.test/auth/token");
    assert!(location(&registry).message.contains("relative"));
    registry.location_from_request = true;
    let verdict = location(&registry);
    assert_eq!(verdict.status, Status::Warning);
    assert!(verdict.fix.unwrap().contains("http.trustedproxies"));
    registry.trusts_proxies = true;
    assert_eq!(location(&registry).status, Status::Ok);
    registry.host = Some("http://registry.test".to_owned());
    let verdict = location(&registry);
    assert!(
        verdict.is_failure() && verdict.message.contains("`http.host`"),
        "{verdict:?}"
    );
    registry.host = Some("https://registry.test".to_owned());
    assert_eq!(location(&registry).status, Status::Ok);
}
