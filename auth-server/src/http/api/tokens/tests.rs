use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::{Answer, TestApp};

const MINE: &str = "/api/v1/me/tokens";
const NOTHING: Value = Value::Null;

#[tokio::test]
async fn a_token_is_shown_once_and_works_until_it_is_revoked() {
    let app = TestApp::start().await;
    let body =
        json!({"name": "laptop", "scopes": ["read_api"], "expires_at": "2027-02-01T00:00:00Z"});
    let made = app
        .ask("alice", Method::POST, MINE, &body)
        .await
        .expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.json();
    let secret = made["token"].as_str().unwrap();
    assert!(secret.starts_with("ptc_") && secret.len() == 47, "{secret}");
    assert_eq!(made["kind"], "personal");
    assert_eq!(made["user"], "alice");
    assert_eq!(made["scopes"], json!(["read_api"]));
    assert_eq!(made["expires_at"], "2027-02-01T00:00:00Z");

    let me = || Answer::of(app.request(Method::GET, "/api/v1/me").bearer_auth(secret));
    assert_eq!(me().await.expect(200).json()["username"], "alice");
    let list = app
        .ask("alice", Method::GET, MINE, &NOTHING)
        .await
        .expect(200);
    assert!(!list.text.contains(secret), "{}", list.text);
    let id = made["id"].as_str().unwrap();
    assert!(list.text.contains(id), "{}", list.text);

    let path = format!("{MINE}/{id}");
    app.ask("bob", Method::DELETE, &path, &NOTHING)
        .await
        .error(404, "NOT_FOUND");
    app.ask("alice", Method::DELETE, &path, &NOTHING)
        .await
        .expect(204);
    me().await.error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_token_that_cannot_be_is_refused_with_a_reason() {
    let app = TestApp::start().await;
    for (body, words) in [
        (json!({"name": "x", "scopes": []}), "scope"),
        (json!({"name": "x", "scopes": ["root"]}), "read_registry"),
        (json!({"name": "x"}), "scopes"),
        (json!({"name": "", "scopes": ["api"]}), "name"),
        (json!({"name": "x\u{0}", "scopes": ["api"]}), "name"),
        (
            json!({"name": "x", "scopes": ["api"], "expires_at": "2020-01-01T00:00:00Z"}),
            "future",
        ),
        (
            json!({"name": "x", "scopes": ["api"], "expires_at": "tomorrow"}),
            "expires_at",
        ),
        (
            json!({"name": "x", "scope": ["api"]}),
            "did you mean `scopes`?",
        ),
    ] {
        let message = app
            .ask("alice", Method::POST, MINE, &body)
            .await
            .error(422, "INVALID");
        assert!(message.contains(words), "{body}: {message}");
    }
}

#[tokio::test]
async fn administrators_make_tokens_for_others_and_pages_lead_on() {
    let app = TestApp::start().await;
    let alice = "/api/v1/users/alice/tokens";
    for name in ["one", "two"] {
        let body = json!({"name": name, "scopes": ["api"]});
        app.admin(Method::POST, alice, &body).await.expect(201);
    }
    // The one that she has from the start comes first.
    let mut path = format!("{alice}?limit=1");
    let mut names = Vec::new();
    while !path.is_empty() {
        let page = app.admin(Method::GET, &path, &NOTHING).await.expect(200);
        assert_eq!(page.header("x-total-count"), "3");
        names.push(page.json()[0]["name"].as_str().unwrap().to_owned());
        let next = page.header("link").strip_suffix(">; rel=\"next\"");
        path = next.map_or(String::new(), |next| next[1..].to_owned());
    }
    names.sort();
    assert_eq!([&names[0], &names[2]], ["one", "two"]);
    for bad in ["after=one", "sort=name", "limit=0"] {
        app.admin(Method::GET, &format!("{alice}?{bad}"), &NOTHING)
            .await
            .error(400, "BAD_REQUEST");
    }
}
