//! Uploads: in one request, streamed, in chunks, resumed, cancelled, raced.

use acceptance::content::sha256;
use acceptance::{Answer, Blob, Repository, Upload};
use futures_util::future::join_all;

use crate::empty_repository;

async fn expect_stored(repository: &Repository, blob: &Blob, answer: Answer) {
    let answer = answer
        .expect(201)
        .expect_header("docker-content-digest", &blob.digest);
    let location = answer.header("location");
    let fetched = repository.get(location).send().await.expect(200);
    assert!(fetched.body == blob.bytes, "{location} has other bytes");
}

/// Sends chunks of these sizes, one after the other.
async fn send_chunks(upload: &mut Upload, blob: &Blob, sizes: &[usize]) {
    let mut offset = 0;
    for size in sizes {
        let chunk = blob.bytes.slice(offset..offset + size);
        let answer = upload.chunk(offset, chunk).await.expect(202);
        offset += size;
        answer.expect_header("range", &format!("0-{}", offset - 1));
    }
}

#[tokio::test]
async fn post_then_put() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(50_000);

    let answer = repository.put_blob(&blob).await;

    expect_stored(&repository, &blob, answer).await;
}

#[tokio::test]
async fn a_single_post() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(50_000);

    let answer = repository
        .post(&format!("blobs/uploads/?digest={}", blob.digest))
        .header("content-type", "application/octet-stream")
        .body(blob.bytes.clone())
        .send()
        .await;

    expect_stored(&repository, &blob, answer).await;
}

#[tokio::test]
async fn a_single_post_of_other_bytes_is_refused() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(1000);

    let answer = repository
        .post(&format!("blobs/uploads/?digest={}", blob.digest))
        .body(blob.corrupted())
        .send()
        .await;

    answer.expect_error(400, "DIGEST_INVALID");
    repository.get_blob(&blob.digest).await.expect(404);
}

#[tokio::test]
async fn a_streamed_patch_of_unknown_length() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(300_000);
    let mut upload = repository.start_upload().await;

    // A body of unknown length goes out with `Transfer-Encoding: chunked`, as Docker sends it.
    let pieces: Vec<Result<_, std::io::Error>> =
        blob.bytes.chunks(7777).map(|p| Ok(p.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let answer = upload.patch().body(body).send().await.expect(202);
    answer.header("location").clone_into(&mut upload.location);
    answer.expect_header("range", "0-299999");

    let answer = upload.finish(&blob.digest).await;
    expect_stored(&repository, &blob, answer).await;
}

#[tokio::test]
async fn chunks_closed_by_an_empty_put() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(30_000);
    let mut upload = repository.start_upload().await;

    send_chunks(&mut upload, &blob, &[10_000, 1, 19_999]).await;

    let answer = upload.finish(&blob.digest).await;
    expect_stored(&repository, &blob, answer).await;
}

#[tokio::test]
async fn chunks_closed_by_a_put_with_the_last_one() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(30_000);
    let mut upload = repository.start_upload().await;
    send_chunks(&mut upload, &blob, &[10_000, 10_000]).await;

    let answer = upload
        .closing(&blob.digest)
        .header("content-range", "20000-29999")
        .body(blob.bytes.slice(20_000..))
        .send()
        .await;

    expect_stored(&repository, &blob, answer).await;
}

#[tokio::test]
async fn a_last_chunk_out_of_order_is_refused_and_can_be_sent_right() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(30_000);
    let mut upload = repository.start_upload().await;
    send_chunks(&mut upload, &blob, &[10_000]).await;

    let answer = upload
        .closing(&blob.digest)
        .header("content-range", "20000-29999")
        .body(blob.bytes.slice(20_000..))
        .send()
        .await;
    answer.expect(416);

    send_chunks_from(&mut upload, &blob, 10_000).await;
    let answer = upload.finish(&blob.digest).await;
    expect_stored(&repository, &blob, answer).await;
}

async fn send_chunks_from(upload: &mut Upload, blob: &Blob, offset: usize) {
    let answer = upload.chunk(offset, blob.bytes.slice(offset..)).await;
    answer.expect(202);
}

#[tokio::test]
async fn a_chunk_out_of_order_is_refused_and_changes_nothing() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(30_000);
    let mut upload = repository.start_upload().await;
    let early = upload.chunk(1, blob.bytes.slice(1..100)).await;
    early.expect(416);
    send_chunks(&mut upload, &blob, &[10_000]).await;

    for (what, offset) in [("a gap", 20_000), ("an overlap", 5_000), ("a repeat", 0)] {
        let chunk = blob.bytes.slice(offset..offset + 10_000);
        let answer = upload.chunk(offset, chunk).await;
        assert_eq!(answer.status, 416, "{what}: {answer}");
        let status = upload.status().await.expect(204);
        status.expect_header("range", "0-9999");
    }

    send_chunks_from(&mut upload, &blob, 10_000).await;
    let answer = upload.finish(&blob.digest).await;
    expect_stored(&repository, &blob, answer).await;
}

