use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::TestApp;

const NOTHING: Value = Value::Null;

fn about(whom: &str) -> String {
    format!("/api/v1/explain?scope=repository:alice/app:pull,push&{whom}")
}

#[tokio::test]
async fn everybody_asks_about_themselves_and_administrators_about_all() {
    let app = TestApp::start().await;
    let body = json!({"path": "alice/app"});
    app.ask("alice", Method::POST, "/api/v1/projects", &body)
        .await
        .expect(201);
    let body = json!({"name": "x", "scopes": ["read_registry"]});
    let token = app
        .ask("alice", Method::POST, "/api/v1/me/tokens", &body)
        .await
        .expect(201);
    let token = format!("token={}", token.json()["id"].as_str().unwrap());
    for (who, whom, allowed) in [
        ("alice", "", true),
        ("alice", "user=alice", true),
        ("bob", "", false),
        ("admin", "user=alice", true),
        ("admin", "user=bob", false),
        ("admin", "anonymous=true", false),
        // It pulls, and does not push.
        ("admin", token.as_str(), false),
    ] {
        let answer = app
            .ask(who, Method::GET, &about(whom), &NOTHING)
            .await
            .expect(200)
            .json();
        assert_eq!(answer["allowed"], allowed, "{who} {whom}: {answer:#}");
        assert_eq!(answer["actions"].as_array().unwrap().len(), 2, "{answer:#}");
        // Whoever may not know of the project is told nothing of it.
        assert_eq!(answer["project"].is_null(), who == "bob", "{answer:#}");
    }
    for whom in ["user=admin", "anonymous=true", token.as_str()] {
        app.ask("bob", Method::GET, &about(whom), &NOTHING)
            .await
            .error(403, "DENIED");
    }
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let app = TestApp::start().await;
    let ask = async |path: &str| app.admin(Method::GET, path, &NOTHING).await;
    for (path, status, code) in [
        ("/api/v1/explain".to_owned(), 400, "BAD_REQUEST"),
        (
            "/api/v1/explain?scope=nonsense".to_owned(),
            400,
            "BAD_REQUEST",
        ),
        (about("usr=alice"), 400, "BAD_REQUEST"),
        (about("anonymous=perhaps"), 400, "BAD_REQUEST"),
        (about("user=alice&anonymous=true"), 400, "BAD_REQUEST"),
        (about("user=nobody"), 404, "NOT_FOUND"),
        (about("user=Alice"), 404, "NOT_FOUND"),
        (about("token=x"), 404, "NOT_FOUND"),
    ] {
        ask(&path).await.error(status, code);
    }
    let body = json!({"disabled": true});
    app.admin(Method::PATCH, "/api/v1/users/alice", &body)
        .await
        .expect(200);
    let message = ask(&about("user=alice")).await.error(409, "CONFLICT");
    assert!(message.contains("disabled"), "{message}");
}
