//! The token realm with each kind of credential, and with too many wrong passwords.

use std::time::Duration;

use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::tests::access;
use crate::accounts::token::{
    self, Bearer, CreatedToken, NewPathToken, NewPersonalToken, TokenPolicy,
};
use crate::accounts::user;
use crate::config::{Number, Span};
use crate::http::test_app::{ADMIN_PASSWORD, Answer, PASSWORD, SERVICE, TestApp};
use crate::testing::{World, context_at, name, repository};

const ALICE: Option<(&str, &str)> = Some(("alice", PASSWORD));
const LOGIN: &str = "service=portcullis-registry";
const POLICY: TokenPolicy = TokenPolicy {
    max_lifetime: Duration::from_hours(24),
};

async fn personal(app: &TestApp, scopes: &str) -> CreatedToken {
    let alice = user::find(app.database(), &name("alice"))
        .await
        .unwrap()
        .unwrap();
    let new = NewPersonalToken {
        name: "laptop".to_owned(),
        scopes: scopes.parse().unwrap(),
        expires_at: None,
    };
    let context = context_at(app.database(), &app.clock);
    token::create_personal(&context, POLICY, &alice, new)
        .await
        .unwrap()
}

async fn deploy(app: &TestApp, pattern: Option<&str>) -> (String, CreatedToken) {
    let context = context_at(app.database(), &app.clock);
    World(context.clone()).group("team").await;
    World(context.clone())
        .project("team/app", crate::accounts::Visibility::Private)
        .await;
    let new = NewPathToken {
        name: "ci".to_owned(),
        actions: registry_token::Actions::PULL_PUSH,
        pattern: pattern.map(|pattern| pattern.parse().unwrap()),
        expires_at: None,
    };
    let may = registry_token::Actions::PULL_PUSH;
    let created = token::create_deploy(&context, POLICY, &repository("team/app"), may, new)
        .await
        .unwrap();
    let Bearer::Deploy(at) = &created.token.bearer else {
        panic!("{created:?}");
    };
    (at.username.clone(), created)
}

#[tokio::test]
async fn a_personal_token_logs_docker_in_and_is_what_docker_keeps() {
    let app = TestApp::start().await;
    let created = personal(&app, "write_registry").await;
    let secret = created.secret.secret().expose_secret();
    let scope = "scope=repository:alice/app:pull,push,delete";
    let query = format!("{LOGIN}&account=alice&client_id=docker&offline_token=true&{scope}");
    let get = app.token(Some(("alice", secret)), &query).await.expect(200);
    // No identity token, which would live on after the token is revoked.
    assert!(get.json().get("refresh_token").is_none(), "{}", get.text);
    assert_eq!(
        access(&app, &get).await[0]["actions"],
        json!(["pull", "push"])
    );
    let claims = app.verify(get.json()["token"].as_str().unwrap()).await;
    assert_eq!(claims.auth_type.as_deref(), Some("personal_token"));
    assert_eq!(claims.subject.as_deref(), Some("alice"));

    let post = app
        .post_token(&[
            ("grant_type", "password"),
            ("service", SERVICE),
            ("client_id", "containerd-client"),
            ("access_type", "offline"),
            ("username", "anybody"),
            ("password", secret),
            ("scope", "repository:alice/app:pull"),
        ])
        .await
        .expect(200);
    assert!(post.json().get("refresh_token").is_none(), "{}", post.text);
    assert_eq!(post.json()["scope"], "repository:alice/app:pull");

    let context = context_at(app.database(), &app.clock);
    token::revoke(&context, created.token.id).await.unwrap();
    let message = app
        .token(Some(("alice", secret)), &query)
        .await
        .error(401, "UNAUTHORIZED");
    assert!(message.contains("revoked"), "{message}");
}

#[tokio::test]
async fn a_token_for_the_api_alone_gives_nothing_in_the_registry() {
    let app = TestApp::start().await;
    let created = personal(&app, "api read_api").await;
    let secret = created.secret.secret().expose_secret();
    let query = format!("{LOGIN}&scope=repository:alice/app:pull");
    let answer = app.token(Some(("alice", secret)), &query).await.expect(200);
    assert_eq!(access(&app, &answer).await, json!([]));
}

