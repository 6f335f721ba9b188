use std::borrow::Cow;

use sqlx::Connection as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::*;

pub(crate) fn schema(text: &'static str) -> Migrator {
    Migrator::with_migrations(vec![Migration::new(
        1,
        Cow::Borrowed("things"),
        MigrationType::Simple,
        sqlx::SqlSafeStr::into_sql_str(text),
        false,
    )])
}

pub(crate) fn sqlite() -> Migrator {
    schema(
        "CREATE TABLE things (name TEXT PRIMARY KEY NOT NULL, at TEXT NOT NULL, id BLOB NOT NULL, yes INTEGER NOT NULL) STRICT",
    )
}

pub(crate) fn postgres() -> Migrator {
    schema(
        "CREATE TABLE things (name TEXT PRIMARY KEY, at TIMESTAMPTZ NOT NULL, id UUID NOT NULL, yes BOOLEAN NOT NULL)",
    )
}

type Thing = (String, chrono::DateTime<chrono::Utc>, uuid::Uuid, bool);

fn at(microseconds: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(microseconds).unwrap()
}

pub(crate) async fn insert(tx: &mut Tx, name: &str, microseconds: i64) -> Result<u64, Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO things (name, at, id, yes) VALUES ($1, $2, $3, $4)",
        name,
        at(microseconds),
        uuid::Uuid::from_u128(7),
        true
    )
}

/// As many rows as one transaction needs more room for than is left anywhere.
pub(crate) async fn insert_much(database: &Database, mark: &str) -> Result<(), Error> {
    let mut tx = database.begin().await?;
    for index in 0..100 {
        let name = format!("{mark} {index} {}", "x".repeat(4000));
        insert(&mut tx, &name, 0).await?;
    }
    tx.commit().await
}

pub(crate) async fn count(database: &Database) -> i64 {
    let mut tx = database.read().await.unwrap();
    let (count,) = sql!(&mut tx, fetch_one(i64,), "SELECT count(*) FROM things").unwrap();
    count
}

/// How long the commit of this transaction waits, as the database calls it.
pub(crate) async fn commit_level(tx: &mut Tx) -> String {
    match tx {
        // https://www.sqlite.org/pragma.html#pragma_synchronous
        Tx::Sqlite(_) => match sql!(tx, fetch_one(i64,), "PRAGMA synchronous").unwrap() {
            (1,) => "off".to_owned(),
            (level,) => level.to_string(),
        },
        Tx::Postgres(_) => {
            let (level,) = sql!(tx, fetch_one(String,), "SHOW synchronous_commit").unwrap();
            level
        }
    }
}

crate::test_on_both! {
    migrations: (sqlite(), postgres());

    async fn values_come_back_as_they_went_in(database: Database) {
        let mut tx = database.begin().await.unwrap();
        assert_eq!(insert(&mut tx, "a", 1_700_000_000_123_456).await.unwrap(), 1);
        tx.commit().await.unwrap();

        let mut tx = database.read().await.unwrap();
        let thing = sql!(&mut tx, fetch_one Thing, "SELECT name, at, id, yes FROM things").unwrap();
        assert_eq!(
            thing,
            ("a".to_owned(), at(1_700_000_000_123_456), uuid::Uuid::from_u128(7), true)
        );
    }

    async fn times_sort_whatever_their_fraction(database: Database) {
        let mut tx = database.begin().await.unwrap();
        let times = [0, 1, 1_000, 500_000, 500_001, 999_999, 1_000_000];
        for (index, time) in times.iter().enumerate() {
            insert(&mut tx, &index.to_string(), *time).await.unwrap();
        }
        let sorted: Vec<(String,)> =
            sql!(&mut tx, fetch_all (String,), "SELECT name FROM things ORDER BY at").unwrap();
        let names: Vec<String> = sorted.into_iter().map(|(name,)| name).collect();
        assert_eq!(names, ["0", "1", "2", "3", "4", "5", "6"]);
    }

    async fn what_was_committed_without_waiting_is_there_all_the_same(database: Database) {
        let mut tx = database.begin().await.unwrap();
        let usual = commit_level(&mut tx).await;
        drop(tx);
        let mut tx = database.begin_relaxed().await.unwrap();
        insert(&mut tx, "relaxed", 0).await.unwrap();
        assert_eq!(commit_level(&mut tx).await, "off");
        tx.commit().await.unwrap();

        // On the same connection: the next one waits again.
        let mut tx = database.begin().await.unwrap();
        assert_eq!(commit_level(&mut tx).await, usual);
        let (count,) = sql!(&mut tx, fetch_one (i64,), "SELECT count(*) FROM things").unwrap();
        assert_eq!(count, 1);
    }

    async fn a_dropped_transaction_leaves_nothing(database: Database) {
        let mut tx = database.begin().await.unwrap();
        insert(&mut tx, "a", 0).await.unwrap();
        drop(tx);

        let mut tx = database.begin().await.unwrap();
        let (count,) = sql!(&mut tx, fetch_one (i64,), "SELECT count(*) FROM things").unwrap();
        assert_eq!(count, 0);
    }

    async fn a_second_row_with_the_same_key_is_a_conflict(database: Database) {
        let mut tx = database.begin().await.unwrap();
        insert(&mut tx, "a", 0).await.unwrap();
        let error = insert(&mut tx, "a", 0).await.unwrap_err();
        assert!(matches!(error, Error::Conflict(_)), "{error:?}");
    }

    async fn a_closed_database_is_unavailable(database: Database) {
        database.close().await;
        let error = database.ping().await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }

    async fn a_statement_that_does_not_fit_is_internal(database: Database) {
        let mut tx = database.read().await.unwrap();
        let error = sql!(&mut tx, execute, "DELETE FROM nothing").unwrap_err();
        assert!(matches!(error, Error::Internal(_)), "{error:?}");
    }
}