#[tokio::test]
async fn a_content_range_that_is_none_is_refused() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(100);
    let mut upload = repository.start_upload().await;

    for range in [
        "abc",
        "0",
        "0-",
        "-99",
        "99-0",
        "0-99999999999999999999",
        "1 - 2",
        "0-1-2",
    ] {
        let answer = upload
            .patch()
            .header("content-range", range)
            .body(blob.bytes.clone())
            .send()
            .await;
        assert!(
            answer.status == 400 || answer.status == 416,
            "{range}: {answer}"
        );
    }

    send_chunks(&mut upload, &blob, &[100]).await;
    let answer = upload.finish(&blob.digest).await;
    expect_stored(&repository, &blob, answer).await;
}

#[tokio::test]
async fn a_content_range_of_another_length_is_refused() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(100);
    let upload = repository.start_upload().await;

    for range in ["0-98", "0-100"] {
        let answer = upload
            .patch()
            .header("content-range", range)
            .body(blob.bytes.clone())
            .send()
            .await;
        assert!(
            answer.status == 400 || answer.status == 416,
            "{range}: {answer}"
        );
    }
}

#[tokio::test]
async fn the_status_tells_where_to_go_on() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(5000);
    let mut upload = repository.start_upload().await;
    upload.status().await.expect(204).header("location");

    upload.append(blob.bytes.slice(..2000)).await.expect(202);

    let status = upload.status().await.expect(204);
    status.header("location").clone_into(&mut upload.location);
    status.expect_header("range", "0-1999");
    send_chunks_from(&mut upload, &blob, 2000).await;
    let answer = upload.finish(&blob.digest).await;
    expect_stored(&repository, &blob, answer).await;
}

#[tokio::test]
async fn an_upload_goes_on_after_a_crash_where_it_was_acknowledged() {
    let (mut portcullis, repository) = empty_repository().await;
    let blob = Blob::random(5_000_000);
    let mut upload = repository.start_upload().await;
    // Not at a boundary of the hash's blocks, so that its middle state matters.
    send_chunks(&mut upload, &blob, &[1_000_001, 999_999, 3]).await;

    portcullis.kill();
    portcullis.start_again().await;

    let status = upload.status().await.expect(204);
    status.expect_header("range", "0-2000002");
    send_chunks_from(&mut upload, &blob, 2_000_003).await;
    let answer = upload.finish(&blob.digest).await;
    expect_stored(&repository, &blob, answer).await;
}

#[tokio::test]
async fn a_sha512_upload_in_chunks() {
    let (mut portcullis, repository) = empty_repository().await;
    let blob = Blob::random_sha512(3000);
    let mut upload = repository.start_upload().await;
    send_chunks(&mut upload, &blob, &[1000, 1000]).await;
    portcullis.kill();
    portcullis.start_again().await;
    send_chunks_from(&mut upload, &blob, 2000).await;

    let answer = upload.finish(&blob.digest).await;

    expect_stored(&repository, &blob, answer).await;
}

