use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::auth::{Delete, Pull};
use crate::blob_store::{BlobStore, UploadKey, UploadProgress};
use crate::clock::Clock;
use crate::jobs::{SweepError, SweepOptions, SweepReport, sweep};
use crate::oci::{Algorithm, Digest};
use crate::testing::{TestRegistry, repository};

const GRACE: Duration = Duration::from_hours(1);

/// Files have the machine's dates: the sweep looks from a day that is far ahead of both clocks.
async fn swept(registry: &TestRegistry, dry_run: bool) -> Result<SweepReport, SweepError> {
    let now = Clock::system().now() + Duration::from_hours(30 * 24);
    sweep_at(registry, now, dry_run).await
}

async fn sweep_at(
    registry: &TestRegistry,
    now: DateTime<Utc>,
    dry_run: bool,
) -> Result<SweepReport, SweepError> {
    let options = SweepOptions {
        idle_uploads: Duration::from_hours(168),
        grace: GRACE,
        dry_run,
    };
    let (database, store) = (&registry.database.database, &*registry.store);
    sweep(database, store, registry.registry(), now, options).await
}

/// Bytes in the store that no row speaks of.
async fn stray(registry: &TestRegistry, content: &'static [u8], blob: bool) -> Digest {
    let key = UploadKey {
        repository: repository("a"),
        id: Uuid::from_u128(content.len() as u128),
    };
    let start = UploadProgress::start(Algorithm::Sha256);
    let mut writer = registry.store.append(&key, &start).await.unwrap();
    writer.write(Bytes::from_static(content)).await.unwrap();
    let progress = writer.finish().await.unwrap();
    let digest = Digest::of(Algorithm::Sha256, content);
    if blob {
        registry
            .store
            .commit(&key, &progress, &digest)
            .await
            .unwrap();
    }
    digest
}

#[tokio::test]
async fn what_is_shown_stays_and_what_is_not_goes() {
    let registry = TestRegistry::new().await;
    let kept = registry.push_blob("a", b"kept").await;
    let deleted = registry.push_blob("a", b"deleted").await;
    let delete = registry.proof::<Delete>("a");
    registry
        .registry()
        .delete_blob(&delete, &deleted)
        .await
        .unwrap();
    let unknown = stray(&registry, b"unknown blob", true).await;
    stray(&registry, b"upload", false).await;

    let expected = SweepReport {
        uploads: 1,
        unshown_blobs: 1,
        unknown_blobs: 1,
        bytes: 12 + 7 + 6,
    };
    assert_eq!(swept(&registry, true).await.unwrap(), expected);
    assert_eq!(swept(&registry, false).await.unwrap(), expected);
    assert_eq!(
        swept(&registry, false).await.unwrap(),
        SweepReport::default()
    );
    for gone in [&deleted, &unknown] {
        assert!(registry.store.size(gone).await.is_err());
    }
    let pull = registry.proof::<Pull>("a");
    registry.registry().blob(&pull, &kept).await.unwrap();
}

#[tokio::test]
async fn what_is_recent_stays() {
    let registry = TestRegistry::new().await;
    registry.push_blob("a", b"known").await;
    stray(&registry, b"unknown blob", true).await;
    stray(&registry, b"upload", false).await;
    let now = Clock::system().now();
    let report = sweep_at(&registry, now, false).await;
    assert_eq!(report.unwrap(), SweepReport::default());
}

#[tokio::test]
async fn the_storage_of_another_registry_is_left_alone() {
    let registry = TestRegistry::new().await;
    let foreign = stray(&registry, b"foreign", true).await;
    let result = swept(&registry, false).await;
    assert!(matches!(result, Err(SweepError::ForeignStorage)));
    assert!(registry.store.size(&foreign).await.is_ok());
}
