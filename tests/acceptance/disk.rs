//! Disks that are full or cannot be written: pulls go on, whoever pushes is told why, probes learn that
//! the registry is degraded, and nothing is acknowledged that is not stored.

use std::time::Duration;

use acceptance::disk::SmallDisk;
use acceptance::peers::free_address;
use acceptance::served::{Configured, OPEN_REGISTRY, Served};
use acceptance::tools::{Docker, Skopeo};
use acceptance::{
    ADMIN_PASSWORD, Answer, Blob, Client, Image, Invocation, Launch, Portcullis, Process, Ready,
    Setup,
};
use serde_json::{Value, json};

const STORAGE: &str = "registry storage: writing";

/// Looks at the storage ten times a second; what is found three times in a row counts.
fn watched() -> Setup {
    Setup::up().env("REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL", "100ms")
}

/// All data of `up` on a disk of 32 MiB.
async fn on_small_disk(setup: Setup) -> (SmallDisk, Portcullis) {
    let disk = SmallDisk::new("32m");
    let portcullis = setup.folder(disk.path()).start().await;
    (disk, portcullis)
}

/// A refusal that is the server's own fault, says so, and gives no internals away.
fn expect_refusal(answer: &Answer) {
    assert!(
        [405, 500, 503, 507].contains(&answer.status.as_u16()),
        "{answer}"
    );
    expect_sentence(answer);
}

/// One that gives no internals away.
fn expect_sentence(answer: &Answer) {
    let error = &answer.json()["errors"][0];
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(' '), "{answer}");
    expect_no_internals(message);
}

fn expect_no_internals(told: &str) {
    for internal in ["os error", "sqlite", "docker/registry", "/tmp"] {
        assert!(!told.to_lowercase().contains(internal), "{told}");
    }
}

/// All that a client needs to pull, from its login on.
async fn expect_pulls(portcullis: &Portcullis, image: &Image) {
    let client = portcullis.admin();
    let repository = client.repository("admin/app");
    repository.expect_image(image, "v1").await;
    repository.expect_image(image, &image.manifest.digest).await;
    for reference in ["v1", &image.manifest.digest] {
        let path = format!("manifests/{reference}");
        repository.head(&path).send().await.expect(200);
    }
    for blob in image.blobs() {
        let path = format!("blobs/{}", blob.digest);
        repository.head(&path).send().await.expect(200);
    }
    assert_eq!(repository.tags().await, ["v1"]);
    let catalog = client.catalog("").await.expect(200).json();
    assert_eq!(catalog["repositories"], json!(["admin/app"]));
    let token = repository.token().await;
    let version = portcullis.anonymous().with_token(token).get("/v2/");
    version.send().await.expect(200);
}

/// Waits until the probe answers so.
pub(crate) async fn expect_readiness(portcullis: &Portcullis, status: u16) {
    let word = if status == 200 { "ok" } else { "unavailable" };
    readiness(&portcullis.anonymous(), status, word).await;
}

