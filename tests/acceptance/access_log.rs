//! The access log: who did what where, how long it took, and no secrets.

use std::time::Duration;

use acceptance::{Blob, Image, Portcullis, Setup};
use serde_json::Value;

/// The lines of the access log about a path.
async fn lines(portcullis: &Portcullis, method: &str, path: &str) -> Vec<Value> {
    for _ in 0..200 {
        let log = portcullis.log();
        let lines: Vec<Value> = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["target"] == "access" && line["method"] == method)
            .filter(|line| line["path"].as_str().unwrap().starts_with(path))
            .collect();
        if !lines.is_empty() {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("nothing about {method} {path} in\n{}", portcullis.log());
}

async fn in_json() -> Portcullis {
    Setup::up()
        .env("REGISTRY_LOG_FORMATTER", "json")
        .start()
        .await
}

#[tokio::test]
async fn a_line_tells_who_did_what_where() {
    let portcullis = in_json().await;
    let repository = portcullis.admin().repository("admin/app");
    let image = Image::random();
    repository.push(&image, "v1").await;
    let pull = repository.get_manifest("v1").await.expect(200);

    let put = &lines(&portcullis, "PUT", "/v2/admin/app/manifests/v1").await[0];
    for (name, value) in [
        ("subject", "admin"),
        ("action", "push"),
        ("repository", "admin/app"),
        ("client", "127.0.0.1"),
        ("path", "/v2/admin/app/manifests/v1"),
    ] {
        assert_eq!(put[name], value, "{put}");
    }
    assert_eq!(put["status"], 201);
    assert!(put["duration_ms"].as_f64().unwrap() > 0.0);
    assert!(put["received"].as_u64().unwrap() > 0);
    assert_eq!(put["request_id"].as_str().unwrap().len(), 36);

    let get = &lines(&portcullis, "GET", "/v2/admin/app/manifests/v1").await[0];
    assert_eq!(
        (get["action"].as_str(), get["received"].as_u64()),
        (Some("pull"), Some(0))
    );
    assert_eq!(get["bytes"].as_u64().unwrap(), pull.body.len() as u64);
    assert_eq!(get["request_id"], pull.header("x-request-id"));
}

#[tokio::test]
async fn who_is_refused_and_who_gets_a_token_is_told_too() {
    let portcullis = in_json().await;
    let path = "/v2/admin/secret/manifests/v1";
    portcullis.anonymous().get(path).send().await.expect(401);
    let alice = portcullis.new_user("alice");
    let refused = alice.repository("admin/secret").get_manifest("v1").await;
    refused.expect(401);

    let refused = lines(&portcullis, "GET", path).await;
    assert_eq!(refused[0]["repository"], "admin/secret");
    assert_eq!(refused[0]["action"], "pull");
    assert_eq!(refused[0]["subject"], Value::Null);
    let tokens = lines(&portcullis, "GET", "/auth/token").await;
    assert!(
        tokens.iter().any(|line| line["subject"] == "alice"),
        "{tokens:?}"
    );
}

/// Docker sends layers without saying how long they are.
#[tokio::test]
async fn bytes_are_counted_that_nobody_announced() {
    let portcullis = in_json().await;
    let repository = portcullis.admin().repository("admin/app");
    let blob = Blob::random(300_000);
    let upload = repository.start_upload().await;
    let pieces: Vec<_> = blob
        .bytes
        .chunks(1 << 14)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
        .collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    upload.patch().body(body).send().await.expect(202);

    let line = &lines(&portcullis, "PATCH", "/v2/admin/app/blobs/uploads/").await[0];
    assert_eq!(line["received"], 300_000, "{line}");
    assert_eq!(line["action"], "push");
}

#[tokio::test]
async fn what_clients_make_up_is_bounded_and_quoted() {
    let portcullis = in_json().await;
    let long = format!("/v2/{}/tags/list", "a".repeat(5_000));
    let agent = format!("evil\"agent {}", "b".repeat(5_000));
    let ask = portcullis
        .anonymous()
        .get(&long)
        .header("user-agent", &agent);
    ask.send().await;
    let query = "/v2/?account=admin&password=hunter2";
    portcullis.anonymous().get(query).send().await;
    portcullis
        .anonymous()
        .get("/v2/%0a%22x/tags/list")
        .send()
        .await;

    let line = &lines(&portcullis, "GET", "/v2/aaaa").await[0];
    assert!(line["path"].as_str().unwrap().len() <= 1_024);
    let agent = line["user_agent"].as_str().unwrap();
    assert!(
        agent.len() <= 256 && agent.starts_with("evil\"agent"),
        "{agent}"
    );
    lines(&portcullis, "GET", "/v2/%0a").await;
    assert!(!portcullis.log().contains("hunter2"));
}

#[tokio::test]
async fn the_same_is_told_in_text() {
    let portcullis = Portcullis::up().await;
    let repository = portcullis.admin().repository("admin/app");
    repository.push(&Image::random(), "v1").await;

    for _ in 0..200 {
        let log = portcullis.log();
        let line = log.lines().find(|line| {
            line.contains("method=\"PUT\"") && line.contains("/v2/admin/app/manifests/v1")
        });
        if let Some(line) = line {
            for part in [
                "status=201",
                "subject=\"admin\"",
                "action=\"push\"",
                "repository=\"admin/app\"",
                "received=",
                "duration_ms=",
                "client=127.0.0.1",
                "request_id=",
            ] {
                assert!(line.contains(part), "no {part} in {line}");
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("no such line in\n{}", portcullis.log());
}
