//! [`MeasuredStore`]: any store, with a clock beside it.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;

use super::{
    AsideBlob, Blob, BlobStore, BlobStoreError, Capacity, StorageIdentity, StoredBlob,
    StoredUpload, UploadKey, UploadProgress, UploadWriter,
};
use crate::metrics::{Action, StorageMetrics};
use crate::oci::Digest;

/// Counts and times what another store is asked for.
#[derive(Debug)]
pub struct MeasuredStore {
    store: Arc<dyn BlobStore>,
    metrics: StorageMetrics,
}

impl MeasuredStore {
    pub fn new(store: Arc<dyn BlobStore>, metrics: StorageMetrics) -> Self {
        Self { store, metrics }
    }
}

/// Times `work`, whatever comes of it.
async fn measured<T>(metrics: &StorageMetrics, action: Action, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let result = work.await;
    metrics.observe(action, started.elapsed());
    result
}

#[async_trait]
impl BlobStore for MeasuredStore {
    async fn open(&self, digest: &Digest) -> Result<Blob, BlobStoreError> {
        measured(&self.metrics, Action::Reader, self.store.open(digest)).await
    }

    async fn size(&self, digest: &Digest) -> Result<u64, BlobStoreError> {
        measured(&self.metrics, Action::Stat, self.store.size(digest)).await
    }

    async fn delete(&self, digest: &Digest) -> Result<(), BlobStoreError> {
        measured(&self.metrics, Action::Delete, self.store.delete(digest)).await
    }

    async fn set_aside(&self, digest: &Digest, now: DateTime<Utc>) -> Result<(), BlobStoreError> {
        let moving = self.store.set_aside(digest, now);
        measured(&self.metrics, Action::Move, moving).await
    }

    async fn take_back(&self, digest: &Digest) -> Result<bool, BlobStoreError> {
        measured(&self.metrics, Action::Move, self.store.take_back(digest)).await
    }

    async fn drop_aside(&self, blob: &AsideBlob) -> Result<(), BlobStoreError> {
        measured(&self.metrics, Action::Delete, self.store.drop_aside(blob)).await
    }

    fn aside(&self) -> BoxStream<'static, Result<AsideBlob, BlobStoreError>> {
        self.store.aside()
    }

    async fn append(
        &self,
        upload: &UploadKey,
        progress: &UploadProgress,
    ) -> Result<Box<dyn UploadWriter>, BlobStoreError> {
        let opening = self.store.append(upload, progress);
        let writer = measured(&self.metrics, Action::Writer, opening).await?;
        Ok(Box::new(MeasuredWriter {
            writer,
            metrics: self.metrics.clone(),
        }))
    }

    async fn commit(
        &self,
        upload: &UploadKey,
        progress: &UploadProgress,
        digest: &Digest,
    ) -> Result<(), BlobStoreError> {
        let moving = self.store.commit(upload, progress, digest);
        measured(&self.metrics, Action::Move, moving).await
    }

    async fn cut_back(
        &self,
        upload: &UploadKey,
        progress: &UploadProgress,
    ) -> Result<(), BlobStoreError> {
        self.store.cut_back(upload, progress).await
    }

    async fn abort(
        &self,
        upload: &UploadKey,
        progress: &UploadProgress,
    ) -> Result<(), BlobStoreError> {
        let dropping = self.store.abort(upload, progress);
        measured(&self.metrics, Action::Delete, dropping).await
    }

    fn blobs(&self) -> BoxStream<'static, Result<StoredBlob, BlobStoreError>> {
        self.store.blobs()
    }

    fn uploads(&self) -> BoxStream<'static, Result<StoredUpload, BlobStoreError>> {
        self.store.uploads()
    }

    async fn identity(&self) -> Result<Option<StorageIdentity>, BlobStoreError> {
        self.store.identity().await
    }

    async fn identify(&self, identity: StorageIdentity) -> Result<(), BlobStoreError> {
        self.store.identify(identity).await
    }

    async fn has_foreign_records(&self) -> Result<bool, BlobStoreError> {
        self.store.has_foreign_records().await
    }

    async fn capacity(&self) -> Result<Capacity, BlobStoreError> {
        self.store.capacity().await
    }

    async fn check_reading(&self) -> Result<(), BlobStoreError> {
        self.store.check_reading().await
    }

    async fn check_writing(&self) -> Result<(), BlobStoreError> {
        self.store.check_writing().await
    }
}

#[derive(Debug)]
struct MeasuredWriter {
    writer: Box<dyn UploadWriter>,
    metrics: StorageMetrics,
}

#[async_trait]
impl UploadWriter for MeasuredWriter {
    fn offset(&self) -> u64 {
        self.writer.offset()
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), BlobStoreError> {
        self.writer.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<UploadProgress, BlobStoreError> {
        let Self { writer, metrics } = *self;
        measured(&metrics, Action::Commit, writer.finish()).await
    }

    async fn abandon(self: Box<Self>) {
        self.writer.abandon().await;
    }
}

#[cfg(test)]
mod tests {
    use service::metrics::Metrics;

    use super::*;
    use crate::blob_store::{FilesystemStore, conformance};
    use crate::metrics::tests::value;
    use crate::oci::Algorithm;

    /// Nothing is lost on the way through the measurements.
    struct Folder(tempfile::TempDir);

    #[async_trait]
    impl conformance::Backend for Folder {
        async fn fresh() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        async fn store(&self) -> Arc<dyn BlobStore> {
            let store = FilesystemStore::open(self.0.path()).unwrap();
            let metrics = StorageMetrics::new("filesystem");
            Arc::new(MeasuredStore::new(Arc::new(store), metrics))
        }
    }

    conformance::suite!(Folder);

    #[tokio::test]
    async fn each_action_is_timed() {
        let folder = tempfile::tempdir().unwrap();
        let (metrics, storage) = (Metrics::new(), StorageMetrics::new("filesystem"));
        metrics.register_collector(storage.clone());
        let store = FilesystemStore::open(folder.path()).unwrap();
        let store = MeasuredStore::new(Arc::new(store), storage);
        let count = |action: &str| {
            let labels = format!(r#"{{driver="filesystem",action="{action}"}}"#);
            value(
                &metrics,
                &format!("registry_storage_action_seconds_count{labels}"),
            )
        };
        for action in Action::ALL {
            assert!(count(action.name()).abs() < f64::EPSILON, "{action:?}");
        }
        let unknown = Digest::of(Algorithm::Sha256, b"unknown");
        store.open(&unknown).await.unwrap_err();
        store.size(&unknown).await.unwrap_err();
        store.delete(&unknown).await.unwrap();
        for action in ["Reader", "Stat", "Delete"] {
            assert!((count(action) - 1.0).abs() < f64::EPSILON, "{action}");
        }
        assert!(count("Move").abs() < f64::EPSILON);
    }
}
