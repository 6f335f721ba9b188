use std::sync::Arc;

use super::*;
use crate::auth::Push;
use crate::blob_store::FilesystemStore;
use crate::metadata::storage_identity;
use crate::oci::{Algorithm, Digest};
use crate::testing::TestRegistry;

async fn stand(
    registry: &TestRegistry,
    store: &FilesystemStore,
) -> Result<Standing, IdentityError> {
    let identity = Identity::new(registry.clock.clone());
    identity
        .establish(&registry.database.database, store, false)
        .await
}

async fn of_database(registry: &TestRegistry) -> StorageIdentity {
    known(&registry.database.database)
        .await
        .unwrap()
        .unwrap()
        .identity
}

/// A fresh registry whose storage and database have met.
async fn pair() -> TestRegistry {
    let registry = TestRegistry::new().await;
    let standing = stand(&registry, &registry.store).await.unwrap();
    let since = registry.clock.now();
    assert_eq!(standing, Standing::Together { since });
    registry
}

async fn advance(registry: &TestRegistry, store: &FilesystemStore) -> Result<(), IdentityError> {
    Identity::new(registry.clock.clone())
        .advance(&registry.database.database, store)
        .await
}

async fn adopt(registry: &TestRegistry, store: &FilesystemStore) -> StorageIdentity {
    Identity::new(registry.clock.clone())
        .adopt(&registry.database.database, store)
        .await
        .unwrap()
}

fn is_together(standing: &Result<Standing, IdentityError>) -> bool {
    matches!(standing, Ok(Standing::Together { .. }))
}

#[tokio::test]
async fn a_first_start_gives_both_the_same_id_and_later_ones_keep_it() {
    let registry = pair().await;
    let first = registry.store.identity().await.unwrap().unwrap();
    assert_eq!(of_database(&registry).await, first);
    registry.clock.advance(Duration::from_hours(1));
    let standing = stand(&registry, &registry.store).await;
    let since = registry.clock.now() - Duration::from_hours(1);
    assert_eq!(standing.unwrap(), Standing::Together { since });
    assert_eq!(registry.store.identity().await.unwrap(), Some(first));
}

#[tokio::test]
async fn only_to_look_writes_nothing() {
    let registry = TestRegistry::new().await;
    let database = &registry.database.database;
    Identity::new(registry.clock.clone())
        .establish(database, &*registry.store, true)
        .await
        .unwrap();
    assert_eq!(registry.store.identity().await.unwrap(), None);
    assert_eq!(known(database).await.unwrap(), None);
}

#[tokio::test]
async fn a_pair_from_before_ids_is_given_one_if_it_belongs_together() {
    let registry = TestRegistry::new().await;
    registry.push_blob("a", b"shared").await;
    registry.store.identity().await.unwrap();
    std::fs::remove_file(
        registry
            .folder
            .path()
            .join("docker/registry/v2/portcullis.json"),
    )
    .ok();
    let standing = stand(&registry, &registry.store).await;
    assert!(is_together(&standing), "{standing:?}");

    let images_only = TestRegistry::new().await;
    let standing = stand(&images_only, &registry.store).await;
    assert!(
        matches!(standing, Err(IdentityError::UnknownToDatabase(_))),
        "{standing:?}"
    );
}

#[tokio::test]
async fn strangers_from_before_ids_are_told_apart_by_what_they_hold() {
    let one = TestRegistry::new().await;
    one.push_blob("a", b"one").await;
    let other = TestRegistry::new().await;
    let standing = stand(&other, &one.store).await;
    assert!(
        matches!(standing, Err(IdentityError::StorageUnknown)),
        "{standing:?}"
    );
    let standing = stand(&one, &other.store).await;
    assert!(
        matches!(standing, Err(IdentityError::BlobsMissing)),
        "{standing:?}"
    );
}

#[tokio::test]
async fn a_storage_of_distribution_is_met_like_a_fresh_one() {
    let one = TestRegistry::new().await;
    one.push_blob("a", b"a layer of distribution").await;
    let links = "docker/registry/v2/repositories/team/app/_manifests/revisions";
    std::fs::create_dir_all(one.folder.path().join(links)).unwrap();
    let fresh = TestRegistry::new().await;
    let standing = stand(&fresh, &one.store).await;
    assert!(is_together(&standing), "{standing:?}");
}

#[tokio::test]
async fn pairs_that_are_mixed_up_are_refused_by_name() {
    let (one, other) = (pair().await, pair().await);
    let error = stand(&one, &other.store).await.unwrap_err();
    let sentence = error.to_string();
    for id in [of_database(&one).await.id, of_database(&other).await.id] {
        assert!(sentence.contains(&id.to_string()), "{sentence}");
    }
    assert!(
        sentence.contains("portcullis registry adopt-storage"),
        "{sentence}"
    );
    let error = advance(&one, &other.store).await.unwrap_err();
    assert!(matches!(error, IdentityError::Strangers { .. }), "{error}");
}