#[tokio::test]
async fn sqlite_waits_for_the_disk_unless_told_otherwise() {
    let test = testing::TestDatabase::sqlite(&sqlite()).await;
    let mut tx = test.database.begin().await.unwrap();
    assert_eq!(commit_level(&mut tx).await, "2");
}

#[tokio::test]
async fn a_reader_cannot_write_to_sqlite() {
    let test = testing::TestDatabase::sqlite(&sqlite()).await;
    let mut tx = test.database.read().await.unwrap();
    let error = insert(&mut tx, "a", 0).await.unwrap_err();
    assert!(matches!(error, Error::ReadOnly(_)), "{error:?}");
}

/// Its operator may bring it back, so clients are told to come again.
#[tokio::test]
async fn a_database_that_somebody_has_dropped_is_unavailable() {
    let test = testing::TestDatabase::postgres(&postgres()).await;
    let server = std::env::var("PORTCULLIS_TEST_POSTGRES").unwrap();
    let mut admin = sqlx::PgConnection::connect(&server).await.unwrap();
    let url = test.url.described();
    let (_, name) = url.rsplit_once('/').unwrap();
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    sqlx::query(sqlx::AssertSqlSafe(drop))
        .execute(&mut admin)
        .await
        .unwrap();
    for _ in 0..2 {
        let error = test.database.ping().await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }
}

