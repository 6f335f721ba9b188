//! Which tokens are believed, and what is said about the others.

#![allow(clippy::unwrap_used, reason = "a test may fail on what it builds")]

mod support;

use registry_token::{
    Action, Algorithm, RepositoryName, TrustedKeys, Verifier, VerifierSettings, VerifyError,
};
use serde_json::{Value, json};
use support::*;

fn trusting(signer: &Signer) -> Verifier {
    verifier(TrustedKeys::from_certificates([
        signer.self_signed("signer")
    ]))
}

fn jwks(keys: &[Value]) -> Verifier {
    let json = json!({ "keys": keys }).to_string();
    verifier(TrustedKeys::from_jwks_json(json.as_bytes()).unwrap())
}

fn jwk(signer: &Signer, key_id: &str) -> Value {
    serde_json::to_value(signer.public_key().to_jwk(key_id.into())).unwrap()
}

fn libtrust(signer: &Signer) -> Value {
    json!({ "kid": signer.public_key().libtrust_id() })
}

fn refusal(verifier: &Verifier, token: &str) -> VerifyError {
    let error = verifier.verify(token, now()).unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.len() < 2000, "unbounded: {sentence}");
    assert!(
        !sentence.contains(|c: char| c.is_control()),
        "unsafe in a header: {sentence:?}"
    );
    error
}

#[test]
fn a_token_as_gitlab_makes_it() {
    let signer = Signer::new(Algorithm::Rs256);
    let claims = claims_with(json!({
        "access": [{
            "type": "repository", "name": "team/app", "actions": ["pull"],
            "meta": {"project_path": "team/app", "project_id": 7, "root_namespace_id": 3,
                     "tag_deny_access_patterns": {"push": ["^v"], "delete": []}},
        }],
        "auth_type": "gitlab_or_ldap",
        "user": "eyJhbGciOiJIUzI1NiJ9.e30.x",
    }));
    let token = signer.token(libtrust(&signer), &claims);
    let verified = trusting(&signer).verify(&token, now()).unwrap();
    let name: RepositoryName = "team/app".parse().unwrap();
    assert!(verified.access.allows(&name, Action::Pull));
    assert!(!verified.access.allows(&name, Action::Push));
    let meta = verified.access.meta_of(&name).unwrap();
    assert_eq!(meta.tag_deny_access_patterns.as_ref().unwrap().push, ["^v"]);
    assert_eq!(verified.subject.as_deref(), Some("alice"));
    assert_eq!(verified.auth_type.as_deref(), Some("gitlab_or_ldap"));
}

/// `docker_auth` and distribution 3.0.0 hash the curve's generator instead of the key.
#[test]
fn a_wrong_key_id_does_not_matter_beside_a_good_certificate() {
    let signer = Signer::new(Algorithm::Es256);
    let certificate = signer.self_signed("docker_auth");
    let header = json!({
        "kid": "PYYO:TEWU:V7JH:26JV:AQTZ:LJC3:SXVJ:XGHA:34F2:2LAQ:ZRMK:Z7Q6",
        "x5c": x5c([&certificate]),
    });
    let token = signer.token(header, &claims());
    let verifier = verifier(TrustedKeys::from_certificates([certificate]));
    assert!(verifier.verify(&token, now()).is_ok());
}

#[test]
fn both_forms_of_key_id_padded_or_not() {
    let signer = Signer::new(Algorithm::Es256);
    let key = signer.public_key();
    let verifier = trusting(&signer);
    for key_id in [
        key.libtrust_id(),
        key.thumbprint(),
        format!("{}=", key.thumbprint()),
    ] {
        let token = signer.token(json!({ "kid": key_id }), &claims());
        assert!(verifier.verify(&token, now()).is_ok(), "{key_id}");
    }
}

#[test]
fn every_algorithm() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::new(algorithm);
        let token = signer.token(libtrust(&signer), &claims());
        assert!(
            trusting(&signer).verify(&token, now()).is_ok(),
            "{algorithm}"
        );
        let by_jwks = jwks(&[jwk(&signer, "any name")]);
        assert!(
            by_jwks.verify(&token, now()).is_ok(),
            "{algorithm} from JWKS"
        );
        let named = signer.token(json!({"kid": "any name"}), &claims());
        assert!(
            by_jwks.verify(&named, now()).is_ok(),
            "{algorithm} by its JWKS kid"
        );
    }
}