#[tokio::test]
async fn the_algorithm_can_be_announced() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random_sha512(3000);
    let answer = repository
        .post("blobs/uploads/?digest-algorithm=sha512")
        .send()
        .await
        .expect(202);

    let separator = if answer.header("location").contains('?') {
        '&'
    } else {
        '?'
    };
    let location = format!(
        "{}{separator}digest={}",
        answer.header("location"),
        blob.digest
    );
    let answer = repository
        .put(&location)
        .body(blob.bytes.clone())
        .send()
        .await;

    expect_stored(&repository, &blob, answer).await;
    let unknown = repository
        .post("blobs/uploads/?digest-algorithm=md5")
        .send()
        .await;
    unknown.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(5000);
    let mut upload = repository.start_upload().await;
    send_chunks(&mut upload, &blob, &[1000]).await;

    upload.cancel().await.expect(204);

    for answer in [
        upload.status().await,
        upload.cancel().await,
        upload.append(blob.bytes.clone()).await,
        upload.finish(&blob.digest).await,
    ] {
        answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

#[tokio::test]
async fn an_upload_that_never_was_is_unknown() {
    let (_portcullis, repository) = empty_repository().await;
    repository.push_blob(&Blob::random(10)).await;

    for id in ["0198c5a0-0000-7000-8000-000000000000", "nonsense"] {
        let answer = repository.get(&format!("blobs/uploads/{id}")).send().await;
        answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let (portcullis, repository) = empty_repository().await;
    let other = portcullis.admin().repository("admin/other");
    let upload = repository.start_upload().await;

    let elsewhere = upload.location.replace(repository.name(), other.name());

    let answer = other.get(&elsewhere).send().await;
    answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_finished_upload_is_no_upload_any_more() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(1000);
    let upload = repository.start_upload().await;
    let answer = upload.finish_with(&blob.digest, blob.bytes.clone()).await;
    answer.expect(201);

    let answer = upload.status().await;

    answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn other_bytes_than_the_digest_says_are_refused() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(3000);

    let whole = repository.start_upload().await;
    let answer = whole.finish_with(&blob.digest, blob.corrupted()).await;
    answer.expect_error(400, "DIGEST_INVALID");

    let mut streamed = repository.start_upload().await;
    streamed.append(blob.corrupted()).await.expect(202);
    let answer = streamed.finish(&blob.digest).await;
    answer.expect_error(400, "DIGEST_INVALID");

    let mut short = repository.start_upload().await;
    short.append(blob.bytes.slice(..2999)).await.expect(202);
    let answer = short.finish(&blob.digest).await;
    answer.expect_error(400, "DIGEST_INVALID");

    repository.get_blob(&blob.digest).await.expect(404);
    repository.push_blob(&blob).await;
    repository.expect_blob(&blob).await;
}

#[tokio::test]
async fn closing_needs_a_digest_that_is_one() {
    let (_portcullis, repository) = empty_repository().await;
    let upload = repository.start_upload().await;

    let without = repository.put(&upload.location).send().await;
    without.expect_error(400, "DIGEST_INVALID");
    for digest in [
        "",
        "sha256:abc",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "latest",
    ] {
        let answer = upload.finish(digest).await;
        answer.expect_error(400, "DIGEST_INVALID");
    }
}

#[tokio::test]
async fn the_same_blob_pushed_by_many_at_once() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(2_000_000);

    let answers = join_all((0..8).map(|_| repository.put_blob(&blob))).await;

    for answer in answers {
        answer.expect(201);
    }
    repository.expect_blob(&blob).await;
}

#[tokio::test]
async fn of_two_at_one_upload_one_wins_each_chunk() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(1_000_000);
    let upload = repository.start_upload().await;

    let chunk = 50_000;
    for offset in (0..blob.bytes.len()).step_by(chunk) {
        let send = || {
            upload
                .patch()
                .header("content-range", &format!("{offset}-{}", offset + chunk - 1))
                .body(blob.bytes.slice(offset..offset + chunk))
                .send()
        };
        let (one, two) = tokio::join!(send(), send());
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses[0], 202, "{one}\n{two}");
        assert!([409, 416].contains(&statuses[1]), "{one}\n{two}");
    }

    let answer = upload.finish(&blob.digest).await;
    expect_stored(&repository, &blob, answer).await;
}

#[tokio::test]
async fn of_two_who_close_an_upload_neither_breaks_it() {
    let (_portcullis, repository) = empty_repository().await;
    let blob = Blob::random(1_000_000);
    let mut upload = repository.start_upload().await;
    upload.append(blob.bytes.clone()).await.expect(202);

    let (one, two) = tokio::join!(upload.finish(&blob.digest), upload.finish(&blob.digest));

    let statuses = [one.status.as_u16(), two.status.as_u16()];
    assert!(statuses.contains(&201), "{one}\n{two}");
    assert!(
        statuses.iter().all(|s| [201, 404, 409, 416].contains(s)),
        "{one}\n{two}"
    );
    repository.expect_blob(&blob).await;
}

#[tokio::test]
async fn many_uploads_at_once_do_not_mix() {
    let (_portcullis, repository) = empty_repository().await;
    let blobs: Vec<_> = (0..16).map(|i| Blob::random(100_000 + i)).collect();

    join_all(blobs.iter().map(|blob| async {
        let mut upload = repository.start_upload().await;
        send_chunks(&mut upload, blob, &[40_000, 40_000]).await;
        send_chunks_from(&mut upload, blob, 80_000).await;
        upload.finish(&blob.digest).await.expect(201);
    }))
    .await;

    for blob in &blobs {
        repository.expect_blob(blob).await;
    }
}

#[tokio::test]
async fn an_upload_of_nothing_has_the_digest_of_nothing() {
    let (_portcullis, repository) = empty_repository().await;
    let upload = repository.start_upload().await;

    upload.finish(&sha256(b"")).await.expect(201);

    repository.expect_blob(&Blob::new("")).await;
}
