//! Transactions that end otherwise than by a commit.

use std::pin::Pin;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::small_disk::SmallDisk;
use super::tests::{commit_level, count, insert, insert_much, postgres, sqlite};
use super::*;

/// Why transactions of `SQLite` are not sqlx's. Should this fail because sqlx begins again,
/// `writer.rs` may be more than is needed.
#[tokio::test]
async fn sqlx_cannot_begin_again_once_sqlite_has_rolled_back() {
    let options = SqliteConnectOptions::new()
        .filename(tempfile::NamedTempFile::new().unwrap().path())
        .create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    connection
        .execute("CREATE TABLE things (name TEXT); PRAGMA max_page_count = 4")
        .await
        .unwrap();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = transaction
        .execute("INSERT INTO things VALUES (zeroblob(100000))")
        .await
        .unwrap_err();
    assert!(matches!(error.into(), Error::Full(_)));
    drop(transaction);
    let error = connection.begin_with("BEGIN IMMEDIATE").await.unwrap_err();
    assert!(
        matches!(error, sqlx::Error::InvalidSavePointStatement),
        "{error:?}"
    );
}

#[tokio::test]
async fn writing_goes_on_once_a_full_disk_has_room_again() {
    let disk = SmallDisk::new("2m");
    let database = disk.database(&sqlite()).await;
    insert_much(&database, "before").await.unwrap();
    let filler = disk.fill();

    for round in 0..5 {
        let error = insert_much(&database, &round.to_string())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Full(_)), "{error:?}");
        assert_eq!(count(&database).await, 100, "nothing by halves");
    }

    std::fs::remove_file(filler).unwrap();
    insert_much(&database, "after").await.unwrap();
    assert_eq!(count(&database).await, 200);
}

/// In the same transaction they would take effect one by one: `SQLite` has ended it.
#[tokio::test]
async fn nothing_more_runs_in_a_transaction_that_sqlite_has_ended() {
    let test = testing::TestDatabase::sqlite(&sqlite()).await;
    let mut tx = test.database.begin().await.unwrap();
    sql!(&mut tx, execute, "PRAGMA max_page_count = 8").unwrap();
    let error = insert(&mut tx, &"x".repeat(100_000), 0).await.unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    let error = insert(&mut tx, "small", 0).await.unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error:?}");

    assert_eq!(count(&test.database).await, 0);
    // Another connection, without that limit.
    insert_much(&test.database, "after").await.unwrap();
}

#[tokio::test]
async fn a_writer_that_is_left_inside_of_a_transaction_is_replaced() {
    let test = testing::TestDatabase::sqlite(&sqlite()).await;
    // What a rollback that fails leaves behind.
    let mut tx = test.database.begin().await.unwrap();
    insert(&mut tx, "never committed", 0).await.unwrap();
    let Tx::Sqlite(SqliteTx::Writing(writer)) = &mut tx else {
        panic!("not a SQLite writer");
    };
    writer.forget_transaction();
    drop(tx);

    let mut tx = test.database.begin().await.unwrap();
    insert(&mut tx, "after", 0).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&test.database).await, 1);
}

/// Gives up the future after it has been polled so often.
async fn cancelled_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        Pin::as_mut(&mut future).poll(context).map(Some)
    })
    .await
}

crate::test_on_both! {
    migrations: (sqlite(), postgres());

    async fn a_change_that_is_abandoned_anywhere_leaves_nothing_to_the_next(database: Database) {
        let mut tx = database.begin().await.unwrap();
        let usual = commit_level(&mut tx).await;
        drop(tx);
        // How often it is polled depends on how fast the database is.
        for (round, polls) in (0..5).flat_map(|round| (0..8).map(move |polls| (round, polls))) {
            let names = [format!("{round} {polls} one"), format!("{round} {polls} two")];
            let change = async {
                let mut tx = database.begin_relaxed().await.unwrap();
                for name in &names {
                    insert(&mut tx, name, 0).await.unwrap();
                }
                tx.commit().await.unwrap();
            };
            let done = cancelled_after(polls, change).await;

            let mut tx = database.begin().await.unwrap();
            assert_eq!(commit_level(&mut tx).await, usual, "after {polls} polls");
            insert(&mut tx, &format!("{round} {polls} next"), 0).await.unwrap();
            tx.commit().await.unwrap();
            let mut tx = database.read().await.unwrap();
            let (there,) = sql!(
                &mut tx,
                fetch_one (i64,),
                "SELECT count(*) FROM things WHERE name IN ($1, $2)",
                &names[0],
                &names[1]
            ).unwrap();
            // Whether the commit was under way already, nobody knows.
            assert!(there == 0 || there == 2, "{there} after {polls} polls");
            assert!(done.is_none() || there == 2);
        }
    }

    async fn a_transaction_goes_on_in_no_way_after_a_statement_was_abandoned(database: Database) {
        let mut tx = loop {
            let mut tx = database.begin().await.unwrap();
            if cancelled_after(1, insert(&mut tx, "a", 0)).await.is_none() {
                break tx;
            }
        };
        let error = insert(&mut tx, "b", 0).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        tx.commit().await.unwrap_err();
        assert_eq!(count(&database).await, 0);
    }

    async fn writing_goes_on_after_statements_that_fail(database: Database) {
        for _ in 0..5 {
            let mut tx = database.begin().await.unwrap();
            sql!(&mut tx, execute, "DELETE FROM nothing").unwrap_err();
            let error = tx.commit().await.unwrap_err();
            assert!(matches!(error, Error::Internal(_)), "{error:?}");
        }
        let mut tx = database.begin().await.unwrap();
        insert(&mut tx, "a", 0).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&database).await, 1);
    }
}

/// The server would answer a COMMIT with a rollback, and sqlx would call it a success.
#[tokio::test]
async fn postgres_commits_nothing_after_a_failure_and_says_so() {
    let test = testing::TestDatabase::postgres(&postgres()).await;
    let mut tx = test.database.begin().await.unwrap();
    insert(&mut tx, "a", 0).await.unwrap();
    insert(&mut tx, "a", 0).await.unwrap_err();
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::Conflict(_)), "{error:?}");
    assert_eq!(count(&test.database).await, 0);
}

#[tokio::test]
async fn postgres_goes_on_after_a_commit_that_fails() {
    let test = testing::TestDatabase::postgres(&postgres()).await;
    let mut tx = test.database.begin().await.unwrap();
    sql!(
        &mut tx,
        execute,
        "ALTER TABLE things ADD CONSTRAINT once UNIQUE (at) DEFERRABLE INITIALLY DEFERRED"
    )
    .unwrap();
    tx.commit().await.unwrap();
    for _ in 0..6 {
        let mut tx = test.database.begin().await.unwrap();
        insert(&mut tx, "a", 7).await.unwrap();
        insert(&mut tx, "b", 7).await.unwrap();
        let error = tx.commit().await.unwrap_err();
        assert!(matches!(error, Error::Conflict(_)), "{error:?}");
    }
    let mut tx = test.database.begin().await.unwrap();
    insert(&mut tx, "a", 7).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&test.database).await, 1);
}