/// A proxy whose database is gone takes connections, and hangs up.
#[tokio::test]
async fn a_proxy_without_a_database_behind_it_is_unavailable() {
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = proxy.accept().await {
            drop(connection);
        }
    });
    let url: DatabaseUrl = format!("postgres://test@{address}/test").parse().unwrap();
    let DatabaseUrl::Postgres(url) = &url else {
        panic!("not PostgreSQL");
    };
    for _ in 0..20 {
        let url = secrecy::ExposeSecret::expose_secret(url);
        let error: Error = sqlx::PgConnection::connect(url).await.unwrap_err().into();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn readers_beyond_the_bound_wait_their_turn() {
    let test = testing::TestDatabase::sqlite(&sqlite()).await;
    let mut out = Vec::new();
    for _ in 0..testing::SQLITE_READERS {
        out.push(test.database.read().await.unwrap());
    }
    let mut waiting = std::pin::pin!(test.database.read());
    let at_once = Duration::from_millis(50);
    let early = tokio::time::timeout(at_once, &mut waiting).await;
    assert!(early.is_err(), "one too many");
    out.pop();
    let mut tx = waiting.await.unwrap();
    sql!(&mut tx, fetch_one(i64,), "SELECT count(*) FROM things").unwrap();
}

#[tokio::test]
async fn an_abandoned_read_does_not_disturb_the_next() {
    const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
         SELECT i FROM n LIMIT 300000";
    let test = testing::TestDatabase::sqlite(&sqlite()).await;
    for _ in 0..3 * testing::SQLITE_READERS {
        let read = async {
            let mut tx = test.database.read().await.unwrap();
            sql!(&mut tx, fetch_all(i64,), ENDLESS)
        };
        let long = Duration::from_millis(1);
        assert!(tokio::time::timeout(long, read).await.is_err());
        let mut tx = test.database.read().await.unwrap();
        let (one,) = sql!(&mut tx, fetch_one(i64,), "SELECT 1").unwrap();
        assert_eq!(one, 1);
    }
}

#[tokio::test]
async fn reading_goes_on_after_failures() {
    let test = testing::TestDatabase::sqlite(&sqlite()).await;
    for _ in 0..3 * testing::SQLITE_READERS {
        let mut tx = test.database.read().await.unwrap();
        sql!(&mut tx, fetch_all(i64,), "SELECT nothing FROM nowhere").unwrap_err();
    }
    test.database.ping().await.unwrap();
}

#[tokio::test]
async fn both_schemas_list_the_same_columns() {
    let sqlite = testing::TestDatabase::sqlite(&sqlite()).await;
    let postgres = testing::TestDatabase::postgres(&postgres()).await;
    let expected = testing::columns(&sqlite.database).await;
    assert_eq!(expected.len(), 4);
    assert_eq!(expected, testing::columns(&postgres.database).await);
}

#[tokio::test]
async fn processes_that_start_together_migrate_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("data.sqlite"));
    for _ in 0..8 {
        let start = async || {
            let database = Database::connect(&url, 1).await.unwrap();
            database.migrate(&sqlite(), &postgres()).await.unwrap();
            database
        };
        let (one, two, three) = tokio::join!(start(), start(), start());
        for database in [one, two, three] {
            database.close().await;
        }
        let DatabaseUrl::Sqlite(path) = &url else {
            unreachable!("it was made above");
        };
        std::fs::remove_file(path).unwrap();
    }
}

#[tokio::test]
async fn a_new_sqlite_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("below/data.sqlite");
    Database::connect(&DatabaseUrl::Sqlite(path.clone()), 1)
        .await
        .unwrap();
    assert_eq!(
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn urls_are_checked_and_never_show_their_password() {
    use std::str::FromStr as _;

    let url = DatabaseUrl::from_str("postgres://me:s3cret@db.example/auth").unwrap();
    assert_eq!(url.described(), "postgres://db.example/auth");
    assert!(!format!("{url:?}").contains("s3cret"));
    let sqlite = DatabaseUrl::from_str("sqlite:///var/lib/auth.sqlite").unwrap();
    assert_eq!(sqlite.described(), "sqlite:/var/lib/auth.sqlite");
    for (text, error) in [
        ("mysql://db/auth", InvalidDatabaseUrl::Scheme),
        ("sqlite:", InvalidDatabaseUrl::NoPath),
        ("sqlite::memory:", InvalidDatabaseUrl::NoPath),
    ] {
        assert_eq!(DatabaseUrl::from_str(text).unwrap_err(), error, "{text}");
    }
    assert!(matches!(
        DatabaseUrl::from_str("postgres://[").unwrap_err(),
        InvalidDatabaseUrl::Syntax(_)
    ));
}

/// As at the end of a server: one worker has stopped, another has requests to finish.
#[test]
fn a_connection_outlives_the_worker_that_has_opened_it() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let main = runtime();
    let test = main.block_on(testing::TestDatabase::postgres(&postgres()));
    let database = test.database.clone();
    let worker = runtime();
    // More than `main` has opened so far; they go back to the pool.
    worker.block_on(async {
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(database.read().await.unwrap());
        }
        drop(held);
        database.ping().await.unwrap();
        let Database::Postgres(pool) = &database else {
            panic!("not PostgreSQL");
        };
        while pool.pool().num_idle() < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    main.block_on(async {
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(database.read().await.unwrap());
        }
        // Not in here: a runtime does not wait for another one inside of it.
        tokio::task::spawn_blocking(|| drop(worker)).await.unwrap();
        for tx in &mut held {
            sql!(tx, fetch_one(i32,), "SELECT 1").unwrap();
        }
    });
}
