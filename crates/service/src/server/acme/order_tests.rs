use super::*;

fn problem(kind: &str) -> Problem {
    let json = format!("{{\"type\":\"{PROBLEM}{kind}\",\"detail\":\"no luck\",\"status\":400}}");
    serde_json::from_str(&json).unwrap()
}

#[test]
fn each_refusal_comes_with_what_to_do() {
    for (kind, advice) in [
        ("connection", "port 443"),
        ("tls", "port 443"),
        ("unauthorized", "another server"),
        ("incorrectResponse", "another server"),
        ("dns", "in the DNS"),
        ("caa", "CAA"),
        ("rejectedIdentifier", "`hosts`"),
        ("rateLimited", "`cachefile`"),
        ("invalidContact", "`email`"),
        ("unsupportedContact", "`email`"),
        ("externalAccountRequired", "proxy"),
        ("badCSR", "words"),
    ] {
        let refused = OrderError::Refused(problem(kind));
        let host = "a.test".to_owned();
        let problem = problem(kind);
        let unconfirmed = OrderError::Unconfirmed { host, problem };
        assert!(refused.advice().contains(advice), "{kind}");
        assert_eq!(refused.advice(), unconfirmed.advice());
        let text = format!("no luck ({kind})");
        assert!(refused.to_string().ends_with(&text), "{refused}");
        assert!(unconfirmed.to_string().contains("a.test: no luck"));
        assert!(!refused.is_free());
    }
}

#[test]
fn who_is_not_reached_has_counted_nothing() {
    let error = OrderError::from(Error::Other("connection refused".into()));
    assert!(error.is_free() && error.advice().contains("SSL_CERT_FILE"));
    assert_eq!(
        error.to_string(),
        "cannot ask the authority: connection refused"
    );
}

#[test]
fn an_account_may_get_lost_at_the_authority() {
    assert!(OrderError::Refused(problem("accountDoesNotExist")).is_lost_account());
    assert!(!OrderError::Refused(problem("unauthorized")).is_lost_account());
}

#[test]
fn the_parts_of_a_refusal_are_told() {
    let problem: Problem = serde_json::from_str(
        r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"some names","subproblems":
            [{"type":"x","detail":"forbidden","identifier":{"type":"dns","value":"b.test"}}]}"#,
    )
    .unwrap();
    let told = OrderError::Refused(problem).to_string();
    assert!(
        told.contains("some names (rejectedIdentifier); for \"b.test\": forbidden"),
        "{told}"
    );
}
