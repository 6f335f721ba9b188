use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::{Answer, TestApp};

const PROJECTS: &str = "/api/v1/projects";
const NOTHING: Value = Value::Null;

#[tokio::test]
async fn a_project_goes_by_id_and_by_path() {
    let app = TestApp::start().await;
    let body = json!({"path": "bob/app", "owner": "alice"});
    let created = app.admin(Method::POST, PROJECTS, &body).await.expect(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("{PROJECTS}/{id}"));
    assert_eq!(
        created.json(),
        json!({
            "id": id,
            "number": 1,
            "path": "bob/app",
            "visibility": "private",
            "created_at": "2027-01-15T08:00:00.123456Z",
            "version": 1,
        })
    );
    for name in [id.as_str(), "bob%2Fapp", "bob%2fapp"] {
        let path = format!("{PROJECTS}/{name}");
        let shown = app.admin(Method::GET, &path, &NOTHING).await.expect(200);
        assert_eq!(shown.json(), created.json());
    }
    for (name, visibility) in [("bob%2Fapp", "public"), (id.as_str(), "internal")] {
        let (path, body) = (
            format!("{PROJECTS}/{name}"),
            json!({"visibility": visibility}),
        );
        let changed = app
            .admin(Method::PATCH, &path, &body)
            .await
            .expect(200)
            .json();
        assert_eq!(changed["visibility"], visibility);
    }
    let path = format!("{PROJECTS}/{id}");
    app.admin(Method::DELETE, &path, &NOTHING).await.expect(204);
    app.admin(Method::DELETE, &path, &NOTHING)
        .await
        .error(404, "NOT_FOUND");
    app.admin(Method::GET, &path, &NOTHING)
        .await
        .error(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_project_that_cannot_be_is_refused_with_a_reason() {
    let app = TestApp::start().await;
    app.admin(Method::POST, PROJECTS, &json!({"path": "app"}))
        .await
        .expect(201);
    for (body, status, code, words) in [
        (json!({"path": "app"}), 409, "CONFLICT", "`app` is taken"),
        (json!({"path": "App"}), 422, "INVALID", "lower-case"),
        (json!({"path": "a//b"}), 422, "INVALID", "empty component"),
        (
            json!({"path": "b", "owner": "nobody"}),
            422,
            "INVALID",
            "nobody",
        ),
        (
            json!({"path": "b", "owner": "No Body"}),
            422,
            "INVALID",
            "username",
        ),
        (
            json!({"path": "b", "visibility": "secret"}),
            422,
            "INVALID",
            "visibility",
        ),
        (json!({"owner": "alice"}), 422, "INVALID", "path"),
        (json!({"path": "b", "quota": 1}), 422, "INVALID", "quota"),
    ] {
        let message = app
            .admin(Method::POST, PROJECTS, &body)
            .await
            .error(status, code);
        assert!(message.contains(words), "{body}: {message}");
    }
    let change = json!({"visibility": "secret"});
    app.admin(Method::PATCH, &format!("{PROJECTS}/app"), &change)
        .await
        .error(422, "INVALID");
}

#[tokio::test]
async fn what_does_not_exist_is_404() {
    let app = TestApp::start().await;
    let unknown = uuid::Uuid::nil().to_string();
    for name in [unknown.as_str(), "nothing", "No%2FName", "%FF", "a%00"] {
        let path = format!("{PROJECTS}/{name}");
        let change = json!({"visibility": "public"});
        app.admin(Method::GET, &path, &NOTHING)
            .await
            .error(404, "NOT_FOUND");
        app.admin(Method::PATCH, &path, &change)
            .await
            .error(404, "NOT_FOUND");
        app.admin(Method::DELETE, &path, &NOTHING)
            .await
            .error(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn projects_are_listed_by_page() {
    let app = TestApp::start().await;
    for path in ["b", "a", "a/b", "a-b"] {
        app.admin(Method::POST, PROJECTS, &json!({"path": path}))
            .await
            .expect(201);
    }
    let page = app
        .admin(Method::GET, &format!("{PROJECTS}?limit=3"), &NOTHING)
        .await
        .expect(200);
    assert_eq!(page.header("x-total-count"), "4");
    assert_eq!(
        page.header("link"),
        "</api/v1/projects?limit=3&after=a%2Fb>; rel=\"next\""
    );
    let rest = app
        .admin(
            Method::GET,
            "/api/v1/projects?limit=3&after=a%2Fb",
            &NOTHING,
        )
        .await
        .expect(200);
    assert_eq!(rest.header("link"), "");
    let paths: Vec<Value> = [page.json(), rest.json()]
        .iter()
        .flat_map(|page| page.as_array().unwrap())
        .map(|project| project["path"].clone())
        .collect();
    assert_eq!(paths, ["a", "a-b", "a/b", "b"]);
}

#[tokio::test]
async fn a_project_is_put_by_its_path() {
    let app = TestApp::start().await;
    let path = format!("{PROJECTS}/alice%2Fapp");
    let put = async |who: &str, header: Option<(&str, &str)>, body: Value| {
        let mut request = app.request_as(who, Method::PUT, &path).json(&body);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        Answer::of(request).await
    };
    // Somebody else's namespace; told before anything about what there is in it.
    let message = put("bob", None, json!({})).await.error(403, "DENIED");
    assert!(message.contains("you may not create"), "{message}");
    let message = put("alice", Some(("if-match", "*")), json!({}))
        .await
        .error(412, "OUTDATED");
    assert_eq!(message, "there is no project `alice/app` yet");
    let made = put("alice", Some(("if-none-match", "*")), json!({})).await;
    let made = made.expect(201);
    assert_eq!(made.json()["visibility"], "private");
    assert_eq!(made.header("etag"), "\"1\"");
    let message = put("alice", Some(("if-none-match", "*")), json!({}))
        .await
        .error(412, "OUTDATED");
    assert_eq!(message, "there is a project `alice/app` already");
    assert_eq!(put("bob", None, json!({})).await.status, 403);

    let public = json!({"visibility": "public"});
    let changed = put("alice", Some(("if-match", "\"1\"")), public.clone()).await;
    assert_eq!(changed.expect(200).json()["visibility"], "public");
    put("alice", Some(("if-match", "\"1\"")), json!({}))
        .await
        .error(412, "OUTDATED");
    let same = put("alice", None, public).await.expect(200);
    assert_eq!(same.json()["version"], 2);
    // What is not said is as in a new one.
    let reset = put("alice", None, json!({})).await.expect(200);
    assert_eq!(reset.json()["visibility"], "private");
    let both = app
        .request_as("alice", Method::PUT, &path)
        .header("if-match", "*")
        .header("if-none-match", "*")
        .json(&json!({}));
    Answer::of(both).await.error(400, "BAD_REQUEST");
}

#[tokio::test]
async fn what_cannot_be_a_project_cannot_be_put() {
    let app = TestApp::start().await;
    app.admin(Method::POST, "/api/v1/groups", &json!({"path": "team"}))
        .await
        .expect(201);
    for (name, status, code, words) in [
        ("team", 409, "CONFLICT", "is taken"),
        ("nowhere%2Fapp", 409, "CONFLICT", "create it first"),
        ("Team%2Fapp", 422, "INVALID", "lower-case"),
        ("v2", 422, "INVALID", "reserved"),
        (
            "00000000-0000-0000-0000-000000000000",
            400,
            "BAD_REQUEST",
            "takes a path",
        ),
    ] {
        let path = format!("{PROJECTS}/{name}");
        let answer = app.admin(Method::PUT, &path, &json!({})).await;
        let message = answer.error(status, code);
        assert!(message.contains(words), "{name}: {message}");
    }
    let answer = app
        .admin(
            Method::PUT,
            &format!("{PROJECTS}/team%2Fapp"),
            &json!({"path": "team/app"}),
        )
        .await;
    assert!(answer.error(422, "INVALID").contains("path"));
}
