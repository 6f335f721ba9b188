use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::{Answer, TestApp};

const NOTHING: Value = Value::Null;

/// The group `team` with the project `team/app`, where alice is a developer.
async fn team() -> TestApp {
    let app = TestApp::start().await;
    for (method, path, body) in [
        (Method::POST, "/api/v1/groups", json!({"path": "team"})),
        (
            Method::POST,
            "/api/v1/projects",
            json!({"path": "team/app"}),
        ),
        (
            Method::PUT,
            "/api/v1/groups/team/members/alice",
            json!({"role": "developer"}),
        ),
    ] {
        app.admin(method, path, &body).await.expect(201);
    }
    app
}

#[tokio::test]
async fn a_deploy_token_of_a_project_logs_in_until_it_is_revoked() {
    let app = team().await;
    let path = "/api/v1/projects/team%2Fapp/deploy-tokens";
    let body = json!({"name": "cluster", "actions": ["pull"]});
    let made = app
        .admin(Method::POST, path, &body)
        .await
        .expect(201)
        .json();
    assert_eq!(made["kind"], "deploy");
    assert_eq!(made["path"], "team/app");
    let (username, secret) = (
        made["username"].as_str().unwrap(),
        made["token"].as_str().unwrap(),
    );
    assert!(username.starts_with("deploy+"), "{username}");

    let query = "service=portcullis-registry&scope=repository:team/app:pull,push";
    let token = app
        .token(Some((username, secret)), query)
        .await
        .expect(200)
        .json();
    let claims = app.verify(token["token"].as_str().unwrap()).await;
    let access: Vec<String> = claims
        .access
        .iter()
        .map(|entry| entry.actions.to_string())
        .collect();
    assert_eq!(access, ["pull"]);
    // It is nobody for the API.
    let me = app.request(Method::GET, "/api/v1/me").bearer_auth(secret);
    Answer::of(me).await.expect(401);

    let list = app.admin(Method::GET, path, &NOTHING).await.expect(200);
    assert_eq!(list.header("x-total-count"), "1");
    assert!(!list.text.contains(secret), "{}", list.text);
    let id = made["id"].as_str().unwrap();
    // Not by the address of another kind or place.
    for other in [
        "groups/team/deploy-tokens",
        "projects/team%2Fapp/job-tokens",
    ] {
        app.admin(Method::DELETE, &format!("/api/v1/{other}/{id}"), &NOTHING)
            .await
            .error(404, "NOT_FOUND");
    }
    app.admin(Method::DELETE, &format!("{path}/{id}"), &NOTHING)
        .await
        .expect(204);
    app.token(Some((username, secret)), query)
        .await
        .error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_token_has_no_more_rights_than_its_maker() {
    let app = team().await;
    let path = "/api/v1/projects/team%2Fapp/job-tokens";
    let make = async |actions: Value| {
        let body = json!({"name": "run 7", "actions": actions});
        app.ask("alice", Method::POST, path, &body).await
    };
    make(json!(["pull", "push"])).await.expect(201);
    let message = make(json!(["pull", "delete"])).await.error(403, "DENIED");
    assert!(message.contains("delete"), "{message}");
    for nonsense in [
        json!([]),
        json!(["*"]),
        json!(["pul"]),
        json!(null),
        json!(["push"]),
    ] {
        make(nonsense).await.error(422, "INVALID");
    }
}
