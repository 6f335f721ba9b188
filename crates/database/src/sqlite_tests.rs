//! Files on disks that are full, read-only or damaged.

use std::os::unix::fs::FileExt as _;

use super::inspect::{InspectError, inspect};
use super::small_disk::SmallDisk;
use super::tests::{count, insert, insert_much, postgres, schema, sqlite};
use super::*;

const RESERVE: u64 = 4 << 20;

fn newer() -> Migrator {
    let second = schema("CREATE TABLE more (id INTEGER) STRICT");
    let mut second = second.iter().next().unwrap().clone();
    second.version = 2;
    let migrations = sqlite().iter().cloned().chain([second]).collect();
    Migrator::with_migrations(migrations)
}

fn reserve(disk: &SmallDisk) -> std::path::PathBuf {
    disk.file().with_extension("sqlite-reserve")
}

#[tokio::test]
async fn a_database_on_a_full_disk_opens_and_is_read() {
    let disk = SmallDisk::new("32m");
    let database = disk.database(&sqlite()).await;
    insert_much(&database, "before").await.unwrap();
    database.close().await;
    assert_eq!(std::fs::metadata(reserve(&disk)).unwrap().len(), RESERVE);
    let filler = disk.fill();

    let database = disk.database(&sqlite()).await;
    disk.fill();
    assert_eq!(count(&database).await, 100);
    let error = insert_much(&database, "full").await.unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    let error = database.check_writing().await.unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error:?}");

    std::fs::remove_file(filler).unwrap();
    insert_much(&database, "after").await.unwrap();
    database.check_writing().await.unwrap();
    assert!(reserve(&disk).exists(), "made again");
}

