use reqwest::Method;
use serde_json::{Value, json};

use crate::http::test_app::{Answer, TestApp};

const PATH: &str = "/api/v1/import/htpasswd";

fn line(name: &str, password: &str) -> String {
    let parts = bcrypt::hash_with_result(password, 4).unwrap();
    let hash = parts.format_for_version(bcrypt::Version::TwoY);
    format!("{name}:{hash}\n")
}

async fn import(app: &TestApp, query: &str, file: impl Into<reqwest::Body>) -> Answer {
    let request = app
        .request_as("admin", Method::POST, &format!("{PATH}{query}"))
        .header("content-type", "text/plain");
    Answer::of(request.body(file)).await
}

#[tokio::test]
async fn users_are_taken_over_and_log_in_and_the_rest_is_told_by_line() {
    let app = TestApp::start().await;
    let file = format!(
        "{}carol:$apr1$salt$hash\n{}",
        line("import", "of the old registry"),
        line("alice", "another password")
    );
    let dry = import(&app, "?dry_run=true", file.clone()).await;
    let dry = dry.expect(200).json();
    app.log_in("import", "of the old registry")
        .await
        .error(401, "UNAUTHORIZED");
    let done = import(&app, "", file.clone()).await.expect(200).json();
    assert_eq!(dry, done);
    assert_eq!(done["created"], json!(["import"]));
    assert_eq!(done["untouched"], json!(["alice"]));
    assert_eq!(done["problems"][0]["line"], 2);
    assert_eq!(done["problems"][0]["name"], "carol");
    app.log_in("import", "of the old registry")
        .await
        .expect(201);
    // A user of the very name of the address is a user like any other.
    let shown = app
        .admin(Method::GET, "/api/v1/users/import", &Value::Null)
        .await;
    assert_eq!(shown.expect(200).json()["username"], "import");

    app.log_in("alice", "another password")
        .await
        .error(401, "UNAUTHORIZED");
    let replaced = import(&app, "?replace_passwords=true", file).await;
    assert_eq!(
        replaced.expect(200).json()["replaced"],
        json!(["import", "alice"])
    );
    app.log_in("alice", "another password").await.expect(201);
}

#[tokio::test]
async fn each_user_has_an_event_in_the_name_of_who_asked() {
    let app = TestApp::start().await;
    import(&app, "", line("carol", "of the old registry"))
        .await
        .expect(200);
    let path = "/api/v1/audit?action=user.create&subject=carol";
    let events = app.admin(Method::GET, path, &Value::Null).await.json();
    assert_eq!(events[0]["actor"]["name"], "admin");
    assert_eq!(events[0]["outcome"], "success");
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    let app = TestApp::start().await;
    let body = json!({"htpasswd": "alice:x"});
    app.admin(Method::POST, PATH, &body)
        .await
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    let long = vec![b'#'; (1 << 20) + 1];
    import(&app, "", long).await.error(413, "SIZE_INVALID");
    let message = import(&app, "?dry_run=yes", "")
        .await
        .error(400, "BAD_REQUEST");
    assert_eq!(message, "the parameter `dry_run` must be true or false");
    let message = import(&app, "?dryrun=true", "")
        .await
        .error(400, "BAD_REQUEST");
    assert_eq!(
        message,
        "unknown parameter `dryrun`; did you mean `dry_run`?"
    );
    // Not UTF-8: told as any other line is that cannot be taken over.
    let report = import(&app, "", b"\xff\xfe:x\n".to_vec()).await;
    assert_eq!(report.expect(200).json()["problems"][0]["line"], 1);
}
