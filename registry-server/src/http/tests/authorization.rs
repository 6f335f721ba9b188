use std::time::Duration;

use actix_web::http::Method;
use registry_token::{Action, Actions, Denials, RepositoryName};

use crate::http::route::Endpoint;
use crate::testing::{GRACE, TestRegistry};

const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SESSION: &str = "b5e9bd6c-1f0b-4b0c-9b8a-1f0b4b0c9b8a";

/// A path of an endpoint. Exhaustive: whoever adds an endpoint is asked for one.
fn path(endpoint: Endpoint) -> String {
    match endpoint {
        Endpoint::Base => "/v2/".to_owned(),
        Endpoint::Catalog => "/v2/_catalog".to_owned(),
        Endpoint::Tags => "/v2/a/b/tags/list".to_owned(),
        Endpoint::Manifest => "/v2/a/b/manifests/v1".to_owned(),
        Endpoint::Blob => format!("/v2/a/b/blobs/{DIGEST}"),
        Endpoint::Uploads => "/v2/a/b/blobs/uploads/".to_owned(),
        Endpoint::Upload => format!("/v2/a/b/blobs/uploads/{SESSION}"),
        Endpoint::Referrers => format!("/v2/a/b/referrers/{DIGEST}"),
    }
}

/// What a token must allow for it, as the challenge says it.
fn scope(endpoint: Endpoint, method: &Method) -> &'static str {
    match (endpoint, method.as_str()) {
        (Endpoint::Base, _) => "",
        (Endpoint::Catalog, _) => "registry:catalog:*",
        (_, "GET" | "HEAD") => "repository:a/b:pull",
        (_, "DELETE") => "repository:a/b:delete",
        _ => "repository:a/b:pull,push",
    }
}

#[actix_web::test]
async fn nobody_gets_in_without_a_token() {
    let registry = TestRegistry::new().await;
    for endpoint in Endpoint::ALL {
        for method in METHODS {
            let answer = registry.call(method.clone(), &path(endpoint), None).await;
            if !endpoint.methods().contains(&method) {
                assert_eq!(answer.status, 405, "{method} {endpoint:?}");
                assert!(!answer.header("allow").is_empty(), "{method} {endpoint:?}");
                continue;
            }
            assert_eq!(
                answer.status, 401,
                "{method} {endpoint:?} answers whoever asks: build its proof in `dispatch`"
            );
            let scope = match scope(endpoint, &method) {
                "" => String::new(),
                scope => format!(",scope=\"{scope}\""),
            };
            assert_eq!(
                answer.header("www-authenticate"),
                format!(
                    "Bearer realm=\"https://auth.test/token\",service=\"test-registry\"{scope}"
                ),
                "{method} {endpoint:?}"
            );
            assert_eq!(
                answer.header("docker-distribution-api-version"),
                "registry/2.0"
            );
        }
    }
}

#[actix_web::test]
async fn a_token_for_something_else_is_not_enough() {
    let registry = TestRegistry::new().await;
    let tokens = [
        registry.token(&[]),
        registry.token(&[("a/b/c", Actions::ALL), ("a", Actions::ALL)]),
        registry.token(&[("a/b", Action::Push.into())]),
    ];
    for endpoint in Endpoint::ALL {
        for method in endpoint.methods() {
            for token in &tokens {
                let answer = registry
                    .call(method.clone(), &path(endpoint), Some(token))
                    .await;
                if endpoint == Endpoint::Base {
                    answer.expect(200);
                    continue;
                }
                let answer = answer.expect(401);
                let scope = scope(endpoint, method);
                assert!(
                    answer
                        .header("www-authenticate")
                        .ends_with(&format!("scope=\"{scope}\",error=\"insufficient_scope\"")),
                    "{answer:?}"
                );
            }
        }
    }
}

#[actix_web::test]
async fn the_catalog_opens_to_its_own_scope() {
    let registry = TestRegistry::new().await;
    let token = registry.catalog_token();
    let answer = registry
        .call(Method::GET, "/v2/_catalog", Some(&token))
        .await;
    answer.expect(200);
    let answer = registry
        .call(Method::GET, "/v2/a/tags/list", Some(&token))
        .await;
    answer.expect(401);
}

