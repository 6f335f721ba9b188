use registry_token::TrustedKeys;
use reqwest::Method;

use crate::http::test_app::{Answer, TestApp};

const JWKS: &str = "/.well-known/jwks.json";
const BUNDLE: &str = "/certs/bundle.pem";

#[tokio::test]
async fn both_forms_hold_the_key_that_signs() {
    let app = TestApp::start().await;
    let jwks = Answer::of(app.request(Method::GET, JWKS)).await.expect(200);
    assert_eq!(jwks.header("content-type"), "application/jwk-set+json");
    let from_jwks = TrustedKeys::from_jwks_json(jwks.text.as_bytes()).unwrap();
    let bundle = Answer::of(app.request(Method::GET, BUNDLE))
        .await
        .expect(200);
    let from_bundle = TrustedKeys::from_bundle_pem(bundle.text.as_bytes()).unwrap();
    let key = app.application.state.issuer.keys.current().unwrap();
    assert!(from_jwks.public_keys().eq([key.public_key()]));
    assert!(from_bundle.public_keys().eq([key.public_key()]));
    for text in [jwks.text, bundle.text] {
        assert!(
            !text.contains("PRIVATE") && !text.contains("\"d\""),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_unchanged_document_is_not_sent_again() {
    let app = TestApp::start().await;
    for path in [JWKS, BUNDLE] {
        let answer = Answer::of(app.request(Method::GET, path)).await.expect(200);
        assert_eq!(answer.header("cache-control"), "public, max-age=150");
        let tag = answer.header("etag").to_owned();
        for known in [&tag, &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
            let request = app
                .request(Method::GET, path)
                .header("if-none-match", known);
            let answer = Answer::of(request).await.expect(304);
            assert_eq!(answer.header("etag"), tag);
            assert_eq!(answer.text, "");
        }
        let request = app
            .request(Method::GET, path)
            .header("if-none-match", "\"x\"");
        Answer::of(request).await.expect(200);
        let head = Answer::of(app.request(Method::HEAD, path))
            .await
            .expect(200);
        assert_eq!(head.header("etag"), tag);
        Answer::of(app.request(Method::POST, path))
            .await
            .error(405, "UNSUPPORTED");
    }
}
