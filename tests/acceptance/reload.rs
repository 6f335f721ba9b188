//! `kill -HUP`: the configuration file is read again.

use acceptance::served::{Configured, OPEN_REGISTRY};
use acceptance::{Blob, Client};

fn with(addition: &str) -> String {
    format!("{OPEN_REGISTRY}{addition}")
}

/// Asks for something, so that there is something to log.
async fn ask(client: &Client, path: &str) {
    client.get(path).send().await;
}

#[tokio::test]
async fn the_log_level_follows_the_file() {
    let registry = Configured::registry(&with("log: {level: error}\n"))
        .start()
        .await;
    ask(&registry.client(), "/v2/first").await;

    registry.reload(&with("log: {level: info}\n"));

    for attempt in 0.. {
        assert!(attempt < 100, "nothing is logged:\n{}", registry.log());
        ask(&registry.client(), "/v2/second").await;
        if registry.log().contains("/v2/second") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(!registry.log().contains("/v2/first"), "{}", registry.log());
}

#[tokio::test]
async fn what_may_be_written_follows_the_file() {
    let registry = Configured::registry(OPEN_REGISTRY).start().await;
    let blob = Blob::random(10);
    let repository = registry.anybody().repository("app");
    repository.push_blob(&blob).await;

    let read_only = "  maintenance:\n    readonly:\n      enabled: true\nhttp:";
    registry.reload(&OPEN_REGISTRY.replace("http:", read_only));
    let line = registry.logs(&["new settings are in force"]).await;
    assert!(
        line.contains("storage.maintenance.readonly.enabled"),
        "{line}"
    );
    let refused = repository.post("blobs/uploads/").send().await;
    refused.expect_error(405, "UNSUPPORTED");
    repository.expect_blob(&blob).await;

    registry.reload(OPEN_REGISTRY);
    for attempt in 0.. {
        assert!(attempt < 100, "it stays read-only:\n{}", registry.log());
        if repository.post("blobs/uploads/").send().await.status == 202 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_access_log_can_be_switched_off() {
    let registry = Configured::registry(OPEN_REGISTRY).start().await;
    ask(&registry.client(), "/v2/first").await;
    registry.logs(&["/v2/first"]).await;

    registry.reload(&with("log: {accesslog: {disabled: true}}\n"));
    registry.logs(&["log.accesslog.disabled", "in force"]).await;

    ask(&registry.client(), "/v2/second").await;
    registry.reload(OPEN_REGISTRY);
    for attempt in 0.. {
        assert!(attempt < 100, "it stays off:\n{}", registry.log());
        ask(&registry.client(), "/v2/third").await;
        if registry.log().contains("/v2/third") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(!registry.log().contains("/v2/second"), "{}", registry.log());
}

#[tokio::test]
async fn what_needs_a_restart_is_named() {
    let registry = Configured::registry(OPEN_REGISTRY).start().await;

    registry.reload(&OPEN_REGISTRY.replace("rootdirectory: blobs", "rootdirectory: elsewhere"));

    let line = registry.logs(&["take effect after a restart"]).await;
    assert!(line.contains("storage.filesystem.rootdirectory"), "{line}");
    registry.client().get("/v2/").send().await.expect(200);
    assert!(!registry.path("elsewhere").exists());
}

#[tokio::test]
async fn a_broken_file_is_refused_and_changes_nothing() {
    let registry = Configured::registry(OPEN_REGISTRY).start().await;

    registry.reload(&OPEN_REGISTRY.replace("storage:", "storrage:"));

    let line = registry.logs(&["the configuration is refused"]).await;
    for part in ["ERROR", "storrage", "stays in force"] {
        assert!(line.contains(part), "{line}");
    }
    registry.client().get("/v2/").send().await.expect(200);

    std::fs::remove_file(registry.path("config.yml")).unwrap();
    registry.reload(&with("log: {level: debug}\n"));
    registry.logs(&["log.level", "in force"]).await;
}

#[tokio::test]
async fn the_gatekeeper_follows_too() {
    let auth = "http: {addr: '127.0.0.1:0'}\n";
    let server = Configured::auth(auth).start().await;

    server.reload("http: {addr: '127.0.0.1:0'}\nlog: {level: debug}\ntoken: {lifetime: 10m}\n");

    server.logs(&["log.level", "in force"]).await;
    server.logs(&["token.lifetime", "after a restart"]).await;
}
