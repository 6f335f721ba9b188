use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::TestApp;

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
