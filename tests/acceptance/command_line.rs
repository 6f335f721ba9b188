//! The command line: what it does, and what it says to those who type it wrong.

use acceptance::{Databases, Invocation, Portcullis};
use serde_json::json;

fn portcullis(arguments: &[&str]) -> Invocation {
    Invocation::portcullis().args(arguments)
}

/// The subcommands that `--help` lists.
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_explains_itself() {
    let mut waiting = vec![Vec::<String>::new()];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        let help = Invocation::portcullis()
            .args(&path)
            .arg("--help")
            .run()
            .expect_success();
        assert!(help.stdout.contains("Usage: portcullis"), "{help}");
        assert!(help.stderr.is_empty(), "{help}");
        for name in subcommands(&help.stdout) {
            let mut below = path.clone();
            below.push(name);
            waiting.push(below);
        }
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} commands");
}

#[test]
fn the_version_names_the_commit() {
    let version = portcullis(&["--version"]).run().expect_success().stdout;

    assert!(version.starts_with("portcullis "), "{version}");
    let commit = version
        .trim()
        .rsplit_once('(')
        .unwrap()
        .1
        .trim_end_matches(')');
    assert!(commit.len() >= 7, "{version}");
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = portcullis(&["completions", shell]).run().expect_success();
        assert!(script.stdout.contains("portcullis"), "{script}");
        assert!(script.stdout.contains("set-visibility"), "{script}");
    }
}

#[test]
fn what_is_no_command_is_refused_with_the_nearest() {
    portcullis(&["regstry"])
        .run()
        .expect_code(2)
        .expect_says(["'registry'"]);
    portcullis(&["auth", "usr"])
        .run()
        .expect_code(2)
        .expect_says(["'user'"]);
    portcullis(&["up", "--data"])
        .run()
        .expect_code(2)
        .expect_says(["--data-dir"]);
}

#[tokio::test]
async fn users_are_managed() {
    let server = Portcullis::up().await;
    let run = |arguments: &[&str]| server.accounts(arguments.iter().copied());

    let created = run(&[
        "auth",
        "user",
        "create",
        "alice",
        "--password-stdin",
        "--output",
        "json",
    ])
    .input("a long enough password\n")
    .run()
    .expect_success()
    .json();
    assert_eq!(created["username"], "alice");
    let again = run(&["auth", "user", "create", "alice", "--password-stdin"])
        .input("a long enough password\n")
        .run();
    again.expect_code(1).expect_says(["alice", "taken"]);

    let list = run(&["auth", "user", "list", "--output", "json"])
        .run()
        .expect_success();
    let names: Vec<_> = list
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|u| u["username"].clone())
        .collect();
    assert_eq!(names, [json!("admin"), json!("alice")]);
    assert!(!list.stdout.contains("argon2"), "{list}");
    run(&["auth", "user", "list"])
        .run()
        .expect_success()
        .expect_says(["admin", "alice"]);

    run(&["auth", "user", "disable", "alice"])
        .run()
        .expect_success();
    let list = run(&["auth", "user", "list", "--output", "json"])
        .run()
        .expect_success();
    assert_ne!(
        list.json()[0]["disabled"],
        list.json()[1]["disabled"],
        "{list}"
    );
    let unknown = run(&["auth", "user", "disable", "nobody"]).run();
    unknown.expect_code(1).expect_says(["nobody"]);
}

#[tokio::test]
async fn an_admin_is_made() {
    let server = Portcullis::up().await;
    let create = [
        "auth",
        "user",
        "create",
        "root2",
        "--admin",
        "--password-stdin",
    ];
    server
        .accounts(create)
        .input("a long enough password\n")
        .run()
        .expect_success();

    let client = server.user("root2", "a long enough password");

    client.catalog("").await.expect(200);
}