#[actix_web::test]
async fn a_token_that_is_wrong_is_called_invalid_and_why() {
    let registry = TestRegistry::new().await;
    let stranger = TestRegistry::new().await;
    let foreign = stranger.token(&[("a/b", Actions::ALL)]);
    let old = registry.token(&[("a/b", Actions::ALL)]);
    registry.clock.advance(Duration::from_secs(6 * 60 + 1));
    for token in ["x", "a.b.c", &foreign, &old] {
        let answer = registry
            .call(Method::GET, "/v2/a/b/manifests/v1", Some(token))
            .await
            .expect_error(401, "UNAUTHORIZED");
        assert!(
            answer
                .header("www-authenticate")
                .ends_with("scope=\"repository:a/b:pull\",error=\"invalid_token\""),
            "{answer:?}"
        );
    }
    let answer = registry.call(Method::GET, "/v2/", Some(&old)).await;
    let message = answer.json()["errors"][0]["message"].to_string();
    assert!(message.contains("expired"), "{message}");
}

#[actix_web::test]
async fn a_password_counts_as_no_token() {
    let registry = TestRegistry::new().await;
    for header in ["Basic YTpi", "Bearer", "Bearer  ", "bearer"] {
        let answer = registry
            .send(Method::GET, "/v2/", None, &[("authorization", header)], "")
            .await
            .expect(401);
        assert!(
            !answer.header("www-authenticate").contains("error="),
            "{header}"
        );
    }
    let token = registry.token(&[]);
    let lower = format!("bearer {token}");
    let answer = registry
        .send(Method::GET, "/v2/", None, &[("authorization", &lower)], "")
        .await;
    answer.expect(200);
}

#[actix_web::test]
async fn a_mount_needs_both_repositories_and_says_so_at_once() {
    let registry = TestRegistry::new().await;
    let mount = format!("/v2/a/b/blobs/uploads/?mount={DIGEST}&from=c/d");
    let half = registry.token(&[("a/b", Actions::PULL_PUSH)]);
    for (token, error) in [
        (None, ""),
        (Some(half.as_str()), ",error=\"insufficient_scope\""),
    ] {
        let answer = registry.call(Method::POST, &mount, token).await.expect(401);
        assert!(
            answer.header("www-authenticate").ends_with(&format!(
                "scope=\"repository:a/b:pull,push repository:c/d:pull\"{error}"
            )),
            "{answer:?}"
        );
    }
    let both = registry.token(&[("a/b", Actions::PULL_PUSH), ("c/d", Actions::PULL)]);
    // Nothing to mount: an upload instead.
    let answer = registry.call(Method::POST, &mount, Some(&both)).await;
    answer.expect(202);
}

/// Opens a session with a token that has expired meanwhile; returns both.
async fn open_and_expire(registry: &TestRegistry, subject: Option<&str>) -> (String, String) {
    let token = registry.token_of(subject, &[("a/b", Actions::PULL_PUSH)]);
    let answer = registry
        .call(Method::POST, "/v2/a/b/blobs/uploads/", Some(&token))
        .await
        .expect(202);
    let location = answer.header("location").to_owned();
    registry.clock.advance(Duration::from_mins(30));
    (token, location)
}

#[actix_web::test]
async fn an_upload_outlives_its_token() {
    let registry = TestRegistry::new().await;
    let (token, location) = open_and_expire(&registry, Some("alice")).await;
    let expired = Some(token.as_str());

    let answer = registry
        .send(Method::PATCH, &location, expired, &[], "hello")
        .await;
    answer.expect(202);
    let answer = registry.call(Method::GET, &location, expired).await;
    assert_eq!(answer.expect(204).header("range"), "0-4");
    let digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let close = format!("{location}?digest={digest}");
    registry
        .call(Method::PUT, &close, expired)
        .await
        .expect(201);

    // The token opens nothing else: no new session, no blob, no manifest.
    for (method, path) in [
        (Method::POST, "/v2/a/b/blobs/uploads/".to_owned()),
        (Method::GET, format!("/v2/a/b/blobs/{digest}")),
        (Method::PUT, "/v2/a/b/manifests/v1".to_owned()),
    ] {
        registry.call(method, &path, expired).await.expect(401);
    }
}