#[tokio::test]
async fn what_frees_room_can_be_written_down_on_a_full_disk() {
    let disk = SmallDisk::new("32m");
    let database = disk.database(&sqlite()).await;
    for round in 0..3 {
        insert_much(&database, &round.to_string()).await.unwrap();
    }
    let filler = disk.fill();
    insert_much(&database, "full").await.unwrap_err();

    assert!(database.release_reserve().await.unwrap());
    assert!(!database.release_reserve().await.unwrap(), "once");
    for index in 0..100 {
        let mut tx = database.begin().await.unwrap();
        let pattern = format!("0 {index} %");
        sql!(
            &mut tx,
            execute,
            "DELETE FROM things WHERE name LIKE $1",
            &pattern
        )
        .unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(count(&database).await, 200);
    database.keep_reserve().await;
    assert!(!reserve(&disk).exists(), "there is no room for it");
    std::fs::remove_file(filler).unwrap();
    database.keep_reserve().await;
    assert!(reserve(&disk).exists());
}

#[tokio::test]
async fn a_disk_without_room_to_spare_has_no_reserve() {
    let disk = SmallDisk::new("8m");
    disk.database(&sqlite()).await;
    assert!(!reserve(&disk).exists());
}

#[tokio::test]
async fn a_start_that_needs_room_says_so() {
    let disk = SmallDisk::new("8m");
    disk.database(&sqlite()).await.close().await;
    let filler = disk.fill();
    let error = disk.open().await.unwrap_err();
    assert!(matches!(error, StartError::Full(_)), "{error:?}");

    std::fs::remove_file(&filler).unwrap();
    let database = disk.open().await.unwrap();
    disk.fill();
    database.migrate(&sqlite(), &postgres()).await.unwrap();
    let error = database.migrate(&newer(), &postgres()).await.unwrap_err();
    let file = disk.file().display().to_string();
    assert_eq!(
        error.to_string(),
        format!(
            "the database {file} has to be brought up to date (0002 things), and its disk is full: \
             free some room"
        )
    );
    std::fs::remove_file(filler).unwrap();
    database.migrate(&newer(), &postgres()).await.unwrap();
}

#[tokio::test]
async fn a_read_only_file_system_is_read() {
    let disk = SmallDisk::new("8m");
    let database = disk.database(&sqlite()).await;
    insert_much(&database, "before").await.unwrap();
    database.close().await;
    disk.make_read_only();

    let database = disk.database(&sqlite()).await;
    assert_eq!(count(&database).await, 100);
    for _ in 0..3 {
        let error = insert_much(&database, "after").await.unwrap_err();
        assert!(matches!(error, Error::ReadOnly(_)), "{error:?}");
        let error = database.check_writing().await.unwrap_err();
        assert!(matches!(error, Error::ReadOnly(_)), "{error:?}");
    }
    database.require_integrity().await.unwrap();
    let error = database.migrate(&newer(), &postgres()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot be written: make it writable once"),
        "{error}"
    );
    assert_eq!(count(&database).await, 100);
    database.close().await;
}

#[tokio::test]
async fn changes_that_are_in_the_log_alone_are_never_left_out() {
    let other = SmallDisk::new("8m");
    let database = other.database(&sqlite()).await;
    insert_much(&database, "in the log").await.unwrap();
    let disk = SmallDisk::new("8m");
    // As a server leaves it that was killed.
    for suffix in ["", "-wal"] {
        let name = |disk: &SmallDisk| sqlite::beside(&disk.file(), suffix);
        std::fs::copy(name(&other), name(&disk)).unwrap();
    }
    disk.make_read_only();
    let error = disk.open().await.unwrap_err();
    let file = disk.file().display().to_string();
    assert_eq!(
        error.to_string(),
        format!(
            "the database {file} cannot be written, and changes in {file}-wal are not in it yet: \
             make it writable once, and start again"
        )
    );
}

/// A mount of a folder that another server writes to.
#[tokio::test]
async fn a_file_that_others_write_is_read_as_it_is_now() {
    let disk = SmallDisk::new("8m");
    let database = disk.database(&sqlite()).await;
    insert_much(&database, "first").await.unwrap();
    let view = tempfile::tempdir().unwrap();
    let folder = disk.file().parent().unwrap().to_owned();
    small_disk::run(
        "mount",
        &["-o", "bind,ro", folder.to_str().unwrap()],
        view.path(),
    );
    let url = DatabaseUrl::Sqlite(view.path().join("data.sqlite"));
    let reading = Database::connect(&url, 2).await.unwrap();
    assert_eq!(count(&reading).await, 100);
    insert_much(&database, "second").await.unwrap();
    assert_eq!(count(&reading).await, 200);
    let error = insert_much(&reading, "third").await.unwrap_err();
    assert!(matches!(error, Error::ReadOnly(_)), "{error:?}");
    reading.close().await;
    small_disk::run("umount", &["--lazy"], view.path());
}

#[tokio::test]
async fn damaged_pages_are_found_before_anything_is_served() {
    let test = testing::TestDatabase::sqlite(&sqlite()).await;
    let DatabaseUrl::Sqlite(path) = &test.url else {
        panic!("not SQLite");
    };
    insert_much(&test.database, "before").await.unwrap();
    test.database.require_integrity().await.unwrap();
    test.database.close().await;
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let middle = file.metadata().unwrap().len() / 4096 / 2 * 4096;
    file.write_all_at(&vec![0xa5; 8 * 4096], middle).unwrap();

    let database = Database::connect(&test.url, 1).await.unwrap();
    let error = database.require_integrity().await.unwrap_err();
    let sentence = error.to_string();
    assert!(matches!(error, StartError::Damaged { .. }), "{error:?}");
    assert!(
        sentence.contains("is damaged") && sentence.contains("restore a backup"),
        "{sentence}"
    );
    let found = inspect(&test.url, &sqlite(), &postgres()).await;
    assert!(
        matches!(found, Err(InspectError::Damaged { .. })),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_file_that_takes_too_long_to_look_at_is_not_called_damaged() {
    let test = testing::TestDatabase::sqlite(&sqlite()).await;
    for round in 0..10 {
        insert_much(&test.database, &round.to_string())
            .await
            .unwrap();
    }
    let DatabaseUrl::Sqlite(path) = &test.url else {
        panic!("not SQLite");
    };
    let found = check::examine_file(path, Duration::ZERO).await.unwrap();
    assert_eq!(found, Integrity::Unknown);
}

crate::test_on_both! {
    migrations: (sqlite(), postgres());

    async fn looking_whether_it_can_be_written_changes_nothing(database: Database) {
        let mut tx = database.begin().await.unwrap();
        insert(&mut tx, "a", 0).await.unwrap();
        tx.commit().await.unwrap();
        for _ in 0..3 {
            database.check_writing().await.unwrap();
        }
        assert_eq!(count(&database).await, 1);
    }
}

/// As a standby is, and a server whose administrator has stopped all writing.
#[tokio::test]
async fn a_postgres_that_takes_no_changes_is_read_only() {
    let test = testing::TestDatabase::postgres(&postgres()).await;
    let mut tx = test.database.begin().await.unwrap();
    let (statement,) = sql!(
        &mut tx,
        fetch_one(String,),
        "SELECT format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database())"
    )
    .unwrap();
    let Tx::Postgres(connection) = &mut tx else {
        panic!("not PostgreSQL");
    };
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(connection.start().unwrap())
        .await
        .unwrap();
    connection.ended(Ok(())).unwrap();
    tx.commit().await.unwrap();

    let database = Database::connect(&test.url, 2).await.unwrap();
    database.migrate(&sqlite(), &postgres()).await.unwrap();
    assert_eq!(count(&database).await, 0);
    let error = database.check_writing().await.unwrap_err();
    assert!(matches!(error, Error::ReadOnly(_)), "{error:?}");
    let mut tx = database.begin().await.unwrap();
    let error = insert(&mut tx, "a", 0).await.unwrap_err();
    assert!(matches!(error, Error::ReadOnly(_)), "{error:?}");
}
