//! What any backend must do, whatever it is made of. A backend's tests say
//! `conformance::suite!(Backend)`. A test that is missing from its list is reported as dead code.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use super::{
    AsideBlob, Blob, BlobStore, BlobStoreError, BlobStream, StorageIdentity, StoredBlob,
    StoredUpload, UploadKey, UploadProgress,
};
use crate::oci::{Algorithm, Digest, Midstate};

/// A fresh, empty store for one test; cleaned up when dropped.
#[async_trait]
pub(super) trait Backend: Send + Sync {
    async fn fresh() -> Self;

    /// The store, opened anew each time, as after a restart or on another replica.
    async fn store(&self) -> Arc<dyn BlobStore>;
}

/// Runs every test of this module against a backend.
macro_rules! suite {
    ($backend:ty) => {
        $crate::blob_store::conformance::suite! { @each $backend:
            an_upload_becomes_a_blob
            any_size_comes_back_unchanged
            sha512_has_its_own_place
            an_upload_goes_on_after_a_restart
            bytes_without_acknowledgement_are_dropped
            a_vanished_writer_does_not_disturb_the_next
            what_is_given_up_takes_no_room
            two_writers_do_not_mix
            the_wrong_digest_is_refused_and_nothing_is_lost
            another_algorithm_than_announced_is_hashed_again
            a_hash_state_of_another_version_is_computed_again
            the_same_content_committed_at_once
            a_commit_may_be_repeated
            a_commit_without_its_bytes_is_damage
            an_aborted_upload_is_gone
            what_is_not_there_is_not_found
            a_deleted_blob_stays_readable_through_its_handle
            deletions_and_commits_at_once
            ranges
            what_is_there_is_listed
            what_is_set_aside_comes_back_when_it_is_asked_for
            what_is_set_aside_may_be_dropped
            a_storage_knows_who_it_is
            the_store_is_healthy
        }
    };
    (@each $backend:ty: $($test:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let backend =
                    <$backend as $crate::blob_store::conformance::Backend>::fresh().await;
                $crate::blob_store::conformance::$test(&backend).await;
            }
        )+
    };
}
pub(super) use suite;

const SHA256: Algorithm = Algorithm::Sha256;

fn key(id: u128) -> UploadKey {
    UploadKey {
        repository: "library/hello".parse().unwrap(),
        id: Uuid::from_u128(id),
    }
}

/// Bytes that repeat nowhere near a buffer's size, so that swapped or doubled ones are noticed.
fn content(length: usize, seed: u32) -> Bytes {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        })
        .collect()
}

/// Appends in pieces, as they come from a network.
async fn append(
    store: &dyn BlobStore,
    key: &UploadKey,
    progress: &UploadProgress,
    bytes: &Bytes,
) -> Result<UploadProgress, BlobStoreError> {
    let mut writer = store.append(key, progress).await?;
    assert_eq!(writer.offset(), progress.offset);
    for start in (0..bytes.len()).step_by(10_000) {
        let end = bytes.len().min(start + 10_000);
        writer.write(bytes.slice(start..end)).await?;
    }
    assert_eq!(writer.offset(), progress.offset + bytes.len() as u64);
    writer.finish().await
}

async fn upload(store: &dyn BlobStore, key: &UploadKey, bytes: &Bytes) -> UploadProgress {
    append(store, key, &UploadProgress::start(SHA256), bytes)
        .await
        .unwrap()
}

async fn push(store: &dyn BlobStore, key: &UploadKey, bytes: &Bytes) -> Digest {
    let digest = Digest::of(SHA256, bytes);
    let progress = upload(store, key, bytes).await;
    store.commit(key, &progress, &digest).await.unwrap();
    digest
}

async fn read_all(blob: &Blob) -> Bytes {
    read(blob, 0..blob.size()).await.unwrap()
}