/// Waits until the probe says so, and shows what it says to anybody.
async fn readiness(client: &Client, status: u16, word: &str) -> Value {
    let mut last = None;
    // The database is looked at every ten seconds.
    for _ in 0..600 {
        let answer = client.get("/readyz").send().await;
        if answer.status == status && answer.json()["status"] == word {
            expect_no_internals(&answer.to_string());
            return answer.json()["checks"].clone();
        }
        last = Some(answer);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("/readyz never answers {status} {word}: {last:?}");
}

async fn metrics(debug: &str) -> String {
    let operators = Client::new(&format!("http://{debug}/").parse().unwrap());
    let answer = operators.get("/metrics").send().await.expect(200);
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_full_disk_refuses_pushes_and_serves_pulls() {
    let debug = free_address();
    let setup = watched()
        .env("REGISTRY_HTTP_DEBUG_ADDR", &debug)
        .env("REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED", "true");
    let (disk, portcullis) = on_small_disk(setup).await;
    let repository = portcullis.admin().repository("admin/app");
    let image = Image::random();
    repository.push(&image, "v1").await;
    let probe = portcullis.anonymous();
    readiness(&probe, 200, "ok").await;

    let filler = disk.fill();
    let checks = readiness(&probe, 200, "degraded").await;
    assert_eq!(checks["registry storage"]["status"], "ok", "{checks}");
    let reason = json!({"status": "degraded", "reason": "the disk is full"});
    assert_eq!(checks[STORAGE], reason, "{checks}");
    expect_pulls(&portcullis, &image).await;
    let blob = Blob::random(1_000_000);
    let answer = repository.post_blob(&blob).await;
    expect_sentence(&answer.expect_error(507, "UNAVAILABLE"));
    expect_pulls(&portcullis, &image).await;
    let told = metrics(&debug).await;
    let failing = format!("health_check_passing{{check=\"{STORAGE}\"}} 0\n");
    assert!(told.contains(&failing), "{told}");
    assert!(told.contains("\nhealth_degraded 1\n"), "{told}");
    let operators = Client::new(&format!("http://{debug}/").parse().unwrap());
    let reasons = operators.get("/debug/health").send().await.expect(200);
    assert!(reasons.json()[STORAGE].is_string(), "{reasons}");

    std::fs::remove_file(filler).unwrap();
    readiness(&probe, 200, "ok").await;
    repository.push_blob(&blob).await;
    repository.expect_blob(&blob).await;
}

/// The records, too, are on it: what they need no room for succeeds, the rest is refused, and neither
/// is the end of either.
#[tokio::test]
async fn changes_on_a_full_disk_are_made_or_refused_and_work_again_afterwards() {
    let (disk, portcullis) = on_small_disk(watched()).await;
    let repository = portcullis.admin().repository("admin/app");
    let image = Image::random();
    repository.push(&image, "v1").await;

    let filler = disk.fill();
    let tag = |n: usize| format!("tag-{n}-{}", "x".repeat(100));
    let mut refused = None;
    // Each grows the write-ahead log, until that finds no room.
    for n in 0..2_000 {
        let answer = repository.put_manifest(&image.manifest, &tag(n)).await;
        if answer.status != 201 {
            refused = Some((n, answer));
            break;
        }
    }
    let (made, answer) = refused.expect("the log needs more room");
    expect_sentence(&answer.expect_error(507, "UNAVAILABLE"));
    for answer in [
        repository.post("blobs/uploads/").send().await,
        repository
            .delete(&format!("manifests/{}", tag(made)))
            .send()
            .await,
    ] {
        assert!(
            [202, 404, 507].contains(&answer.status.as_u16()),
            "{answer}"
        );
    }
    readiness(&portcullis.anonymous(), 200, "degraded").await;
    repository.expect_image(&image, "v1").await;

    std::fs::remove_file(filler).unwrap();
    readiness(&portcullis.anonymous(), 200, "ok").await;
    for n in made..made + 10 {
        repository.push_manifest(&image.manifest, &tag(n)).await;
    }
    repository.start_upload().await.cancel().await.expect(204);
}

/// Nothing can be written down on a full disk, not even what frees room: there is a reserve for that.
#[tokio::test]
async fn a_sweep_makes_room_on_a_full_disk() {
    let (disk, portcullis) = on_small_disk(watched()).await;
    let repository = portcullis.admin().repository("admin/app");
    let mut upload = repository.start_upload().await;
    let abandoned = Blob::random(3_000_000);
    upload.append(abandoned.bytes).await.expect(202);
    let _filler = disk.fill();
    let blob = Blob::random(1_000_000);
    expect_refusal(&repository.post_blob(&blob).await.expect(507));

    Invocation::portcullis()
        .args(["registry", "sweep", "--older-than", "0s", "--data-dir"])
        .arg(portcullis.folder())
        .run()
        .expect_success()
        .expect_says(["Removed 1 abandoned uploads"]);

    repository.push_blob(&blob).await;
    repository.expect_blob(&blob).await;
}

#[tokio::test]
async fn who_is_strict_gets_no_requests_on_a_full_disk_and_pulls_all_the_same() {
    let setup = watched().env("REGISTRY_HEALTH_STRICT", "true");
    let (disk, portcullis) = on_small_disk(setup).await;
    let repository = portcullis.admin().repository("admin/app");
    let image = Image::random();
    repository.push(&image, "v1").await;
    let _filler = disk.fill();
    readiness(&portcullis.anonymous(), 503, "degraded").await;
    expect_pulls(&portcullis, &image).await;
}

/// What is left is kept for who makes room.
#[tokio::test]
async fn a_disk_with_no_more_room_than_the_reserve_is_full() {
    let setup = watched().env("REGISTRY_STORAGE_RESERVE", "64MiB");
    let (_disk, portcullis) = on_small_disk(setup).await;
    let checks = readiness(&portcullis.anonymous(), 200, "degraded").await;
    assert_eq!(checks[STORAGE]["reason"], "the disk is full", "{checks}");
    let repository = portcullis.admin().repository("admin/app");
    let answer = repository.post_blob(&Blob::random(1000)).await;
    expect_sentence(&answer.expect_error(507, "UNAVAILABLE"));
}

/// The log is often on the disk that is full.
#[tokio::test]
async fn a_server_that_can_print_nothing_starts_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let up = format!("exec \"$0\" up --listen {address} >/dev/full 2>&1");
    let process = Process::start(Launch {
        invocation: Invocation::new("bash")
            .args(["-c", &up])
            .arg(Invocation::portcullis().program())
            .current_dir(folder.path())
            .env("AUTH_ADMIN_PASSWORD", ADMIN_PASSWORD),
        log: folder.path().join("log"),
        ready: Ready::Answers(format!("http://{address}/").parse().unwrap()),
    })
    .await;
    let client = Client::new(process.origin()).login("admin", ADMIN_PASSWORD);
    let image = Image::random();
    let repository = client.repository("admin/app");
    repository.push(&image, "v1").await;
    repository.expect_image(&image, "v1").await;
}

#[tokio::test]
async fn a_disk_that_fills_up_during_a_push_loses_nothing_acknowledged() {
    let (_disk, portcullis) = on_small_disk(watched()).await;
    let repository = portcullis.admin().repository("admin/app");

    let mut stored = Vec::new();
    let refusal = loop {
        let blob = Blob::random(3_000_000);
        let answer = repository.post_blob(&blob).await;
        if answer.status != 201 {
            break answer;
        }
        stored.push(blob);
        assert!(stored.len() < 12, "more than fits");
    };

    expect_refusal(&refusal);
    assert!(
        stored.len() > 3,
        "the disk has room for more than {}",
        stored.len()
    );
    for blob in &stored {
        repository.expect_blob(blob).await;
    }
}

#[tokio::test]
async fn a_read_only_disk_refuses_pushes_and_serves_pulls() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = folder.path().join("data/docker");
    std::fs::create_dir_all(&blobs).unwrap();
    let disk = SmallDisk::mounted_at(&blobs, "32m");
    let portcullis = watched().folder(folder.path()).start().await;
    let repository = portcullis.admin().repository("admin/app");
    let image = Image::random();
    repository.push(&image, "v1").await;
    let probe = portcullis.anonymous();
    readiness(&probe, 200, "ok").await;

    disk.make_read_only();
    let answer = repository.post_blob(&Blob::random(1000)).await;
    expect_sentence(&answer.expect_error(405, "UNSUPPORTED"));
    let checks = readiness(&probe, 200, "degraded").await;
    let reason = json!({"status": "degraded", "reason": "it is read-only"});
    assert_eq!(checks[STORAGE], reason, "{checks}");
    expect_pulls(&portcullis, &image).await;

    disk.make_writable();
    readiness(&probe, 200, "ok").await;
    let blob = Blob::random(1000);
    repository.push_blob(&blob).await;
    repository.expect_blob(&blob).await;
}

