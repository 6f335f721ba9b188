use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::{Answer, PASSWORD, TestApp};

const USERS: &str = "/api/v1/users";
const NOTHING: Value = Value::Null;

#[tokio::test]
async fn a_user_is_created_and_shown_and_logs_in() {
    let app = TestApp::start().await;
    let body = json!({
        "username": "carol", "email": "carol@example.com", "password": PASSWORD, "admin": true,
    });
    let created = app.admin(Method::POST, USERS, &body).await.expect(201);
    assert_eq!(created.header("location"), "/api/v1/users/carol");
    assert_eq!(created.header("cache-control"), "no-store");
    assert!(!created.text.contains("password"), "{}", created.text);
    let shown = app
        .admin(Method::GET, "/api/v1/users/carol", &NOTHING)
        .await
        .expect(200);
    assert_eq!(shown.json(), created.json());
    assert_eq!(
        shown.json(),
        json!({
            "id": shown.json()["id"],
            "username": "carol",
            "email": "carol@example.com",
            "admin": true,
            "disabled": false,
            "created_at": "2027-01-15T08:00:00.123456Z",
            "disabled_at": null,
            "last_login_at": null,
            "version": 1,
        })
    );
    assert_eq!(shown.header("etag"), "\"1\"");
    assert_eq!(created.header("etag"), "\"1\"");
    app.log_in("carol", PASSWORD).await.expect(201);
}

#[tokio::test]
async fn a_user_that_cannot_be_is_refused_with_a_reason() {
    let app = TestApp::start().await;
    let body = json!({"path": "taken"});
    app.admin(Method::POST, "/api/v1/projects", &body)
        .await
        .expect(201);
    let with_email = json!({"username": "dave", "email": "d@example.com"});
    app.admin(Method::POST, USERS, &with_email)
        .await
        .expect(201);
    for (body, status, code, words) in [
        (json!({"username": "alice"}), 409, "CONFLICT", "taken"),
        (
            json!({"username": "x", "email": "D@example.com"}),
            409,
            "CONFLICT",
            "e-mail",
        ),
        (json!({"username": "taken"}), 409, "CONFLICT", "is taken"),
        (json!({"username": "Carol"}), 422, "INVALID", "lower-case"),
        (json!({"username": "library"}), 422, "INVALID", "reserved"),
        (json!({"username": ""}), 422, "INVALID", "1 to 64"),
        (
            json!({"username": "carol", "email": "carol"}),
            422,
            "INVALID",
            "name@host",
        ),
        (
            json!({"username": "carol", "password": "short"}),
            422,
            "INVALID",
            "12 characters",
        ),
        (
            json!({"username": "carol", "root": true}),
            422,
            "INVALID",
            "root",
        ),
        (json!({"username": 7}), 422, "INVALID", "username"),
        (json!({}), 422, "INVALID", "username"),
        (json!([]), 422, "INVALID", ""),
    ] {
        let message = app
            .admin(Method::POST, USERS, &body)
            .await
            .error(status, code);
        assert!(message.contains(words), "{body}: {message}");
    }
}

#[tokio::test]
async fn a_body_that_is_none_is_refused_by_its_kind() {
    let app = TestApp::start().await;
    let post = |media_type: &str, body: String| {
        let request = app
            .request_as("admin", Method::POST, USERS)
            .header("content-type", media_type)
            .body(body);
        Answer::of(request)
    };
    let json = "application/json; charset=utf-8";
    post(json, "{".into()).await.error(400, "BAD_REQUEST");
    post(json, "{\"username\": \"carol\"} {}".into())
        .await
        .error(400, "BAD_REQUEST");
    post(json, String::new()).await.error(400, "BAD_REQUEST");
    post("text/plain", "{}".into())
        .await
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    post("application/x-www-form-urlencoded", "username=x".into())
        .await
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    let huge = format!("{{\"username\": \"{}\"}}", "x".repeat(70_000));
    post(json, huge).await.error(413, "SIZE_INVALID");
    post(json, "{\"username\": \"carol\"}".into())
        .await
        .expect(201);
}

