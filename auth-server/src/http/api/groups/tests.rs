use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::{Answer, TestApp};

const GROUPS: &str = "/api/v1/groups";
const NOTHING: Value = Value::Null;

async fn make(app: &TestApp, path: &str) -> Answer {
    let body = json!({"path": path, "owner": "alice"});
    app.admin(Method::POST, GROUPS, &body).await.expect(201)
}

#[tokio::test]
async fn a_group_goes_by_id_and_by_path() {
    let app = TestApp::start().await;
    make(&app, "team").await;
    let created = make(&app, "team/backend").await;
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("{GROUPS}/{id}"));
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!(
        created.json(),
        json!({
            "id": id,
            "path": "team/backend",
            "create_on_push": false,
            "created_at": "2027-01-15T08:00:00.123456Z",
            "version": 1,
        })
    );
    for name in [id.as_str(), "team%2Fbackend"] {
        let path = format!("{GROUPS}/{name}");
        let shown = app.ask("alice", Method::GET, &path, &NOTHING).await;
        assert_eq!(shown.expect(200).json(), created.json());
    }
    let path = format!("{GROUPS}/team%2Fbackend");
    let change = json!({"create_on_push": true});
    let changed = app.ask("alice", Method::PATCH, &path, &change).await;
    assert_eq!(changed.expect(200).json()["create_on_push"], true);
    for (name, status) in [("team", 409), (&*id, 204), (&*id, 404), ("team", 204)] {
        let path = format!("{GROUPS}/{name}");
        let gone = app.ask("alice", Method::DELETE, &path, &NOTHING).await;
        gone.expect(status);
    }
}

#[tokio::test]
async fn a_group_that_cannot_be_is_refused_with_a_reason() {
    let app = TestApp::start().await;
    make(&app, "team").await;
    for (who, body, status, code, words) in [
        ("admin", json!({"path": "team"}), 409, "CONFLICT", "taken"),
        ("admin", json!({"path": "alice"}), 409, "CONFLICT", "taken"),
        (
            "admin",
            json!({"path": "nowhere/backend"}),
            409,
            "CONFLICT",
            "create it first",
        ),
        (
            "admin",
            json!({"path": "alice/group"}),
            409,
            "CONFLICT",
            "create it first",
        ),
        (
            "admin",
            json!({"path": "Team"}),
            422,
            "INVALID",
            "lower-case",
        ),
        ("admin", json!({"path": "v2"}), 422, "INVALID", "reserved"),
        (
            "admin",
            json!({"path": "other", "owner": "nobody"}),
            422,
            "INVALID",
            "there is no user `nobody`",
        ),
        ("admin", json!({}), 422, "INVALID", "`path` is missing"),
        (
            "admin",
            json!({"path": 7}),
            422,
            "INVALID",
            "`path` must be a string",
        ),
        (
            "bob",
            json!({"path": "other"}),
            403,
            "DENIED",
            "administrators",
        ),
        // As where there is nothing.
        (
            "bob",
            json!({"path": "team/backend"}),
            403,
            "DENIED",
            "owners of the group above",
        ),
    ] {
        let answer = app.ask(who, Method::POST, GROUPS, &body).await;
        let message = answer.error(status, code);
        assert!(message.contains(words), "{body}: {message}");
    }
    let nested = json!({"path": "team/backend"});
    app.ask("alice", Method::POST, GROUPS, &nested)
        .await
        .expect(201);
}