/// As after an error of the disk: blobs, databases and keys, all of it.
#[tokio::test]
async fn on_a_disk_that_is_read_only_as_a_whole_it_starts_and_serves_pulls() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let disk = SmallDisk::mounted_at(&data, "32m");
    let mut portcullis = watched().folder(folder.path()).start().await;
    let image = Image::random();
    let repository = portcullis.admin().repository("admin/app");
    repository.push(&image, "v1").await;
    assert!(portcullis.stop().await.success());
    disk.make_read_only();

    portcullis.start_again().await;

    let checks = readiness(&portcullis.anonymous(), 200, "degraded").await;
    let reason = json!({"status": "degraded", "reason": "it is read-only"});
    for name in [STORAGE, "registry database: writing"] {
        assert_eq!(checks[name], reason, "{checks}");
    }
    expect_pulls(&portcullis, &image).await;
    let repository = portcullis.admin().repository("admin/app");
    for answer in [
        repository.post_blob(&Blob::random(1000)).await,
        repository.post("blobs/uploads/").send().await,
        repository.put_manifest(&image.manifest, "v2").await,
        repository.delete_manifest("v1").await,
        repository.delete_manifest(&image.manifest.digest).await,
    ] {
        expect_sentence(&answer.expect_error(405, "UNSUPPORTED"));
    }
}

