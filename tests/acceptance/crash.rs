//! A power cut at any moment of a push: what was acknowledged is there afterwards, what was not
//! leaves nothing that a sweep does not remove.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use acceptance::content::{Manifest, empty_blob, sha256, unique};
use acceptance::{Blob, Invocation, Portcullis, Repository, Upload};
use serde_json::json;

const ROUNDS: usize = 12;
const PUSHERS: usize = 6;

/// All that the registry said it had stored.
#[derive(Debug, Default)]
struct Acknowledged {
    blobs: Vec<Blob>,
    manifests: Vec<(String, Manifest)>,
    /// Open sessions: where, what of, and how much of it.
    uploads: Vec<(String, Blob, usize)>,
}

/// Pushes one thing after another until the server is gone.
async fn push_until_it_dies(repository: Repository, seen: Arc<Mutex<Acknowledged>>) {
    for round in 0_usize.. {
        let blob = Blob::random(1 + 7919 * (round * round % 97));
        let Some(()) = push_one(&repository, blob, round, &seen).await else {
            return;
        };
    }
}

/// `None` when the server is gone.
async fn push_one(
    repository: &Repository,
    blob: Blob,
    round: usize,
    seen: &Mutex<Acknowledged>,
) -> Option<()> {
    let answer = repository
        .post("blobs/uploads/")
        .try_send()
        .await
        .ok()?
        .expect(202);
    let mut upload = Upload::resume(repository, answer.header("location"));
    let half = blob.bytes.len() / 2;
    if round.is_multiple_of(2) && half > 0 {
        let call = upload
            .patch()
            .header("content-range", &format!("0-{}", half - 1))
            .body(blob.bytes.slice(..half));
        let answer = call.try_send().await.ok()?.expect(202);
        answer.header("location").clone_into(&mut upload.location);
        seen.lock()
            .unwrap()
            .uploads
            .push((upload.location.clone(), blob.clone(), half));
        if round.is_multiple_of(6) {
            // Left open, as by a client that went away.
            return Some(());
        }
        let rest = upload.closing(&blob.digest).body(blob.bytes.slice(half..));
        let answer = rest.try_send().await;
        // Closed or not: only the server knows now.
        let location = &upload.location;
        seen.lock()
            .unwrap()
            .uploads
            .retain(|(open, ..)| open != location);
        answer.ok()?.expect(201);
    } else {
        let whole = upload.closing(&blob.digest).body(blob.bytes.clone());
        whole.try_send().await.ok()?.expect(201);
    }
    seen.lock().unwrap().blobs.push(blob.clone());

    let manifest = Manifest::artifact(&json!({"layers": [blob.descriptor("application/x")]}));
    let tag = unique();
    let answer = repository
        .put(&format!("manifests/{tag}"))
        .header("content-type", &manifest.media_type)
        .body(manifest.bytes.clone())
        .try_send()
        .await
        .ok()?;
    answer.expect(201);
    seen.lock().unwrap().manifests.push((tag, manifest));
    Some(())
}

/// A moment nobody chose, within the first fraction of a second.
fn some_moment() -> Duration {
    let random = u64::from_be_bytes(acceptance::content::random_bytes(8)[..].try_into().unwrap());
    Duration::from_micros(random % 400_000)
}

async fn expect_all(repository: &Repository, seen: &Acknowledged) {
    for blob in &seen.blobs {
        repository.expect_blob(blob).await;
    }
    for (tag, manifest) in &seen.manifests {
        let answer = repository.get_manifest(tag).await.expect(200);
        assert_eq!(answer.body, manifest.bytes);
    }
    for (location, blob, offset) in &seen.uploads {
        let mut upload = Upload::resume(repository, location);
        let status = upload.status().await.expect(204);
        let status = status.expect_header("range", &format!("0-{}", offset - 1));
        status.header("location").clone_into(&mut upload.location);
        upload
            .chunk(*offset, blob.bytes.slice(*offset..))
            .await
            .expect(202);
        upload.finish(&blob.digest).await.expect(201);
        repository.expect_blob(blob).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_what_was_acknowledged_survives() {
    let mut portcullis = Portcullis::up().await;
    let repository = portcullis.admin().repository("admin/crash");
    repository.push_blob(&empty_blob()).await;

    for _ in 0..ROUNDS {
        let seen = Arc::new(Mutex::new(Acknowledged::default()));
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|_| tokio::spawn(push_until_it_dies(repository.clone(), seen.clone())))
            .collect();
        tokio::time::sleep(some_moment()).await;
        portcullis.kill();
        for pusher in pushers {
            pusher.await.unwrap();
        }

        portcullis.start_again().await;

        let seen = std::mem::take(&mut *seen.lock().unwrap());
        expect_all(&repository, &seen).await;
    }

    expect_nothing_half_done(&portcullis.blob_folder());
    portcullis.stop().await;
    expect_swept_clean(&portcullis);
}

/// Every blob in its place is whole.
fn expect_nothing_half_done(blobs: &Path) {
    for file in files_below(blobs) {
        let digest = file
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(
            sha256(&bytes),
            format!("sha256:{digest}"),
            "{}",
            file.display()
        );
    }
}

/// Swept of everything idle, only blobs are below the root, and what says which storage it is.
fn expect_swept_clean(portcullis: &Portcullis) {
    Invocation::portcullis()
        .args(["registry", "sweep", "--older-than", "0s", "--data-dir"])
        .arg(portcullis.folder())
        .run()
        .expect_success();

    let root = portcullis.folder().join("docker");
    let stored: HashSet<_> = files_below(&portcullis.blob_folder()).into_iter().collect();
    let all: HashSet<_> = files_below(&root).into_iter().collect();
    let identity = root.join("registry/v2/portcullis.json");
    let strays: Vec<_> = all
        .difference(&stored)
        .filter(|file| **file != identity)
        .collect();
    assert!(strays.is_empty(), "left behind: {strays:?}");
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}
