//! What unfinished uploads take: nothing that came to nothing, no more than their owner may hold, and
//! no more than there is room for.

use std::io;

use acceptance::content::random_bytes;
use acceptance::disk::SmallDisk;
use acceptance::raw::Connection;
use acceptance::{Answer, Blob, Databases, Invocation, Portcullis, Repository, Setup};
use bytes::Bytes;

/// A body of unknown length, as docker sends it.
fn stream(bytes: &Bytes) -> reqwest::Body {
    let pieces: Vec<io::Result<Bytes>> = (0..bytes.len())
        .step_by(100_000)
        .map(|start| Ok(bytes.slice(start..bytes.len().min(start + 100_000))))
        .collect();
    reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
}

/// Blobs on a disk of 32 MiB, the databases elsewhere.
async fn on_small_disk(reserve: &str) -> (SmallDisk, tempfile::TempDir, Portcullis) {
    let folder = tempfile::tempdir().unwrap();
    let blobs = folder.path().join("data/docker");
    std::fs::create_dir_all(&blobs).unwrap();
    let disk = SmallDisk::mounted_at(&blobs, "32m");
    let portcullis = Setup::up()
        .folder(folder.path())
        .env("REGISTRY_STORAGE_RESERVE", reserve)
        .start()
        .await;
    (disk, folder, portcullis)
}

#[tokio::test]
async fn what_does_not_fit_gives_its_room_back() {
    // Full to the last byte, and to the reserve.
    for reserve in ["0", "4MiB"] {
        let (_disk, _folder, portcullis) = on_small_disk(reserve).await;
        let repository = portcullis.admin().repository("admin/app");
        let blob = Blob::random(30_000_000);
        let mut upload = repository.start_upload().await;
        upload.append(blob.bytes.slice(..1000)).await.expect(202);

        let much = random_bytes(40_000_000);
        let answer = upload.patch().body(stream(&much)).send().await;
        answer.expect_error(507, "UNAVAILABLE");
        assert_eq!(portcullis.bytes_of_uploads(), 1000);
        let status = upload.status().await.expect(204);
        status.expect_header("range", "0-999");
        let answer = upload
            .closing(&blob.digest)
            .body(stream(&much))
            .send()
            .await;
        answer.expect_error(507, "UNAVAILABLE");
        let path = format!("blobs/uploads/?digest={}", blob.digest);
        let answer = repository.post(&path).body(stream(&much)).send().await;
        answer.expect_error(507, "UNAVAILABLE");

        // Others go on, and so does the upload.
        assert_eq!(portcullis.bytes_of_uploads(), 1000);
        let rest = blob.bytes.slice(1000..20_000_000);
        upload.append(rest).await.expect(202);
        assert_eq!(portcullis.bytes_of_uploads(), 20_000_000);
        upload.cancel().await.expect(204);
        assert_eq!(portcullis.bytes_of_uploads(), 0);
        repository.push_blob(&Blob::random(20_000_000)).await;
    }
}

/// A request whose body is announced and never sent.
async fn announce(
    portcullis: &Portcullis,
    repository: &Repository,
    method: &str,
    path: &str,
    length: u64,
) -> Answer {
    let token = repository.token().await;
    let mut connection = Connection::open(portcullis.origin()).await;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: registry.test\r\nauthorization: Bearer {token}\r\n\
         content-length: {length}\r\n\r\n"
    );
    connection.send(head).await;
    connection.answer().await.expect("an answer")
}

#[tokio::test]
async fn what_cannot_fit_is_refused_before_it_is_sent() {
    let (_disk, _folder, portcullis) = on_small_disk("2MiB").await;
    let repository = portcullis.admin().repository("admin/app");
    let blob = Blob::random(10);
    let upload = repository.start_upload().await;
    let closing = format!("{}?digest={}", upload.location, blob.digest);
    let single = format!(
        "/v2/{}/blobs/uploads/?digest={}",
        repository.name(),
        blob.digest
    );
    let location = upload.location.as_str();
    for (method, path) in [("PATCH", location), ("PUT", &closing), ("POST", &single)] {
        for length in [31 << 20, 1 << 40] {
            let answer = announce(&portcullis, &repository, method, path, length).await;
            answer.expect_error(507, "UNAVAILABLE");
        }
    }
    // What fits is taken.
    repository.push_blob(&Blob::random(25_000_000)).await;
    let answer = upload.finish_with(&blob.digest, blob.bytes.clone()).await;
    answer.expect(201);
}