#[actix_web::test]
async fn an_expired_token_continues_only_the_session_of_its_subject() {
    let registry = TestRegistry::new().await;
    let bob = registry.token_of(Some("bob"), &[("a/b", Actions::PULL_PUSH)]);
    let nobody = registry.token_of(None, &[("a/b", Actions::PULL_PUSH)]);
    let elsewhere = registry.token_of(Some("alice"), &[("c", Actions::PULL_PUSH)]);
    let pull = registry.token_of(Some("alice"), &[("a/b", Actions::PULL)]);
    let (_, location) = open_and_expire(&registry, Some("alice")).await;

    for token in [&bob, &nobody, &elsewhere, &pull] {
        let answer = registry
            .send(Method::PATCH, &location, Some(token), &[], "hello")
            .await;
        answer.expect_error(401, "UNAUTHORIZED");
    }

    // A valid token of somebody else who may push here does.
    let bob = registry.token_of(Some("bob"), &[("a/b", Actions::PULL_PUSH)]);
    let answer = registry
        .send(Method::PATCH, &location, Some(&bob), &[], "hello")
        .await;
    answer.expect(202);
}

#[actix_web::test]
async fn anonymous_uploads_outlive_their_tokens_too() {
    let registry = TestRegistry::new().await;
    let (token, location) = open_and_expire(&registry, None).await;
    let answer = registry
        .send(Method::PATCH, &location, Some(&token), &[], "hello")
        .await;
    answer.expect(202);
}

#[actix_web::test]
async fn an_upload_does_not_outlive_its_token_for_ever() {
    let registry = TestRegistry::new().await;
    let (token, location) = open_and_expire(&registry, Some("alice")).await;
    registry.clock.advance(GRACE);
    let answer = registry
        .send(Method::PATCH, &location, Some(&token), &[], "hello")
        .await;
    answer.expect_error(401, "UNAUTHORIZED");
}

#[actix_web::test]
async fn a_token_that_expired_before_the_session_opened_does_not_continue_it() {
    let registry = TestRegistry::new().await;
    let old = registry.token(&[("a/b", Actions::PULL_PUSH)]);
    registry.clock.advance(Duration::from_mins(10));
    let (_, location) = open_and_expire(&registry, Some("alice")).await;
    let answer = registry
        .send(Method::PATCH, &location, Some(&old), &[], "hello")
        .await;
    answer.expect_error(401, "UNAUTHORIZED");
}

#[actix_web::test]
async fn an_expired_token_does_not_learn_which_sessions_there_are() {
    let registry = TestRegistry::new().await;
    let (token, _) = open_and_expire(&registry, Some("alice")).await;
    let other = format!("/v2/a/b/blobs/uploads/{SESSION}");
    let answer = registry.call(Method::GET, &other, Some(&token)).await;
    answer.expect_error(401, "UNAUTHORIZED");
    let valid = registry.token(&[("a/b", Actions::PULL_PUSH)]);
    let answer = registry.call(Method::GET, &other, Some(&valid)).await;
    answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[actix_web::test]
async fn the_issuers_words_are_shown_and_open_nothing() {
    let registry = TestRegistry::new().await;
    let mut denials = Denials::default();
    let name: RepositoryName = "a/b".parse().unwrap();
    denials.add(name, "create the project `a`, \"then\" push");
    let token = registry.token_with(&[("a/b", Actions::PULL)], denials);
    let said = "create the project `a`, ?then? push";
    for (method, path) in [
        (Method::POST, "/v2/a/b/blobs/uploads/"),
        (Method::DELETE, "/v2/a/b/manifests/v1"),
        (Method::POST, "/v2/a/b/blobs/uploads/?mount=x&from=c/d"),
    ] {
        let answer = registry.call(method, path, Some(&token)).await;
        assert_eq!(answer.status, 401);
        assert!(
            answer.header("www-authenticate").ends_with(&format!(
                ",error=\"insufficient_scope\",error_description=\"{said}\""
            )),
            "{}",
            answer.header("www-authenticate")
        );
        assert_eq!(answer.json()["errors"][0]["message"], said);
    }
    // About another repository nothing was said.
    let answer = registry
        .call(Method::POST, "/v2/c/d/blobs/uploads/", Some(&token))
        .await;
    assert!(
        answer
            .header("www-authenticate")
            .ends_with(",error=\"insufficient_scope\"")
    );
}
