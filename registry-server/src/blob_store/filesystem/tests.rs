use std::num::NonZeroU64;
use std::os::unix::fs::symlink;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use super::*;
use crate::blob_store::conformance;
use crate::oci::Algorithm;

struct Folder(tempfile::TempDir);

#[async_trait]
impl conformance::Backend for Folder {
    async fn fresh() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn store(&self) -> Arc<dyn BlobStore> {
        Arc::new(FilesystemStore::open(self.0.path()).unwrap())
    }
}

conformance::suite!(Folder);

fn fresh() -> (tempfile::TempDir, FilesystemStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = FilesystemStore::open(folder.path()).unwrap();
    (folder, store)
}

fn key() -> UploadKey {
    UploadKey {
        repository: "library/hello".parse().unwrap(),
        id: Uuid::from_u128(7),
    }
}

fn start() -> UploadProgress {
    UploadProgress::start(Algorithm::Sha256)
}

async fn upload(store: &FilesystemStore, bytes: &[u8]) -> Result<UploadProgress, BlobStoreError> {
    let mut writer = store.append(&key(), &start()).await?;
    writer.write(Bytes::copy_from_slice(bytes)).await?;
    writer.finish().await
}

async fn push(store: &FilesystemStore, bytes: &[u8]) -> Digest {
    let progress = upload(store, bytes).await.unwrap();
    let digest = Digest::of(Algorithm::Sha256, bytes);
    store.commit(&key(), &progress, &digest).await.unwrap();
    digest
}

/// Where an existing registry has its files, and where it would look for ours.
#[tokio::test]
async fn paths_are_those_of_distribution() {
    let (folder, store) = fresh();
    let progress = upload(&store, b"hello").await.unwrap();
    let upload = folder.path().join(
        "docker/registry/v2/repositories/library/hello/_uploads/\
         00000000-0000-0000-0000-000000000007/data",
    );
    assert_eq!(std::fs::read(&upload).unwrap(), b"hello");

    let digest = Digest::of(Algorithm::Sha256, b"hello");
    store.commit(&key(), &progress, &digest).await.unwrap();
    let relative = "docker/registry/v2/blobs/sha256/2c/\
         2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824/data";
    assert_eq!(FilesystemStore::relative_path(&digest), Path::new(relative));
    assert_eq!(
        std::fs::read(folder.path().join(relative)).unwrap(),
        b"hello"
    );
    assert!(!upload.parent().unwrap().exists());
}

#[tokio::test]
async fn a_blob_that_distribution_wrote_is_served() {
    let (folder, store) = fresh();
    let digest = Digest::of(Algorithm::Sha256, b"taken over");
    let path = folder.path().join(FilesystemStore::relative_path(&digest));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"taken over").unwrap();
    let blob = store.open(&digest).await.unwrap();
    let bytes: Vec<Bytes> = blob.read(0..blob.size()).try_collect().await.unwrap();
    assert_eq!(bytes.concat(), b"taken over");
}

#[tokio::test]
async fn what_has_no_place_in_the_layout_is_passed_over() {
    let (folder, store) = fresh();
    push(&store, b"hello").await;
    let base = folder.path().join("docker/registry/v2");
    for directory in [
        "blobs/md5/ab/abcd",
        "blobs/sha256/2c/not-hex",
        "blobs/sha256/00/0000000000000000000000000000000000000000000000000000000000000000",
        "repositories/library/hello/_uploads/not-a-uuid",
        "repositories/UPPER/_uploads/00000000-0000-0000-0000-000000000001",
        "repositories/_uploads/00000000-0000-0000-0000-000000000001",
        "repositories/library/hello/_layers/sha256",
        "repositories/library/hello/_manifests/_uploads/00000000-0000-0000-0000-000000000001",
    ] {
        std::fs::create_dir_all(base.join(directory)).unwrap();
    }
    std::fs::write(base.join("blobs/sha256/file"), b"").unwrap();
    std::fs::write(base.join("repositories/file"), b"").unwrap();
    let blobs: Vec<_> = store.blobs().try_collect().await.unwrap();
    assert_eq!(blobs.len(), 1, "{blobs:?}");
    let uploads: Vec<_> = store.uploads().try_collect().await.unwrap();
    assert!(uploads.is_empty(), "{uploads:?}");

    // An upload that a crash left without its file is one to sweep.
    let path = "repositories/library/hello/_uploads/00000000-0000-0000-0000-000000000002";
    std::fs::create_dir_all(base.join(path)).unwrap();
    let uploads: Vec<_> = store.uploads().try_collect().await.unwrap();
    assert_eq!(uploads.len(), 1);
    assert_eq!(
        (uploads[0].key.id, uploads[0].size),
        (Uuid::from_u128(2), 0)
    );
}

#[tokio::test]
async fn lost_acknowledged_bytes_are_damage() {
    let (_folder, store) = fresh();
    let progress = upload(&store, b"hello").await.unwrap();
    let path = store.0.layout.upload(&key());
    std::fs::write(&path, b"hell").unwrap();
    let error = store.append(&key(), &progress).await.unwrap_err();
    assert!(matches!(error, BlobStoreError::Damaged(_)), "{error:?}");
    let digest = Digest::of(Algorithm::Sha256, b"hello");
    let error = store.commit(&key(), &progress, &digest).await.unwrap_err();
    assert!(matches!(error, BlobStoreError::Damaged(_)), "{error:?}");
}

