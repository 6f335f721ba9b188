//! [`Counts`]: how much there is of everything.

use chrono::{DateTime, Utc};
use database::Database;
use serde::Serialize;
use utoipa::ToSchema;

use super::session::SessionPolicy;
use crate::store;

/// How many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Counts {
    /// Those who are disabled among them
    pub users: i64,
    pub administrators: i64,
    pub disabled_users: i64,
    pub groups: i64,
    pub projects: i64,
    pub memberships: i64,
    pub grants: i64,
    /// That can be used now, as the other tokens
    pub personal_tokens: i64,
    pub deploy_tokens: i64,
    pub job_tokens: i64,
    /// Browsers that are logged in
    pub browser_sessions: i64,
    /// Clients with a refresh token, such as docker
    pub client_sessions: i64,
}

/// Counts all of it, as of now.
pub async fn count(
    database: &Database,
    now: DateTime<Utc>,
    sessions: SessionPolicy,
) -> Result<Counts, database::Error> {
    let mut tx = database.read().await?;
    store::counts::all(&mut tx, now, now - sessions.idle).await
}