#[tokio::test]
async fn a_change_hits_the_version_it_is_meant_for() {
    let app = TestApp::start().await;
    make(&app, "team").await;
    let path = format!("{GROUPS}/team");
    let change = |tag: &'static str| {
        let request = app.request_as("alice", Method::PATCH, &path);
        let request = request.header("if-match", tag);
        Answer::of(request.json(&json!({"create_on_push": true})))
    };
    change("\"7\"").await.error(412, "OUTDATED");
    let changed = change("\"1\"").await.expect(200);
    assert_eq!(changed.header("etag"), "\"2\"");
    change("\"1\"").await.error(412, "OUTDATED");
    change("7").await.error(400, "BAD_REQUEST");
    let known = app
        .request_as("alice", Method::GET, &path)
        .header("if-none-match", "\"2\"");
    assert_eq!(Answer::of(known).await.status, 304);
    let delete = app
        .request_as("alice", Method::DELETE, &path)
        .header("if-match", "\"1\"");
    Answer::of(delete).await.error(412, "OUTDATED");
}

#[tokio::test]
async fn everybody_sees_their_groups_page_by_page() {
    let app = TestApp::start().await;
    for path in ["b", "a", "a/x", "a-z", "c"] {
        app.clock.advance(std::time::Duration::from_secs(1));
        make(&app, path).await;
    }
    let other = json!({"path": "others"});
    app.admin(Method::POST, GROUPS, &other).await.expect(201);
    let paths = async |who: &str, query: &str| {
        let path = format!("{GROUPS}?{query}");
        let page = app.ask(who, Method::GET, &path, &NOTHING).await.expect(200);
        let list = page.json();
        let paths = list.as_array().unwrap().iter();
        let paths: Vec<String> = paths
            .map(|group| group["path"].as_str().unwrap().to_owned())
            .collect();
        let link = page.header("link").to_owned();
        let total = page.header("x-total-count").to_owned();
        (paths.join(" "), link, total)
    };
    let (first, link, total) = paths("alice", "limit=3").await;
    assert_eq!((first.as_str(), total.as_str()), ("a a-z a/x", "5"));
    assert!(link.contains("after=a%2Fx"), "{link}");
    let (rest, link, _) = paths("alice", "limit=3&after=a%2Fx").await;
    assert_eq!((rest.as_str(), link.as_str()), ("b c", ""));
    assert_eq!(paths("bob", "").await.0, "");
    assert_eq!(paths("admin", "search=other").await.0, "others");
    assert_eq!(paths("alice", "below=a").await.0, "a/x");
    assert_eq!(paths("alice", "sort=-path").await.0, "c b a/x a-z a");
    assert_eq!(paths("alice", "sort=created_at").await.0, "b a a/x a-z c");
    for query in ["limit=0", "sort=size", "blow=a", "below=A"] {
        let path = format!("{GROUPS}?{query}");
        app.admin(Method::GET, &path, &NOTHING)
            .await
            .error(400, "BAD_REQUEST");
    }
}

#[tokio::test]
async fn a_group_is_put_by_who_may_change_or_create_it() {
    let app = TestApp::start().await;
    make(&app, "team").await;
    let put = async |who: &str, name: &str, body: Value| {
        let path = format!("{GROUPS}/{name}");
        app.ask(who, Method::PUT, &path, &body).await
    };
    let on = json!({"create_on_push": true});
    // By who owns the group above.
    let nested = put("alice", "team%2Fbackend", on.clone()).await.expect(201);
    assert_eq!(nested.json()["create_on_push"], true);
    let reset = put("alice", "team%2Fbackend", json!({})).await.expect(200);
    assert_eq!(reset.json()["create_on_push"], false);
    // By who is something there, but not enough.
    let member = json!({"role": "developer"});
    let path = format!("{GROUPS}/team/members/bob");
    app.admin(Method::PUT, &path, &member).await.expect(201);
    let message = put("bob", "team", on.clone()).await.error(403, "DENIED");
    assert_eq!(
        message,
        "this takes the role maintainer in the group `team`"
    );
    // By who may not know whether it is there.
    for name in ["others", "nothing"] {
        if name == "others" {
            put("admin", name, json!({})).await.expect(201);
        }
        let message = put("bob", name, on.clone()).await.error(403, "DENIED");
        assert!(message.contains("you may not create"), "{message}");
    }
}
