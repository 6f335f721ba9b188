//! Upload sessions and their leases.

use uuid::Uuid;

use super::*;
use crate::blob_store::{UploadKey, UploadProgress};
use crate::metadata::uploads::{self as sessions, Lease, Upload, Verified};
use crate::oci::Hasher;

const ME: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

fn key(repository: &str, id: u128) -> UploadKey {
    UploadKey {
        repository: name(repository),
        id: Uuid::from_u128(id),
    }
}

async fn open(database: &Database, key: &UploadKey, at: i64) {
    let mut tx = begin(database).await;
    sessions::create(&mut tx, key, Some("alice"), Algorithm::Sha256, minute(at))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// In a transaction of its own, as a request does.
async fn acquire(database: &Database, key: &UploadKey, writer: Uuid, now: i64) -> Lease {
    let mut tx = begin(database).await;
    let lease = sessions::acquire(&mut tx, key, writer, minute(now + 10), minute(now))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    lease
}

fn progress(content: &str) -> UploadProgress {
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(content.as_bytes());
    UploadProgress {
        algorithm: Algorithm::Sha512,
        offset: content.len() as u64,
        midstate: hasher.midstate(),
        backend: vec![0, 255, 7],
    }
}

database::test_on_both! {
    migrations: (SQLITE_MIGRATIONS, POSTGRES_MIGRATIONS);

    async fn a_session_starts_with_nothing(database: Database) {
        let key = key("a/b", 7);
        open(&database, &key, 5).await;
        let mut tx = read(&database).await;
        let found = sessions::find(&mut tx, &key).await.unwrap().unwrap();
        assert_eq!(found, Upload {
            key: key.clone(),
            subject: Some("alice".to_owned()),
            progress: UploadProgress::start(Algorithm::Sha256),
            verified: None,
            created_at: minute(5),
            updated_at: minute(5),
            writer_until: None,
        });
        // Nor does it make its repository known.
        assert_eq!(repositories::find(&mut tx, &name("a/b")).await.unwrap(), None);
    }

    async fn a_session_belongs_to_its_repository(database: Database) {
        open(&database, &key("a", 7), 0).await;
        assert_eq!(acquire(&database, &key("b", 7), ME, 1).await, Lease::Unknown);
        assert_eq!(acquire(&database, &key("a", 8), ME, 1).await, Lease::Unknown);
        let mut tx = read(&database).await;
        let found = sessions::find(&mut tx, &key("b", 7)).await.unwrap();
        assert_eq!(found, None);
    }

    async fn one_writer_at_a_time(database: Database) {
        let key = key("a", 7);
        open(&database, &key, 0).await;
        assert!(matches!(acquire(&database, &key, ME, 1).await, Lease::Held(_)));
        assert_eq!(acquire(&database, &key, OTHER, 2).await, Lease::Busy);
        assert_eq!(acquire(&database, &key, ME, 2).await, Lease::Busy, "a token is one request's");
        let mut tx = begin(&database).await;
        sessions::release(&mut tx, &key, OTHER).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(acquire(&database, &key, OTHER, 2).await, Lease::Busy);
        let mut tx = begin(&database).await;
        sessions::release(&mut tx, &key, ME).await.unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(acquire(&database, &key, OTHER, 2).await, Lease::Held(_)));
    }

    async fn a_lease_that_ran_out_is_lost(database: Database) {
        let key = key("a", 7);
        open(&database, &key, 0).await;
        acquire(&database, &key, ME, 0).await;
        assert_eq!(acquire(&database, &key, OTHER, 9).await, Lease::Busy);
        let mut tx = begin(&database).await;
        assert!(sessions::renew(&mut tx, &key, ME, minute(20)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(acquire(&database, &key, OTHER, 19).await, Lease::Busy);
        assert!(matches!(acquire(&database, &key, OTHER, 20).await, Lease::Held(_)));

        let mut tx = begin(&database).await;
        assert!(!sessions::renew(&mut tx, &key, ME, minute(99)).await.unwrap());
        let advanced =
            sessions::advance(&mut tx, &key, ME, &progress("x"), minute(21)).await;
        assert!(!advanced.unwrap());
        assert!(!sessions::delete(&mut tx, &key, ME).await.unwrap());
        let found = sessions::find(&mut tx, &key).await.unwrap().unwrap();
        assert_eq!(found.progress.offset, 0);
    }

    async fn many_want_to_write_at_once(database: Database) {
        let key = key("a", 7);
        open(&database, &key, 0).await;
        let wishes = (0..8).map(|writer| {
            let (database, key) = (database.clone(), key.clone());
            async move { acquire(&database, &key, Uuid::from_u128(writer), 1).await }
        });
        let leases = futures_util::future::join_all(wishes).await;
        let held = leases.iter().filter(|lease| matches!(lease, Lease::Held(_))).count();
        assert_eq!(held, 1);
    }

    async fn what_was_acknowledged_is_remembered(database: Database) {
        let key = key("a", 7);
        open(&database, &key, 0).await;
        acquire(&database, &key, ME, 1).await;
        let mut tx = begin(&database).await;
        let advanced =
            sessions::advance(&mut tx, &key, ME, &progress("hello"), minute(2)).await;
        assert!(advanced.unwrap());
        tx.commit().await.unwrap();
        // The lease was given back.
        let Lease::Held(upload) = acquire(&database, &key, OTHER, 3).await else {
            panic!("still held");
        };
        assert_eq!(upload.progress, progress("hello"));
        assert_eq!((upload.created_at, upload.updated_at), (minute(0), minute(2)));
        let mut hasher = Hasher::resume(&upload.progress.midstate).unwrap();
        hasher.update(b" world");
        assert_eq!(hasher.finish(), Digest::of(Algorithm::Sha512, b"hello world"));
    }

    async fn a_finished_session_is_gone(database: Database) {
        let key = key("a", 7);
        open(&database, &key, 0).await;
        acquire(&database, &key, ME, 1).await;
        let mut tx = begin(&database).await;
        assert!(!sessions::delete(&mut tx, &key, OTHER).await.unwrap());
        assert!(sessions::delete(&mut tx, &key, ME).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(acquire(&database, &key, ME, 1).await, Lease::Unknown);
    }

    async fn idle_sessions_expire_oldest_first(database: Database) {
        for (id, at) in [(1, 5), (2, 3), (3, 4), (4, 50), (5, 1)] {
            open(&database, &key("a", id), at).await;
        }
        acquire(&database, &key("a", 5), ME, 30).await;
        let mut tx = read(&database).await;
        for (now, limit, expected) in
            [(35, 9, &[2, 3, 1][..]), (35, 2, &[2, 3]), (40, 9, &[5, 2, 3, 1])]
        {
            let keys = sessions::expired(&mut tx, minute(20), minute(now), limit).await.unwrap();
            let expected: Vec<UploadKey> = expected.iter().map(|id| key("a", *id)).collect();
            assert_eq!(keys, expected);
        }
    }

    async fn what_was_verified_is_remembered_until_bytes_follow(database: Database) {
        let key = key("a", 7);
        open(&database, &key, 0).await;
        acquire(&database, &key, ME, 0).await;
        let verified = Verified { digest: digest("hello"), size: 5 };
        let mut tx = begin(&database).await;
        let noted = sessions::verify(&mut tx, &key, OTHER, Some(&verified), minute(20)).await;
        assert!(!noted.unwrap());
        let noted = sessions::verify(&mut tx, &key, ME, Some(&verified), minute(20)).await;
        assert!(noted.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(acquire(&database, &key, OTHER, 19).await, Lease::Busy, "it was extended");

        let Lease::Held(upload) = acquire(&database, &key, OTHER, 20).await else {
            panic!("still held");
        };
        assert_eq!(upload.verified, Some(verified));
        let mut tx = begin(&database).await;
        sessions::advance(&mut tx, &key, OTHER, &progress("x"), minute(21)).await.unwrap();
        let found = sessions::find(&mut tx, &key).await.unwrap().unwrap();
        assert_eq!(found.verified, None);
    }

    async fn a_lease_is_held_until_it_is_given_back(database: Database) {
        let key = key("a", 7);
        open(&database, &key, 0).await;
        acquire(&database, &key, ME, 0).await;
        assert!(!sessions::is_held(&mut read(&database).await, &key, OTHER).await.unwrap());
        assert!(sessions::is_held(&mut read(&database).await, &key, ME).await.unwrap());
        let mut tx = begin(&database).await;
        sessions::advance(&mut tx, &key, ME, &progress("x"), minute(1)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!sessions::is_held(&mut read(&database).await, &key, ME).await.unwrap());
    }

    async fn what_somebody_holds_is_summed_up(database: Database) {
        for (id, subject, content) in
            [(1, Some("alice"), "12345"), (2, Some("alice"), "1"), (3, None, "12"), (4, None, "")]
        {
            let key = key("a", id);
            let mut tx = begin(&database).await;
            sessions::create(&mut tx, &key, subject, Algorithm::Sha256, minute(0)).await.unwrap();
            tx.commit().await.unwrap();
            acquire(&database, &key, ME, 0).await;
            let mut tx = begin(&database).await;
            sessions::advance(&mut tx, &key, ME, &progress(content), minute(1)).await.unwrap();
            tx.commit().await.unwrap();
        }
        for (subject, expected) in [(Some("alice"), 6), (None, 2), (Some("bob"), 0)] {
            let mut tx = read(&database).await;
            let held = sessions::held_bytes(&mut tx, subject).await.unwrap();
            assert_eq!(held, expected, "{subject:?}");
        }
    }

    async fn an_idle_session_that_goes_on_does_not_expire(database: Database) {
        let key = key("a", 7);
        open(&database, &key, 0).await;
        let expire = async |before, now| {
            let mut tx = begin(&database).await;
            let expired =
                sessions::expire(&mut tx, &key, minute(before), minute(now)).await.unwrap();
            tx.commit().await.unwrap();
            expired
        };
        acquire(&database, &key, ME, 30).await;
        assert_eq!(expire(20, 39).await, None, "somebody is writing to it");
        let mut tx = begin(&database).await;
        sessions::advance(&mut tx, &key, ME, &progress("x"), minute(31)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(expire(20, 99).await, None, "somebody has written to it");
        assert_eq!(expire(40, 99).await.unwrap().progress, progress("x"));
        assert_eq!(expire(40, 99).await, None);
    }
}
