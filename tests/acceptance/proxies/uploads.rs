//! Large layers, in both directions, without a stop on the proxy's disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use acceptance::proxy::{Front, Kind, Variant};
use acceptance::{ADMIN_PASSWORD, Blob, Invocation, Repository, Upload};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use super::Behind;

const MIB: usize = 1 << 20;

/// Longer than bytes need that are not held back.
const PATIENCE: Duration = Duration::from_secs(20);

/// A body that the test sends piece by piece.
pub fn body() -> (mpsc::UnboundedSender<Bytes>, reqwest::Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let pieces = stream::unfold(
        receiver,
        async |mut receiver: mpsc::UnboundedReceiver<Bytes>| {
            let piece: Bytes = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(piece), receiver))
        },
    );
    (sender, reqwest::Body::wrap_stream(pieces))
}

/// The admin's, over one version of HTTP or the other.
fn repository(behind: &Behind, http1: bool) -> Repository {
    let client = behind.proxy.client_with(&behind.pki, |builder| {
        if http1 { builder.http1_only() } else { builder }
    });
    client
        .login("admin", ADMIN_PASSWORD)
        .repository("admin/app")
}

/// Waits until the registry has stored this many bytes of an upload that is under way.
async fn arrived(behind: &Behind, repository: &str, bytes: usize) {
    let blobs = behind.portcullis.blob_folder();
    arrived_in(&blobs, repository, bytes, behind.proxy.kind()).await;
}

/// The same, by the folder of blobs.
pub async fn arrived_in(blobs: &Path, repository: &str, bytes: usize, kind: Kind) {
    let repositories = blobs.with_file_name("repositories");
    let uploads = repositories.join(repository).join("_uploads");
    let enough = async {
        while stored(&uploads) < bytes as u64 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, enough)
        .await
        .unwrap_or_else(|_| {
            panic!(
                "{kind:?} holds the upload back: {} arrived",
                stored(&uploads)
            )
        });
}

fn stored(uploads: &Path) -> u64 {
    let folders = std::fs::read_dir(uploads).into_iter().flatten();
    folders
        .map(|folder| folder.unwrap().path().join("data"))
        .filter_map(|data: PathBuf| data.metadata().ok())
        .map(|data| data.len())
        .sum()
}

#[tokio::test]
async fn an_upload_reaches_the_registry_while_it_is_sent() {
    for kind in Kind::ALL {
        for http1 in [true, false] {
            let behind = Behind::start(Front::new(kind, Variant::TwoHosts)).await;
            let repository = repository(&behind, http1);
            let blob = Blob::random(24 * MIB);
            let upload = repository.start_upload().await;

            let (sender, body) = body();
            let patch = tokio::spawn(upload.patch().body(body).send());
            sender.send(blob.bytes.slice(..16 * MIB)).unwrap();
            // The client has not finished: whoever buffers has nothing to pass on yet.
            arrived(&behind, "admin/app", 8 * MIB).await;
            sender.send(blob.bytes.slice(16 * MIB..)).unwrap();
            drop(sender);

            let location = patch.await.unwrap().expect(202);
            let upload = Upload::resume(&repository, location.header("location"));
            upload.finish(&blob.digest).await.expect(201);
            repository.expect_blob(&blob).await;
        }
    }
}

#[tokio::test]
async fn an_upload_that_was_cut_off_goes_on_where_it_ended() {
    let ways = Kind::ALL
        .into_iter()
        .flat_map(|kind| Variant::ALL.map(|variant| (kind, variant, variant == Variant::TwoHosts)));
    let newer = Kind::ALL.map(|kind| (kind, Variant::TwoHosts, false));
    for (kind, variant, http1) in ways.chain(newer) {
        let behind = Behind::start(Front::new(kind, variant)).await;
        let repository = repository(&behind, http1);
        let blob = Blob::random(12 * MIB);
        let upload = repository.start_upload().await;

        let (sender, body) = body();
        let patch = tokio::spawn(upload.patch().body(body).send());
        sender.send(blob.bytes.slice(..8 * MIB)).unwrap();
        arrived(&behind, "admin/app", 4 * MIB).await;
        patch.abort();

        let received = received(&upload).await;
        assert!(received >= 4 * MIB, "{kind:?}: {received} bytes are left");
        let mut upload = Upload::resume(&repository, &upload.location);
        let rest = upload.chunk(received, blob.bytes.slice(received..)).await;
        rest.expect(202);
        upload.finish(&blob.digest).await.expect(201);
        repository.expect_blob(&blob).await;
    }
}

/// How much of an upload is there once the one who broke off is forgotten.
async fn received(upload: &Upload) -> usize {
    let settled = async {
        loop {
            let status = upload.status().await;
            if status.status == 204 && status.header("range") != "0-0" {
                let (_, last) = status.header("range").split_once('-').unwrap();
                return last.parse::<usize>().unwrap() + 1;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled)
        .await
        .expect("the upload is free again")
}

const LARGE: usize = 2048 * MIB;

/// Of so many zeros.
const LARGE_DIGEST: &str =
    "sha256:a7c744c13cc101ed66c29f672f92455547889cc586ce6d44fe76ae824958ea51";

/// More than Apache's limit for bodies that it keeps itself, and than a number of 32 bits with a sign holds.
async fn a_large_layer_comes_and_goes(kind: Kind) {
    let behind = Behind::start(Front::new(kind, Variant::OneHost)).await;
    let repository = behind.admin().repository("admin/app");
    let token = repository.token().await;
    let host = behind.proxy.host();
    let upload = repository.start_upload().await;
    let location = behind.proxy.registry().join(&upload.location).unwrap();

    let curl = |arguments: &str| {
        let script = format!(
            "curl --silent --show-error --fail --cacert {} --resolve {host}:127.0.0.1 \
             --header 'Authorization: Bearer {token}' {arguments}",
            behind.pki.root().display()
        );
        Invocation::new("bash")
            .args(["-o", "pipefail", "-c", &script])
            .run()
            .expect_success()
            .stdout
    };
    // Without a length, in chunks, as docker sends a layer.
    curl(&format!(
        "--http1.1 --request PATCH --header 'Content-Type: application/octet-stream' \
         --header 'Expect:' --upload-file - '{location}' < <(head --bytes {LARGE} /dev/zero)"
    ));
    upload.finish(LARGE_DIGEST).await.expect(201);

    let pulled = curl(&format!(
        "https://{host}/v2/admin/app/blobs/{LARGE_DIGEST} | wc --bytes"
    ));
    assert_eq!(pulled.trim(), LARGE.to_string());
}

#[tokio::test]
async fn heavy_two_gibibytes_through_nginx() {
    a_large_layer_comes_and_goes(Kind::Nginx).await;
}

#[tokio::test]
async fn heavy_two_gibibytes_through_apache() {
    a_large_layer_comes_and_goes(Kind::Apache).await;
}