#[tokio::test]
async fn a_disabled_user_is_out_and_an_enabled_one_back_in() {
    let app = TestApp::start().await;
    let me = || app.ask("alice", Method::GET, "/api/v1/me", &NOTHING);
    let change = |disabled: Value| {
        let body = json!({ "disabled": disabled });
        async {
            let body = body;
            app.admin(Method::PATCH, "/api/v1/users/alice", &body).await
        }
    };
    let disabled = change(json!(true)).await.expect(200).json();
    assert_eq!(disabled["disabled"], true);
    assert_eq!(disabled["disabled_at"], "2027-01-15T08:00:00.123456Z");
    me().await.error(401, "UNAUTHORIZED");
    let enabled = change(json!(false)).await.expect(200).json();
    assert_eq!(enabled["disabled"], false);
    me().await.expect(200);
    change(json!("yes")).await.error(422, "INVALID");
}

#[tokio::test]
async fn the_last_administrator_cannot_be_disabled() {
    let app = TestApp::start().await;
    let body = json!({"disabled": true});
    let message = app
        .admin(Method::PATCH, "/api/v1/users/admin", &body)
        .await
        .error(409, "CONFLICT");
    assert!(message.contains("last administrator"), "{message}");
}

#[tokio::test]
async fn a_new_password_replaces_the_old_one() {
    let app = TestApp::start().await;
    let path = "/api/v1/users/alice/password";
    let body = json!({"password": "another: password"});
    let answer = app.admin(Method::PUT, path, &body).await.expect(204);
    assert_eq!(answer.text, "");
    for (password, status) in [(PASSWORD, 401), ("another: password", 201)] {
        app.log_in("alice", password).await.expect(status);
    }
    for weak in ["short", "with\ncontrol character", ""] {
        let body = json!({"password": weak});
        app.admin(Method::PUT, path, &body)
            .await
            .error(422, "INVALID");
    }
}