async fn read(blob: &Blob, range: std::ops::Range<u64>) -> Result<Bytes, BlobStoreError> {
    let chunks: Vec<Bytes> = blob.read(range).try_collect().await?;
    assert!(chunks.iter().all(|chunk| chunk.len() <= BlobStream::CHUNK));
    Ok(chunks.concat().into())
}

async fn read_back(store: &dyn BlobStore, digest: &Digest) -> Bytes {
    read_all(&store.open(digest).await.unwrap()).await
}

pub(super) async fn an_upload_becomes_a_blob(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(300_000, 1);
    let progress = upload(&*store, &key(1), &bytes).await;
    assert_eq!(progress.offset, 300_000);
    assert_eq!(progress.algorithm, SHA256);
    let digest = Digest::of(SHA256, &bytes);
    assert!(matches!(
        store.open(&digest).await.unwrap_err(),
        BlobStoreError::NotFound
    ));
    store.commit(&key(1), &progress, &digest).await.unwrap();
    assert_eq!(store.size(&digest).await.unwrap(), 300_000);
    let reopened = backend.store().await;
    assert_eq!(read_back(&*reopened, &digest).await, bytes);
    let left: Vec<StoredUpload> = reopened.uploads().try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

pub(super) async fn any_size_comes_back_unchanged(backend: &impl Backend) {
    let store = backend.store().await;
    // Around whatever a backend may use as the size of a buffer, a page or a part.
    let sizes = [0, 1, 4095, 4096, 4097, 65_536, 131_071, 131_072, 131_073];
    let larger = [196_608, 196_609, 393_216, 1 << 20, (5 << 20) + 1, 9 << 20];
    for (id, size) in sizes.into_iter().chain(larger).enumerate() {
        let bytes = content(size, 2);
        let digest = push(&*store, &key(id as u128), &bytes).await;
        let blob = store.open(&digest).await.unwrap();
        assert_eq!(blob.size(), size as u64);
        assert!(read_all(&blob).await == bytes, "{size} bytes");
    }
}

pub(super) async fn sha512_has_its_own_place(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(1000, 3);
    let start = UploadProgress::start(Algorithm::Sha512);
    let progress = append(&*store, &key(1), &start, &bytes).await.unwrap();
    let digest = Digest::of(Algorithm::Sha512, &bytes);
    store.commit(&key(1), &progress, &digest).await.unwrap();
    assert_eq!(read_back(&*store, &digest).await, bytes);
    let other = Digest::of(SHA256, &bytes);
    assert!(matches!(
        store.open(&other).await.unwrap_err(),
        BlobStoreError::NotFound
    ));
}

pub(super) async fn an_upload_goes_on_after_a_restart(backend: &impl Backend) {
    let bytes = content(1_000_000, 4);
    let mut progress = UploadProgress::start(SHA256);
    for part in [0..1, 1..400_000, 400_000..400_000, 400_000..1_000_000] {
        let store = backend.store().await;
        // Only what the database holds survives.
        progress = UploadProgress {
            algorithm: progress.algorithm,
            offset: progress.offset,
            midstate: Midstate::from(progress.midstate.as_bytes().to_vec()),
            backend: progress.backend.clone(),
        };
        progress = append(&*store, &key(1), &progress, &bytes.slice(part))
            .await
            .unwrap();
    }
    let store = backend.store().await;
    let digest = Digest::of(SHA256, &bytes);
    store.commit(&key(1), &progress, &digest).await.unwrap();
    assert!(read_back(&*store, &digest).await == bytes);
}

pub(super) async fn bytes_without_acknowledgement_are_dropped(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(500_000, 5);
    let progress = upload(&*store, &key(1), &bytes.slice(..200_000)).await;
    // Acknowledged by the store, but the database never heard of it: a crash in between.
    append(&*store, &key(1), &progress, &content(300_001, 6))
        .await
        .unwrap();

    let store = backend.store().await;
    let progress = append(&*store, &key(1), &progress, &bytes.slice(200_000..))
        .await
        .unwrap();
    let digest = Digest::of(SHA256, &bytes);
    store.commit(&key(1), &progress, &digest).await.unwrap();
    assert!(read_back(&*store, &digest).await == bytes);

    // The same, with nothing further to append.
    let progress = upload(&*store, &key(2), &bytes.slice(..100)).await;
    append(&*store, &key(2), &progress, &content(70, 7))
        .await
        .unwrap();
    let digest = Digest::of(SHA256, &bytes[..100]);
    store.commit(&key(2), &progress, &digest).await.unwrap();
    assert_eq!(read_back(&*store, &digest).await, bytes.slice(..100));
}

pub(super) async fn a_vanished_writer_does_not_disturb_the_next(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(600_000, 8);
    for round in 0..20 {
        let key = key(round);
        let start = UploadProgress::start(SHA256);
        let mut writer = store.append(&key, &start).await.unwrap();
        // Enough for writes to be under way when it is dropped.
        writer.write(content(800_000, 9)).await.unwrap();
        drop(writer);
        let digest = Digest::of(SHA256, &bytes);
        let progress = upload(&*store, &key, &bytes).await;
        store.commit(&key, &progress, &digest).await.unwrap();
        assert!(read_back(&*store, &digest).await == bytes);
    }
}

pub(super) async fn what_is_given_up_takes_no_room(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(900_000, 23);
    let stored = async || {
        let uploads: Vec<StoredUpload> = store.uploads().try_collect().await.unwrap();
        uploads.iter().map(|upload| upload.size).sum::<u64>()
    };
    let start = UploadProgress::start(SHA256);
    let mut writer = store.append(&key(1), &start).await.unwrap();
    writer.write(bytes.clone()).await.unwrap();
    writer.abandon().await;
    assert_eq!(stored().await, 0);

    let progress = upload(&*store, &key(1), &bytes.slice(..1000)).await;
    let mut writer = store.append(&key(1), &progress).await.unwrap();
    writer.write(bytes.slice(1000..)).await.unwrap();
    writer.abandon().await;
    assert_eq!(stored().await, 1000);
    // Durable, and not acknowledged after all.
    append(&*store, &key(1), &progress, &bytes.slice(1000..))
        .await
        .unwrap();
    store.cut_back(&key(1), &progress).await.unwrap();
    assert_eq!(stored().await, 1000);
    store.cut_back(&key(9), &progress).await.unwrap();

    let progress = append(&*store, &key(1), &progress, &bytes.slice(1000..))
        .await
        .unwrap();
    let digest = Digest::of(SHA256, &bytes);
    store.commit(&key(1), &progress, &digest).await.unwrap();
    store.cut_back(&key(1), &start).await.unwrap();
    assert!(read_back(&*store, &digest).await == bytes);
}

pub(super) async fn two_writers_do_not_mix(backend: &impl Backend) {
    let store = backend.store().await;
    let start = UploadProgress::start(SHA256);
    let mut writer = store.append(&key(1), &start).await.unwrap();
    writer.write(content(10, 1)).await.unwrap();
    let other = backend.store().await;
    assert!(matches!(
        other.append(&key(1), &start).await.unwrap_err(),
        BlobStoreError::Busy
    ));
    // Uploads of others go on.
    upload(&*other, &key(2), &content(10, 2)).await;
    let progress = writer.finish().await.unwrap();
    upload_more(&*other, &key(1), &progress).await;
}

async fn upload_more(store: &dyn BlobStore, key: &UploadKey, progress: &UploadProgress) {
    append(store, key, progress, &content(10, 3)).await.unwrap();
}

pub(super) async fn the_wrong_digest_is_refused_and_nothing_is_lost(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(1000, 10);
    let progress = upload(&*store, &key(1), &bytes).await;
    let right = Digest::of(SHA256, &bytes);
    for wrong in [
        Digest::of(SHA256, b"x"),
        Digest::of(Algorithm::Sha512, b"x"),
    ] {
        let error = store.commit(&key(1), &progress, &wrong).await.unwrap_err();
        assert!(
            matches!(&error, BlobStoreError::DigestMismatch { expected, .. } if *expected == wrong),
            "{error:?}"
        );
        assert!(store.open(&wrong).await.is_err());
    }
    store.commit(&key(1), &progress, &right).await.unwrap();
    assert_eq!(read_back(&*store, &right).await, bytes);
}

pub(super) async fn another_algorithm_than_announced_is_hashed_again(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(700_000, 11);
    let progress = upload(&*store, &key(1), &bytes).await;
    let digest = Digest::of(Algorithm::Sha512, &bytes);
    store.commit(&key(1), &progress, &digest).await.unwrap();
    assert!(read_back(&*store, &digest).await == bytes);
}

pub(super) async fn a_hash_state_of_another_version_is_computed_again(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(700_000, 12);
    let forget = |progress: UploadProgress| UploadProgress {
        midstate: Midstate::from(vec![255, 1, 2]),
        ..progress
    };
    let progress = forget(upload(&*store, &key(1), &bytes.slice(..400_000)).await);
    let progress = append(&*store, &key(1), &progress, &bytes.slice(400_000..))
        .await
        .unwrap();
    let progress = forget(progress);
    let digest = Digest::of(SHA256, &bytes);
    store.commit(&key(1), &progress, &digest).await.unwrap();
    assert!(read_back(&*store, &digest).await == bytes);
}

pub(super) async fn the_same_content_committed_at_once(backend: &impl Backend) {
    let bytes = content(50_000, 13);
    let digest = Digest::of(SHA256, &bytes);
    let pushes = (0..16).map(|id| {
        let (bytes, digest) = (bytes.clone(), digest.clone());
        async move {
            let store = backend.store().await;
            let progress = upload(&*store, &key(id), &bytes).await;
            store.commit(&key(id), &progress, &digest).await.unwrap();
            read_back(&*store, &digest).await
        }
    });
    for read in futures_util::future::join_all(pushes).await {
        assert_eq!(read, bytes);
    }
    let store = backend.store().await;
    let blobs: Vec<StoredBlob> = store.blobs().try_collect().await.unwrap();
    assert_eq!(blobs.len(), 1);
    let left: Vec<StoredUpload> = store.uploads().try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

pub(super) async fn a_commit_may_be_repeated(backend: &impl Backend) {
    let store = backend.store().await;
    for (id, size) in [(1, 1000), (2, 0)] {
        let bytes = content(size, 14);
        let progress = upload(&*store, &key(id), &bytes).await;
        let digest = Digest::of(SHA256, &bytes);
        store.commit(&key(id), &progress, &digest).await.unwrap();
        let restarted = backend.store().await;
        restarted
            .commit(&key(id), &progress, &digest)
            .await
            .unwrap();
        assert_eq!(read_back(&*restarted, &digest).await, bytes);
    }
}

pub(super) async fn a_commit_without_its_bytes_is_damage(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(1000, 15);
    let progress = upload(&*store, &key(1), &bytes).await;
    store.abort(&key(1), &progress).await.unwrap();
    let digest = Digest::of(SHA256, &bytes);
    let error = store.commit(&key(1), &progress, &digest).await.unwrap_err();
    assert!(matches!(error, BlobStoreError::Damaged(_)), "{error:?}");
    // Neither does a blob of that size prove anything about other content.
    let other = push(&*store, &key(2), &content(1000, 16)).await;
    let error = store.commit(&key(1), &progress, &other).await.unwrap_err();
    assert!(matches!(error, BlobStoreError::Damaged(_)), "{error:?}");
}

pub(super) async fn an_aborted_upload_is_gone(backend: &impl Backend) {
    let store = backend.store().await;
    let progress = upload(&*store, &key(1), &content(1000, 17)).await;
    store.abort(&key(1), &progress).await.unwrap();
    store.abort(&key(1), &progress).await.unwrap();
    store
        .abort(&key(9), &UploadProgress::start(SHA256))
        .await
        .unwrap();
    let left: Vec<StoredUpload> = store.uploads().try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    let error = store.append(&key(1), &progress).await.unwrap_err();
    assert!(matches!(error, BlobStoreError::Damaged(_)), "{error:?}");
}

pub(super) async fn what_is_not_there_is_not_found(backend: &impl Backend) {
    let store = backend.store().await;
    let digest = Digest::of(SHA256, b"absent");
    assert!(matches!(
        store.open(&digest).await.unwrap_err(),
        BlobStoreError::NotFound
    ));
    assert!(matches!(
        store.size(&digest).await.unwrap_err(),
        BlobStoreError::NotFound
    ));
    store.delete(&digest).await.unwrap();
    assert_eq!(store.blobs().count().await, 0);
    assert_eq!(store.uploads().count().await, 0);
}

pub(super) async fn a_deleted_blob_stays_readable_through_its_handle(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(400_000, 18);
    let digest = push(&*store, &key(1), &bytes).await;
    let blob = store.open(&digest).await.unwrap();
    store.delete(&digest).await.unwrap();
    assert!(read_all(&blob.clone()).await == bytes);
    assert!(matches!(
        store.open(&digest).await.unwrap_err(),
        BlobStoreError::NotFound
    ));
    // And it can come back.
    push(&*store, &key(2), &bytes).await;
    assert!(read_back(&*store, &digest).await == bytes);
}

pub(super) async fn deletions_and_commits_at_once(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(10, 19);
    let digest = Digest::of(SHA256, &bytes);
    let deleting = async {
        for _ in 0..50 {
            store.delete(&digest).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let pushing = async {
        for id in 0..50 {
            push(&*store, &key(id), &bytes).await;
        }
    };
    tokio::join!(deleting, pushing);
    push(&*store, &key(99), &bytes).await;
    assert_eq!(read_back(&*store, &digest).await, bytes);
}

pub(super) async fn ranges(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(500_000, 20);
    let digest = push(&*store, &key(1), &bytes).await;
    let blob = store.open(&digest).await.unwrap();
    for (start, end) in [
        (0, 0),
        (0, 1),
        (1, 2),
        (499_999, 500_000),
        (500_000, 500_000),
        (100, 300_100),
        (131_072, 262_144),
    ] {
        let expected = bytes.slice(start..end);
        let range = start as u64..end as u64;
        assert!(
            read(&blob, range.clone()).await.unwrap() == expected,
            "{range:?}"
        );
        if let Some(now) = blob.read_now(range.clone()) {
            assert!(now == expected, "{range:?}");
        }
    }
    assert!(blob.read_now(0..500_000).is_none(), "not a small range");
    // Behind the end, nothing is made up.
    assert!(blob.read_now(499_990..500_010).is_none());
    let error = read(&blob, 499_990..500_010).await.unwrap_err();
    assert!(matches!(error, BlobStoreError::Damaged(_)), "{error:?}");
}

pub(super) async fn what_is_there_is_listed(backend: &impl Backend) {
    let store = backend.store().await;
    let mut expected = Vec::new();
    for id in 0..100 {
        let bytes = content(usize::try_from(id).unwrap() + 1, 21);
        expected.push((push(&*store, &key(id), &bytes).await, bytes.len() as u64));
    }
    let blobs: Vec<StoredBlob> = store.blobs().try_collect().await.unwrap();
    let mut found: Vec<(Digest, u64)> = blobs
        .into_iter()
        .map(|blob| (blob.digest, blob.size))
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);

    let mut expected = Vec::new();
    for (id, name) in ["a", "a/b", "a/b/c", "z"].into_iter().enumerate() {
        let key = UploadKey {
            repository: name.parse().unwrap(),
            id: Uuid::from_u128(id as u128),
        };
        upload(&*store, &key, &content(7, 22)).await;
        expected.push((key, 7));
    }
    let uploads: Vec<StoredUpload> = store.uploads().try_collect().await.unwrap();
    let mut found: Vec<(UploadKey, u64)> = uploads
        .into_iter()
        .map(|upload| (upload.key, upload.size))
        .collect();
    found.sort_by_key(|(key, _)| key.id);
    assert_eq!(found, expected);
    // A listing that nobody reads to its end must not keep anything busy.
    drop(store.blobs().next().await);
}

/// Some day.
fn today() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

pub(super) async fn what_is_set_aside_comes_back_when_it_is_asked_for(backend: &impl Backend) {
    let store = backend.store().await;
    let bytes = content(1000, 31);
    let digest = push(&*store, &key(1), &bytes).await;
    for round in 0..2 {
        store.set_aside(&digest, today()).await.unwrap();
        assert_eq!(store.blobs().count().await, 0);
        let aside: Vec<AsideBlob> = store.aside().try_collect().await.unwrap();
        let expected = AsideBlob {
            digest: digest.clone(),
            size: 1000,
            since: today().date_naive(),
        };
        assert_eq!(aside, [expected]);
        if round == 0 {
            assert_eq!(store.size(&digest).await.unwrap(), 1000);
        } else {
            let blob = store.open(&digest).await.unwrap();
            assert_eq!(read_all(&blob).await, bytes);
        }
        assert_eq!(store.aside().count().await, 0);
        assert_eq!(store.blobs().count().await, 1);
    }
    store.set_aside(&digest, today()).await.unwrap();
    assert!(store.take_back(&digest).await.unwrap());
    assert!(!store.take_back(&digest).await.unwrap());
    assert_eq!(store.blobs().count().await, 1);
}

pub(super) async fn what_is_set_aside_may_be_dropped(backend: &impl Backend) {
    let store = backend.store().await;
    let missing = Digest::of(SHA256, b"missing");
    store.set_aside(&missing, today()).await.unwrap();
    assert_eq!(store.aside().count().await, 0);

    let bytes = content(1000, 32);
    let digest = push(&*store, &key(1), &bytes).await;
    store.set_aside(&digest, today()).await.unwrap();
    // Pushed again meanwhile: the place is taken, and stays so.
    push(&*store, &key(2), &bytes).await;
    let aside: Vec<AsideBlob> = store.aside().try_collect().await.unwrap();
    store.drop_aside(&aside[0]).await.unwrap();
    store.drop_aside(&aside[0]).await.unwrap();
    assert_eq!(store.aside().count().await, 0);
    assert_eq!(store.size(&digest).await.unwrap(), 1000);
}

pub(super) async fn a_storage_knows_who_it_is(backend: &impl Backend) {
    let store = backend.store().await;
    assert_eq!(store.identity().await.unwrap(), None);
    for counter in [0, 1, u64::from(u32::MAX)] {
        let identity = StorageIdentity {
            id: Uuid::from_u128(5),
            counter,
        };
        store.identify(identity).await.unwrap();
        let again = backend.store().await;
        assert_eq!(again.identity().await.unwrap(), Some(identity));
    }
    assert_eq!(store.blobs().count().await, 0);
    assert!(!store.has_foreign_records().await.unwrap());
}

pub(super) async fn the_store_is_healthy(backend: &impl Backend) {
    let store = backend.store().await;
    store.check_reading().await.unwrap();
    store.check_writing().await.unwrap();
    let capacity = store.capacity().await.unwrap();
    if let (Some(total), Some(available)) = (capacity.total, capacity.available) {
        assert!(0 < available && available <= total, "{capacity:?}");
    }
}
