//! The section `health`, and what probes are told.

use std::net::TcpListener;

use acceptance::peers::free_address;
use acceptance::served::{Configured, OPEN_REGISTRY, Served};
use acceptance::{Answer, Blob, Client};
use serde_json::json;

/// A registry that watches this, and where its operators look.
async fn watching(health: &str) -> (Served, Client) {
    let debug = free_address();
    let text = OPEN_REGISTRY.replace(
        "  addr: 127.0.0.1:0\n",
        &format!("  addr: 127.0.0.1:0\n  debug: {{addr: '{debug}'}}\n"),
    );
    let registry = Configured::registry(&format!("{text}health:\n{health}"))
        .start()
        .await;
    let operators = Client::new(&format!("http://{debug}/").parse().unwrap());
    (registry, operators)
}

async fn get(client: &Client, path: &str) -> Answer {
    client.get(path).send().await
}

#[tokio::test]
async fn a_file_takes_the_registry_out_of_service_as_long_as_it_exists() {
    let (registry, operators) = watching("  file: [{file: down, interval: 100ms}]\n").await;
    registry.answers("/readyz", 200).await;
    assert_eq!(
        get(&operators, "/debug/health").await.expect(200).json(),
        json!({})
    );

    std::fs::write(registry.path("down"), "").unwrap();

    registry.answers("/v2/", 503).await;
    let refused = get(&registry.client(), "/v2/").await;
    refused.expect_error(503, "UNAVAILABLE");
    let repository = registry.anybody().repository("app");
    let upload = repository.post("blobs/uploads/").send().await;
    assert_eq!(upload.status, 503);
    get(&registry.client(), "/readyz").await.expect(503);
    // A restart would not help.
    get(&registry.client(), "/healthz").await.expect(200);
    let told = get(&operators, "/debug/health").await.expect(503).json();
    assert_eq!(told, json!({"down": "the file exists"}));

    std::fs::remove_file(registry.path("down")).unwrap();

    registry.answers("/v2/", 200).await;
    repository.push_blob(&Blob::random(10)).await;
    registry.answers("/readyz", 200).await;
}

#[tokio::test]
async fn a_server_that_must_accept_connections_is_watched() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = peer.local_addr().unwrap().to_string();
    let check = format!("  tcp: [{{addr: '{address}', interval: 100ms, threshold: 2}}]\n");
    let (registry, operators) = watching(&check).await;
    registry.answers("/readyz", 200).await;

    drop(peer);

    registry.answers("/v2/", 503).await;
    let told = get(&operators, "/debug/health").await.expect(503).json();
    let told = told[&address].as_str().unwrap();
    assert!(told.contains("refused"), "{told}");

    let _peer = TcpListener::bind(&address).unwrap();
    registry.answers("/v2/", 200).await;
}

#[tokio::test]
async fn a_server_that_must_answer_is_watched() {
    // Another registry, which an operator takes out of service.
    let (peer, _) = watching("  file: [{file: down, interval: 50ms}]\n").await;
    let uri = format!("http://somebody:secret@{}/v2/", peer.host());
    let check = format!("  http: [{{uri: '{uri}', interval: 100ms, timeout: 2s}}]\n");
    let (registry, operators) = watching(&check).await;
    registry.answers("/readyz", 200).await;

    std::fs::write(peer.path("down"), "").unwrap();

    registry.answers("/v2/", 503).await;
    let told = get(&operators, "/debug/health").await.expect(503).json();
    let told = told.to_string();
    assert!(told.contains("answered 503"), "{told}");
    assert!(
        !told.contains("secret") && !registry.log().contains("secret"),
        "{told}"
    );

    std::fs::remove_file(peer.path("down")).unwrap();
    registry.answers("/v2/", 200).await;
}

#[tokio::test]
async fn an_expected_status_is_what_counts() {
    let (peer, _) = watching("  file: []\n").await;
    let uri = format!("http://{}/nothing", peer.host());
    let check = format!("  http: [{{uri: '{uri}', interval: 100ms, statuscode: 404}}]\n");
    let (registry, _) = watching(&check).await;
    registry.answers("/readyz", 200).await;
    get(&registry.client(), "/v2/").await.expect(200);
}

/// Whoever lists what must work, and cannot be worked without, is told each by name.
#[tokio::test]
async fn readiness_names_database_storage_and_keys() {
    let portcullis = acceptance::Portcullis::up().await;
    let ready = get(&portcullis.anonymous(), "/readyz").await.expect(200);
    let checks = &ready.json()["checks"];
    for name in [
        "auth_database",
        "auth_signing_key",
        "registry database",
        "registry keys",
        "registry storage",
    ] {
        assert_eq!(checks[name]["status"], "ok", "{name}: {checks}");
    }
}

#[tokio::test]
async fn a_storage_that_is_gone_stops_the_registry() {
    let (registry, operators) =
        watching("  storagedriver: {interval: 100ms, threshold: 2}\n").await;
    registry.answers("/readyz", 200).await;

    std::fs::rename(registry.path("blobs/docker"), registry.path("away")).unwrap();
    std::fs::write(registry.path("blobs/docker"), "no folder").unwrap();

    registry.answers("/v2/", 503).await;
    let told = get(&operators, "/debug/health").await.expect(503).json();
    assert!(told["registry storage"].is_string(), "{told}");

    std::fs::remove_file(registry.path("blobs/docker")).unwrap();
    std::fs::rename(registry.path("away"), registry.path("blobs/docker")).unwrap();
    registry.answers("/v2/", 200).await;
}
