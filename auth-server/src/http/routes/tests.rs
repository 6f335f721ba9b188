use reqwest::Method;
use serde_json::json;

use super::{ENDPOINTS, Requires};
use crate::http::test_app::{ADMIN_PASSWORD, Answer, PASSWORD, TestApp};

/// Every address with every method that it knows, with names put in that exist.
fn all() -> impl Iterator<Item = (Method, String, Requires)> {
    ENDPOINTS.iter().flat_map(|endpoint| {
        let path = endpoint
            .path
            .replace("{username}", "alice")
            .replace("{project}", "team");
        assert!(
            !path.contains('{'),
            "give a value for the parameter of {path}"
        );
        endpoint.methods.iter().map(move |method| {
            let method = Method::from_bytes(method.as_str().as_bytes()).unwrap();
            (method, path.clone(), endpoint.requires)
        })
    })
}

async fn ask(app: &TestApp, method: &Method, path: &str, who: Option<(&str, &str)>) -> Answer {
    // A body that no handler accepts: who gets as far as reading it was let in.
    let request = app
        .request(method.clone(), path)
        .json(&json!({"no": "such field"}));
    let request = match who {
        Some((username, password)) => request.basic_auth(username, Some(password)),
        None => request,
    };
    Answer::of(request).await
}

#[tokio::test]
async fn every_address_lets_in_whom_the_table_says() {
    let app = TestApp::start().await;
    let body = json!({"path": "team", "owner": "alice"});
    app.admin(Method::POST, "/api/v1/projects", &body)
        .await
        .expect(201);
    for (method, path, requires) in all() {
        let context = format!("{method} {path}");
        let anonymous = ask(&app, &method, &path, None).await.status.as_u16();
        let wrong = ask(&app, &method, &path, Some(("admin", "wrong")))
            .await
            .status
            .as_u16();
        let alice = ask(&app, &method, &path, Some(("alice", PASSWORD)))
            .await
            .status
            .as_u16();
        match requires {
            Requires::Nothing => {
                assert_ne!(anonymous, 401, "{context}");
                assert_ne!(alice, 403, "{context}");
            }
            Requires::AnyUser => {
                assert_eq!((anonymous, wrong), (401, 401), "{context}");
                assert!(![401, 403].contains(&alice), "{context}: {alice}");
            }
            Requires::Administrator => {
                assert_eq!((anonymous, wrong, alice), (401, 401, 403), "{context}");
            }
        }
        let admin = ask(&app, &method, &path, Some(("admin", ADMIN_PASSWORD))).await;
        assert!(
            ![401, 403, 405, 500].contains(&admin.status.as_u16()),
            "{context}: {admin:?}"
        );
    }
}

#[tokio::test]
async fn every_change_is_refused_to_pages_of_other_sites() {
    let app = TestApp::start().await;
    let changes = all().filter(|(method, _, requires)| {
        *requires != Requires::Nothing && ![Method::GET, Method::HEAD].contains(method)
    });
    let mut seen = 0;
    for (method, path, _) in changes {
        for (site, refused) in [
            ("cross-site", true),
            ("same-site", true),
            ("same-origin", false),
            ("none", false),
        ] {
            let request = app
                .request(method.clone(), &path)
                .basic_auth("admin", Some(ADMIN_PASSWORD))
                .header("sec-fetch-site", site)
                .json(&json!({"no": "such field"}));
            let answer = Answer::of(request).await;
            assert_eq!(answer.status == 403, refused, "{method} {path} from {site}");
        }
        seen += 1;
    }
    assert!(seen >= 6, "the table has changes");
}

#[tokio::test]
async fn no_path_stands_twice_in_the_table() {
    // configure() groups neighbours: a path that appears again later would hide the first.
    let mut paths: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.path).collect();
    paths.dedup();
    let grouped = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), grouped);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_not_done_is_405() {
    let app = TestApp::start().await;
    for path in [
        "/api",
        "/api/v1/nonsense",
        "/api/v1/users/alice/nonsense",
        "/auth",
        "/x",
    ] {
        Answer::of(app.request(Method::GET, path))
            .await
            .error(404, "NOT_FOUND");
    }
    let answer = Answer::of(app.request(Method::DELETE, "/api/v1/users")).await;
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
    let message = answer.error(405, "UNSUPPORTED");
    assert!(message.contains("GET, HEAD, POST"), "{message}");
}

#[tokio::test]
async fn me_and_system_tell_who_and_what() {
    let app = TestApp::start().await;
    let me = app
        .request(Method::GET, "/api/v1/me")
        .basic_auth("alice", Some(PASSWORD));
    let me = Answer::of(me).await.expect(200).json();
    assert_eq!(me["username"], "alice");
    assert_eq!(me["admin"], false);
    let system = app
        .admin(Method::GET, "/api/v1/system", &json!(null))
        .await
        .expect(200)
        .json();
    assert_eq!(system["issuer"], "portcullis-auth");
    assert_eq!(system["services"], json!(["portcullis-registry"]));
    assert_eq!(system["token_lifetime_seconds"], 300);
    assert_eq!(system["signing_key"]["algorithm"], "ES256");
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
}