#[test]
fn a_jwk_in_the_header_counts_only_if_its_key_is_trusted() {
    let (ours, theirs) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let verifier = trusting(&ours);
    let token = ours.token(json!({"jwk": jwk(&ours, "x")}), &claims());
    assert!(verifier.verify(&token, now()).is_ok());

    let forged = theirs.token(json!({"jwk": jwk(&theirs, "x")}), &claims());
    assert!(matches!(
        refusal(&verifier, &forged),
        VerifyError::UnknownKey { .. }
    ));
    // The key id of a trusted key beside the forger's own key.
    let header = json!({"jwk": jwk(&theirs, "x"), "kid": ours.public_key().libtrust_id()});
    let forged = theirs.token(header, &claims());
    assert_eq!(refusal(&verifier, &forged), VerifyError::BadSignature);

    let nonsense = ours.token(json!({"jwk": {"kty": "EC"}}), &claims());
    assert!(matches!(
        refusal(&verifier, &nonsense),
        VerifyError::Malformed { .. }
    ));
}

#[test]
fn a_token_that_names_no_key_is_tried_with_all_that_fit() {
    let (one, two) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let other_kind = Signer::new(Algorithm::EdDsa);
    let keys = [&other_kind, &one, &two].map(|signer| signer.self_signed("signer"));
    let verifier = verifier(TrustedKeys::from_certificates(keys));
    for signer in [&one, &two, &other_kind] {
        let token = signer.token(json!({}), &claims());
        assert!(verifier.verify(&token, now()).is_ok());
    }
    let stranger = Signer::new(Algorithm::Es256).token(json!({}), &claims());
    assert_eq!(refusal(&verifier, &stranger), VerifyError::BadSignature);
    let nobody = Signer::new(Algorithm::Es384).token(json!({}), &claims());
    let expected = VerifyError::NoKey {
        algorithm: Algorithm::Es384,
    };
    assert_eq!(refusal(&verifier, &nobody), expected);
}

#[test]
fn two_keys_may_share_a_key_id() {
    let (one, two) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let verifier = jwks(&[jwk(&one, "same"), jwk(&two, "same")]);
    for signer in [&one, &two] {
        let token = signer.token(json!({"kid": "same"}), &claims());
        assert!(verifier.verify(&token, now()).is_ok());
    }
}

#[test]
fn an_unknown_key_is_named_and_cannot_break_a_header() {
    let signer = Signer::new(Algorithm::Es256);
    let verifier = trusting(&signer);
    let token = signer.token(json!({"kid": "of another"}), &claims());
    let sentence = refusal(&verifier, &token).to_string();
    assert_eq!(
        sentence,
        "the token's key \"of another\" is not among the trusted keys"
    );
    let evil = format!("\r\nX: \"y\"{}", "z".repeat(5000));
    let token = signer.token(json!({ "kid": evil }), &claims());
    assert!(matches!(
        refusal(&verifier, &token),
        VerifyError::UnknownKey { .. }
    ));
}

