//! The statements that every pull and every page run must not slow down as a registry grows: each
//! finds its rows by index, in order.

use sqlx::{AssertSqlSafe, Row as _};

use super::*;
use crate::metadata::uploads as sessions;

const STATEMENTS: &[(&str, &str)] = &[
    ("manifest by tag", manifests::FIND_BY_TAG),
    ("manifest by digest", manifests::FIND_BY_DIGEST),
    ("blob of a repository", blobs::FIND_LINKED),
    ("page of tags", tags::PAGE),
    ("page of the catalog", repositories::PAGE),
    ("referrers", referrers::PAGE),
    ("referrers of a type", referrers::PAGE_OF_TYPE),
    ("expired uploads", sessions::EXPIRED),
    ("what somebody holds in uploads", sessions::HELD_BYTES),
    (
        "what the anonymous hold in uploads",
        sessions::HELD_BYTES_OF_ANONYMOUS,
    ),
];

#[tokio::test]
async fn sqlite_searches_and_never_scans_or_sorts() {
    let test = database::testing::TestDatabase::sqlite(&SQLITE_MIGRATIONS).await;
    let Tx::Sqlite(mut tx) = read(&test.database).await else {
        unreachable!("a SQLite database");
    };
    for (purpose, statement) in STATEMENTS {
        let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .fetch_all(tx.start().unwrap())
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert!(!plan.is_empty());
        assert!(
            plan.iter()
                .all(|step| !step.contains("SCAN") && !step.contains("TEMP B-TREE")),
            "{purpose}: {plan:#?}"
        );
    }
}

/// A registry large enough for `PostgreSQL` to prefer its indexes.
const FILL: &str = "
    INSERT INTO repositories (name, created_at)
    SELECT 'r' || n, now() FROM generate_series(1, 5000) n;
    INSERT INTO blobs (digest, size, created_at)
    SELECT 'sha256:' || n, n, now() FROM generate_series(1, 20000) n;
    INSERT INTO repository_blobs (repository_id, blob_id, created_at)
    SELECT 1 + id % 5000, id, now() FROM blobs;
    INSERT INTO manifests (repository_id, digest, media_type, subject_digest, artifact_type, size,
                           created_at, payload)
    SELECT 1 + n % 50, 'sha256:' || n, 'x', 'sha256:' || n % 400, 'sbom', 1, now(), 'x'
    FROM generate_series(1, 20000) n;
    INSERT INTO tags (repository_id, name, manifest_id, created_at, updated_at)
    SELECT 1, 'v' || n, 1 + n % 20000, now(), now() FROM generate_series(1, 20000) n;
    INSERT INTO manifest_reviews SELECT id, now() FROM manifests;
    INSERT INTO blob_reviews SELECT id, now() FROM blobs;
    INSERT INTO uploads (id, repository, subject, algorithm, received, midstate, backend, created_at,
                         updated_at)
    SELECT gen_random_uuid(), 'r1', 'user' || n, 'sha256', 0, '', '', now(), now() + n * interval '1 second'
    FROM generate_series(1, 20000) n;
    ANALYZE";

#[tokio::test]
async fn postgres_searches_and_never_scans_or_sorts() {
    let test = database::testing::TestDatabase::postgres(&POSTGRES_MIGRATIONS).await;
    let Tx::Postgres(mut tx) = read(&test.database).await else {
        unreachable!("a PostgreSQL database");
    };
    let connection = tx.start().unwrap();
    sqlx::raw_sql(FILL).execute(&mut *connection).await.unwrap();
    // The plan for whatever the arguments are, as a prepared statement has it after some runs.
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan")
        .execute(&mut *connection)
        .await
        .unwrap();
    for (number, (purpose, statement)) in STATEMENTS.iter().enumerate() {
        let parameters = (1..=9)
            .filter(|n| statement.contains(&format!("${n}")))
            .count();
        let nothing = match parameters {
            0 => String::new(),
            _ => format!("({})", vec!["NULL"; parameters].join(", ")),
        };
        let prepare = format!("PREPARE s{number} AS {statement}");
        sqlx::raw_sql(AssertSqlSafe(prepare))
            .execute(&mut *connection)
            .await
            .unwrap();
        let explain = format!("EXPLAIN EXECUTE s{number} {nothing}");
        let rows = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(!plan.is_empty());
        assert!(
            plan.iter()
                .all(|step| !step.contains("Seq Scan") && !step.contains("Sort")),
            "{purpose}: {plan:#?}"
        );
    }
}
