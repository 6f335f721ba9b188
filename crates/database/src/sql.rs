//! [`sql!`], the one macro: the same statement on either database.

/// Runs a statement on the database that a [`Tx`](crate::Tx) belongs to.
///
/// ```
/// # async fn example(tx: &mut database::Tx) -> Result<(), database::Error> {
/// use database::sql;
///
/// // The number of rows that were changed:
/// let changed: u64 = sql!(tx, execute, "DELETE FROM tags WHERE name = $1", "old")?;
/// // Rows, as any type that is `FromRow` on both databases; tuples are.
/// let names: Vec<(String,)> = sql!(tx, fetch_all (String,), "SELECT name FROM tags")?;
/// let found: Option<(i64,)> =
///     sql!(tx, fetch_optional (i64,), "SELECT id FROM tags WHERE name = $1", "latest")?;
/// let count: (i64,) = sql!(tx, fetch_one (i64,), "SELECT count(*) FROM tags")?;
/// # Ok(())
/// # }
/// ```
///
/// The statement is prepared once per connection and must be a constant. Arguments are bound in
/// order to `$1`, `$2`, …; those that are not `Copy` are best passed by reference. The first argument
/// is a `&mut Tx`.
#[macro_export]
macro_rules! sql {
    (@on $engine:ident, $connection:ident, execute, $statement:expr $(, $argument:expr)* $(,)?) => {
        $crate::__sqlx::query::<$crate::__sqlx::$engine>($statement)
            $(.bind($argument))*
            .execute($connection)
            .await
            .map(|done| done.rows_affected())
    };
    (@on $engine:ident, $connection:ident, $fetch:ident $row:ty, $statement:expr
        $(, $argument:expr)* $(,)?) => {
        $crate::__sqlx::query_as::<$crate::__sqlx::$engine, $row>($statement)
            $(.bind($argument))*
            .$fetch($connection)
            .await
    };
    ($tx:expr, $($call:tt)+) => {
        match $tx {
            $crate::Tx::Sqlite(tx) => match tx.start() {
                Ok(connection) => {
                    let result = $crate::sql!(@on Sqlite, connection, $($call)+);
                    tx.ended(result)
                }
                Err(error) => Err(error),
            },
            $crate::Tx::Postgres(tx) => match tx.start() {
                Ok(connection) => {
                    let result = $crate::sql!(@on Postgres, connection, $($call)+);
                    tx.ended(result)
                }
                Err(error) => Err(error),
            },
        }
    };
}