#[test]
fn the_signature_must_be_the_keys() {
    let (ours, theirs) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let verifier = trusting(&ours);
    let forged = theirs.token(libtrust(&ours), &claims());
    assert_eq!(refusal(&verifier, &forged), VerifyError::BadSignature);

    let token = ours.token(libtrust(&ours), &claims());
    let (header, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let more = claims_with(json!({"sub": "admin"})).to_string();
    let more = assemble(b"", more.as_bytes(), |_| Vec::new());
    let changed = format!("{header}{more}{signature}");
    assert_eq!(refusal(&verifier, &changed), VerifyError::BadSignature);

    let unsigned = token.rsplit_once('.').unwrap().0;
    for signature in ["", "AAAA", &signature[..84], &format!("{signature}AA")] {
        let damaged = format!("{unsigned}.{signature}");
        assert_eq!(refusal(&verifier, &damaged), VerifyError::BadSignature);
    }
}

#[test]
fn unsigned_and_symmetric_tokens_are_refused() {
    let signer = Signer::new(Algorithm::Es256);
    let verifier = trusting(&signer);
    for algorithm in ["none", "None", "HS256", "HS512", "", "RS1", "ES256K"] {
        let header = json!({"alg": algorithm, "kid": signer.public_key().libtrust_id()});
        let claims = claims().to_string();
        for signature in [Vec::new(), signer.public_key().spki_der().to_vec()] {
            let token = assemble(header.to_string().as_bytes(), claims.as_bytes(), |_| {
                signature
            });
            let refused = refusal(&verifier, &token);
            let expected = matches!(refused, VerifyError::AlgorithmNotAllowed { .. });
            assert!(expected, "{algorithm}: {refused}");
        }
    }
}

#[test]
fn the_algorithm_must_fit_the_key() {
    let signer = Signer::new(Algorithm::Es256);
    let certificate = signer.self_signed("signer");
    let verifier = trusting(&signer);
    for header in [
        json!({"alg": "RS256", "kid": signer.public_key().libtrust_id()}),
        json!({"alg": "RS256", "x5c": x5c([&certificate])}),
        json!({"alg": "ES384", "jwk": jwk(&signer, "x")}),
    ] {
        let refused = refusal(&verifier, &signer.token(header, &claims()));
        assert!(
            matches!(refused, VerifyError::AlgorithmMismatch { .. }),
            "{refused}"
        );
    }
}

#[test]
fn only_allowed_algorithms_count() {
    let signer = Signer::new(Algorithm::Es256);
    let settings = VerifierSettings {
        algorithms: vec![Algorithm::Rs256],
        ..settings()
    };
    let keys = TrustedKeys::from_certificates([signer.self_signed("signer")]);
    let verifier = Verifier::new(settings, keys);
    let refused = refusal(&verifier, &signer.token(libtrust(&signer), &claims()));
    assert!(matches!(refused, VerifyError::AlgorithmNotAllowed { .. }));
}

#[test]
fn a_jwks_key_serves_only_its_own_algorithm() {
    let mut signer = Signer::new(Algorithm::Rs256);
    let mut key = jwk(&signer, "x");
    key["alg"] = "RS256".into();
    let verifier = jwks(&[key]);
    assert!(
        verifier
            .verify(&signer.token(json!({"kid": "x"}), &claims()), now())
            .is_ok()
    );
    signer.algorithm = Algorithm::Ps256;
    let refused = refusal(&verifier, &signer.token(json!({"kid": "x"}), &claims()));
    assert_eq!(
        refused,
        VerifyError::AlgorithmMismatch {
            algorithm: Algorithm::Ps256
        }
    );
    let with_certificate = json!({"x5c": x5c([&signer.self_signed("x")])});
    let refused = refusal(&verifier, &signer.token(with_certificate, &claims()));
    assert_eq!(
        refused,
        VerifyError::AlgorithmMismatch {
            algorithm: Algorithm::Ps256
        }
    );
}

#[test]
fn wrong_issuer_and_service_are_told_with_what_was_expected() {
    let signer = Signer::new(Algorithm::Es256);
    let verifier = trusting(&signer);
    let refuse = |changes| {
        let token = signer.token(libtrust(&signer), &claims_with(changes));
        refusal(&verifier, &token).to_string()
    };
    assert_eq!(
        refuse(json!({"iss": "issuer.example/"})),
        "the token was issued by \"issuer.example/\", expected \"issuer.example\""
    );
    assert_eq!(
        refuse(json!({ "iss": null })),
        "the token was issued by \"\", expected \"issuer.example\""
    );
    assert_eq!(
        refuse(json!({"aud": ["a", "b"]})),
        "the token is for the service \"a, b\", expected \"registry.example\""
    );
    assert_eq!(
        refuse(json!({ "aud": null })),
        "the token is for the service \"\", expected \"registry.example\""
    );
}

#[test]
fn one_of_several_services_and_issuers_is_enough() {
    let signer = Signer::new(Algorithm::Es256);
    let settings = VerifierSettings {
        issuers: vec!["other".into(), ISSUER.into()],
        ..settings()
    };
    let keys = TrustedKeys::from_certificates([signer.self_signed("signer")]);
    let verifier = Verifier::new(settings, keys);
    let claims = claims_with(json!({"aud": ["other", SERVICE]}));
    assert!(
        verifier
            .verify(&signer.token(libtrust(&signer), &claims), now())
            .is_ok()
    );
}

#[test]
fn dates_have_sixty_seconds_of_leeway() {
    let signer = Signer::new(Algorithm::Es256);
    let verifier = trusting(&signer);
    let at = now().timestamp();
    let verify = |changes| {
        let token = signer.token(libtrust(&signer), &claims_with(changes));
        verifier.verify(&token, now())
    };
    assert!(verify(json!({"exp": at - 60})).is_ok());
    assert!(matches!(
        verify(json!({"exp": at - 61})),
        Err(VerifyError::Expired { .. })
    ));
    assert!(verify(json!({"nbf": at + 60})).is_ok());
    assert!(matches!(
        verify(json!({"nbf": at + 61})),
        Err(VerifyError::NotYetValid { .. })
    ));
    assert!(verify(json!({ "nbf": null, "iat": null })).is_ok());
    let refused = verify(json!({ "exp": null })).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the token is malformed: its claims: missing field `exp`"
    );
    // As far as a date can go, in both directions.
    assert!(verify(json!({"exp": 8_210_266_876_799_i64})).is_ok());
    assert!(verify(json!({"nbf": -8_334_601_228_800_i64})).is_ok());
}

