use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::inspect::{InspectError, SchemaState, inspect};
use crate::testing::TestDatabase;
use crate::{Database, DatabaseUrl};

/// Migrations that both databases understand.
fn migrations(texts: &[(i64, &'static str)]) -> Migrator {
    let migration = |(version, text): &(i64, &'static str)| {
        Migration::new(
            *version,
            Cow::Owned(format!("step {version}")),
            MigrationType::Simple,
            sqlx::SqlSafeStr::into_sql_str(*text),
            false,
        )
    };
    Migrator::with_migrations(texts.iter().map(migration).collect())
}

const FIRST: (i64, &str) = (1, "CREATE TABLE one (id INTEGER)");
const SECOND: (i64, &str) = (2, "CREATE TABLE two (id INTEGER)");

async fn look(url: &DatabaseUrl, ours: &Migrator) -> Result<SchemaState, InspectError> {
    inspect(url, ours, ours).await
}

#[tokio::test]
async fn what_a_start_would_do_is_named() {
    let (old, new) = (migrations(&[FIRST]), migrations(&[FIRST, SECOND]));
    let changed = migrations(&[(1, "CREATE TABLE another (id INTEGER)")]);
    for test in [
        TestDatabase::sqlite(&old).await,
        TestDatabase::postgres(&old).await,
    ] {
        let state = look(&test.url, &old).await.unwrap();
        assert_eq!(state, SchemaState::default());
        let state = look(&test.url, &new).await.unwrap();
        assert_eq!(state.pending, ["0002 step 2"]);
        let state = look(&test.url, &changed).await.unwrap();
        assert_eq!(state.changed, ["0001 step 1"]);
        let state = look(&test.url, &migrations(&[])).await.unwrap();
        assert_eq!(state.unknown, [1], "a newer program has been here");
    }
}

#[tokio::test]
async fn looking_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.sqlite");
    let found = look(&DatabaseUrl::Sqlite(path.clone()), &migrations(&[])).await;
    assert!(matches!(found, Err(InspectError::NoFile(_))), "{found:?}");
    assert!(!path.exists());

    // A file that was just made has no table yet.
    Database::connect(&DatabaseUrl::Sqlite(path.clone()), 1)
        .await
        .unwrap()
        .close()
        .await;
    let state = look(&DatabaseUrl::Sqlite(path), &migrations(&[FIRST]))
        .await
        .unwrap();
    assert_eq!(state.pending, ["0001 step 1"]);
}

#[tokio::test]
async fn another_file_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(
        &path,
        "not a database, but long enough to be looked at as one ".repeat(20),
    )
    .unwrap();
    let found = look(&DatabaseUrl::Sqlite(path), &migrations(&[])).await;
    assert!(
        matches!(found, Err(InspectError::NotADatabase(_))),
        "{found:?}"
    );
}

#[tokio::test]
async fn what_keeps_one_out_of_postgres_is_told_apart() {
    let server = std::env::var("PORTCULLIS_TEST_POSTGRES").unwrap();
    let with = |change: &dyn Fn(&mut url::Url)| -> DatabaseUrl {
        let mut url = url::Url::parse(&server).unwrap();
        change(&mut url);
        url.as_str().parse().unwrap()
    };
    let none = migrations(&[]);
    let found = look(&with(&|url| url.set_path("/nobody_made_this")), &none).await;
    assert!(
        matches!(found, Err(InspectError::NoDatabase(_))),
        "{found:?}"
    );
    let found = look(
        &with(&|url| url.set_username("nobody_here").unwrap()),
        &none,
    )
    .await;
    assert!(matches!(found, Err(InspectError::Password(_))), "{found:?}");
    let found = look(&with(&|url| url.set_port(Some(9)).unwrap()), &none).await;
    assert!(
        matches!(found, Err(InspectError::Unreachable(_))),
        "{found:?}"
    );
}
