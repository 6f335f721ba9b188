use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::{Answer, TestApp};

const NOTHING: Value = Value::Null;
const GRANTS: &str = "/api/v1/projects/team%2Fapp/grants";

/// The project `team/app` of alice.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    for (path, body) in [
        ("/api/v1/groups", json!({"path": "team"})),
        (
            "/api/v1/projects",
            json!({"path": "team/app", "owner": "alice"}),
        ),
    ] {
        app.admin(Method::POST, path, &body).await.expect(201);
    }
    app
}

async fn grant(app: &TestApp, body: Value) -> Answer {
    app.ask("alice", Method::POST, GRANTS, &body).await
}

#[tokio::test]
async fn a_grant_is_made_shown_changed_and_taken_back() {
    let app = start().await;
    let body = json!({"user": "bob", "actions": ["pull"], "pattern": "team/app/**"});
    let made = grant(&app, body).await.expect(201);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.json()["to"]["name"], "bob");
    assert_eq!(made.json()["actions"], json!(["pull"]));
    assert_eq!(made.json()["expires_at"], NOTHING);
    assert_eq!(made.header("etag"), "\"1\"");
    let path = format!("{GRANTS}/{id}");
    let shown = app.ask("alice", Method::GET, &path, &NOTHING).await;
    assert_eq!(shown.expect(200).json(), made.json());
    // It opens what it says, and hides nothing from who has it.
    let explain = "/api/v1/explain?scope=repository:team/app/x:pull";
    let decision = app.ask("bob", Method::GET, explain, &NOTHING).await;
    assert_eq!(decision.expect(200).json()["allowed"], true);
    let change = json!({"actions": ["pull", "push"], "expires_at": "2027-02-01T00:00:00Z"});
    let changed = app.ask("alice", Method::PATCH, &path, &change).await;
    let changed = changed.expect(200).json();
    assert_eq!(changed["actions"], json!(["pull", "push"]));
    assert_eq!(changed["pattern"], "team/app/**");
    let forever = json!({"expires_at": null});
    let changed = app.ask("alice", Method::PATCH, &path, &forever).await;
    assert_eq!(changed.expect(200).json()["expires_at"], NOTHING);
    for status in [204, 404] {
        app.ask("alice", Method::DELETE, &path, &NOTHING)
            .await
            .expect(status);
    }
}

#[tokio::test]
async fn what_cannot_be_granted_is_refused_with_a_reason() {
    let app = start().await;
    let nil = "00000000-0000-0000-0000-000000000000";
    for (body, words) in [
        (json!({"actions": ["pull"]}), "user"),
        (
            json!({"user": "bob", "group": "team", "actions": ["pull"]}),
            "user",
        ),
        (json!({"user": "nobody", "actions": ["pull"]}), "`nobody`"),
        (json!({"group": "nobody", "actions": ["pull"]}), "`nobody`"),
        (json!({"group": "No", "actions": ["pull"]}), "lower-case"),
        (json!({"token": nil, "actions": ["pull"]}), "token"),
        (json!({"token": "x", "actions": ["pull"]}), "`token`"),
        (json!({"user": "bob", "actions": []}), "a grant is for"),
        (json!({"user": "bob", "actions": ["read"]}), "`actions`"),
        (json!({"user": "bob"}), "`actions` is missing"),
        (
            json!({"user": "bob", "actions": ["pull"], "pattern": "other/**"}),
            "pattern",
        ),
        (
            json!({"user": "bob", "actions": ["pull"], "expires_at": "2020-01-01T00:00:00Z"}),
            "past",
        ),
    ] {
        let message = grant(&app, body.clone()).await.error(422, "INVALID");
        assert!(message.contains(words), "{body}: {message}");
        assert!(!message.contains(" at line "), "{message}");
    }
    for name in [nil, "x"] {
        let path = format!("{GRANTS}/{name}");
        app.ask("alice", Method::GET, &path, &NOTHING)
            .await
            .error(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_grant_of_another_project_is_none_of_this_one() {
    let app = start().await;
    let other = json!({"path": "team/other", "owner": "bob"});
    app.admin(Method::POST, "/api/v1/projects", &other)
        .await
        .expect(201);
    let body = json!({"user": "bob", "actions": ["pull"]});
    let made = grant(&app, body).await.expect(201).json();
    let path = format!(
        "/api/v1/projects/team%2Fother/grants/{}",
        made["id"].as_str().unwrap()
    );
    for method in [Method::GET, Method::DELETE] {
        app.ask("bob", method, &path, &NOTHING)
            .await
            .error(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_change_hits_the_version_it_is_meant_for() {
    let app = start().await;
    let body = json!({"user": "bob", "actions": ["pull"]});
    let made = grant(&app, body).await.expect(201).json();
    let path = format!("{GRANTS}/{}", made["id"].as_str().unwrap());
    let change = |method: Method, tag: &'static str| {
        let request = app
            .request_as("alice", method, &path)
            .header("if-match", tag);
        Answer::of(request.json(&json!({"actions": ["pull", "push"]})))
    };
    change(Method::PATCH, "\"2\"").await.error(412, "OUTDATED");
    let changed = change(Method::PATCH, "\"1\"").await.expect(200);
    assert_eq!(changed.header("etag"), "\"2\"");
    change(Method::PATCH, "\"1\"").await.error(412, "OUTDATED");
    change(Method::DELETE, "\"1\"").await.error(412, "OUTDATED");
    change(Method::DELETE, "\"2\"").await.expect(204);
}

#[tokio::test]
async fn grants_come_page_by_page_as_they_were_made() {
    let app = start().await;
    let mut made = Vec::new();
    for actions in [json!(["pull"]), json!(["pull", "push"]), json!(["delete"])] {
        app.clock.advance(std::time::Duration::from_secs(1));
        let body = json!({"user": "bob", "actions": actions});
        made.push(grant(&app, body).await.expect(201).json());
    }
    let first = app
        .ask("alice", Method::GET, &format!("{GRANTS}?limit=2"), &NOTHING)
        .await
        .expect(200);
    assert_eq!(first.json(), json!(made[..2]));
    assert_eq!(first.header("x-total-count"), "3");
    let next = first.header("link").split(['<', '>']).nth(1).unwrap();
    let rest = app.ask("alice", Method::GET, next, &NOTHING).await;
    let rest = rest.expect(200);
    assert_eq!(rest.json(), json!(made[2..]));
    assert_eq!(rest.header("link"), "");
}
