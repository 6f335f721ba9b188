use chrono::TimeDelta;
use registry_token::{
    Access, Certificate as TokenCertificate, Denials, SigningAlgorithm, SigningKey,
};
use serde_json::{Value, json};

use super::*;
use crate::report::Status;
use crate::testing::{answer, noon};

fn signing_key() -> SigningKey {
    SigningKey::generate(SigningAlgorithm::Es256, noon()).unwrap()
}

fn claims() -> Claims {
    Claims {
        issuer: "issuer".to_owned(),
        subject: None,
        audience: "registry".into(),
        expires_at: noon() + TimeDelta::minutes(5),
        not_before: Some(noon()),
        issued_at: Some(noon()),
        id: None,
        access: Access::none(),
        auth_type: None,
        denials: Denials::default(),
    }
}

fn belief(key: &SigningKey) -> Belief {
    let bundle = TokenCertificate::bundle_from_pem(key.certificate_pem().as_bytes()).unwrap();
    Belief {
        issuer: "issuer".to_owned(),
        service: "registry".to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
        keys: TrustedKeys::from_certificates(bundle),
        source: "/bundle.pem".to_owned(),
    }
}

fn judged(key: &SigningKey, claims: &Claims, belief: &Belief) -> Verdict {
    let text = key.sign(claims).unwrap();
    let token = Token::decode(&text).unwrap();
    signature_verdict(&text, &token, belief, noon())
}

/// A token of this header and these claims, with a signature that nobody looks at.
fn unsigned(header: &Value, claims: &Value) -> Token {
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    Token::decode(&format!("{}.{}.AAAA", encode(header), encode(claims))).unwrap()
}

#[test]
fn a_token_is_checked_against_what_the_registry_believes() {
    let key = signing_key();
    let good = belief(&key);
    assert_eq!(judged(&key, &claims(), &good).status, Status::Ok);

    let stranger = judged(&signing_key(), &claims(), &good);
    assert!(stranger.is_failure());
    assert!(
        stranger.message.contains("which is not in /bundle.pem"),
        "{stranger:?}"
    );
    assert!(stranger.fix.unwrap().contains("auth.token.rootcertbundle"));

    let mut other = good.clone();
    other.issuer = "issuer/".to_owned();
    let verdict = judged(&key, &claims(), &other);
    assert!(
        verdict.message.contains("a slash at the end"),
        "{verdict:?}"
    );
    assert!(verdict.fix.unwrap().contains("auth.token.issuer"));

    other = good.clone();
    other.service = "Registry".to_owned();
    let verdict = judged(&key, &claims(), &other);
    assert!(
        verdict.message.contains("upper and lower case"),
        "{verdict:?}"
    );

    other = good.clone();
    other.algorithms = vec![Algorithm::Rs256];
    let verdict = judged(&key, &claims(), &other);
    assert!(
        verdict
            .fix
            .unwrap()
            .contains("auth.token.signingalgorithms")
    );

    let mut old = claims();
    old.expires_at = noon() - TimeDelta::hours(1);
    let verdict = judged(&key, &old, &good);
    assert!(verdict.fix.unwrap().contains("clocks"));
}

#[test]
fn the_service_must_be_the_same_on_both_sides() {
    let token = unsigned(
        &json!({"alg": "ES256"}),
        &json!({"exp": 1, "aud": "registry.test"}),
    );
    assert_eq!(service_verdict(&token, "registry.test").status, Status::Ok);
    let verdict = service_verdict(&token, "registry-test");
    assert!(
        verdict.message.contains("differ in one character"),
        "{verdict:?}"
    );
    assert!(verdict.fix.unwrap().contains("token.services"));
}

#[test]
fn who_logs_in_must_get_a_token_of_their_own() {
    let of = |claims: &Value| unsigned(&json!({"alg": "ES256"}), claims);
    let anybody = of(&json!({"exp": 1}));
    assert_eq!(subject_verdict(&anybody, None).status, Status::Ok);
    let verdict = subject_verdict(&anybody, Some("alice"));
    assert!(
        verdict.message.contains("the password did not arrive"),
        "{verdict:?}"
    );
    let alice = of(&json!({"exp": 1, "sub": "alice"}));
    assert_eq!(subject_verdict(&alice, Some("alice")).status, Status::Ok);
}

