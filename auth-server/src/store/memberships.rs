//! The table `memberships`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};

use crate::accounts::{Role, UserId};

/// `Conflict`: the user is a member already, or does not exist.
pub async fn insert(
    tx: &mut Tx,
    path: i64,
    user: UserId,
    role: Role,
    created_at: DateTime<Utc>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO memberships (path, user_id, role, created_at) VALUES ($1, $2, $3, $4)",
        path,
        user,
        role,
        created_at
    )
    .map(drop)
}
