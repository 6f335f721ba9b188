//! Disks that are full or cannot be written: a clear error, a failed health check, and nothing
//! acknowledged that is not stored.

use std::time::Duration;

use acceptance::disk::SmallDisk;
use acceptance::{Answer, Blob, Image, Portcullis, Setup};

/// All data of `up` on a disk of 32 MiB.
async fn on_small_disk() -> (SmallDisk, Portcullis) {
    let disk = SmallDisk::new("32m");
    let portcullis = Setup::up().folder(disk.path()).start().await;
    (disk, portcullis)
}

/// A refusal that is the server's own fault, says so, and gives no internals away.
fn expect_refusal(answer: &Answer) {
    assert!(
        [500, 503, 507].contains(&answer.status.as_u16()),
        "{answer}"
    );
    let error = &answer.json()["errors"][0];
    let message = error["message"].as_str().unwrap();
    assert!(!message.is_empty());
    for internal in ["os error", "sqlite", "docker/registry", "/tmp"] {
        assert!(!message.to_lowercase().contains(internal), "{message}");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_pushes_and_serves_pulls() {
    let (disk, portcullis) = on_small_disk().await;
    let repository = portcullis.admin().repository("admin/app");
    let image = Image::random();
    repository.push(&image, "v1").await;

    let filler = disk.fill();
    let blob = Blob::random(1_000_000);
    let answer = repository.post_blob(&blob).await;
    assert_eq!(answer.status, 507, "{answer}");
    expect_refusal(&answer);
    repository.expect_image(&image, "v1").await;

    std::fs::remove_file(filler).unwrap();
    repository.push_blob(&blob).await;
    repository.expect_blob(&blob).await;
}

#[tokio::test]
async fn a_disk_that_fills_up_during_a_push_loses_nothing_acknowledged() {
    let (_disk, portcullis) = on_small_disk().await;
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
    let portcullis = Setup::up()
        .folder(folder.path())
        .env("REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL", "200ms")
        .start()
        .await;
    let repository = portcullis.admin().repository("admin/app");
    let image = Image::random();
    repository.push(&image, "v1").await;
    expect_readiness(&portcullis, 200).await;

    disk.make_read_only();
    let answer = repository.post_blob(&Blob::random(1000)).await;
    expect_refusal(&answer);
    repository.expect_image(&image, "v1").await;
    expect_readiness(&portcullis, 503).await;

    disk.make_writable();
    expect_readiness(&portcullis, 200).await;
    let blob = Blob::random(1000);
    repository.push_blob(&blob).await;
    repository.expect_blob(&blob).await;
}

/// Waits for the next health check to say so.
pub(crate) async fn expect_readiness(portcullis: &Portcullis, status: u16) {
    for _ in 0..100 {
        let answer = portcullis.anonymous().get("/readyz").send().await;
        if answer.status == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("/readyz never answers {status}");
}
