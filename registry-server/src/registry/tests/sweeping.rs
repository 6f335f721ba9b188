use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _};
use service::shutdown::Shutdown;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::auth::{Delete, Presented, Pull, Push, UploadProof};
use crate::blob_store::{AsideBlob, BlobStore, FilesystemStore, UploadKey, UploadProgress};
use crate::clock::Clock;
use crate::config::Purging;
use crate::identity::IdentityError;
use crate::jobs::{SweepError, SweepOptions, SweepReport, Swept, sweep, sweep_regularly};
use crate::oci::{Algorithm, Digest};
use crate::registry::{Announced, Error};
use crate::testing::{TestRegistry, repository};

const GRACE: Duration = Duration::from_hours(1);
const KEEP_ASIDE: Duration = Duration::from_hours(7 * 24);

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
        keep_aside: KEEP_ASIDE,
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
        bytes: 7 + 6,
        set_aside_blobs: 1,
        set_aside_bytes: 12,
        ..SweepReport::default()
    };
    assert_eq!(swept(&registry, true).await.unwrap(), expected);
    assert_eq!(swept(&registry, false).await.unwrap(), expected);
    assert_eq!(
        swept(&registry, false).await.unwrap(),
        SweepReport::default()
    );
    assert!(registry.store.size(&deleted).await.is_err());
    let aside: Vec<AsideBlob> = registry.store.aside().try_collect().await.unwrap();
    assert_eq!(aside[0].digest, unknown);
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
    stray(&registry, b"an upload", false).await;
    let result = swept(&registry, false).await;
    assert!(
        matches!(
            result,
            Err(SweepError::Identity(IdentityError::StorageUnknown))
        ),
        "{result:?}"
    );
    assert!(registry.store.size(&foreign).await.is_ok());
    assert_eq!(registry.store.uploads().count().await, 1);
}

/// However long it has been here, and whatever its date: `tar` and `docker cp` keep that.
#[tokio::test]
async fn what_came_before_the_database_has_a_while_to_be_asked_for() {
    let registry = TestRegistry::new().await;
    registry.push_blob("a", b"known").await;
    let unknown = stray(&registry, b"unknown blob", true).await;
    registry.registry().adopt_storage().await.unwrap();
    let met = registry.clock.now();

    let report = sweep_at(&registry, met + GRACE, false).await.unwrap();
    assert_eq!(report, SweepReport::default());

    let now = Clock::system().now() + GRACE + Duration::from_secs(2);
    let report = sweep_at(&registry, now, false).await.unwrap();
    assert_eq!(report.set_aside_blobs, 1);
    assert!(registry.store.take_back(&unknown).await.unwrap());
}

#[tokio::test]
async fn what_was_set_aside_goes_when_its_time_is_over() {
    let registry = TestRegistry::new().await;
    registry.push_blob("a", b"known").await;
    stray(&registry, b"unknown blob", true).await;
    let moved = Clock::system().now() + Duration::from_hours(24);
    sweep_at(&registry, moved, false).await.unwrap();
    for (days, expired) in [(0, 0), (7, 0), (8, 1), (9, 0)] {
        let now = moved + Duration::from_hours(days * 24);
        let report = sweep_at(&registry, now, false).await.unwrap();
        assert_eq!(report.expired_blobs, expired, "after {days} days");
        assert_eq!(report.bytes, 12 * expired);
        assert_eq!(report.set_aside_blobs, 0);
    }
    assert_eq!(registry.store.aside().count().await, 0);
}

#[tokio::test]
async fn what_the_database_knows_again_goes_back_to_its_place() {
    let registry = TestRegistry::new().await;
    let blob = registry.push_blob("a", b"known").await;
    registry.registry().standing(false).await.unwrap();
    let now = registry.clock.now();
    registry.store.set_aside(&blob, now).await.unwrap();
    let report = sweep_at(&registry, now, true).await.unwrap();
    assert_eq!(report, SweepReport::default());
    assert_eq!(registry.store.aside().count().await, 1, "only looked");
    sweep_at(&registry, now, false).await.unwrap();
    assert_eq!(registry.store.aside().count().await, 0);
    assert_eq!(registry.store.blobs().count().await, 1);
}

