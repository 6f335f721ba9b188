//! Blobs: fetched whole or in part, looked up, deleted.

use acceptance::content::sha256;
use acceptance::{ADMIN_PASSWORD, Blob, Client, Invocation, Launch, Process, Ready};

use crate::empty_repository;

#[tokio::test]
async fn a_blob_comes_back_with_its_digest_and_length() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(100_000);
    repository.push_blob(&blob).await;

    let answer = repository.get_blob(&blob.digest).await.expect(200);

    assert_eq!(answer.body, blob.bytes);
    answer
        .expect_header("docker-content-digest", &blob.digest)
        .expect_header("content-length", "100000")
        .expect_header("docker-distribution-api-version", "registry/2.0");
}

#[tokio::test]
async fn head_says_what_get_would_without_the_body() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(1234);
    repository.push_blob(&blob).await;

    let path = format!("blobs/{}", blob.digest);
    let answer = repository.head(&path).send().await.expect(200);

    assert!(answer.body.is_empty());
    answer
        .expect_header("docker-content-digest", &blob.digest)
        .expect_header("content-length", "1234");
}

#[tokio::test]
async fn a_blob_of_no_bytes_is_a_blob() {
    let (_portcullis, repository) = empty_repository().await;
    let empty = Blob::new("");
    repository.push_blob(&empty).await;

    let answer = repository.get_blob(&empty.digest).await.expect(200);

    assert!(answer.body.is_empty());
    answer.expect_header("content-length", "0");
    let path = format!("blobs/{}", empty.digest);
    let head = repository.head(&path).send().await.expect(200);
    head.expect_header("content-length", "0");
}

#[tokio::test]
async fn a_blob_named_by_sha512_is_kept_under_that_name() {
    let (portcullis, repository) = empty_repository().await;
    let blob = Blob::random_sha512(5000);
    repository.push_blob(&blob).await;

    let answer = repository.get_blob(&blob.digest).await.expect(200);

    assert_eq!(answer.body, blob.bytes);
    answer.expect_header("docker-content-digest", &blob.digest);
    let hex = blob.digest.strip_prefix("sha512:").unwrap();
    let file = portcullis
        .blob_folder()
        .join(format!("sha512/{}/{hex}/data", &hex[..2]));
    assert_eq!(std::fs::read(file).unwrap(), blob.bytes);
}

#[tokio::test]
async fn a_blob_is_stored_where_distribution_stores_it() {
    let (portcullis, repository) = empty_repository().await;
    let blob = Blob::random(5000);
    repository.push_blob(&blob).await;

    let hex = blob.digest.strip_prefix("sha256:").unwrap();
    let file = portcullis
        .blob_folder()
        .join(format!("sha256/{}/{hex}/data", &hex[..2]));

    assert_eq!(std::fs::read(file).unwrap(), blob.bytes);
}

#[tokio::test]
async fn an_unknown_blob_is_not_found() {
    let (_portcullis, repository) = empty_repository().await;
    repository.push_blob(&Blob::random(10)).await;
    let unknown = Blob::random(10).digest;

    let answer = repository.get_blob(&unknown).await;
    answer.expect_error(404, "BLOB_UNKNOWN");
    let head = repository.head(&format!("blobs/{unknown}")).send().await;
    assert!(head.expect(404).body.is_empty());
}

#[tokio::test]
async fn a_blob_of_another_repository_is_not_found() {
    let (portcullis, repository) = empty_repository().await;
    let other = portcullis.admin().repository("admin/other");
    let blob = Blob::random(10);
    repository.push_blob(&blob).await;
    other.push_blob(&Blob::random(10)).await;

    let answer = other.get_blob(&blob.digest).await;
    answer.expect_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn part_of_a_blob_can_be_fetched() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(300_000);
    repository.push_blob(&blob).await;

    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100000-199999", 100_000, 200_000),
        ("bytes=299999-", 299_999, 300_000),
        ("bytes=-500", 299_500, 300_000),
        ("bytes=299000-999999", 299_000, 300_000),
        ("bytes=-999999", 0, 300_000),
    ] {
        let answer = repository
            .get(&format!("blobs/{}", blob.digest))
            .header("range", range)
            .send()
            .await
            .expect(206);
        assert!(answer.body == blob.bytes[from..to], "{range}");
        answer
            .expect_header("content-range", &format!("bytes {from}-{}/300000", to - 1))
            .expect_header("content-length", &(to - from).to_string())
            .expect_header("docker-content-digest", &blob.digest);
    }
}

