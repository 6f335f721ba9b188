//! Users of an htpasswd file, as Apache's own tool makes it, at a database at hand and at a server
//! elsewhere.

use std::path::Path;

use acceptance::{Invocation, Portcullis};
use serde_json::json;

/// Adds a line to the file by Apache's tool; `form` is its option for how the password is hashed.
fn htpasswd(file: &Path, form: &str, user: &str, password: &str) {
    let create = if file.exists() { "-b" } else { "-bc" };
    Invocation::new("htpasswd")
        .args([create, form])
        .arg(file)
        .args([user, password])
        .run()
        .expect_success();
}

#[tokio::test]
async fn users_of_apaches_tool_log_in_with_the_passwords_they_have() {
    let portcullis = Portcullis::up().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    htpasswd(&file, "-B", "alice", "her password");
    htpasswd(&file, "-m", "bob", "an md5 of his");
    htpasswd(&file, "-d", "carol", "crypt");
    htpasswd(&file, "-s", "dave", "a sha1 of his");

    let import = portcullis
        .accounts(["auth", "import-htpasswd"])
        .arg(&file)
        .run()
        .expect_code(1)
        .expect_says([
            "Created: alice",
            "line 2 (bob)",
            "MD5",
            "line 3 (carol)",
            "crypt",
            "line 4 (dave)",
            "SHA-1",
            "3 lines could not be taken over",
        ]);

    assert!(!import.stderr.contains("$apr1$"), "hashes are not shown");
    let alice = portcullis.user("alice", "her password");
    alice.token_answer(&[]).await.expect(200);
    let bob = portcullis.user("bob", "an md5 of his");
    bob.token_answer(&[]).await.expect(401);
}

#[tokio::test]
async fn a_server_elsewhere_takes_over_the_same_file() {
    let portcullis = Portcullis::up().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    htpasswd(&file, "-B", "alice", "her password");
    let token = |scope: &str| {
        let create = [
            "auth", "token", "create", "import", "--user", "admin", "--scope", scope,
        ];
        let created = portcullis.accounts(create).run().expect_success();
        created.stdout.trim().to_owned()
    };
    let import = |token: &str, options: &[&str]| {
        Invocation::portcullis()
            .args(["auth", "import-htpasswd", "--output", "json", "--server"])
            .arg(portcullis.origin().as_str())
            .args(options)
            .arg(&file)
            .env("PORTCULLIS_TOKEN", token)
            .run()
    };
    import(&token("read_api"), &[])
        .expect_code(1)
        .expect_says(["api"]);
    let token = token("api");

    let dry = import(&token, &["--dry-run"]).expect_success().json();
    assert_eq!(dry["created"], json!(["alice"]));
    let alice = portcullis.user("alice", "her password");
    alice.token_answer(&[]).await.expect(401);

    let done = import(&token, &[]).expect_success().json();
    assert_eq!(done, dry);
    alice.token_answer(&[]).await.expect(200);
    // In the name of the token's user, as any other change.
    let audit = [
        "auth",
        "audit",
        "--action",
        "user.create",
        "--output",
        "json",
    ];
    let events = portcullis.accounts(audit).run();
    let events = events.expect_success().json();
    assert_eq!(events[0]["subject"]["name"], "alice", "{events:#}");
    assert_eq!(events[0]["actor"]["name"], "admin", "{events:#}");

    htpasswd(&file, "-B", "alice", "another password");
    let left = import(&token, &[]).expect_success().json();
    assert_eq!(left["untouched"], json!(["alice"]));
    let replaced = import(&token, &["--replace-passwords"]).expect_success();
    assert_eq!(replaced.json()["replaced"], json!(["alice"]));
    let alice = portcullis.user("alice", "another password");
    alice.token_answer(&[]).await.expect(200);
}
