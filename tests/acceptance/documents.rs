//! What the documents say to type works as written. Documents about one capability are typed beside its tests,
//! with the functions that this module offers.

use std::path::{Path, PathBuf};

use acceptance::tools::Docker;
use acceptance::{
    ADMIN_PASSWORD, Client, Finished, Image, Invocation, Launch, Portcullis, Process, Ready,
    fresh_postgres,
};

pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// README and everything in `docs/`.
pub fn documents() -> Vec<(PathBuf, String)> {
    let mut folders = vec![project().join("docs")];
    let mut files = vec![project().join("README.md")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                files.push(path);
            }
        }
    }
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// The lines of code blocks marked `sh` or `console`, prompts taken off.
pub fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    let mut continued = String::new();
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            inside = !inside && ["sh", "bash", "console", "shell"].contains(&language.trim());
            continue;
        }
        let line = line.trim().trim_start_matches("$ ");
        if !inside || line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(begun) => continued.push_str(begun),
            None => commands.push(std::mem::take(&mut continued) + line),
        }
    }
    commands
}

pub fn document(name: &str) -> String {
    std::fs::read_to_string(project().join(name)).unwrap()
}

/// The code blocks of a language.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    text.split(&opening)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// Puts what this test has in the place of what the document's reader has. It must be there.
pub fn in_place(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements
        .iter()
        .fold(text.to_owned(), |text, (theirs, ours)| {
            assert!(text.contains(theirs), "no {theirs:?} in\n{text}");
            text.replace(theirs, ours)
        })
}

/// Runs a command line as it is written; one that would ask for a password is told it.
pub fn run(line: &str, docker: Option<&Docker>, folder: &Path) -> Finished {
    let mut words = line.split_whitespace().map(|word| word.trim_matches('\''));
    let program = words.next().unwrap();
    let arguments: Vec<&str> = words.collect();
    let asks = line.starts_with("docker login") || line.starts_with("portcullis auth user create");
    let mut invocation = match program {
        "docker" => docker.expect("who needs it brings it").command(arguments),
        "portcullis" => Invocation::portcullis().args(arguments),
        "openssl" => Invocation::new(program).args(arguments),
        other => panic!("what is {other}? `{line}`"),
    };
    if asks {
        let password = format!("{ADMIN_PASSWORD}\n");
        invocation = invocation.arg("--password-stdin").input(password);
    }
    invocation
        .current_dir(folder)
        .env("PORTCULLIS_DATA_DIR", folder.join("data"))
        .run()
        .expect_success()
}

#[tokio::test]
async fn the_readme_leads_from_nothing_to_an_image_that_others_pull() {
    let readme = document("README.md");
    // What `make run` starts, on a port of its own.
    assert_eq!(commands(&readme)[0], "make run");
    assert!(document("Makefile").contains("cargo run --release --bin portcullis -- up\n"));
    let portcullis = Portcullis::up().await;
    let docker = Docker::new();
    docker.run(["tag", "debian:bookworm-slim", "hello-world"]);

    let folder = portcullis.folder();
    for command in &commands(&readme)[1..] {
        let line = command.replace("localhost:5000", &portcullis.host());
        run(&line, Some(&docker), folder.parent().unwrap());
    }

    let list = portcullis.accounts(["auth", "user", "list"]).run();
    list.expect_success().expect_says(["alice"]);
}

#[tokio::test]
async fn accounts_and_tokens_are_managed_as_their_documents_say() {
    let portcullis = Portcullis::up().await;
    let folder = portcullis.folder();
    let folder = folder.parent().unwrap();
    // Of `htpasswd -nbB carol …`
    let entry = "carol:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC\n";
    std::fs::write(folder.join("htpasswd"), entry).unwrap();

    for name in ["docs/accounts.md", "docs/tokens.md"] {
        for line in commands(&document(name)) {
            run(&line, None, folder);
        }
    }

    let list = portcullis.accounts(["auth", "user", "list"]).run();
    list.expect_success().expect_says(["alice", "bob", "carol"]);
}

#[tokio::test]
async fn the_two_servers_run_apart_as_their_document_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = document("docs/servers.md");
    let configurations = blocks(&text, "yaml");
    let keys = path.join("keys").display().to_string();
    let auth = in_place(
        &configurations[0],
        &[
            (":5001", "127.0.0.1:0"),
            (
                "postgres://portcullis@db.example.com/auth",
                &fresh_postgres(),
            ),
            ("/var/lib/portcullis/keys", &keys),
        ],
    );
    std::fs::write(path.join("auth.yml"), auth).unwrap();
    std::fs::write(path.join("password"), ADMIN_PASSWORD).unwrap();
    let serve = |arguments: &str| Launch {
        invocation: Invocation::portcullis()
            .args(arguments.split(' ').skip(1))
            .current_dir(path)
            .env("AUTH_ADMIN_PASSWORD_FILE", path.join("password")),
        log: path.join("log"),
        ready: Ready::Announced,
    };

    let typed = commands(&text);
    let auth = Process::start(serve(&typed[0])).await;
    let registry = in_place(
        &configurations[1],
        &[
            (":5000", "127.0.0.1:0"),
            (
                "postgres://portcullis@db.example.com/registry",
                &fresh_postgres(),
            ),
            (
                "/var/lib/registry",
                &path.join("blobs").display().to_string(),
            ),
            ("https://auth.example.com/", auth.origin().as_str()),
            ("/etc/portcullis/bundle.pem", &format!("{keys}/bundle.pem")),
        ],
    );
    std::fs::write(path.join("registry.yml"), registry).unwrap();
    let mut registry = None;
    for line in &typed[1..] {
        if line.starts_with("portcullis registry serve") {
            registry = Some(Process::start(serve(line)).await);
        } else {
            run(line, None, path);
        }
    }

    let registry = registry.expect("the document starts the registry");
    let alice = Client::new(registry.origin()).login("alice", ADMIN_PASSWORD);
    let repository = alice.repository("alice/app");
    let image = Image::random();
    repository.push(&image, "1").await;
    repository.expect_image(&image, "1").await;
}

