use database::testing::{TestDatabase, columns};

use super::*;

#[tokio::test]
async fn both_schemas_have_the_same_tables_and_columns() {
    let sqlite = TestDatabase::sqlite(&SQLITE).await;
    let postgres = TestDatabase::postgres(&POSTGRES).await;
    let expected = columns(&sqlite.database).await;
    assert!(expected.len() > 20, "{expected:?}");
    assert_eq!(expected, columns(&postgres.database).await);
}