#[tokio::test]
async fn nobody_holds_more_in_unfinished_uploads_than_they_may() {
    let portcullis = Setup::up()
        .env("REGISTRY_UPLOADS_MAXHELD", "1MB")
        .start()
        .await;
    let repository = portcullis.admin().repository("admin/app");
    let part = random_bytes(600_000);
    let mut first = repository.start_upload().await;
    first.append(part.clone()).await.expect(202);

    let mut second = repository.start_upload().await;
    let answer = second.append(part.clone()).await;
    let answer = answer.expect_error(413, "DENIED");
    let message = &answer.json()["errors"][0]["message"];
    assert!(message.as_str().unwrap().contains("uploads.maxheld"));
    let answer = second.patch().body(stream(&part)).send().await;
    answer.expect_error(413, "DENIED");
    let blob = Blob::random(1_000_001);
    repository
        .post_blob(&blob)
        .await
        .expect_error(413, "DENIED");
    assert_eq!(portcullis.bytes_of_uploads(), 600_000);
    second.append(part.slice(..400_000)).await.expect(202);

    // Everybody has an allowance of their own, and what is finished is held no more.
    let others = portcullis.new_user("bob").repository("bob/app");
    others
        .start_upload()
        .await
        .append(part.clone())
        .await
        .expect(202);
    let whole = Blob::new(part.clone());
    first.finish(&whole.digest).await.expect(201);
    second.append(part).await.expect(202);
    second.cancel().await.expect(204);
    repository.push_blob(&Blob::random(1_000_000)).await;
}

#[tokio::test]
async fn a_chunk_of_another_length_than_announced_takes_no_room() {
    let portcullis = Portcullis::up().await;
    let repository = portcullis.admin().repository("admin/app");
    let mut upload = repository.start_upload().await;
    upload.append(random_bytes(1000)).await.expect(202);
    for length in [10_000, 3_000_000] {
        let call = upload.patch().header("content-range", "1000-1999999");
        let answer = call.body(stream(&random_bytes(length))).send().await;
        answer.expect_error(400, "SIZE_INVALID");
        assert_eq!(portcullis.bytes_of_uploads(), 1000);
    }
}

#[tokio::test]
async fn what_the_database_does_not_acknowledge_takes_no_room() {
    let portcullis = Portcullis::apart(Databases::Postgres).await;
    let repository = portcullis.admin().repository("admin/app");
    let psql = |statements: &str| {
        Invocation::new("psql")
            .args(["--no-psqlrc", "--quiet", "--command", statements])
            .arg(portcullis.registry_database())
            .run()
            .expect_success();
    };
    let blob = Blob::random(3_000_000);
    let mut upload = repository.start_upload().await;
    upload.append(blob.bytes.slice(..1000)).await.expect(202);
    psql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE OF received ON uploads
             FOR EACH ROW EXECUTE FUNCTION refuse();
         CREATE TRIGGER refuse BEFORE INSERT ON repository_blobs
             FOR EACH ROW EXECUTE FUNCTION refuse();
         CREATE TRIGGER refuse BEFORE INSERT ON blobs
             FOR EACH ROW EXECUTE FUNCTION refuse();",
    );

    let rest = blob.bytes.slice(1000..);
    let answer = upload.append(rest.clone()).await;
    assert!(answer.status.is_server_error(), "{answer}");
    assert_eq!(portcullis.bytes_of_uploads(), 1000);
    let answer = upload.finish_with(&blob.digest, rest.clone()).await;
    assert!(answer.status.is_server_error(), "{answer}");
    assert_eq!(portcullis.bytes_of_uploads(), 1000);
    let answer = repository.post_blob(&blob).await;
    assert!(answer.status.is_server_error(), "{answer}");
    assert_eq!(portcullis.bytes_of_uploads(), 1000);

    psql(
        "DROP TRIGGER refuse ON uploads; DROP TRIGGER refuse ON repository_blobs;
         DROP TRIGGER refuse ON blobs",
    );
    let answer = upload.finish_with(&blob.digest, rest).await;
    answer.expect(201);
    repository.expect_blob(&blob).await;
}