#[tokio::test]
async fn keys_are_kept_as_their_document_says() {
    let portcullis = Portcullis::up().await;
    let folder = portcullis.folder().parent().unwrap().to_owned();
    let pair = ["-keyout", "token.key", "-out", "token.crt"];
    Invocation::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=our own",
        ])
        .args(pair)
        .current_dir(&folder)
        .run()
        .expect_success();
    let list = portcullis.accounts(["auth", "key", "list", "--output", "json"]);
    let states = || -> Vec<(String, String)> {
        let keys = list.run().expect_success().json();
        let text = |key: &serde_json::Value, name: &str| key[name].as_str().unwrap().to_owned();
        let keys = keys.as_array().unwrap().iter();
        keys.map(|key| (text(key, "thumbprint"), text(key, "state")))
            .collect()
    };
    let mut typed = 0;
    for line in commands(&document("docs/keys.md")) {
        let meant = if line.ends_with("--force") {
            "signing"
        } else {
            "published"
        };
        let line = if line.contains("KEY") {
            let keys = states();
            let (key, _) = keys.iter().find(|(_, state)| state == meant).unwrap();
            in_place(&line, &[("KEY", key)])
        } else {
            line
        };
        run(&line, None, &folder);
        typed += 1;
    }
    assert_eq!(typed, 7);
    // The first, the one that replaced it, the one that was taken back, and the imported one.
    let now: Vec<String> = states().into_iter().map(|(_, state)| state).collect();
    assert_eq!(now, ["retired", "signing", "retired", "published"]);
}

#[tokio::test]
async fn the_audit_log_is_searched_as_its_document_says() {
    let portcullis = Portcullis::up().await;
    portcullis.new_user("alice");
    let folder = portcullis.folder().parent().unwrap().to_owned();
    let typed = commands(&document("docs/audit.md"));
    assert_eq!(typed.len(), 5);
    for line in &typed {
        let said = run(line, None, &folder);
        if line.contains("--action user ") || line.contains("jsonl") {
            said.expect_says(["user.create", "alice"]);
        }
    }
}

#[tokio::test]
async fn the_admin_api_answers_what_its_document_types() {
    let portcullis = Portcullis::up().await;
    let typed = commands(&document("docs/admin-api.md"));
    let made = run(&typed[0], None, portcullis.folder().parent().unwrap());
    let token = made
        .stdout
        .split_whitespace()
        .find(|word| word.starts_with("ptc_"))
        .expect("the document makes a token");
    assert!(typed.len() > 4, "{typed:?}");
    for command in &typed[1..] {
        let line = in_place(command, &[("localhost:5000", &portcullis.host())]);
        Invocation::new("bash")
            .args(["-c", &line.replace("curl ", "curl -sS --fail-with-body ")])
            .env("TOKEN", token)
            .run()
            .expect_success();
    }
    let alice = portcullis.user("alice", "a long passphrase of hers");
    alice.token_answer(&[]).await.expect(200);
}

#[test]
fn every_command_of_ours_in_the_documents_exists() {
    let mut seen = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            let words: Vec<&str> = command
                .split_whitespace()
                .skip_while(|word| *word != "portcullis" && !word.ends_with("/portcullis"))
                .skip(1)
                .take_while(|word| !["|", "&&", ">", "<", ";", "&"].contains(word))
                .collect();
            if words.is_empty() {
                continue;
            }
            let subcommand: Vec<&str> = words
                .iter()
                .copied()
                .take_while(|word| {
                    word.chars()
                        .all(|c| c.is_ascii_lowercase() || "-.".contains(c))
                })
                .take_while(|word| !word.starts_with('-'))
                .collect();
            let help = Invocation::portcullis()
                .args(&subcommand)
                .arg("--help")
                .run();
            // The last word may be an argument rather than a command.
            let help = if help.status.success() {
                help
            } else {
                let shorter = &subcommand[..subcommand.len().saturating_sub(1)];
                Invocation::portcullis()
                    .args(shorter)
                    .arg("--help")
                    .run()
                    .expect_success()
            };
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let name = option.split('=').next().unwrap();
                assert!(
                    help.stdout.contains(name),
                    "{}: `{command}`: no {name} in\n{help}",
                    path.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 0, "the documents name no command at all");
}

#[test]
fn every_make_target_in_the_documents_exists() {
    let makefile = std::fs::read_to_string(project().join("Makefile")).unwrap();
    let mut seen = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            let mut words = command
                .split_whitespace()
                .skip_while(|word| *word != "make");
            let Some("make") = words.next() else { continue };
            for target in words.take_while(|word| {
                word.chars()
                    .all(|c| c.is_ascii_lowercase() || "-.".contains(c))
            }) {
                assert!(
                    makefile.contains(&format!("\n{target}:")),
                    "{}: no target {target}",
                    path.display()
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "the documents name no target at all");
}

#[test]
fn links_between_documents_lead_somewhere() {
    for (path, text) in documents() {
        for (index, _) in text.match_indices("](") {
            let target = text[index + 2..].split([')', '#', ' ']).next().unwrap();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let linked = path.parent().unwrap().join(target);
            assert!(linked.exists(), "{}: {target} is not there", path.display());
        }
    }
}
