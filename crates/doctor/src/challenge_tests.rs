use super::*;
use crate::report::Status;
use crate::testing::answer;

fn refused(header: &str) -> (Verdict, Option<Entrance>) {
    entrance(&answer(401, &[("www-authenticate", header)], ""))
}

#[test]
fn a_challenge_leads_to_the_realm() {
    let (verdict, found) =
        refused(r#"Bearer realm="https://auth.test/token",service="r.test",scope="a:b:c d""#);
    assert_eq!(verdict.status, Status::Ok);
    let Some(Entrance::Token { realm, service }) = found else {
        panic!("{found:?}");
    };
    assert_eq!(
        (realm.as_str(), service.as_str()),
        ("https://auth.test/token", "r.test")
    );
}

#[test]
fn a_challenge_is_read_as_clients_read_it() {
    for header in [
        r#"bearer realm="https://a.test/t",service="s""#,
        r#"Bearer  realm="https://a.test/t" , service="s", error="invalid_token""#,
        "Bearer realm=https://a.test/t,service=s",
        r#"Bearer service="s",realm="https:\/\/a.test/t""#,
    ] {
        let (verdict, found) = refused(header);
        assert!(
            matches!(found, Some(Entrance::Token { .. })),
            "{header}: {verdict:?}"
        );
    }
    let both = answer(
        401,
        &[
            ("www-authenticate", "Basic realm=\"x\""),
            (
                "www-authenticate",
                "Bearer realm=\"https://a.test\",service=\"s\"",
            ),
        ],
        "",
    );
    assert!(matches!(Asked::by(&both), Asked::Bearer(_)));
}

#[test]
fn every_broken_challenge_names_its_setting() {
    for (header, words) in [
        (r#"Bearer service="s""#, "auth.token.realm"),
        (
            r#"Bearer realm="/auth/token",service="s""#,
            "auth.token.realm",
        ),
        (
            r#"Bearer realm="ftp://a.test",service="s""#,
            "auth.token.realm",
        ),
        (r#"Bearer realm="https://a.test""#, "auth.token.service"),
        (
            r#"Bearer realm="https://a.test",service="""#,
            "auth.token.service",
        ),
        (r#"Bearer realm="https://a.test"#, "WWW-Authenticate"),
        ("Negotiate", "WWW-Authenticate"),
    ] {
        let (verdict, found) = refused(header);
        assert!(verdict.is_failure() && found.is_none(), "{header}");
        assert!(verdict.fix.unwrap().contains(words), "{header}");
    }
    let (verdict, _) = entrance(&answer(401, &[], ""));
    assert!(verdict.message.contains("without a `WWW-Authenticate`"));
}

#[test]
fn other_entrances_are_recognized() {
    let (verdict, found) = entrance(&answer(200, &[], "{}"));
    assert_eq!(
        (verdict.status, found),
        (Status::Warning, Some(Entrance::Open))
    );
    assert_eq!(refused("Basic realm=\"r\"").1, Some(Entrance::Password));
}

#[test]
fn what_stands_before_the_registry_is_named() {
    let page = [("content-type", "text/html"), ("server", "nginx")];
    for (status, words) in [
        (502, "nginx is there, the registry behind it is not (502)"),
        (503, "is not (503)"),
        (504, "is not (504)"),
        (
            404,
            "there is no registry at this address: GET /v2/ was answered 404 by nginx",
        ),
        (403, "nginx forbids"),
        (500, "answered 500"),
    ] {
        let (verdict, found) = entrance(&answer(status, &page, "<center>nginx</center>"));
        assert!(verdict.is_failure() && found.is_none());
        assert!(verdict.message.contains(words), "{verdict:?}");
    }
    let json = [("content-type", "application/json")];
    let unwell = r#"{"errors":[{"code":"UNAVAILABLE","message":"the storage fails"}]}"#;
    let verdict = entrance(&answer(503, &json, unwell)).0;
    assert!(
        verdict
            .message
            .contains("not well (503): the storage fails"),
        "{verdict:?}"
    );
    let gone = r#"{"errors":[{"code":"UNAVAILABLE","message":"it cannot be reached"}]}"#;
    let verdict = entrance(&answer(503, &json, gone)).0;
    assert!(verdict.message.contains("behind it is not"), "{verdict:?}");
    let moved = answer(301, &[("location", "https://registry.test/v2/")], "");
    assert!(entrance(&moved).0.message.contains("redirected (301)"));
    for body in [
        "The plain HTTP request was sent to HTTPS port",
        "Client sent an HTTP request to an HTTPS server.",
    ] {
        let verdict = entrance(&answer(400, &[], body)).0;
        assert!(verdict.message.contains("speaks TLS"), "{verdict:?}");
    }
}

#[test]
fn the_version_header_matters_to_old_clients() {
    let with = |value| answer(401, &[("docker-distribution-api-version", value)], "");
    assert_eq!(version_verdict(&with("registry/2.0")).status, Status::Ok);
    assert_eq!(
        version_verdict(&with("registry/1.0")).status,
        Status::Warning
    );
    assert_eq!(
        version_verdict(&answer(401, &[], "")).status,
        Status::Warning
    );
}

proptest::proptest! {
    /// A challenge as a registry writes it is read back, whatever is in it and around it.
    #[test]
    fn what_was_quoted_is_read_back(
        service in "[ -!#-\\[\\]-~]{1,40}",
        scope in "[ -!#-\\[\\]-~]{0,40}",
        space in "[ \t]{0,3}",
    ) {
        let header = format!(
            "Bearer {space}realm=\"https://auth.test/token\",{space}service=\"{service}\",scope=\"{scope}\""
        );
        let found = refused(&header).1;
        let expected = Entrance::Token {
            realm: "https://auth.test/token".parse().unwrap(),
            service,
        };
        proptest::prop_assert_eq!(found, Some(expected));
    }

    #[test]
    fn anything_may_be_in_a_header(header in "[ -~]{0,200}") {
        let _ = refused(&header);
        let _ = refused(&format!("Bearer {header}"));
    }

    #[test]
    fn anything_may_be_in_a_token(token in "[A-Za-z0-9_.-]{0,300}") {
        let _ = crate::token::Token::decode(&token);
    }
}
