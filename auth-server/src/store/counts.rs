//! How many there are of everything, over all tables.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};

use crate::accounts::counts::Counts;

/// `idle`: browsers that were not used since are logged out.
pub async fn all(tx: &mut Tx, now: DateTime<Utc>, idle: DateTime<Utc>) -> Result<Counts, Error> {
    sql!(
        tx,
        fetch_one Counts,
        "SELECT (SELECT count(*) FROM users) AS users,
                (SELECT count(*) FROM users WHERE is_admin) AS administrators,
                (SELECT count(*) FROM users WHERE disabled_at IS NOT NULL) AS disabled_users,
                (SELECT count(*) FROM groups) AS groups,
                (SELECT count(*) FROM projects) AS projects,
                (SELECT count(*) FROM memberships) AS memberships,
                (SELECT count(*) FROM grants) AS grants,
                (SELECT count(*) FROM tokens WHERE kind = 'personal' AND revoked_at IS NULL
                     AND (expires_at IS NULL OR expires_at > $1)) AS personal_tokens,
                (SELECT count(*) FROM tokens WHERE kind = 'deploy' AND revoked_at IS NULL
                     AND (expires_at IS NULL OR expires_at > $1)) AS deploy_tokens,
                (SELECT count(*) FROM tokens WHERE kind = 'job' AND revoked_at IS NULL
                     AND (expires_at IS NULL OR expires_at > $1)) AS job_tokens,
                (SELECT count(*) FROM sessions WHERE revoked_at IS NULL AND expires_at > $1
                     AND COALESCE(last_used_at, created_at) > $2) AS browser_sessions,
                (SELECT count(*) FROM refresh_tokens
                 WHERE revoked_at IS NULL AND expires_at > $1) AS client_sessions",
        now,
        idle
    )
}