#[tokio::test]
async fn a_range_beyond_the_blob_cannot_be_satisfied() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(1000);
    repository.push_blob(&blob).await;

    for range in ["bytes=1000-", "bytes=1000-2000", "bytes=-0"] {
        let answer = repository
            .get(&format!("blobs/{}", blob.digest))
            .header("range", range)
            .send()
            .await;
        answer
            .expect(416)
            .expect_header("content-range", "bytes */1000");
    }
}

#[tokio::test]
async fn a_range_in_units_nobody_knows_is_ignored() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(1000);
    repository.push_blob(&blob).await;

    let answer = repository
        .get(&format!("blobs/{}", blob.digest))
        .header("range", "pages=1-2")
        .send()
        .await
        .expect(200);

    assert_eq!(answer.body, blob.bytes);
}

#[tokio::test]
async fn a_deleted_blob_is_gone() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(10);
    repository.push_blob(&blob).await;

    let path = format!("blobs/{}", blob.digest);
    repository.delete(&path).send().await.expect(202);

    let answer = repository.get_blob(&blob.digest).await;
    answer.expect_error(404, "BLOB_UNKNOWN");
    repository.head(&path).send().await.expect(404);
    let again = repository.delete(&path).send().await;
    again.expect_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn a_deleted_blob_stays_in_other_repositories() {
    let (portcullis, repository) = empty_repository().await;
    let other = portcullis.admin().repository("admin/other");
    let blob = Blob::random(10);
    repository.push_blob(&blob).await;
    other.push_blob(&blob).await;

    let path = format!("blobs/{}", blob.digest);
    repository.delete(&path).send().await.expect(202);

    other.expect_blob(&blob).await;
}

#[tokio::test]
async fn a_deleted_blob_can_be_pushed_again() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(10);
    repository.push_blob(&blob).await;
    let path = format!("blobs/{}", blob.digest);
    repository.delete(&path).send().await.expect(202);

    repository.push_blob(&blob).await;

    repository.expect_blob(&blob).await;
}

#[tokio::test]
async fn what_is_no_digest_is_refused() {
    let (_portcullis, repository) = empty_repository().await;
    let digest = sha256(b"");
    let upper = digest.to_uppercase();
    let short = &digest[..digest.len() - 1];
    let md5 = "md5:d41d8cd98f00b204e9800998ecf8427e";

    for bad in [
        "sha256",
        "sha256:",
        "sha256:abc",
        "sha256:xyz",
        md5,
        short,
        &upper,
    ] {
        for call in [
            repository.get(&format!("blobs/{bad}")),
            repository.delete(&format!("blobs/{bad}")),
        ] {
            call.send().await.expect_error(400, "DIGEST_INVALID");
        }
    }
}

/// Blobs that were pulled a moment ago are kept open, but not in the way of others.
#[tokio::test]
async fn with_few_files_to_open_everything_can_be_pulled() {
    let folder = tempfile::tempdir().unwrap();
    let invocation = Invocation::portcullis()
        .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path().join("data"))
        .env("AUTH_ADMIN_PASSWORD", ADMIN_PASSWORD)
        .started_by("prlimit", ["--nofile=64:64"]);
    let server = Process::start(Launch {
        invocation,
        log: folder.path().join("up.log"),
        ready: Ready::Announced,
    })
    .await;
    let repository = Client::new(server.origin())
        .login("admin", ADMIN_PASSWORD)
        .repository("admin/app");
    let blobs: Vec<_> = (0..100).map(|_| Blob::random(10)).collect();
    for blob in &blobs {
        repository.push_blob(blob).await;
    }
    for blob in &blobs {
        repository.expect_blob(blob).await;
    }
    repository.push_blob(&Blob::random(10)).await;
}
