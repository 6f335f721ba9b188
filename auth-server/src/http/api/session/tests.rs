use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::{Answer, PASSWORD, TestApp};

const SESSION: &str = "/api/v1/session";

/// A browser that is logged in: its cookie, and its CSRF token.
async fn browser(app: &TestApp, username: &str) -> (String, String) {
    let answer = app.log_in(username, PASSWORD).await.expect(201);
    let cookie = answer
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let csrf = answer.json()["csrf_token"].as_str().unwrap().to_owned();
    (cookie, csrf)
}

async fn change(app: &TestApp, headers: &[(&str, &str)]) -> Answer {
    let mut request = app.request(Method::PUT, "/api/v1/me/password");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    // Gets as far as being read, and no further.
    Answer::of(request.json(&json!({}))).await
}

#[tokio::test]
async fn a_browser_logs_in_and_out() {
    let app = TestApp::start().await;
    let answer = app.log_in("alice", PASSWORD).await.expect(201);
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-portcullis=ptcs_"), "{cookie}");
    for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age="] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert!(!answer.text.contains("ptcs_"), "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");

    let (cookie, csrf) = browser(&app, "alice").await;
    let ask = async |method: Method, path: &str| {
        let request = app.request(method, path).header("cookie", &cookie);
        Answer::of(request.header("x-csrf-token", &csrf)).await
    };
    let shown = ask(Method::GET, SESSION).await.expect(200).json();
    assert_eq!(shown["user"]["username"], "alice");
    assert_eq!(shown["csrf_token"], csrf.as_str());
    assert_eq!(
        ask(Method::GET, "/api/v1/me").await.expect(200).json()["username"],
        "alice"
    );
    let ended = ask(Method::DELETE, SESSION).await.expect(204);
    assert!(
        ended.header("set-cookie").contains("Max-Age=0"),
        "{ended:?}"
    );
    ask(Method::GET, SESSION).await.error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_change_by_a_browser_shows_that_it_comes_from_a_page_of_ours() {
    let app = TestApp::start().await;
    let (cookie, csrf) = browser(&app, "alice").await;
    let (_, other) = browser(&app, "bob").await;
    let cookie = ("cookie", cookie.as_str());
    change(&app, &[cookie, ("x-csrf-token", &csrf)])
        .await
        .error(422, "INVALID");
    for wrong in ["", "x", &other, &csrf[1..]] {
        change(&app, &[cookie, ("x-csrf-token", wrong)])
            .await
            .error(403, "DENIED");
    }
    change(&app, &[cookie]).await.error(403, "DENIED");
    let right = [cookie, ("x-csrf-token", csrf.as_str())];
    for (name, value, status) in [
        ("sec-fetch-site", "same-origin", 422),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("origin", app.url.as_str(), 422),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
    ] {
        let headers = [right[0], right[1], (name, value)];
        change(&app, &headers).await.expect(status);
    }
}

#[tokio::test]
async fn nobody_is_logged_in_by_a_page_of_another_site() {
    let app = TestApp::start().await;
    let body = json!({"username": "alice", "password": PASSWORD});
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let request = app.request(Method::POST, SESSION).header(name, value);
        let answer = Answer::of(request.json(&body)).await;
        answer.error(403, "DENIED");
    }
    // A form cannot send JSON.
    let form = app.request(Method::POST, SESSION).form(&body);
    Answer::of(form).await.error(415, "UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn who_is_not_known_is_told_how_to_log_in_and_shown_no_form() {
    let app = TestApp::start().await;
    let get = |name: &str, value: &str| {
        let request = app.request(Method::GET, "/api/v1/me");
        Answer::of(request.header(name, value))
    };
    for (name, value) in [
        ("x-nothing", ""),
        (
            "authorization",
            "Bearer ptc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ),
        ("authorization", "Bearer"),
        ("authorization", "Bearer "),
        ("authorization", "Bearer x"),
        // Nowhere but at the token realm.
        ("authorization", "Basic YWxpY2U6eA=="),
        (
            "cookie",
            "__Host-portcullis=ptcs_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ),
        ("cookie", "__Host-portcullis="),
        ("cookie", "portcullis=x"),
    ] {
        let answer = get(name, value).await;
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"portcullis\""
        );
        answer.error(401, "UNAUTHORIZED");
    }
    let answer = app.log_in("alice", "a wrong password").await;
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"portcullis\""
    );
    answer.error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn tokens_are_good_for_what_their_scopes_say() {
    let app = TestApp::start().await;
    for (scopes, read, changed) in [
        ("api", 200, 422),
        ("read_api", 200, 403),
        ("read_api api", 200, 422),
        ("read_registry write_registry delete_registry", 403, 403),
    ] {
        let token = app.token_of("alice", scopes).await;
        let ask = async |method: Method, path: &str| {
            let request = app.request(method, path).bearer_auth(&token);
            Answer::of(request.json(&json!({}))).await.status.as_u16()
        };
        assert_eq!(ask(Method::GET, "/api/v1/me").await, read, "{scopes}");
        assert_eq!(
            ask(Method::PUT, "/api/v1/me/password").await,
            changed,
            "{scopes}"
        );
    }
}

#[tokio::test]
async fn who_changes_their_password_knows_the_old_one() {
    let app = TestApp::start().await;
    let (cookie, csrf) = browser(&app, "alice").await;
    let put = async |old: &str, new: &str| {
        let request = app
            .request(Method::PUT, "/api/v1/me/password")
            .header("cookie", &cookie)
            .header("x-csrf-token", &csrf)
            .json(&json!({"old_password": old, "new_password": new}));
        Answer::of(request).await
    };
    let message = put("not the old one", "a new: password")
        .await
        .error(422, "INVALID");
    assert_eq!(message, "the old password is wrong");
    put(PASSWORD, "short").await.error(422, "INVALID");
    put(PASSWORD, "a new: password").await.expect(204);
    // The session has ended with the password that opened it.
    put("a new: password", PASSWORD)
        .await
        .error(401, "UNAUTHORIZED");
    app.log_in("alice", PASSWORD)
        .await
        .error(401, "UNAUTHORIZED");
    app.log_in("alice", "a new: password").await.expect(201);
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let app = TestApp::start().await;
    let (cookie, csrf) = browser(&app, "alice").await;
    let (other, _) = browser(&app, "alice").await;
    let ask = async |cookie: &str, method: Method, path: &str| {
        let request = app.request(method, path).header("cookie", cookie);
        Answer::of(request.header("x-csrf-token", &csrf)).await
    };
    let mine = "/api/v1/me/sessions";
    let list = ask(&cookie, Method::GET, mine).await.expect(200);
    assert_eq!(list.header("x-total-count"), "2");
    assert_eq!(list.json()[0]["kind"], "browser");
    ask(&cookie, Method::DELETE, mine).await.expect(204);
    ask(&other, Method::GET, mine)
        .await
        .error(401, "UNAUTHORIZED");
    let list = ask(&cookie, Method::GET, mine).await.expect(200).json();
    let [remaining] = list.as_array().unwrap().as_slice() else {
        panic!("{list}");
    };
    // Bob neither sees it nor ends it.
    let id = remaining["id"].as_str().unwrap();
    for path in [
        format!("/api/v1/me/sessions/{id}"),
        format!("/api/v1/users/alice/sessions/{id}"),
    ] {
        app.ask("bob", Method::DELETE, &path, &Value::Null)
            .await
            .error(404, "NOT_FOUND");
    }
    let path = format!("/api/v1/users/alice/sessions/{id}");
    app.admin(Method::DELETE, &path, &Value::Null)
        .await
        .expect(204);
    ask(&cookie, Method::GET, mine)
        .await
        .error(401, "UNAUTHORIZED");
}