#[tokio::test]
async fn a_storage_that_is_not_mounted_is_missed() {
    let registry = pair().await;
    registry.push_blob("a", b"on the disk").await;
    let mount_point = tempfile::tempdir().unwrap();
    let empty = FilesystemStore::open(mount_point.path()).unwrap();
    let error = stand(&registry, &empty).await.unwrap_err();
    assert!(
        matches!(error, IdentityError::UnknownToStorage(_)),
        "{error}"
    );
}

/// Killed between the row and the file.
#[tokio::test]
async fn an_interrupted_first_start_is_completed() {
    let registry = pair().await;
    let file = registry
        .folder
        .path()
        .join("docker/registry/v2/portcullis.json");
    std::fs::remove_file(file).unwrap();
    let standing = stand(&registry, &registry.store).await;
    assert!(is_together(&standing), "{standing:?}");
    let identity = registry.store.identity().await.unwrap();
    assert_eq!(identity, Some(of_database(&registry).await));
}

#[tokio::test]
async fn an_older_copy_of_the_database_is_noticed_by_the_counter() {
    let registry = pair().await;
    let copied = of_database(&registry).await;
    registry.push_blob("a", b"pushed after the copy").await;
    let now = of_database(&registry).await;
    assert_eq!(now.counter, copied.counter + 1);
    assert_eq!(registry.store.identity().await.unwrap(), Some(now));

    // The copy is restored.
    let database = &registry.database.database;
    let mut tx = database.begin().await.unwrap();
    storage_identity::replace(&mut tx, copied, registry.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let older = Standing::DatabaseOlder {
        storage: now.counter,
        database: copied.counter,
    };
    assert_eq!(stand(&registry, &registry.store).await.unwrap(), older);

    // What is pushed with it is noticed by the latest one, too, once that is back.
    advance(&registry, &registry.store).await.unwrap();
    let ahead = registry.store.identity().await.unwrap().unwrap();
    assert_eq!(ahead.counter, now.counter + 1);
    assert_eq!(of_database(&registry).await, copied);
    let mut tx = database.begin().await.unwrap();
    storage_identity::replace(&mut tx, now, registry.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let standing = stand(&registry, &registry.store).await.unwrap();
    assert!(matches!(standing, Standing::DatabaseOlder { .. }));
}

#[tokio::test]
async fn adoption_brings_two_together_and_their_former_partners_notice() {
    let (one, other) = (pair().await, pair().await);
    one.push_blob("a", b"one").await;
    other.push_blob("a", b"other").await;
    let adopted = adopt(&one, &other.store).await;
    assert!(is_together(&stand(&one, &other.store).await));
    assert_eq!(of_database(&one).await, adopted);
    for (database, store) in [(&one, &one.store), (&other, &other.store)] {
        let standing = stand(database, store).await;
        assert!(
            matches!(standing, Err(IdentityError::Strangers { .. })),
            "{standing:?}"
        );
    }
}

#[tokio::test]
async fn the_counter_grows_with_content_and_not_with_each_blob() {
    let registry = pair().await;
    registry.push_blob("a", b"one").await;
    let counter = of_database(&registry).await.counter;
    for content in [&b"two"[..], b"three"] {
        registry.push_blob("a", content).await;
    }
    assert_eq!(of_database(&registry).await.counter, counter);
}

#[tokio::test]
async fn a_file_that_somebody_has_removed_is_written_again() {
    let registry = pair().await;
    let file = registry
        .folder
        .path()
        .join("docker/registry/v2/portcullis.json");
    std::fs::remove_file(file).unwrap();
    advance(&registry, &registry.store).await.unwrap();
    let identity = registry.store.identity().await.unwrap();
    assert_eq!(identity, Some(of_database(&registry).await));
}

#[tokio::test]
async fn a_file_that_makes_no_sense_is_refused() {
    let registry = pair().await;
    let file = registry
        .folder
        .path()
        .join("docker/registry/v2/portcullis.json");
    for content in [
        "",
        "{}",
        "{\"storage\":\"x\",\"counter\":1}",
        &"x".repeat(10_000),
    ] {
        std::fs::write(&file, content).unwrap();
        let error = stand(&registry, &registry.store).await.unwrap_err();
        assert!(error.to_string().contains("portcullis.json"), "{error}");
    }
}

/// Of servers on one database, all of them end up with what the first has written.
#[tokio::test]
async fn servers_that_meet_the_storage_together_agree() {
    let registry = Arc::new(TestRegistry::new().await);
    let starts = (0..4).map(|_| {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move { stand(&registry, &registry.store).await.unwrap() })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.unwrap();
    }
    let identity = registry.store.identity().await.unwrap();
    assert_eq!(identity, Some(of_database(&registry).await));
    // Nothing of the way there is left.
    let push = registry.proof::<Push>("a");
    let digest = Digest::of(Algorithm::Sha256, b"x");
    let body = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"x"))]);
    registry
        .registry()
        .push_blob(&push, &digest, None, body)
        .await
        .unwrap();
}
