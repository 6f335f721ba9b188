//! Crashes and lost connections between the move of an upload's bytes to the blob's place and the
//! commit of the rows: the session is there afterwards, and its bytes are not. Whoever repeats the
//! request is served, and nobody is told 500.

use std::time::Duration;

use acceptance::{Blob, Databases, Invocation, Portcullis, Repository, Running, Upload};
use rustix::process::Signal;
use tokio::task::JoinHandle;

/// An upload of which the first 1000 bytes are acknowledged.
async fn half_sent(repository: &Repository) -> (Upload, Blob) {
    let blob = Blob::random(3000);
    let mut upload = repository.start_upload().await;
    upload.append(blob.bytes.slice(..1000)).await.expect(202);
    (upload, blob)
}

/// Sends the last bytes of an upload, beside the test. No answer is no failure.
fn close(repository: &Repository, upload: &Upload, blob: &Blob, sent: usize) -> JoinHandle<u16> {
    let upload = Upload::resume(repository, &upload.location);
    let rest = blob.bytes.slice(sent..);
    let closing = upload.closing(&blob.digest).body(rest);
    tokio::spawn(async move {
        let answer = closing.try_send().await;
        answer.map_or(0, |answer| answer.status.as_u16())
    })
}

async fn until_moved(portcullis: &Portcullis, blobs: &[&Blob]) {
    let moved = async {
        while !blobs
            .iter()
            .all(|blob| portcullis.blob_file(&blob.digest).exists())
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), moved)
        .await
        .expect("the bytes are moved");
}

#[tokio::test]
async fn an_upload_whose_bytes_were_moved_before_a_crash_can_be_finished() {
    let mut portcullis = Portcullis::up().await;
    let repository = portcullis.admin().repository("admin/app");
    let (repeated, repeated_blob) = half_sent(&repository).await;
    let (empty, empty_blob) = half_sent(&repository).await;
    let (cancelled, cancelled_blob) = half_sent(&repository).await;
    let (mut appended, appended_blob) = half_sent(&repository).await;
    let (damaged, damaged_blob) = half_sent(&repository).await;
    let (renamed, renamed_blob) = half_sent(&repository).await;
    let whole = repository.start_upload().await;
    let whole_blob = Blob::random(3000);

    // Every move takes place and does not return.
    let strace = Running::strace(
        portcullis.process().id(),
        "--trace='?rename,?renameat,?renameat2' \
         --inject='?rename,?renameat,?renameat2:delay_exit=60s'",
    );
    let blobs = [
        &repeated_blob,
        &empty_blob,
        &cancelled_blob,
        &appended_blob,
        &damaged_blob,
        &renamed_blob,
        &whole_blob,
    ];
    let requests = [
        close(&repository, &repeated, &repeated_blob, 1000),
        close(&repository, &empty, &empty_blob, 1000),
        close(&repository, &cancelled, &cancelled_blob, 1000),
        close(&repository, &appended, &appended_blob, 1000),
        close(&repository, &damaged, &damaged_blob, 1000),
        close(&repository, &renamed, &renamed_blob, 1000),
        close(&repository, &whole, &whole_blob, 0),
    ];
    until_moved(&portcullis, &blobs).await;
    portcullis.process().signal(Signal::KILL);
    drop(strace);
    portcullis.process().exited().await;
    for request in requests {
        assert_eq!(request.await.unwrap(), 0, "the server is gone");
    }
    portcullis.start_again().await;
    let damage = portcullis.blob_file(&damaged_blob.digest);
    std::fs::write(damage, "other bytes").unwrap();

    let status = repeated.status().await.expect(204);
    status.expect_header("range", "0-999");
    let rest = repeated_blob.bytes.slice(1000..);
    let answer = repeated.finish_with(&repeated_blob.digest, rest).await;
    answer.expect(201);
    repository.expect_blob(&repeated_blob).await;
    expect_over(&repeated).await;

    empty.finish(&empty_blob.digest).await.expect(201);
    repository.expect_blob(&empty_blob).await;
    whole.finish(&whole_blob.digest).await.expect(201);
    repository.expect_blob(&whole_blob).await;

    cancelled.cancel().await.expect(204);
    expect_over(&cancelled).await;

    let answer = appended.append(appended_blob.bytes.slice(1000..)).await;
    answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    expect_over(&appended).await;

    // What is not whole is never said to be stored, nor is what was never found to have a digest.
    let rest = damaged_blob.bytes.slice(1000..);
    let answer = damaged.finish_with(&damaged_blob.digest, rest).await;
    answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    expect_over(&damaged).await;
    repository.get_blob(&damaged_blob.digest).await.expect(404);
    let rest = renamed_blob.bytes.slice(1000..);
    let answer = renamed.finish_with(&cancelled_blob.digest, rest).await;
    answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    repository
        .get_blob(&cancelled_blob.digest)
        .await
        .expect(404);

    // And all of it can be pushed again.
    for blob in blobs {
        repository.push_blob(blob).await;
        repository.expect_blob(blob).await;
    }
    assert_eq!(portcullis.bytes_of_uploads(), 0);
}

async fn expect_over(upload: &Upload) {
    let answer = upload.status().await;
    answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

/// Links wait as long as this session lasts.
fn no_links(portcullis: &Portcullis) -> Running {
    let database = portcullis.registry_database();
    Running::psql(
        database,
        "BEGIN; LOCK TABLE repository_blobs IN SHARE MODE;",
    )
}

fn psql(portcullis: &Portcullis, statement: &str) {
    Invocation::new("psql")
        .args(["--no-psqlrc", "--quiet", "--command", statement])
        .arg(portcullis.registry_database())
        .run()
        .expect_success();
}

#[tokio::test]
async fn with_postgresql_an_upload_outlives_a_lost_connection_and_a_crash() {
    let mut portcullis = Portcullis::apart(Databases::Postgres).await;
    let repository = portcullis.admin().repository("admin/app");
    let (upload, blob) = half_sent(&repository).await;
    let lock = no_links(&portcullis);
    let request = close(&repository, &upload, &blob, 1000);
    until_moved(&portcullis, &[&blob]).await;
    psql(
        &portcullis,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    assert_eq!(request.await.unwrap(), 503);
    drop(lock);
    let rest = blob.bytes.slice(1000..);
    let answer = upload.finish_with(&blob.digest, rest).await;
    answer.expect(201);
    repository.expect_blob(&blob).await;

    let (upload, blob) = half_sent(&repository).await;
    let lock = no_links(&portcullis);
    let request = close(&repository, &upload, &blob, 1000);
    until_moved(&portcullis, &[&blob]).await;
    portcullis.kill();
    request.await.unwrap();
    drop(lock);
    portcullis.start_again().await;
    // Half a minute, for who has no lease any more.
    psql(&portcullis, "UPDATE uploads SET writer_until = now()");
    upload.finish(&blob.digest).await.expect(201);
    repository.expect_blob(&blob).await;
}
