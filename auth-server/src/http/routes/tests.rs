use reqwest::Method;
use serde_json::json;

use super::{ENDPOINTS, Requires};
use crate::http::test_app::{Answer, TestApp};

fn explorer_script() -> String {
    format!("{}/explorer.js", *crate::web::explorer::VERSION)
}

/// Every address with every method that it knows, with names put in that exist.
fn all() -> impl Iterator<Item = (Method, String, Requires)> {
    ENDPOINTS.iter().flat_map(|endpoint| {
        let path = endpoint
            .path
            .replace("{username}", "alice")
            .replace("{project}", "team")
            .replace("{version}/{file}", &explorer_script());
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

async fn ask(app: &TestApp, method: &Method, path: &str, who: Option<&str>) -> u16 {
    let request = match who {
        Some(who) => app.request_as(who, method.clone(), path),
        None => app.request(method.clone(), path),
    };
    // A body that no handler accepts: who gets as far as reading it was let in.
    let request = request.json(&json!({"no": "such field"}));
    Answer::of(request).await.status.as_u16()
}

/// That this caller is let in. What follows may fail for other reasons, a body for example, but
/// not for want of an object: the addresses name those that exist.
#[track_caller]
fn assert_let_in(status: u16, context: &str) {
    let refused = [401, 403, 404, 405, 500].contains(&status);
    assert!(!refused, "{context}: {status}");
}

#[tokio::test]
async fn every_address_lets_in_whom_the_table_says() {
    let app = TestApp::start().await;
    let body = json!({"path": "team", "owner": "alice"});
    app.admin(Method::POST, "/api/v1/projects", &body)
        .await
        .expect(201);
    // Who changes something is asked last: what is deleted then is not missed.
    for (method, path, requires) in all() {
        let context = format!("{method} {path}");
        let anonymous = ask(&app, &method, &path, None).await;
        if requires == Requires::Nothing {
            assert_let_in(anonymous, &context);
            continue;
        }
        assert_eq!(anonymous, 401, "{context}");
        let wrong = app
            .request(method.clone(), &path)
            .bearer_auth("ptc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Answer::of(wrong).await.status, 401, "{context}");
        // Of the two, the path names alice.
        let (alice, bob) = (
            ask(&app, &method, &path, Some("alice")).await,
            ask(&app, &method, &path, Some("bob")).await,
        );
        match requires {
            Requires::Nothing => {}
            Requires::AnyUser => {
                assert_let_in(alice, &context);
                assert_let_in(bob, &context);
            }
            Requires::ThatUser => {
                assert_let_in(alice, &context);
                assert_eq!(bob, 404, "{context}");
            }
            Requires::Administrator => assert_eq!((alice, bob), (403, 403), "{context}"),
        }
        assert_let_in(ask(&app, &method, &path, Some("admin")).await, &context);
        if method == Method::DELETE && path == "/api/v1/users/alice" {
            app.create_user("alice").await;
        }
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
                .request_as("admin", method.clone(), &path)
                .header("sec-fetch-site", site)
                .json(&json!({"no": "such field"}));
            let answer = Answer::of(request).await;
            assert_eq!(answer.status == 403, refused, "{method} {path} from {site}");
        }
        seen += 1;
    }
    assert!(seen >= 6, "the table has changes");
}

#[test]
fn every_change_has_a_name_in_the_audit_log_and_nothing_else_has() {
    for endpoint in ENDPOINTS {
        let reads = endpoint.methods.iter().any(|method| method == "GET");
        let changes = !reads && endpoint.requires != Requires::Nothing;
        assert_eq!(endpoint.action.is_some(), changes, "{}", endpoint.path);
    }
}

#[tokio::test]
async fn a_change_that_fails_is_recorded_with_who_tried_and_why() {
    let app = TestApp::start().await;
    let path = "/api/v1/users/admin";
    for _ in 0..2 {
        ask(&app, &Method::DELETE, path, None).await;
    }
    ask(&app, &Method::DELETE, path, Some("bob")).await;
    app.admin(Method::DELETE, path, &json!(null))
        .await
        .error(409, "CONFLICT");
    let mut tx = app.database().read().await.unwrap();
    let events = database::sql!(
        &mut tx,
        fetch_all(String, String, String, String),
        "SELECT action, actor_name, subject_name, reason FROM audit_events
         WHERE outcome = 'failure' ORDER BY number"
    )
    .unwrap();
    let expected = [
        ("bob", "this takes an administrator"),
        ("admin", "`admin` is the last administrator that can log in"),
    ]
    .map(|(who, why)| ("user.delete".into(), who.into(), "admin".into(), why.into()));
    assert_eq!(events, expected);
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
        .ask("alice", Method::GET, "/api/v1/me", &json!(null))
        .await
        .expect(200)
        .json();
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