/// `/dev/full` answers every write as a full disk does, for root and everybody else.
#[tokio::test]
async fn a_full_disk_is_reported_as_such() {
    let (_folder, store) = fresh();
    let path = store.0.layout.upload(&key());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink("/dev/full", &path).unwrap();
    // Small: noticed at the end.
    let error = full(&store, 10).await;
    assert!(matches!(error, BlobStoreError::NoSpace(_)), "{error:?}");
    // Large: noticed on the way.
    let error = full(&store, 10 << 20).await;
    assert!(matches!(error, BlobStoreError::NoSpace(_)), "{error:?}");
}

async fn full(store: &FilesystemStore, length: usize) -> BlobStoreError {
    let mut writer = store.append(&key(), &start()).await.unwrap();
    let chunk = Bytes::from(vec![1; 1 << 16]);
    let mut written = 0;
    while written < length {
        let part = chunk.slice(..chunk.len().min(length - written));
        written += part.len();
        if let Err(error) = writer.write(part).await {
            // And it stays failed.
            assert!(writer.write(chunk.slice(..1)).await.is_err());
            assert!(writer.finish().await.is_err());
            return error;
        }
    }
    writer.finish().await.unwrap_err()
}

/// `/sys` lets nobody create anything, not even root.
#[tokio::test]
async fn a_read_only_store_is_reported_as_such_and_can_be_read() {
    let (folder, store) = fresh();
    let digest = push(&store, b"hello").await;
    let base = folder.path().join("docker/registry/v2");
    std::fs::remove_dir_all(base.join("repositories")).unwrap();
    symlink("/sys", base.join("repositories")).unwrap();
    let error = store.append(&key(), &start()).await.unwrap_err();
    assert!(matches!(error, BlobStoreError::ReadOnly(_)), "{error:?}");
    let blob = store.open(&digest).await.unwrap();
    assert_eq!(blob.read(0..5).count().await, 1);

    let error = FilesystemStore::open("/sys/portcullis").unwrap_err();
    assert!(matches!(error, BlobStoreError::ReadOnly(_)), "{error:?}");
    let other = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(other.path().join("docker/registry")).unwrap();
    symlink("/sys", other.path().join("docker/registry/v2")).unwrap();
    let store = FilesystemStore::open(other.path()).unwrap();
    let error = store.check_writing().await.unwrap_err();
    assert!(matches!(error, BlobStoreError::ReadOnly(_)), "{error:?}");
    store.check_reading().await.unwrap();
}

#[tokio::test]
async fn a_lost_root_fails_the_checks() {
    let (folder, store) = fresh();
    store.check_reading().await.unwrap();
    store.check_writing().await.unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path().join("docker/registry/v2"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "the checks leave nothing behind: {left:?}");
    std::fs::remove_dir_all(folder.path().join("docker")).unwrap();
    store.check_reading().await.unwrap_err();
    store.check_writing().await.unwrap_err();
    std::fs::write(folder.path().join("docker"), "a file").unwrap();
    store.check_reading().await.unwrap_err();
}

#[tokio::test]
async fn what_the_page_cache_does_not_hold_is_read_all_the_same() {
    let (_folder, store) = fresh();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let digest = push(&store, &bytes).await;
    let path = store.0.layout.blob(&digest);
    for cold in [false, true] {
        if cold {
            let file = File::open(&path).unwrap();
            rustix::fs::fadvise(&file, 0, None::<NonZeroU64>, rustix::fs::Advice::DontNeed)
                .unwrap();
        }
        let blob = store.open(&digest).await.unwrap();
        let read: Vec<Bytes> = blob.read(0..blob.size()).try_collect().await.unwrap();
        assert!(read.concat() == bytes, "cold: {cold}");
    }
}

#[tokio::test]
async fn a_file_system_that_cannot_tell_what_is_cached_is_read_by_threads() {
    let (_folder, store) = fresh();
    let bytes = vec![7; 300_000];
    let digest = push(&store, &bytes).await;
    let file = FileBlob::new(File::open(store.0.layout.blob(&digest)).unwrap()).unwrap();
    file.never_inline();
    assert_eq!(file.read_now(0..10), None);
    let read: Vec<Bytes> = file.read(5..file.size()).try_collect().await.unwrap();
    assert!(read.concat() == bytes[5..]);
}

/// The stream hands out memory that it means to use again; it must not do so while somebody still
/// looks at it.
#[tokio::test]
async fn chunks_that_are_kept_do_not_change() {
    let (_folder, store) = fresh();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[2]).collect();
    let digest = push(&store, &bytes).await;
    let blob = store.open(&digest).await.unwrap();
    let mut stream = blob.read(0..blob.size());
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        assert!(chunk[..] == bytes[at..at + chunk.len()]);
        at += chunk.len();
        // Every other one is dropped at once.
        if at % 2 == 0 || kept.len() < 2 {
            kept.push((at - chunk.len(), chunk));
        }
    }
    assert_eq!(at, bytes.len());
    for (start, chunk) in kept {
        assert!(chunk[..] == bytes[start..start + chunk.len()]);
    }
}

#[tokio::test]
async fn a_blob_that_shrinks_while_it_is_read_is_damage() {
    let (_folder, store) = fresh();
    let digest = push(&store, &vec![1; 400_000]).await;
    let blob = store.open(&digest).await.unwrap();
    File::options()
        .write(true)
        .open(store.0.layout.blob(&digest))
        .unwrap()
        .set_len(200_000)
        .unwrap();
    let results: Vec<_> = blob.read(0..400_000).collect().await;
    let (last, rest) = results.split_last().unwrap();
    assert!(matches!(last, Err(BlobStoreError::Damaged(_))), "{last:?}");
    assert!(rest.iter().all(Result::is_ok));
}