/// A registry whose blobs are on this disk, and whose records are elsewhere.
async fn with_blobs_on(disk: &SmallDisk, records: &std::path::Path, sections: &str) -> Served {
    let root = format!("rootdirectory: {}\n{sections}", disk.path().display());
    let text = OPEN_REGISTRY.replace("rootdirectory: blobs\n", &root);
    let database = format!("sqlite:{}/registry.sqlite", records.display());
    let text = format!("{text}database:\n  url: {database}\n");
    let registry = Configured::registry(&text)
        .env("REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL", "100ms")
        .start();
    registry.await
}

/// What a mirror of a snapshot is, or the old registry while it moves.
#[tokio::test]
async fn a_registry_under_maintenance_is_whole_on_a_read_only_disk() {
    let (disk, records) = (SmallDisk::new("32m"), tempfile::tempdir().unwrap());
    let image = Image::random();
    let mut registry = with_blobs_on(&disk, records.path(), "").await;
    registry
        .anybody()
        .repository("app")
        .push(&image, "v1")
        .await;
    assert!(registry.process().stop().await.success());
    disk.make_read_only();

    let maintenance = "  maintenance: {readonly: {enabled: true}}\n";
    let mut registry = with_blobs_on(&disk, records.path(), maintenance).await;
    let probe = registry.client();
    readiness(&probe, 200, "ok").await;
    let repository = registry.anybody().repository("app");
    repository.expect_image(&image, "v1").await;
    repository.head("manifests/v1").send().await.expect(200);
    assert_eq!(repository.tags().await, ["v1"]);
    let refused = repository.post_blob(&Blob::random(10)).await;
    refused.expect_error(405, "UNSUPPORTED");
    let reading = readiness(&probe, 200, "ok").await;
    assert_eq!(reading[STORAGE]["status"], "ok", "nothing is written");
    assert!(registry.process().stop().await.success());

    let registry = with_blobs_on(&disk, records.path(), "").await;
    readiness(&registry.client(), 200, "degraded").await;
    let repository = registry.anybody().repository("app");
    repository.expect_image(&image, "v1").await;
}

#[tokio::test]
async fn clients_pull_from_a_full_disk_and_are_told_why_they_cannot_push() {
    let (disk, portcullis) = on_small_disk(watched()).await;
    let host = portcullis.host();
    let docker = Docker::new();
    docker
        .login(&host, "admin", ADMIN_PASSWORD)
        .expect_success();
    let image = format!("{host}/admin/hello:1");
    docker.build_small(&image);
    docker.run(["push", &image]);
    let _filler = disk.fill();
    readiness(&portcullis.anonymous(), 200, "degraded").await;

    docker.run(["image", "rm", "--force", &image]);
    docker.run(["pull", &image]);
    docker.run(["image", "rm", "--force", &image]);
    let skopeo = Skopeo::new();
    skopeo
        .login(&host, "admin", ADMIN_PASSWORD)
        .expect_success();
    let source = format!("docker://{image}");
    let folder = tempfile::tempdir().unwrap();
    let copy = format!("dir:{}", folder.path().display());
    skopeo.copy(&source, &copy).expect_success();
    let other = format!("docker://{host}/admin/other:1");
    // Clients show the sentences of 4xx alone.
    skopeo
        .copy(&copy, &other)
        .expect_failure()
        .expect_says(["507 Insufficient Storage"]);
}