#[tokio::test]
async fn what_was_pushed_again_leaves_no_copy_aside() {
    let registry = TestRegistry::new().await;
    let blob = registry.push_blob("a", b"known").await;
    registry.registry().standing(false).await.unwrap();
    let now = registry.clock.now();
    registry.store.set_aside(&blob, now).await.unwrap();
    registry.push_blob("a", b"known").await;
    assert_eq!(registry.store.aside().count().await, 1);
    sweep_at(&registry, now, false).await.unwrap();
    assert_eq!(registry.store.aside().count().await, 0);
    assert_eq!(registry.store.size(&blob).await.unwrap(), 5);
}

#[tokio::test]
async fn with_an_older_copy_of_the_database_nothing_goes() {
    let registry = TestRegistry::new().await;
    registry.push_blob("a", b"known").await;
    stray(&registry, b"pushed after the copy", true).await;
    stray(&registry, b"an upload", false).await;
    registry.registry().standing(false).await.unwrap();
    let mut ahead = registry.store.identity().await.unwrap().unwrap();
    ahead.counter += 1;
    registry.store.identify(ahead).await.unwrap();

    let result = swept(&registry, false).await;

    assert!(matches!(result, Err(SweepError::DatabaseOlder { .. })));
    assert_eq!(registry.store.blobs().count().await, 2);
    assert_eq!(registry.store.uploads().count().await, 1);
}

/// The job, every few milliseconds, with a clock that is far ahead of the files' dates: they are
/// all old enough to be swept.
async fn sweeping(registry: &TestRegistry, dry_run: bool) -> (Shutdown, JoinHandle<()>) {
    registry.registry().standing(false).await.unwrap();
    let ahead = Clock::system().now() + Duration::from_hours(30 * 24) - registry.clock.now();
    registry.clock.advance(ahead.to_std().unwrap());
    let swept = Swept {
        database: registry.database.database.clone(),
        store: registry.store.clone(),
        registry: registry.state.registry.clone(),
        clock: registry.clock.clone(),
        keep_aside: KEEP_ASIDE,
    };
    let purging = Purging {
        age: Duration::from_hours(168),
        interval: Duration::from_millis(5),
        dry_run,
    };
    let shutdown = Shutdown::new();
    let job = tokio::spawn(sweep_regularly(swept, purging, shutdown.clone()));
    (shutdown, job)
}

