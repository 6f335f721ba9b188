//! Requests that no well-meaning client sends: each gets an answer that blames the right side, and
//! the server goes on.

use acceptance::content::media;
use acceptance::raw::{Connection, exchange};
use acceptance::{Blob, Image, Portcullis, Repository, host};
use tokio::time::{Duration, timeout};

use crate::empty_repository;

/// `<request line>` and the headers everyone sends, without the blank line.
async fn head(repository: &Repository, portcullis: &Portcullis, line: &str) -> String {
    format!(
        "{line} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n",
        host(portcullis.origin()),
        repository.token().await
    )
}

async fn expect_alive(repository: &Repository) {
    let blob = Blob::random(100);
    repository.push_blob(&blob).await;
    repository.expect_blob(&blob).await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let (portcullis, repository) = empty_repository().await;
    for request in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET /v2/ HTTP/9.9\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nbroken header\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        if let Some(answer) = exchange(portcullis.origin(), request).await {
            assert!(
                answer.status.is_client_error() || answer.status == 505,
                "{answer}"
            );
        }
    }
    expect_alive(&repository).await;
}

#[tokio::test]
async fn a_header_of_a_megabyte_is_refused() {
    let (portcullis, repository) = empty_repository().await;
    let request = format!(
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n",
        "a".repeat(1 << 20)
    );

    if let Some(answer) = exchange(portcullis.origin(), request).await {
        assert!(answer.status.is_client_error(), "{answer}");
    }

    expect_alive(&repository).await;
}

#[tokio::test]
async fn less_than_content_length_said_is_not_stored() {
    let (portcullis, repository) = empty_repository().await;
    let blob = Blob::random(1000);
    let upload = repository.start_upload().await;
    let line = format!("PUT {}?digest={}", upload.location, blob.digest);
    let head = head(&repository, &portcullis, &line).await;

    let mut connection = Connection::open(portcullis.origin()).await;
    connection
        .send(format!("{head}Content-Length: 2000\r\n\r\n"))
        .await;
    connection.send(&blob.bytes).await;
    connection.finish_sending().await;
    if let Some(answer) = connection.answer().await {
        assert!(answer.status.is_client_error(), "{answer}");
    }

    repository.get_blob(&blob.digest).await.expect(404);
    expect_alive(&repository).await;
}

#[tokio::test]
async fn bytes_beyond_content_length_are_no_part_of_the_blob() {
    let (portcullis, repository) = empty_repository().await;
    let blob = Blob::random(1000);
    let upload = repository.start_upload().await;
    let line = format!("PUT {}?digest={}", upload.location, blob.digest);
    let head = head(&repository, &portcullis, &line).await;

    let mut connection = Connection::open(portcullis.origin()).await;
    connection
        .send(format!("{head}Content-Length: 1000\r\n\r\n"))
        .await;
    connection.send(&blob.bytes).await;
    connection
        .send("and more that nobody announced\r\n\r\n")
        .await;
    connection.answer().await.unwrap().expect(201);
    if let Some(answer) = connection.answer().await {
        assert!(answer.status.is_client_error(), "{answer}");
    }

    repository.expect_blob(&blob).await;
}

#[tokio::test]
async fn a_chunk_that_breaks_off_keeps_what_arrived_or_nothing() {
    let (portcullis, repository) = empty_repository().await;
    let blob = Blob::random(200_000);
    let mut upload = repository.start_upload().await;
    let line = format!("PATCH {}", upload.location);
    let head = head(&repository, &portcullis, &line).await;

    let mut connection = Connection::open(portcullis.origin()).await;
    connection
        .send(format!("{head}Content-Length: 200000\r\n\r\n"))
        .await;
    connection.send(&blob.bytes[..150_000]).await;
    drop(connection);

    // The server notices in its own time: until then the session is busy, or has not moved yet.
    let mut sent = false;
    for _ in 0..100 {
        let status = upload.status().await;
        if status.status == 204 {
            status.header("location").clone_into(&mut upload.location);
            let offset = match status.header("range").strip_prefix("0-").unwrap() {
                "0" => 0,
                end => end.parse::<usize>().unwrap() + 1,
            };
            assert!(offset <= 150_000, "more than was sent: {status}");
            let answer = upload.chunk(offset, blob.bytes.slice(offset..)).await;
            assert!(
                [202, 409, 416].contains(&answer.status.as_u16()),
                "{answer}"
            );
            if answer.status == 202 {
                sent = true;
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(sent, "the upload cannot go on");
    upload.finish(&blob.digest).await.expect(201);
    repository.expect_blob(&blob).await;
}

#[tokio::test]
async fn a_vanished_client_leaves_no_blob() {
    let (portcullis, repository) = empty_repository().await;
    let blob = Blob::random(300_000);
    for sent in [0, 1, 100_000, 299_999] {
        let line = format!(
            "POST /v2/{}/blobs/uploads/?digest={}",
            repository.name(),
            blob.digest
        );
        let head = head(&repository, &portcullis, &line).await;
        let mut connection = Connection::open(portcullis.origin()).await;
        connection
            .send(format!("{head}Content-Length: 300000\r\n\r\n"))
            .await;
        connection.send(&blob.bytes[..sent]).await;
        drop(connection);
    }

    repository.get_blob(&blob.digest).await.expect(404);
    expect_alive(&repository).await;
}

#[tokio::test]
async fn slow_clients_do_not_stop_others() {
    let (portcullis, repository) = empty_repository().await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut connection = Connection::open(portcullis.origin()).await;
        connection.send("GET /v2/ HTTP/1.1\r\nHost:").await;
        slow.push(connection);
    }

    let healthy = timeout(Duration::from_secs(5), expect_alive(&repository));

    healthy.await.expect("a push beside 200 slow clients");
}

#[tokio::test]
async fn a_client_that_reads_nothing_stops_nobody() {
    let (portcullis, repository) = empty_repository().await;
    let blob = Blob::random(20_000_000);
    repository.push_blob(&blob).await;
    let line = format!("GET /v2/{}/blobs/{}", repository.name(), blob.digest);
    let head = head(&repository, &portcullis, &line).await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        let mut connection = Connection::open(portcullis.origin()).await;
        connection.send(format!("{head}\r\n")).await;
        idle.push(connection);
    }

    let healthy = timeout(Duration::from_secs(5), expect_alive(&repository));

    healthy
        .await
        .expect("a push beside 50 clients that read nothing");
}

#[tokio::test]
async fn a_broken_off_chunked_body_is_not_stored() {
    let (portcullis, repository) = empty_repository().await;
    let blob = Blob::new("hello");
    let upload = repository.start_upload().await;
    let line = format!("PUT {}?digest={}", upload.location, blob.digest);
    let head = head(&repository, &portcullis, &line).await;
    for body in [
        "5\r\nhello\r\n",
        "zz\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nhello",
    ] {
        let mut connection = Connection::open(portcullis.origin()).await;
        connection
            .send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}"))
            .await;
        connection.finish_sending().await;
        if let Some(answer) = connection.answer().await {
            assert!(answer.status.is_client_error(), "{answer}");
        }
        repository.get_blob(&blob.digest).await.expect(404);
    }
    expect_alive(&repository).await;
}

