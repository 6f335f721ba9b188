use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::{ADMIN_PASSWORD, Answer, PASSWORD, SERVICE, TestApp};
use crate::testing::{context_at, set_disabled};

const ALICE: Option<(&str, &str)> = Some(("alice", PASSWORD));
const LOGIN: &str = "service=portcullis-registry";

/// The claim `access` of an answer, as JSON.
pub async fn access(app: &TestApp, answer: &Answer) -> Value {
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    serde_json::to_value(app.verify(&token).await.access).unwrap()
}

async fn project(app: &TestApp, path: &str, visibility: &str) {
    let body = json!({"path": path, "visibility": visibility});
    app.admin(Method::POST, "/api/v1/projects", &body)
        .await
        .expect(201);
}

#[tokio::test]
async fn docker_login_gets_a_token_without_access_and_a_refresh_token() {
    let app = TestApp::start().await;
    let query = format!("account=alice&client_id=docker&offline_token=true&{LOGIN}");
    let answer = app.token(ALICE, &query).await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!(body["token"], body["access_token"]);
    assert_eq!(body["expires_in"], 300);
    assert_eq!(body["issued_at"], "2027-01-15T08:00:00Z");
    assert!(body["refresh_token"].as_str().unwrap().starts_with("ptcr_"));
    assert!(body.get("scope").is_none(), "GET has no scope");

    let claims = app.verify(body["token"].as_str().unwrap()).await;
    let now = app.clock.now().timestamp();
    assert_eq!(claims.issuer, "portcullis-auth");
    assert_eq!(claims.subject.as_deref(), Some("alice"));
    assert!(claims.audience.iter().eq([SERVICE]));
    assert_eq!(claims.issued_at.unwrap().timestamp(), now);
    assert_eq!(claims.not_before.unwrap().timestamp(), now - 5);
    assert_eq!(claims.expires_at.timestamp(), now + 300);
    assert_eq!(claims.auth_type.as_deref(), Some("password"));
    assert!(claims.access.is_empty());
    let id = claims.id.unwrap();
    assert!(uuid::Uuid::try_parse(&id).is_ok(), "{id}");

    let again = app.token(ALICE, LOGIN).await.expect(200).json();
    assert!(again.get("refresh_token").is_none(), "only if asked for");
    let again = app.verify(again["token"].as_str().unwrap()).await;
    assert_ne!(again.id.unwrap(), id);
}