#[tokio::test]
async fn a_deploy_token_does_what_it_is_for_under_its_own_name() {
    let app = TestApp::start().await;
    let (username, created) = deploy(&app, None).await;
    let secret = created.secret.secret().expose_secret();
    let query = format!(
        "{LOGIN}&offline_token=true&scope=repository:team/app:pull,push,delete\
         &scope=repository:alice/app:pull"
    );
    let answer = app
        .token(Some((&username, secret)), &query)
        .await
        .expect(200);
    assert!(answer.json().get("refresh_token").is_none());
    let granted = access(&app, &answer).await;
    assert_eq!(granted.as_array().unwrap().len(), 1, "{granted}");
    assert_eq!(granted[0]["name"], "team/app");
    assert_eq!(granted[0]["actions"], json!(["pull", "push"]));
    let claims = app.verify(answer.json()["token"].as_str().unwrap()).await;
    assert_eq!(claims.auth_type.as_deref(), Some("deploy_token"));
    assert_eq!(claims.subject, Some(username.clone()));

    for wrong in [
        ("alice", secret),
        (&*username, "ptc_guess"),
        (&*username, PASSWORD),
    ] {
        let message = app
            .token(Some(wrong), &query)
            .await
            .error(401, "UNAUTHORIZED");
        assert_eq!(message, "wrong username or password");
    }
    app.clock.advance(Duration::from_hours(24));
    let late = app.token(Some((&username, secret)), &query).await;
    let message = late.error(401, "UNAUTHORIZED");
    assert!(message.contains("expired"), "{message}");
}

#[tokio::test]
async fn too_many_wrong_passwords_are_429_with_a_time_to_come_back() {
    let app = TestApp::start_with(|settings| {
        settings.login.threshold = Number::clamped(3);
        settings.login.basedelay = Span::clamped(30);
    })
    .await;
    let created = personal(&app, "read_registry").await;
    let secret = created.secret.secret().expose_secret();
    let wrong = Some(("alice", "wrong password"));
    for _ in 0..3 {
        app.token(wrong, LOGIN).await.error(401, "UNAUTHORIZED");
    }
    let form = [
        ("grant_type", "password"),
        ("service", SERVICE),
        ("username", "alice"),
        ("password", PASSWORD),
    ];
    app.clock.advance(Duration::from_millis(500));
    for blocked in [app.token(ALICE, LOGIN).await, app.post_token(&form).await] {
        assert_eq!(blocked.header("retry-after"), "30");
        assert_eq!(blocked.header("cache-control"), "no-store");
        let message = blocked.error(429, "TOOMANYREQUESTS");
        assert_eq!(
            message,
            "too many wrong passwords; the next one is looked at in 30 seconds"
        );
    }
    // Nobody guesses tokens; others have their own count.
    app.token(Some(("alice", secret)), LOGIN).await.expect(200);
    app.token(Some(("bob", PASSWORD)), LOGIN).await.expect(200);
    app.token(Some(("admin", ADMIN_PASSWORD)), LOGIN)
        .await
        .expect(200);
    app.token(None, LOGIN).await.expect(200);

    app.clock.advance(Duration::from_millis(29_500));
    app.token(ALICE, LOGIN).await.expect(200);
    app.token(wrong, LOGIN).await.error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_refresh_token_is_never_blocked() {
    let app = TestApp::start_with(|settings| {
        settings.login.threshold = Number::clamped(1);
        settings.login.addressthreshold = Number::clamped(1);
    })
    .await;
    let login = app
        .token(ALICE, &format!("{LOGIN}&offline_token=true"))
        .await
        .expect(200);
    let refresh_token = login.json()["refresh_token"].as_str().unwrap().to_owned();
    for username in ["alice", "alice", "nobody", "nobody"] {
        app.token(Some((username, "wrong password")), LOGIN).await;
    }
    app.token(Some(("nobody", PASSWORD)), LOGIN)
        .await
        .error(429, "TOOMANYREQUESTS");
    let fields = [
        ("grant_type", "refresh_token"),
        ("service", SERVICE),
        ("refresh_token", refresh_token.as_str()),
    ];
    app.post_token(&fields).await.expect(200);
    for _ in 0..50 {
        let fields = [fields[0], fields[1], ("refresh_token", "ptcr_guess")];
        app.post_token(&fields).await.error(401, "UNAUTHORIZED");
    }
    app.post_token(&fields).await.expect(200);
}

#[tokio::test]
async fn refusals_are_in_the_audit_log_with_where_they_come_from() {
    let app = TestApp::start().await;
    let request = app
        .request(Method::GET, &format!("/auth/token?{LOGIN}"))
        .basic_auth("alice", Some("wrong password"))
        .header("user-agent", "docker/27");
    Answer::of(request).await.error(401, "UNAUTHORIZED");
    app.token(None, "service=other")
        .await
        .error(400, "BAD_REQUEST");
    let mut tx = app.database().read().await.unwrap();
    let events = database::sql!(
        &mut tx,
        fetch_all(String, String, String, String),
        "SELECT action, actor_name, address, COALESCE(user_agent, '') FROM audit_events
         WHERE outcome = 'failure' ORDER BY number"
    )
    .unwrap();
    let of = |action: &str, actor: &str, agent: &str| {
        (
            action.to_owned(),
            actor.to_owned(),
            "127.0.0.1".to_owned(),
            agent.to_owned(),
        )
    };
    assert_eq!(
        events,
        [
            of("login", "alice", "docker/27"),
            of("token.refuse", "", "")
        ]
    );
}