#[test]
fn what_some_registries_cannot_check_is_worth_a_warning() {
    let form = |header: &Value| form_verdict(&unsigned(header, &json!({"exp": 1, "aud": "r"})));
    let libtrust = "ABCD:ABCD:ABCD:ABCD:ABCD:ABCD:ABCD:ABCD:ABCD:ABCD:ABCD:ABCD";
    assert_eq!(
        form(&json!({"alg": "ES256", "kid": libtrust})).status,
        Status::Ok
    );
    assert_eq!(
        form(&json!({"alg": "RS256", "x5c": ["AA=="]})).status,
        Status::Ok
    );
    let thumbprint = form(&json!({"alg": "RS256", "kid": "x"}));
    assert!(
        thumbprint.message.contains("distribution 2 finds a key"),
        "{thumbprint:?}"
    );
    let modern = form(&json!({"alg": "EdDSA", "kid": libtrust}));
    assert_eq!(modern.status, Status::Warning);
    for unsafe_one in ["none", "HS256"] {
        assert!(form(&json!({"alg": unsafe_one})).is_failure());
    }
    let list = unsigned(&json!({"alg": "ES256"}), &json!({"exp": 1, "aud": ["r"]}));
    assert!(form_verdict(&list).message.contains("is a list"));
}

#[test]
fn what_is_no_token_is_said_to_be_none() {
    for text in ["", "a.b", "a.b.c.d", "?.?.?", "e30.e30.x"] {
        assert!(Token::decode(text).is_err(), "{text}");
    }
}

#[test]
fn the_realm_gives_a_token_or_says_why_not() {
    let json = [("content-type", "application/json")];
    let ask = |status, body, user| issued(&answer(status, &json, body), user);
    let (verdict, token) = ask(200, r#"{"access_token":"x"}"#, Some("alice"));
    assert_eq!((verdict.status, token.as_deref()), (Status::Ok, Some("x")));
    let refused = r#"{"errors":[{"message":"wrong username or password"}]}"#;
    let (verdict, token) = ask(401, refused, Some("alice"));
    assert!(verdict.is_failure() && token.is_none());
    assert!(
        verdict.message.contains("wrong username or password"),
        "{verdict:?}"
    );
    assert_eq!(ask(401, refused, None).0.status, Status::Skipped);
    assert!(ask(200, "{}", None).0.is_failure());
    assert!(ask(429, "{}", Some("alice")).0.message.contains("too many"));
    assert!(
        ask(500, "{}", Some("alice"))
            .0
            .message
            .contains("answered 500")
    );
}

#[test]
fn a_header_that_is_taken_away_is_told_from_one_that_is_refused() {
    let bearer = r#"Bearer realm="https://a.test",service="r""#;
    let invalid = format!(r#"{bearer},error="invalid_token""#);
    let with = |header: &str| answer(401, &[("www-authenticate", header)], "");

    assert_eq!(header_verdict(&with(&invalid)).status, Status::Ok);
    let stripped = header_verdict(&with(bearer));
    assert!(
        stripped.message.contains("no token arrives"),
        "{stripped:?}"
    );
    assert!(header_verdict(&answer(200, &[], "")).is_failure());
    assert_eq!(header_verdict(&answer(400, &[], "")).status, Status::Ok);
    assert_eq!(
        header_verdict(&answer(502, &[], "")).status,
        Status::Warning
    );

    let token = unsigned(
        &json!({"alg": "ES256", "kid": "k"}),
        &json!({"exp": 1, "iss": "me"}),
    );
    let accepted = |answer: &Answer| accepted_verdict(answer, Some(&token));
    assert_eq!(accepted(&answer(200, &[], "{}")).status, Status::Ok);
    let refused = accepted(&with(&invalid));
    assert!(
        refused.message.contains("arrived and was refused"),
        "{refused:?}"
    );
    assert!(
        refused
            .fix
            .unwrap()
            .contains("issuer` of the registry to \"me\"")
    );
    let lost = accepted(&with(bearer));
    assert!(lost.message.contains("did not arrive"), "{lost:?}");
    let narrow = accepted(&with(&format!(r#"{bearer},error="insufficient_scope""#)));
    assert!(narrow.is_failure());
    let page = answer(
        400,
        &[("server", "nginx")],
        "Request Header Or Cookie Too Large",
    );
    assert!(
        accepted(&page)
            .fix
            .unwrap()
            .contains("large_client_header_buffers")
    );
    assert!(accepted(&answer(401, &[], "")).is_failure());
    assert!(accepted(&answer(500, &[], "")).is_failure());
}