#[tokio::test]
async fn who_does_not_exist_is_404_everywhere() {
    let app = TestApp::start().await;
    for name in ["nobody", "Alice", "a%00b", "%FF", "..%2Fadmin"] {
        let user = format!("{USERS}/{name}");
        let password = json!({"password": PASSWORD});
        app.admin(Method::GET, &user, &NOTHING)
            .await
            .error(404, "NOT_FOUND");
        app.admin(Method::PATCH, &user, &json!({"disabled": true}))
            .await
            .error(404, "NOT_FOUND");
        app.admin(Method::PUT, &format!("{user}/password"), &password)
            .await
            .error(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn users_are_listed_by_page() {
    let app = TestApp::start().await;
    let mut path = format!("{USERS}?limit=2");
    let mut names = Vec::new();
    loop {
        let page = app.admin(Method::GET, &path, &NOTHING).await.expect(200);
        assert_eq!(page.header("x-total-count"), "3");
        for user in page.json().as_array().unwrap() {
            names.push(user["username"].as_str().unwrap().to_owned());
        }
        let link = page.header("link");
        let Some(next) = link.strip_suffix(">; rel=\"next\"") else {
            assert_eq!(link, "");
            break;
        };
        path = next.strip_prefix('<').unwrap().to_owned();
    }
    assert_eq!(names, ["admin", "alice", "bob"]);

    for bad in [
        "limit=0",
        "limit=-1",
        "limit=many",
        "limit=1&limit=2",
        "after=%00",
        "after=%FF",
        "after=alice&sort=created_at",
        "sort=email",
        "sort=--username",
        "admin=yes",
        "disabled=",
        "lmit=1",
        "search=%00",
    ] {
        let path = format!("{USERS}?{bad}");
        app.admin(Method::GET, &path, &NOTHING)
            .await
            .error(400, "BAD_REQUEST");
    }
    let message = app
        .admin(Method::GET, &format!("{USERS}?serch=x"), &NOTHING)
        .await
        .error(400, "BAD_REQUEST");
    assert_eq!(message, "unknown parameter `serch`; did you mean `search`?");
    let path = format!("{USERS}?limit=4000000000");
    app.admin(Method::GET, &path, &NOTHING).await.expect(200);
}

#[tokio::test]
async fn a_page_leads_to_the_next_with_the_same_order_and_filter() {
    let app = TestApp::start().await;
    let mut path = format!("{USERS}?sort=-created_at&search=b&limit=1");
    for name in ["xb", "ab"] {
        app.create_user(name).await;
    }
    let mut names = Vec::new();
    while !path.is_empty() {
        let page = app.admin(Method::GET, &path, &NOTHING).await.expect(200);
        assert_eq!(page.header("x-total-count"), "3");
        names.push(page.json()[0]["username"].clone());
        let next = page.header("link").strip_suffix(">; rel=\"next\"");
        path = next.map_or(String::new(), |next| next[1..].to_owned());
    }
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["ab", "bob", "xb"]);
}

#[tokio::test]
async fn a_change_sets_clears_and_leaves() {
    let app = TestApp::start().await;
    let alice = "/api/v1/users/alice";
    let change = async |body: Value| app.admin(Method::PATCH, alice, &body).await;
    let set = change(json!({"email": "alice@example.com", "admin": true}))
        .await
        .expect(200);
    assert_eq!(set.header("etag"), "\"2\"");
    assert_eq!(set.json()["email"], "alice@example.com");
    let left = change(json!({"admin": false})).await.expect(200).json();
    assert_eq!(
        (&left["email"], &left["admin"]),
        (&json!("alice@example.com"), &json!(false))
    );
    let cleared = change(json!({"email": null})).await.expect(200).json();
    assert_eq!(cleared["email"], NOTHING);
    let merge_patch = app
        .request_as("admin", Method::PATCH, alice)
        .header("content-type", "application/merge-patch+json")
        .body("{\"admin\": true}");
    assert_eq!(
        Answer::of(merge_patch).await.expect(200).json()["admin"],
        true
    );
    for (body, words) in [
        (json!({"admin": null}), "admin"),
        (json!({"emial": null}), "did you mean `email`?"),
        (json!({"email": "nobody"}), "name@host"),
        (json!([]), "object"),
    ] {
        let message = change(body).await.error(422, "INVALID");
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn a_change_is_for_the_version_that_the_client_has_read() {
    let app = TestApp::start().await;
    let change = async |if_match: &str, email: &str| {
        let request = app
            .request_as("admin", Method::PATCH, "/api/v1/users/alice")
            .header("if-match", if_match)
            .json(&json!({ "email": email }));
        Answer::of(request).await
    };
    change("\"1\"", "a@b").await.expect(200);
    for outdated in ["\"1\"", "\"x\"", "\"\"", "W/\"2\""] {
        change(outdated, "c@d").await.error(412, "OUTDATED");
    }
    for nonsense in ["2", "\"1\", \"2\"", "\""] {
        change(nonsense, "c@d").await.error(400, "BAD_REQUEST");
    }
    change("*", "e@f").await.expect(200);
    let get = async |if_none_match: &str| {
        let request = app
            .request_as("admin", Method::GET, "/api/v1/users/alice")
            .header("if-none-match", if_none_match);
        Answer::of(request).await
    };
    assert_eq!(get("\"3\"").await.expect(304).text, "");
    get("\"1\", W/\"3\"").await.expect(304);
    get("\"2\"").await.expect(200);
    let delete = async |if_match: &str| {
        let request = app
            .request_as("admin", Method::DELETE, "/api/v1/users/alice")
            .header("if-match", if_match);
        Answer::of(request).await
    };
    delete("\"2\"").await.error(412, "OUTDATED");
    delete("\"3\"").await.expect(204);
    delete("\"3\"").await.error(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_user_with_projects_is_not_deleted() {
    let app = TestApp::start().await;
    let body = json!({"path": "alice/app"});
    app.admin(Method::POST, "/api/v1/projects", &body)
        .await
        .expect(201);
    let message = app
        .admin(Method::DELETE, "/api/v1/users/alice", &NOTHING)
        .await
        .error(409, "CONFLICT");
    assert!(message.contains("alice/app"), "{message}");
}

#[tokio::test]
async fn users_see_themselves_and_nobody_else() {
    let app = TestApp::start().await;
    let see = async |who: &str| {
        app.ask("alice", Method::GET, &format!("{USERS}/{who}"), &NOTHING)
            .await
    };
    assert_eq!(see("alice").await.expect(200).json()["username"], "alice");
    let message = see("bob").await.error(404, "NOT_FOUND");
    assert_eq!(
        message,
        see("nob")
            .await
            .error(404, "NOT_FOUND")
            .replace("nob", "bob")
    );
}