#[test]
fn anonymous_and_empty_tokens_are_fine() {
    let signer = Signer::new(Algorithm::Es256);
    let claims = claims_with(json!({ "sub": null, "access": null }));
    let token = signer.token(libtrust(&signer), &claims);
    let verified = trusting(&signer).verify(&token, now()).unwrap();
    assert_eq!(verified.subject, None);
    assert!(verified.access.is_empty());
}

#[test]
fn malformed_tokens_are_refused_as_such() {
    let signer = Signer::new(Algorithm::Es256);
    let verifier = trusting(&signer);
    let good = claims().to_string();
    let key_id = signer.public_key().libtrust_id();
    let with_header = |header: &str| {
        assemble(header.as_bytes(), good.as_bytes(), |message| {
            signer.sign(message)
        })
    };
    let with_claims = |claims: &str| {
        let header = json!({"alg": "ES256", "kid": key_id}).to_string();
        assemble(header.as_bytes(), claims.as_bytes(), |message| {
            signer.sign(message)
        })
    };
    let fine = with_claims(&good);
    assert!(verifier.verify(&fine, now()).is_ok());
    let deep = format!("{{\"exp\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "a.b.c".into(),
        "é.é.é".into(),
        format!("{fine}."),
        format!(".{fine}"),
        format!("{fine}="),
        format!(" {fine}"),
        fine.replacen('.', "", 1),
        with_header(""),
        with_header("null"),
        with_header("[]"),
        with_header("{}"),
        with_header("{\"alg\":1}"),
        with_header("{\"alg\":\"ES256\",\"alg\":\"none\"}"),
        with_header("{\"alg\":\"ES256\",\"kid\":7}"),
        with_header("{\"alg\":\"ES256\",\"x5c\":\"x\"}"),
        with_header("{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}"),
        with_header(&deep),
        with_claims(""),
        with_claims("null"),
        with_claims("7"),
        with_claims(&deep),
        with_claims(&good.replace("\"exp\"", "\"exp\":1,\"exp\"")),
        with_claims(&claims_with(json!({"access": {}})).to_string()),
        with_claims(&claims_with(json!({"sub": 7})).to_string()),
    ] {
        let refused = refusal(&verifier, &token);
        assert!(
            matches!(refused, VerifyError::Malformed { .. }),
            "{token}: {refused}"
        );
    }
}

#[test]
fn size_is_bounded() {
    let signer = Signer::new(Algorithm::Es256);
    let verifier = trusting(&signer);
    let big = |bytes: usize| {
        signer.token(
            libtrust(&signer),
            &claims_with(json!({"user": "x".repeat(bytes)})),
        )
    };
    assert!(verifier.verify(&big(40_000), now()).is_ok());
    let refused = refusal(&verifier, &big(60_000));
    assert!(matches!(refused, VerifyError::TooLong { .. }), "{refused}");
    let entry = json!({"type": "repository", "name": "a", "actions": []});
    let many = claims_with(json!({"access": vec![entry; 1025]}));
    assert!(matches!(
        refusal(&verifier, &signer.token(libtrust(&signer), &many)),
        VerifyError::TooLong { .. } | VerifyError::Malformed { .. }
    ));
}

#[test]
fn nothing_is_believed_without_keys() {
    let signer = Signer::new(Algorithm::Es256);
    let certificate = signer.self_signed("signer");
    let verifier = verifier(TrustedKeys::none());
    for header in [
        json!({}),
        libtrust(&signer),
        json!({"x5c": x5c([&certificate])}),
    ] {
        assert!(
            verifier
                .verify(&signer.token(header, &claims()), now())
                .is_err()
        );
    }
}