#[tokio::test]
async fn both_paths_and_both_methods_answer_alike() {
    let app = TestApp::start().await;
    for path in ["/jwt/auth", "/auth/token"] {
        let get = app
            .request(
                Method::GET,
                &format!("{path}?{LOGIN}&scope=repository:alice/app:pull"),
            )
            .basic_auth("alice", Some(PASSWORD));
        let get = Answer::of(get).await.expect(200);
        let post = app.request(Method::POST, path).form(&[
            ("grant_type", "password"),
            ("service", SERVICE),
            ("client_id", "containerd-client"),
            ("username", "alice"),
            ("password", PASSWORD),
            ("scope", "repository:alice/app:pull"),
        ]);
        let post = Answer::of(post).await.expect(200);
        assert_eq!(access(&app, &get).await, access(&app, &post).await);
        assert_eq!(post.json()["scope"], "repository:alice/app:pull");
        assert_eq!(post.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn scopes_are_repeated_and_split_and_intersected_with_what_is_permitted() {
    let app = TestApp::start().await;
    project(&app, "open", "public").await;
    let expected = json!([
        // The first push to one's own namespace has made a project of it.
        {"type": "repository", "name": "alice/app", "actions": ["pull", "push"],
         "meta": {"project_path": "alice/app", "project_id": 2, "root_namespace_id": 2}},
        {"type": "repository", "name": "open/base", "actions": ["pull"],
         "meta": {"project_path": "open", "project_id": 1, "root_namespace_id": 4}},
    ]);
    let query = format!(
        "{LOGIN}&scope=repository:alice/app:pull,push%20repository:open/base:pull,push\
         &scope=repository:bob/app:pull&scope=registry:catalog:*&scope="
    );
    let get = app.token(ALICE, &query).await.expect(200);
    assert_eq!(access(&app, &get).await, expected);
    let post = app
        .post_token(&[
            ("grant_type", "password"),
            ("service", SERVICE),
            ("client_id", "containers/image"),
            ("username", "alice"),
            ("password", PASSWORD),
            (
                "scope",
                "repository:alice/app:push,pull repository:open/base:*",
            ),
            ("scope", "repository:bob/app:pull"),
        ])
        .await
        .expect(200);
    assert_eq!(access(&app, &post).await, expected);
    assert_eq!(
        post.json()["scope"],
        "repository:alice/app:pull,push repository:open/base:pull"
    );
}

#[tokio::test]
async fn an_administrator_may_list_the_catalog_and_push_anywhere() {
    let app = TestApp::start().await;
    let query = format!("{LOGIN}&scope=registry:catalog:*&scope=repository:any/thing:*");
    let answer = app
        .token(Some(("admin", ADMIN_PASSWORD)), &query)
        .await
        .expect(200);
    assert_eq!(
        access(&app, &answer).await,
        json!([
            {"type": "registry", "name": "catalog", "actions": ["*"]},
            {"type": "repository", "name": "any/thing", "actions": ["*"]},
        ])
    );
}

#[tokio::test]
async fn anonymous_pulls_what_is_public_and_learns_nothing_of_the_rest() {
    let app = TestApp::start().await;
    project(&app, "open", "public").await;
    project(&app, "closed", "private").await;
    let answer = app
        .token(
            None,
            &format!("{LOGIN}&offline_token=true&scope=repository:open/a:pull,push"),
        )
        .await
        .expect(200);
    assert!(answer.json().get("refresh_token").is_none());
    let claims = app.verify(answer.json()["token"].as_str().unwrap()).await;
    assert_eq!(claims.subject, None);
    assert_eq!(claims.auth_type, None);
    assert_eq!(access(&app, &answer).await[0]["actions"], json!(["pull"]));

    for hidden in ["closed/a", "alice/app", "no/such"] {
        let query = format!("{LOGIN}&scope=repository:{hidden}:pull");
        let answer = app.token(None, &query).await.expect(200);
        assert_eq!(access(&app, &answer).await, json!([]), "{hidden}");
    }
}

#[tokio::test]
async fn visibility_is_followed_at_once() {
    let app = TestApp::start().await;
    project(&app, "bob/app", "private").await;
    let query = format!("{LOGIN}&scope=repository:bob/app:pull");
    assert_eq!(
        access(&app, &app.token(None, &query).await).await,
        json!([])
    );
    let change = json!({"visibility": "public"});
    app.admin(Method::PATCH, "/api/v1/projects/bob%2Fapp", &change)
        .await
        .expect(200);
    let granted = access(&app, &app.token(None, &query).await).await;
    assert_eq!(granted[0]["meta"]["project_path"], "bob/app");
}

#[tokio::test]
async fn wrong_credentials_are_401_for_both_methods() {
    let app = TestApp::start().await;
    for who in [
        ("alice", "wrong"),
        ("nobody", PASSWORD),
        ("", ""),
        ("ALICE", PASSWORD),
    ] {
        let get = app.token(Some(who), LOGIN).await;
        assert!(get.header("www-authenticate").starts_with("Basic "));
        assert_eq!(get.error(401, "UNAUTHORIZED"), "wrong username or password");
        let post = app
            .post_token(&[
                ("grant_type", "password"),
                ("service", SERVICE),
                ("username", who.0),
                ("password", who.1),
            ])
            .await;
        assert_eq!(
            post.error(401, "UNAUTHORIZED"),
            "wrong username or password"
        );
    }
    let bearer = app
        .request(Method::GET, &format!("/auth/token?{LOGIN}"))
        .bearer_auth("something");
    Answer::of(bearer).await.error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_refresh_token_opens_without_the_password_until_it_ends() {
    let app = TestApp::start().await;
    let login = app
        .token(ALICE, &format!("{LOGIN}&offline_token=true"))
        .await
        .expect(200);
    let refresh_token = login.json()["refresh_token"].as_str().unwrap().to_owned();
    let refresh = async |token: &str, more: &[(&str, &str)]| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("service", SERVICE),
            ("client_id", "docker"),
            ("refresh_token", token),
            ("scope", "repository:alice/app:pull"),
        ];
        app.post_token(&[&fields, more].concat()).await
    };
    let answer = refresh(&refresh_token, &[]).await.expect(200);
    assert_eq!(access(&app, &answer).await[0]["name"], "alice/app");
    assert!(answer.json().get("refresh_token").is_none());
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(
        app.verify(&token).await.auth_type.as_deref(),
        Some("refresh_token")
    );

    let answer = refresh(&refresh_token, &[("access_type", "offline")])
        .await
        .expect(200);
    assert_eq!(answer.json()["refresh_token"], refresh_token.as_str());

    let message = refresh("ptcr_guess", &[]).await.error(401, "UNAUTHORIZED");
    assert!(message.contains("unknown"), "{message}");
    app.clock.advance(Duration::from_hours(90 * 24));
    let message = refresh(&refresh_token, &[])
        .await
        .error(401, "UNAUTHORIZED");
    assert!(message.contains("expired"), "{message}");
}

#[tokio::test]
async fn a_disabled_user_is_refused_whatever_the_credentials() {
    let app = TestApp::start().await;
    let login = app
        .token(ALICE, &format!("{LOGIN}&offline_token=true"))
        .await
        .expect(200);
    let refresh_token = login.json()["refresh_token"].as_str().unwrap().to_owned();
    set_disabled(&context_at(app.database(), &app.clock), "alice", true).await;
    let message = app.token(ALICE, LOGIN).await.error(401, "UNAUTHORIZED");
    assert_eq!(message, "this account is disabled");
    let fields = [
        ("grant_type", "refresh_token"),
        ("service", SERVICE),
        ("refresh_token", refresh_token.as_str()),
    ];
    let message = app.post_token(&fields).await.error(401, "UNAUTHORIZED");
    assert!(message.contains("revoked"), "{message}");
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_400_and_says_why() {
    let app = TestApp::start().await;
    let many = "&scope=repository:a:pull".repeat(101);
    let parameters = "&x=1".repeat(256);
    for (query, words) in [
        ("", "`service`"),
        ("service=", "portcullis-registry"),
        ("service=other", "portcullis-registry"),
        ("service=a&service=b", "twice"),
        (&*format!("{LOGIN}&scope=nonsense"), "type:name:action"),
        (
            &*format!("{LOGIN}&scope=repository:UPPER:pull"),
            "lower-case",
        ),
        (&*format!("{LOGIN}{many}"), "at most 100 scopes"),
        (&*format!("{LOGIN}{parameters}"), "256 parameters"),
        (&*format!("{LOGIN}&client_id=%FF"), "UTF-8"),
    ] {
        let message = app.token(None, query).await.error(400, "BAD_REQUEST");
        assert!(message.contains(words), "{query:.80}: {message}");
    }
    let repeated = format!("{LOGIN}&{LOGIN}");
    app.token(None, &repeated).await.expect(200);
}

#[tokio::test]
async fn malformed_basic_credentials_are_400() {
    let app = TestApp::start().await;
    let long = format!("Basic {}", "A".repeat(17_000));
    for (header, words) in [
        ("Basic *", "base64"),
        ("Basic YWxpY2U=", "username:password"),
        ("Basic gICA", "UTF-8"),
        (&long, "16384"),
    ] {
        let request = app
            .request(Method::GET, &format!("/auth/token?{LOGIN}"))
            .header("authorization", header);
        let message = Answer::of(request).await.error(400, "BAD_REQUEST");
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn a_form_that_cannot_be_used_is_refused_in_json() {
    let app = TestApp::start().await;
    let password = ("grant_type", "password");
    for (fields, code, words) in [
        (&[("service", SERVICE)][..], "BAD_REQUEST", "`grant_type`"),
        (&[password, ("password", "x")], "BAD_REQUEST", "`username`"),
        (&[password, ("username", "x")], "BAD_REQUEST", "`password`"),
        (
            &[password, ("username", "x"), ("password", "y")],
            "BAD_REQUEST",
            "`service`",
        ),
        (
            &[("grant_type", "refresh_token")],
            "BAD_REQUEST",
            "`refresh_token`",
        ),
        (
            &[("grant_type", "authorization_code")],
            "UNSUPPORTED",
            "`refresh_token`",
        ),
    ] {
        let message = app.post_token(fields).await.error(400, code);
        assert!(message.contains(words), "{fields:?}: {message}");
    }
    let post = || app.request(Method::POST, "/auth/token");
    Answer::of(post().json(&json!({})))
        .await
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    Answer::of(post().body("grant_type=password"))
        .await
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    let huge = [("grant_type", "x".repeat(200_000))];
    Answer::of(post().form(&huge))
        .await
        .error(413, "SIZE_INVALID");
}

#[tokio::test]
async fn other_methods_are_405_in_json() {
    let app = TestApp::start().await;
    for path in ["/jwt/auth", "/auth/token"] {
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            let answer = Answer::of(app.request(method, path)).await;
            assert_eq!(answer.header("allow"), "GET, POST");
            answer.error(405, "UNSUPPORTED");
        }
        let head = Answer::of(app.request(Method::HEAD, &format!("{path}?{LOGIN}"))).await;
        assert_eq!(head.expect(405).header("allow"), "GET, POST");
    }
}

#[tokio::test]
async fn too_many_logins_at_once_are_503_with_a_time_to_come_back() {
    let app = TestApp::start_with(|settings| {
        settings.password.concurrency = crate::config::Number::clamped(1);
        settings.password.queue = crate::config::Number::clamped(0);
        // Slow enough that the logins below meet.
        settings.password.argon2.memory = 65_536;
    })
    .await;
    let logins = (0..8).map(|_| app.token(ALICE, LOGIN));
    let answers = futures_util::future::join_all(logins).await;
    let (served, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert!(!served.is_empty());
    assert!(!refused.is_empty());
    for answer in refused {
        assert_eq!(answer.header("retry-after"), "2");
        answer.error(503, "UNAVAILABLE");
    }
    // Who needs no password is not held up.
    app.token(None, LOGIN).await.expect(200);
}

#[tokio::test]
async fn without_a_database_the_answer_is_503() {
    let app = TestApp::start().await;
    app.application.close().await;
    let answer = app.token(ALICE, LOGIN).await;
    assert_eq!(answer.header("retry-after"), "1");
    let message = answer.error(503, "UNAVAILABLE");
    assert_eq!(message, "the database is unavailable");
}

#[tokio::test]
async fn who_asks_for_what_they_may_not_have_at_all_is_in_the_audit_log() {
    let app = TestApp::start().await;
    let alice = Some(("alice", PASSWORD));
    let ask = async |who, scopes: &str| {
        let query = format!("service={SERVICE}&{scopes}");
        app.token(who, &query).await.expect(200);
    };
    let refused = async || {
        let path = "/api/v1/audit?action=token.refuse";
        let request = app.request_as("admin", Method::GET, path);
        Answer::of(request).await.expect(200).json()
    };
    // Some of it is granted; nothing was asked for; nobody has logged in yet.
    ask(alice, "scope=repository:alice/app:pull,push,delete").await;
    ask(alice, "").await;
    ask(None, "scope=repository:bob/app:pull").await;
    assert_eq!(refused().await, json!([]));
    ask(
        alice,
        "scope=repository:bob/app:pull,push&scope=repository:alice/app:pull&scope=registry:catalog:*",
    )
    .await;
    let events = refused().await;
    assert_eq!(events.as_array().unwrap().len(), 1, "{events:#}");
    let event = &events[0];
    assert_eq!(event["outcome"], "failure");
    assert_eq!(event["actor"]["name"], "alice");
    assert_eq!(event["subject"]["name"], "bob/app");
    let reason = event["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("repository:bob/app:pull,push: "),
        "{reason}"
    );
    assert!(reason.ends_with("(and one more scope)"), "{reason}");
    // However often one asks, the log stays readable.
    for _ in 0..40 {
        ask(alice, "scope=repository:bob/app:pull").await;
    }
    let number = refused().await.as_array().unwrap().len();
    assert!((20..=30).contains(&number), "{number}");
}