#[tokio::test]
async fn a_manifest_without_end_is_refused_early() {
    let (portcullis, repository) = empty_repository().await;
    let line = format!("PUT /v2/{}/manifests/v1", repository.name());
    let head = head(&repository, &portcullis, &line).await;

    let mut connection = Connection::open(portcullis.origin()).await;
    connection
        .send(format!(
            "{head}Content-Type: {}\r\nContent-Length: 10000000000\r\n\r\n{{",
            media::OCI_MANIFEST
        ))
        .await;

    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.status, 413, "{answer}");
    expect_alive(&repository).await;
}

#[tokio::test]
async fn paths_do_not_escape() {
    let (portcullis, repository) = empty_repository().await;
    repository.push(&Image::random(), "v1").await;
    for path in [
        "/v2/../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/etc/passwd/manifests/v1",
        "/v2/admin/..%2f..%2fetc/manifests/v1",
        "/v2/admin/app/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd",
        "/v2/admin/app/blobs/uploads/..%2f..%2fregistry.sqlite",
        "/v2/admin/app/blobs/uploads/../../../../keys",
        "/v2//admin/manifests/v1",
        "/v2/admin/app/manifests/",
        "/v2/admin/app/manifests/%ff%fe",
        "/v2/admin/app/manifests/v1/more",
        "/v2/admin/app/nothing/here",
    ] {
        let head = head(&repository, &portcullis, &format!("GET {path}")).await;
        let answer = exchange(portcullis.origin(), format!("{head}\r\n"))
            .await
            .unwrap();
        assert!(answer.status.is_client_error(), "{path}: {answer}");
        assert!(
            answer.json()["errors"][0]["code"].is_string(),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_method_nobody_knows_is_refused() {
    let (portcullis, repository) = empty_repository().await;
    repository.push(&Image::random(), "v1").await;
    for (method, path) in [
        ("POST", "/v2/"),
        ("PUT", "/v2/_catalog"),
        ("POST", "/v2/admin/app/manifests/v1"),
        ("PATCH", "/v2/admin/app/manifests/v1"),
        ("DELETE", "/v2/admin/app/tags/list"),
        ("BREW", "/v2/admin/app/tags/list"),
    ] {
        let head = head(&repository, &portcullis, &format!("{method} {path}")).await;
        let request = format!("{head}Content-Length: 0\r\n\r\n");
        let answer = exchange(portcullis.origin(), request).await.unwrap();
        assert_eq!(answer.status, 405, "{method} {path}: {answer}");
        assert!(answer.has("allow"), "{answer}");
        assert_eq!(
            answer.json()["errors"][0]["code"],
            "UNSUPPORTED",
            "{answer}"
        );
    }
}

#[tokio::test]
async fn errors_give_no_internals_away() {
    let (portcullis, repository) = empty_repository().await;
    let folder = portcullis.folder();
    let folder = folder.to_str().unwrap();
    for path in [
        "manifests/v1",
        "blobs/sha256:abc",
        "tags/list?n=x",
        "blobs/uploads/x",
    ] {
        let answer = repository.get(path).send().await;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        for internal in [folder, "sqlx", "panicked", ".rs:"] {
            assert!(!body.contains(internal), "{answer}");
        }
    }
}