#[tokio::test]
async fn bad_names_and_passwords_are_refused_with_a_reason() {
    let server = Portcullis::up().await;
    for (name, password) in [
        ("Alice", "a long enough password\n"),
        ("a b", "a long enough password\n"),
        ("-a", "a long enough password\n"),
        ("a/b", "a long enough password\n"),
        ("", "a long enough password\n"),
        ("alice", "\n"),
        ("alice", "short\n"),
        ("alice", ""),
    ] {
        let create = ["auth", "user", "create", "--password-stdin", "--", name];
        // Options after `--` would be names.
        let finished = Invocation::portcullis()
            .args(&create[..4])
            .arg("--data-dir")
            .arg(server.folder())
            .args(["--", name])
            .input(password)
            .run()
            .expect_failure();
        assert!(finished.stderr.len() > 10, "{finished}");
        assert!(!finished.stderr.contains("panicked"), "{finished}");
    }
}

#[tokio::test]
async fn projects_are_managed() {
    let server = Portcullis::up().await;
    let run = |arguments: &[&str]| server.accounts(arguments.iter().copied());

    let created = run(&["auth", "project", "create", "team-app", "--output", "json"])
        .run()
        .expect_success()
        .json();
    assert_eq!(created["path"], "team-app");
    assert_eq!(created["visibility"], "private");
    run(&["auth", "project", "create", "team-app"])
        .run()
        .expect_code(1)
        .expect_says(["team-app", "taken"]);
    run(&["auth", "project", "set-visibility", "team-app", "public"])
        .run()
        .expect_success();

    let list = run(&["auth", "project", "list", "--output", "json"])
        .run()
        .expect_success();
    let project = list
        .json()
        .as_array()
        .unwrap()
        .iter()
        .find(|project| project["path"] == "team-app")
        .unwrap()
        .clone();
    assert_eq!(project["visibility"], "public");
    run(&["auth", "project", "set-visibility", "nope", "public"])
        .run()
        .expect_code(1)
        .expect_says(["nope"]);
    run(&["auth", "project", "create", "Team"])
        .run()
        .expect_failure();
}

#[tokio::test]
async fn servers_apart_are_managed_by_their_configuration() {
    let server = Portcullis::apart(Databases::Postgres).await;

    let alice = server.new_user("alice");

    alice.token_answer(&[]).await.expect(200);
}

#[test]
fn commands_on_data_that_is_not_there_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");

    let list = Invocation::portcullis()
        .args(["auth", "user", "list", "--data-dir"])
        .arg(&nowhere)
        .run();

    list.expect_failure().expect_says(["nowhere"]);
    assert!(!nowhere.exists(), "a question must not create anything");
}

/// A personal token of `admin`.
fn token(server: &Portcullis, scope: &str) -> String {
    let create = [
        "auth", "token", "create", "script", "--user", "admin", "--scope", scope,
    ];
    let created = server.accounts(create).run().expect_success();
    created.stdout.trim().to_owned()
}

#[tokio::test]
async fn a_server_elsewhere_is_managed_with_a_token() {
    let server = Portcullis::up().await;
    let token_file = tempfile::NamedTempFile::new().unwrap();
    let managing = token(&server, "api");
    std::fs::write(token_file.path(), format!("{managing}\n")).unwrap();
    let elsewhere = |arguments: &[&str]| {
        portcullis(arguments)
            .arg("--server")
            .arg(server.origin().as_str())
    };

    elsewhere(&["auth", "group", "create", "team"])
        .env("PORTCULLIS_TOKEN", &managing)
        .run()
        .expect_success();
    elsewhere(&["auth", "group", "list"])
        .arg("--token-file")
        .arg(token_file.path())
        .run()
        .expect_success()
        .expect_says(["team"]);
    elsewhere(&["auth", "me"])
        .env("PORTCULLIS_TOKEN", &managing)
        .run()
        .expect_success()
        .expect_says(["NAME", "admin", "yes"]);
    // Without a user, it is about who asks.
    elsewhere(&["auth", "token", "list"])
        .env("PORTCULLIS_TOKEN", &managing)
        .run()
        .expect_success()
        .expect_says(["script"]);
    // It is the token's user who has done it.
    let events = server.accounts([
        "auth",
        "audit",
        "--action",
        "group.create",
        "--output",
        "json",
    ]);
    let events = events.run().expect_success().json();
    assert_eq!(events[0]["actor"]["name"], "admin", "{events}");
}

