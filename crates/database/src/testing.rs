//! A fresh database per test, on both engines.
//!
//! `PostgreSQL` is a real server, named by `PORTCULLIS_TEST_POSTGRES` (a URL whose user may create
//! databases); `make test` starts one. Without it these tests fail: a suite that quietly skips
//! half of its engines proves nothing.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "test support: a broken set-up should stop the test"
)]

use sqlx::Connection as _;
use sqlx::migrate::Migrator;

use crate::{Database, DatabaseUrl, Tx, sql};

/// A migrated, empty database; removed when dropped ([`SQLite`](Self::sqlite)) or with the
/// throw-away server (`PostgreSQL`).
#[derive(Debug)]
pub struct TestDatabase {
    pub database: Database,
    pub url: DatabaseUrl,
    _folder: Option<tempfile::TempDir>,
}

/// How many may read a [`TestDatabase::sqlite`] at once.
pub const SQLITE_READERS: u32 = 4;

impl TestDatabase {
    pub async fn sqlite(migrator: &Migrator) -> Self {
        let folder = tempfile::tempdir().expect("create a folder for the test database");
        let url = DatabaseUrl::Sqlite(folder.path().join("test.sqlite"));
        let database = Database::connect(&url, SQLITE_READERS)
            .await
            .expect("open SQLite");
        database
            .migrate(migrator, &Migrator::DEFAULT)
            .await
            .expect("migrate SQLite");
        Self {
            database,
            url,
            _folder: Some(folder),
        }
    }

    pub async fn postgres(migrator: &Migrator) -> Self {
        let server = std::env::var("PORTCULLIS_TEST_POSTGRES").expect(
            "PORTCULLIS_TEST_POSTGRES is not set: run the tests through `make test`, or point it \
             at a PostgreSQL whose user may create databases",
        );
        let mut url = url::Url::parse(&server).expect("PORTCULLIS_TEST_POSTGRES is a URL");
        let name = unique_name();
        let mut admin = sqlx::PgConnection::connect(&server)
            .await
            .expect("connect to the PostgreSQL server for tests");
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut admin)
            .await
            .expect("create a test database");
        url.set_path(&name);
        let url: DatabaseUrl = url.as_str().parse().expect("a PostgreSQL URL");
        let database = Database::connect(&url, 4)
            .await
            .expect("connect to the test database");
        database
            .migrate(&Migrator::DEFAULT, migrator)
            .await
            .expect("migrate PostgreSQL");
        Self {
            database,
            url,
            _folder: None,
        }
    }
}

/// Unique across test processes and threads without asking the clock.
fn unique_name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's name needs no clock that can be set"
    )]
    let unique = uuid::Uuid::new_v4().simple();
    format!("test_{unique}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Writes each test once and runs it on `SQLite` and on `PostgreSQL`.
///
/// ```ignore
/// database::test_on_both! {
///     migrations: (crate::SQLITE, crate::POSTGRES);
///
///     async fn a_tag_points_at_one_manifest(database: Database) { … }
/// }
/// ```
#[macro_export]
macro_rules! test_on_both {
    (migrations: ($sqlite:expr, $postgres:expr); $(
        $(#[$attribute:meta])*
        async fn $name:ident($database:ident: Database) $body:block
    )+) => { $(
        mod $name {
            #[allow(unused_imports, reason = "a test may need nothing of its module")]
            use super::*;

            $(#[$attribute])*
            async fn check($database: $crate::Database) $body

            #[tokio::test]
            async fn on_sqlite() {
                let test = $crate::testing::TestDatabase::sqlite(&$sqlite).await;
                check(test.database.clone()).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                let test = $crate::testing::TestDatabase::postgres(&$postgres).await;
                check(test.database.clone()).await;
            }
        }
    )+ };
}

/// A column as both dialects should agree on it: table, name, whether it may be NULL.
pub type Column = (String, String, bool);

/// All columns of all tables, sorted, for comparing the two schemas.
pub async fn columns(database: &Database) -> Vec<Column> {
    let mut tx = database.read().await.expect("read");
    let mut columns: Vec<Column> = match &mut tx {
        Tx::Sqlite(_) => sql!(
            &mut tx,
            fetch_all(String, String, bool),
            // An INTEGER PRIMARY KEY is never NULL, though SQLite does not call it NOT NULL.
            "SELECT m.name, c.name, (c.\"notnull\" = 0 AND c.pk = 0) FROM sqlite_schema m
             JOIN pragma_table_info(m.name) c
             WHERE m.type = 'table' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\'
               AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        ),
        Tx::Postgres(_) => sql!(
            &mut tx,
            fetch_all(String, String, bool),
            "SELECT table_name::text, column_name::text, is_nullable = 'YES'
             FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%'"
        ),
    }
    .expect("read the schema");
    columns.sort();
    columns
}
