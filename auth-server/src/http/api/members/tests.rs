use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::{Answer, TestApp};

const NOTHING: Value = Value::Null;
const MEMBERS: &str = "/api/v1/groups/team/members";

/// The group `team` of alice, and the project `team/app` in it.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    for (path, body) in [
        ("/api/v1/groups", json!({"path": "team", "owner": "alice"})),
        ("/api/v1/projects", json!({"path": "team/app"})),
    ] {
        app.admin(Method::POST, path, &body).await.expect(201);
    }
    app
}

async fn set(app: &TestApp, header: (&'static str, &str), body: Value) -> Answer {
    let request = app
        .request_as("alice", Method::PUT, &format!("{MEMBERS}/bob"))
        .header(header.0, header.1);
    Answer::of(request.json(&body)).await
}

#[tokio::test]
async fn somebody_becomes_a_member_is_changed_and_goes() {
    let app = start().await;
    let path = format!("{MEMBERS}/bob");
    let guest = json!({"role": "guest"});
    let made = app.ask("alice", Method::PUT, &path, &guest).await;
    let made = made.expect(201).json();
    assert_eq!(
        made,
        json!({
            "path": "team",
            "user_id": made["user_id"],
            "username": "bob",
            "role": "guest",
            "expires_at": null,
            "created_at": "2027-01-15T08:00:00.123456Z",
            "version": 1,
        })
    );
    let again = app.ask("alice", Method::PUT, &path, &guest).await;
    assert_eq!(again.expect(200).json(), made);
    let for_a_while = json!({"role": "developer", "expires_at": "2027-02-01T00:00:00Z"});
    let changed = app.ask("alice", Method::PUT, &path, &for_a_while).await;
    assert_eq!(changed.expect(200).json()["version"], 2);
    for status in [204, 404] {
        app.ask("alice", Method::DELETE, &path, &NOTHING)
            .await
            .expect(status);
    }
}

#[tokio::test]
async fn what_nobody_can_be_is_refused_with_a_reason() {
    let app = start().await;
    for (name, body, status, code, words) in [
        (
            "nobody",
            json!({"role": "guest"}),
            404,
            "NOT_FOUND",
            "there is no user `nobody`",
        ),
        (
            "Bob",
            json!({"role": "guest"}),
            404,
            "NOT_FOUND",
            "there is no user `Bob`",
        ),
        ("bob", json!({}), 422, "INVALID", "`role` is missing"),
        (
            "bob",
            json!({"role": "ownr"}),
            422,
            "INVALID",
            "did you mean `owner`?",
        ),
        (
            "bob",
            json!({"role": "guest", "expires_at": "2020-01-01T00:00:00Z"}),
            422,
            "INVALID",
            "in the past",
        ),
        (
            "bob",
            json!({"role": "guest", "expires_at": "tomorrow"}),
            422,
            "INVALID",
            "`expires_at`",
        ),
        (
            "alice",
            json!({"role": "guest"}),
            409,
            "CONFLICT",
            "the last owner",
        ),
    ] {
        let path = format!("{MEMBERS}/{name}");
        let answer = app.ask("alice", Method::PUT, &path, &body).await;
        let message = answer.error(status, code);
        assert!(message.contains(words), "{body}: {message}");
        assert!(!message.contains(" at line "), "{message}");
    }
    let path = format!("{MEMBERS}/alice");
    let message = app
        .ask("alice", Method::DELETE, &path, &NOTHING)
        .await
        .error(409, "CONFLICT");
    assert!(message.contains("the last owner"), "{message}");
}

#[tokio::test]
async fn a_change_hits_the_membership_it_is_meant_for() {
    let app = start().await;
    let guest = || json!({"role": "guest"});
    let owner = || json!({"role": "owner"});
    for tag in ["*", "\"1\""] {
        let message = set(&app, ("if-match", tag), guest())
            .await
            .error(412, "OUTDATED");
        assert_eq!(message, "`bob` is no member of `team` yet");
    }
    set(&app, ("if-none-match", "*"), guest()).await.expect(201);
    let message = set(&app, ("if-none-match", "*"), owner())
        .await
        .error(412, "OUTDATED");
    assert_eq!(message, "`bob` is a member of `team` already");
    let changed = set(&app, ("if-match", "\"1\""), owner()).await.expect(200);
    assert_eq!(changed.header("etag"), "\"2\"");
    set(&app, ("if-match", "\"1\""), guest())
        .await
        .error(412, "OUTDATED");
    set(&app, ("if-none-match", "\"1\""), guest())
        .await
        .error(400, "BAD_REQUEST");
    let request = app
        .request_as("alice", Method::DELETE, &format!("{MEMBERS}/bob"))
        .header("if-match", "\"1\"");
    Answer::of(request).await.error(412, "OUTDATED");
}

#[tokio::test]
async fn members_come_page_by_page_with_what_they_are_above() {
    let app = start().await;
    for (username, role) in [("bob", "reporter"), ("admin", "maintainer")] {
        let path = format!("/api/v1/projects/team%2Fapp/members/{username}");
        let body = json!({"role": role});
        app.admin(Method::PUT, &path, &body).await.expect(201);
    }
    let names = async |query: &str| {
        let path = format!("/api/v1/projects/team%2Fapp/members?{query}");
        let page = app.ask("alice", Method::GET, &path, &NOTHING).await;
        let page = page.expect(200);
        let list = page.json();
        let names: Vec<String> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|member| {
                let role = member["role"].as_str().unwrap();
                format!("{}:{role}", member["username"].as_str().unwrap())
            })
            .collect();
        let total = page.header("x-total-count").to_owned();
        (names.join(" "), page.header("link").to_owned(), total)
    };
    let (own, link, total) = names("").await;
    assert_eq!(own, "admin:maintainer bob:reporter");
    assert_eq!((link.as_str(), total.as_str()), ("", "2"));
    let (first, link, total) = names("inherited=true&limit=2").await;
    assert_eq!(first, "admin:maintainer alice:owner");
    assert_eq!(total, "3");
    assert!(link.contains("after=alice"), "{link}");
    let (rest, link, _) = names("inherited=true&limit=2&after=alice").await;
    assert_eq!((rest.as_str(), link.as_str()), ("bob:reporter", ""));
    assert_eq!(names("search=bo").await.0, "bob:reporter");
}
