//! What a sweep asks for, and what a process that has ended left behind.

use uuid::Uuid;

use super::*;
use crate::blob_store::{StorageIdentity, UploadKey};
use crate::metadata::storage_identity::KnownStorage;
use crate::metadata::uploads::{self as sessions, Lease};

async fn unshown(database: &Database, due: i64, after: Option<&Digest>, limit: u32) -> Vec<Digest> {
    let mut tx = read(database).await;
    blobs::unshown(&mut tx, minute(due), after, limit)
        .await
        .unwrap()
}

async fn lock_unshown(database: &Database, content: &str, due: i64) -> bool {
    let mut tx = begin(database).await;
    blobs::lock_unshown(&mut tx, &digest(content), minute(due))
        .await
        .unwrap()
}

/// Reserved and never linked; to be reviewed at minute 60.
async fn abandon(database: &Database, contents: &[&str]) {
    let mut tx = begin(database).await;
    for content in contents {
        blobs::reserve(&mut tx, &digest(content), 1, minute(60), minute(0))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

database::test_on_both! {
    migrations: (SQLITE_MIGRATIONS, POSTGRES_MIGRATIONS);

    async fn only_what_nobody_shows_or_needs_is_left_over(database: Database) {
        let id = repository(&database, "a", &["shown", "required", "unlinked"]).await;
        push(&database, id, &image(&["required"]), &["t"]).await;
        abandon(&database, &["abandoned"]).await;
        let mut tx = begin(&database).await;
        for content in ["required", "unlinked"] {
            blobs::unlink(&mut tx, &name("a"), &digest(content), minute(61)).await.unwrap();
        }
        tx.commit().await.unwrap();

        assert!(unshown(&database, 60, None, 9).await.is_empty(), "not due yet");
        assert_eq!(unshown(&database, 61, None, 9).await, [digest("abandoned")]);
        let mut expected = [digest("abandoned"), digest("unlinked")];
        expected.sort();
        assert_eq!(unshown(&database, 62, None, 9).await, expected);
        assert_eq!(unshown(&database, 62, None, 1).await, expected[..1]);
        assert_eq!(unshown(&database, 62, Some(&expected[0]), 9).await, expected[1..]);

        for (content, left_over) in [
            ("shown", false),
            ("required", false),
            ("unlinked", true),
            ("abandoned", true),
            ("unheard of", false),
        ] {
            assert_eq!(lock_unshown(&database, content, 99).await, left_over, "{content}");
        }
        assert!(!lock_unshown(&database, "abandoned", 60).await, "not due yet");
    }

    async fn a_blob_that_is_wanted_again_is_no_longer_left_over(database: Database) {
        let id = repository(&database, "a", &[]).await;
        abandon(&database, &["x"]).await;
        assert_eq!(unshown(&database, 70, None, 9).await, [digest("x")]);
        // Between the question and the lock.
        let mut tx = begin(&database).await;
        reviews::postpone_blob(&mut tx, &digest("x"), minute(90)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!lock_unshown(&database, "x", 70).await);
        let mut tx = begin(&database).await;
        let reserved = blobs::reserve(&mut tx, &digest("x"), 1, minute(1), minute(1)).await.unwrap();
        assert!(blobs::link(&mut tx, id, &digest("x"), reserved, 1, minute(1)).await.unwrap());
        tx.commit().await.unwrap();
        assert!(!lock_unshown(&database, "x", 99).await);
    }

    async fn a_removed_blob_leaves_no_trace(database: Database) {
        abandon(&database, &["x"]).await;
        let known = blobs::is_known(&mut read(&database).await, &digest("x")).await;
        assert!(known.unwrap());
        let mut tx = begin(&database).await;
        blobs::remove(&mut tx, &digest("x")).await.unwrap();
        blobs::remove(&mut tx, &digest("x")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&database, "SELECT count(*) FROM blobs").await, 0);
        assert_eq!(count(&database, "SELECT count(*) FROM blob_reviews").await, 0);
    }

    async fn the_latest_blobs_that_are_shown_come_first(database: Database) {
        abandon(&database, &["reserved alone"]).await;
        repository(&database, "a", &["one", "two"]).await;
        repository(&database, "b", &["three"]).await;
        let mut tx = read(&database).await;
        for (limit, expected) in [(9, &["three", "two", "one"][..]), (1, &["three"])] {
            let expected: Vec<Digest> = expected.iter().map(|content| digest(content)).collect();
            assert_eq!(blobs::shown(&mut tx, limit).await.unwrap(), expected);
        }
    }

    async fn a_storage_is_introduced_once_and_counts_on(database: Database) {
        let identity = |id, counter| StorageIdentity { id: Uuid::from_u128(id), counter };
        let known = async || storage_identity::find(&mut read(&database).await).await.unwrap();
        assert_eq!(known().await, None);
        let mut tx = begin(&database).await;
        assert_eq!(storage_identity::advance(&mut tx, identity(1, 0)).await.unwrap(), None);
        storage_identity::introduce(&mut tx, identity(1, 0), minute(0)).await.unwrap();
        storage_identity::introduce(&mut tx, identity(2, 5), minute(1)).await.unwrap();
        for (seen, counted) in [
            (identity(1, 0), Some(1)),
            // Another server has not told the storage yet.
            (identity(1, 0), Some(2)),
            (identity(1, 3), None),
            (identity(2, 0), None),
        ] {
            let advanced = storage_identity::advance(&mut tx, seen).await.unwrap();
            assert_eq!(advanced, counted, "{seen:?}");
        }
        tx.commit().await.unwrap();
        let first = KnownStorage { identity: identity(1, 2), since: minute(0) };
        assert_eq!(known().await, Some(first));

        let mut tx = begin(&database).await;
        storage_identity::replace(&mut tx, identity(3, 7), minute(2)).await.unwrap();
        tx.commit().await.unwrap();
        let other = KnownStorage { identity: identity(3, 7), since: minute(2) };
        assert_eq!(known().await, Some(other));
    }

    async fn bytes_are_claimed_once(database: Database) {
        abandon(&database, &["known"]).await;
        for (content, known) in [("known", true), ("unknown", false)] {
            let mut tx = read(&database).await;
            assert_eq!(blobs::is_known(&mut tx, &digest(content)).await.unwrap(), known);
        }
        let mut tx = begin(&database).await;
        assert!(!blobs::claim(&mut tx, &digest("known"), 1, minute(1)).await.unwrap());
        assert!(blobs::claim(&mut tx, &digest("unknown"), 1, minute(1)).await.unwrap());
        assert!(!blobs::claim(&mut tx, &digest("unknown"), 1, minute(1)).await.unwrap());
    }

    async fn leases_of_a_process_that_has_ended_are_given_back(database: Database) {
        let keys = [1, 2].map(|id| UploadKey {
            repository: name("a"),
            id: Uuid::from_u128(id),
        });
        let mut tx = begin(&database).await;
        for key in &keys {
            sessions::create(&mut tx, key, None, Algorithm::Sha256, minute(0)).await.unwrap();
        }
        let writer = Uuid::from_u128(9);
        let Lease::Held(upload) =
            sessions::acquire(&mut tx, &keys[0], writer, minute(10), minute(0)).await.unwrap()
        else {
            panic!("nobody else writes");
        };
        assert!(upload.is_being_written(minute(9)));
        assert!(!upload.is_being_written(minute(10)));
        assert_eq!(sessions::release_all(&mut tx).await.unwrap(), 1);
        let upload = sessions::find(&mut tx, &keys[0]).await.unwrap().unwrap();
        assert!(!upload.is_being_written(minute(9)));
        assert!(!sessions::renew(&mut tx, &keys[0], writer, minute(20)).await.unwrap());
    }
}
