//! The statements behind every token request must not slow down as accounts grow: each finds its
//! rows by index.

use database::Tx;
use database::testing::TestDatabase;
use sqlx::{AssertSqlSafe, Row as _};

use super::{POSTGRES, SQLITE, grants, paths};

#[tokio::test]
async fn sqlite_searches_and_never_scans() {
    let test = TestDatabase::sqlite(&SQLITE).await;
    let Tx::Sqlite(mut tx) = test.database.read().await.unwrap() else {
        unreachable!("a SQLite database");
    };
    for statement in [paths::AT_SQLITE, grants::TO_SQLITE] {
        let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .fetch_all(tx.start().unwrap())
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let scanned: Vec<&String> = plan
            .iter()
            .filter(|step| step.contains("SCAN"))
            // The paths that were asked for, and those above one of them: a handful.
            .filter(|step| !step.contains("json_each") && !step.contains("above"))
            .filter(|step| !step.contains("CONSTANT ROW"))
            .collect();
        assert!(!plan.is_empty());
        assert!(scanned.is_empty(), "{plan:#?}");
        // Not from all that a user is a member of.
        assert!(
            !plan.iter().any(|step| step.contains("memberships_by_user")),
            "{plan:#?}"
        );
    }
}

/// Accounts enough for `PostgreSQL` to prefer its indexes.
const FILL: &str = "
    INSERT INTO users (id, username, is_admin, created_at)
    SELECT gen_random_uuid(), 'u' || n, false, now() FROM generate_series(1, 3) n;
    INSERT INTO groups (id, path, create_on_push, created_at)
    SELECT gen_random_uuid(), 'g' || n, false, now() FROM generate_series(1, 10000) n;
    INSERT INTO projects (id, path, visibility, created_at)
    SELECT gen_random_uuid(), path || '/p', 'private', now() FROM groups;
    INSERT INTO paths (path, group_id) SELECT path, id FROM groups;
    INSERT INTO paths (path, project_id) SELECT path, id FROM projects;
    INSERT INTO memberships (path, user_id, role, created_at)
    SELECT p.number, u.id, 'reporter', now() FROM paths p CROSS JOIN users u;
    INSERT INTO grants (id, project_id, group_id, actions, pattern, created_at)
    SELECT gen_random_uuid(), o.id, g.id, 'pull', '**', now()
    FROM projects o JOIN groups g ON o.path = g.path || '/p';
    ANALYZE";

#[tokio::test]
async fn postgres_searches_and_never_scans() {
    let test = TestDatabase::postgres(&POSTGRES).await;
    let Tx::Postgres(mut tx) = test.database.read().await.unwrap() else {
        unreachable!("a PostgreSQL database");
    };
    let connection = tx.start().unwrap();
    sqlx::raw_sql(FILL).execute(&mut *connection).await.unwrap();
    for (prepare, execute) in [
        (
            format!("PREPARE at (json, uuid) AS {}", paths::AT_POSTGRES),
            "EXECUTE at ('[\"g1\", \"g1/p\"]', gen_random_uuid())",
        ),
        (
            format!(
                "PREPARE granted (json, uuid, timestamptz, uuid) AS {}",
                grants::TO_POSTGRES
            ),
            "EXECUTE granted ('[\"g1/p\"]', gen_random_uuid(), now(), NULL)",
        ),
    ] {
        sqlx::raw_sql(AssertSqlSafe(prepare))
            .execute(&mut *connection)
            .await
            .unwrap();
        let rows = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN {execute}")))
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let scans = |table: &str| {
            plan.iter()
                .any(|step| step.contains("Seq Scan") && step.contains(table))
        };
        for table in ["paths", "projects", "groups", "grants", "memberships"] {
            assert!(!scans(&format!("on {table} ")), "{plan:#?}");
        }
    }
}