async fn until_gone(registry: &TestRegistry, digest: &Digest) {
    let gone = async {
        let path = registry
            .folder
            .path()
            .join(FilesystemStore::relative_path(digest));
        while path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .expect("the job sweeps");
}

/// Put straight into its place: the job would sweep an upload on the way there.
fn stray_file(registry: &TestRegistry, content: &[u8]) -> Digest {
    let digest = Digest::of(Algorithm::Sha256, content);
    let path = FilesystemStore::relative_path(&digest);
    let path = registry.folder.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    digest
}

#[tokio::test]
async fn leftovers_are_swept_again_and_again() {
    let registry = TestRegistry::new().await;
    let kept = registry.push_blob("a", b"kept").await;
    let (shutdown, job) = sweeping(&registry, false).await;
    for content in [&b"one"[..], b"another"] {
        until_gone(&registry, &stray_file(&registry, content)).await;
    }
    let pull = registry.proof::<Pull>("a");
    registry.registry().blob(&pull, &kept).await.unwrap();
    shutdown.begin();
    job.await.unwrap();
}

#[tokio::test]
async fn a_dry_job_only_counts() {
    let registry = TestRegistry::new().await;
    registry.push_blob("a", b"kept").await;
    let stray = stray(&registry, b"stray", true).await;
    let (shutdown, job) = sweeping(&registry, true).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(registry.store.size(&stray).await.is_ok());
    shutdown.begin();
    job.await.unwrap();
}

/// Not even the age of its files tells the job that a push is under way: its rows do.
#[tokio::test]
async fn pushes_beside_the_job_lose_nothing() {
    let registry = TestRegistry::new().await;
    registry
        .push_blob("a", b"so that the storage is no stranger")
        .await;
    let (shutdown, job) = sweeping(&registry, false).await;
    for round in 0..50_u32 {
        let content = Bytes::from(format!("content {round}"));
        let digest = Digest::of(Algorithm::Sha256, &content);
        let push = registry.proof::<Push>("a");
        let id = registry
            .registry()
            .open_upload(&push, Algorithm::Sha256)
            .await
            .unwrap();
        let half = content.len() / 2;
        let halves = [content.slice(..half), content.slice(half..)];
        for part in halves {
            let body = futures_util::stream::iter([Ok(part)]);
            registry
                .registry()
                .append_to_upload(continued(&registry), id, Announced::default(), body)
                .await
                .unwrap();
        }
        let nothing = futures_util::stream::iter([]);
        registry
            .registry()
            .complete_upload(
                continued(&registry),
                id,
                Announced::default(),
                nothing,
                &digest,
            )
            .await
            .unwrap();
        let blob = registry
            .registry()
            .blob(&registry.proof::<Pull>("a"), &digest)
            .await
            .unwrap();
        assert_eq!(blob.size(), content.len() as u64);
        assert!(registry.store.size(&digest).await.is_ok());
    }
    shutdown.begin();
    job.await.unwrap();
}

fn continued(registry: &TestRegistry) -> UploadProof<Push> {
    let token = registry.token(&[("a", registry_token::Actions::ALL)]);
    registry
        .state
        .gatekeeper
        .continue_upload(
            Presented::Token(&token),
            repository("a"),
            registry.clock.now(),
        )
        .unwrap()
}

/// Somebody puts this server in the place of `registry:2`, on its data, and pushes something.
#[tokio::test]
async fn what_distribution_knows_of_is_left_alone_whatever_is_pushed_beside_it() {
    let registry = TestRegistry::new().await;
    let foreign = stray(&registry, b"a layer of distribution", true).await;
    let links = "docker/registry/v2/repositories/team/app/_manifests/revisions";
    std::fs::create_dir_all(registry.folder.path().join(links)).unwrap();
    registry.push_blob("a", b"ours").await;

    let result = swept(&registry, false).await;

    assert!(matches!(result, Err(SweepError::ForeignStorage)));
    assert!(registry.store.size(&foreign).await.is_ok());

    let links = registry
        .folder
        .path()
        .join("docker/registry/v2/repositories/team");
    std::fs::remove_dir_all(links).unwrap();
    let report = swept(&registry, false).await.unwrap();
    assert_eq!(report.set_aside_blobs, 1);
}

/// The clock is set forward while a blob comes in. A sweep cannot tell its bytes from those of a push
/// that died: the client is to send them again, and is told so.
#[tokio::test]
async fn a_blob_that_is_swept_while_it_is_pushed_can_be_pushed_again() {
    let registry = TestRegistry::new().await;
    registry
        .push_blob("a", b"so that the storage is no stranger")
        .await;
    let content = Bytes::from_static(b"a long time coming");
    let digest = Digest::of(Algorithm::Sha256, &content);
    let body = futures_util::stream::once(async {
        let report = swept(&registry, false).await.unwrap();
        assert_eq!(report.uploads, 1);
        Ok(content.clone())
    });
    let push = registry.proof::<Push>("a");
    let pushed = registry
        .registry()
        .push_blob(&push, &digest, None, Box::pin(body))
        .await;
    assert!(matches!(pushed, Err(Error::ContentSwept)), "{pushed:?}");
    registry.push_blob("a", &content).await;
}