#[tokio::test]
async fn a_server_elsewhere_says_why_it_refuses() {
    let server = Portcullis::up().await;
    let list = |origin: &str| portcullis(&["auth", "user", "list", "--server", origin]);
    let origin = server.origin().as_str();

    list(origin)
        .run()
        .expect_code(2)
        .expect_says(["PORTCULLIS_TOKEN"]);
    list("ftp://localhost")
        .run()
        .expect_code(2)
        .expect_says(["https://"]);
    list(origin)
        .env("PORTCULLIS_TOKEN", "ptc_wrong")
        .run()
        .expect_code(1)
        .expect_says(["token"]);
    list(origin)
        .env("PORTCULLIS_TOKEN", "no\ttoken\u{7f}")
        .run()
        .expect_code(2);
    list("http://127.0.0.1:1")
        .env("PORTCULLIS_TOKEN", "ptc_any")
        .run()
        .expect_code(1)
        .expect_says(["cannot reach", "127.0.0.1:1"]);
    // It reads, and changes nothing.
    let reading = token(&server, "read_api");
    list(origin)
        .env("PORTCULLIS_TOKEN", &reading)
        .run()
        .expect_success();
    portcullis(&["auth", "group", "create", "team", "--server", origin])
        .env("PORTCULLIS_TOKEN", &reading)
        .run()
        .expect_code(1)
        .expect_says(["api"]);
}

#[tokio::test]
async fn grants_are_managed() {
    let server = Portcullis::up().await;
    let run = |arguments: &[&str]| server.accounts(arguments.iter().copied()).run();
    server.new_user("bob");
    run(&["auth", "project", "create", "app"]).expect_success();
    let create = [
        "auth",
        "grant",
        "create",
        "app",
        "--user",
        "bob",
        "--actions",
    ];
    let created = run(&[&create[..], &["pull", "--output", "json"]].concat()).expect_success();
    let created = created.json();
    let id = created["id"].as_str().unwrap();

    run(&["auth", "grant", "update", "app", id]).expect_code(2);
    let update = [
        "auth",
        "grant",
        "update",
        "app",
        id,
        "--actions",
        "pull,push",
    ];
    run(&[&update[..], &["--pattern", "app/**"]].concat()).expect_success();
    let list = run(&["auth", "grant", "list", "app", "--output", "json"]).expect_success();
    assert_eq!(list.json()[0]["actions"], json!(["pull", "push"]));
    run(&[&create[..], &["fly"]].concat())
        .expect_code(1)
        .expect_says(["pull, push"]);
    run(&["auth", "grant", "delete", "app", id]).expect_success();
    run(&["auth", "grant", "delete", "app", id]).expect_code(1);
}

#[tokio::test]
async fn what_runs_and_how_much_there_is_is_told() {
    let server = Portcullis::up().await;
    server.new_user("alice");
    let system = server.accounts(["auth", "system"]).run().expect_success();
    system.expect_says(["ISSUER", "portcullis-auth", "DATABASE", "sqlite", "USERS"]);
    let json = ["auth", "system", "--output", "json"];
    let system = server.accounts(json).run().expect_success().json();
    assert_eq!(system["counts"]["users"], 2);
    assert_eq!(system["settings"]["key_place"], "folder");

    // Whoever has the database at hand is nobody in it.
    server
        .accounts(["auth", "me"])
        .run()
        .expect_code(1)
        .expect_says(["operator"]);
}
