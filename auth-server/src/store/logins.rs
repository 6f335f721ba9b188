//! What logging in reads and writes: users with their password, and the tables `login_failures`
//! and `known_networks`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};

use crate::accounts::password::PasswordHash;
use crate::accounts::{User, UserId, Username};

/// A user, what a password is verified against, and when the user was last seen in a network.
#[derive(Debug, sqlx::FromRow)]
pub struct UserAtLogin {
    #[sqlx(flatten)]
    pub user: User,
    pub password_hash: Option<PasswordHash>,
    pub seen_at: Option<DateTime<Utc>>,
}

/// Failures under one key.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct CountRow {
    pub kind: String,
    pub failures: i64,
    pub last_failure_at: DateTime<Utc>,
    pub blocked_until: Option<DateTime<Utc>>,
}

pub async fn user(
    tx: &mut Tx,
    username: &Username,
    network: Option<&str>,
) -> Result<Option<UserAtLogin>, Error> {
    sql!(
        tx,
        fetch_optional UserAtLogin,
        concat!(
            "SELECT ", user_columns!(), ", u.password_hash, k.seen_at
             FROM users u LEFT JOIN known_networks k ON k.user_id = u.id AND k.network = $2
             WHERE u.username = $1"
        ),
        username,
        network
    )
}

/// What has failed under these keys, of one kind each.
pub async fn failures(
    tx: &mut Tx,
    account: &str,
    address: Option<&str>,
    known: &str,
) -> Result<Vec<CountRow>, Error> {
    sql!(
        tx,
        fetch_all CountRow,
        "SELECT kind, failures, last_failure_at, blocked_until FROM login_failures
         WHERE (kind = 'account' AND key = $1) OR (kind = 'address' AND key = $2)
            OR (kind = 'known' AND key = $3)",
        account,
        address,
        known
    )
}

/// Blocks a key again, unless it is still blocked: then somebody else was faster. No block goes
/// beyond `longest`, but for one of a clock that was put back.
pub async fn claim(
    tx: &mut Tx,
    kind: &str,
    key: &str,
    now: DateTime<Utc>,
    longest: DateTime<Utc>,
    blocked_until: DateTime<Utc>,
) -> Result<bool, Error> {
    sql!(
        tx,
        execute,
        "UPDATE login_failures SET blocked_until = $4
         WHERE kind = $1 AND key = $2
           AND (blocked_until IS NULL OR blocked_until <= $3 OR blocked_until > $5)",
        kind,
        key,
        now,
        blocked_until,
        longest
    )
    .map(|claimed| claimed > 0)
}

/// Counts a failure; those before `forgotten` do not count any more. The number.
pub async fn count(
    tx: &mut Tx,
    kind: &str,
    key: &str,
    now: DateTime<Utc>,
    forgotten: DateTime<Utc>,
) -> Result<i64, Error> {
    sql!(
        tx,
        fetch_one(i64,),
        "INSERT INTO login_failures (kind, key, failures, last_failure_at) VALUES ($1, $2, 1, $3)
         ON CONFLICT (kind, key) DO UPDATE SET
             failures = CASE WHEN login_failures.last_failure_at < $4 THEN 1
                             ELSE login_failures.failures + 1 END,
             last_failure_at = $3
         RETURNING failures",
        kind,
        key,
        now,
        forgotten
    )
    .map(|(failures,)| failures)
}

pub async fn block(
    tx: &mut Tx,
    kind: &str,
    key: &str,
    until: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "UPDATE login_failures SET blocked_until = $3 WHERE kind = $1 AND key = $2",
        kind,
        key,
        until
    )
    .map(drop)
}

pub async fn forget(tx: &mut Tx, kind: &str, key: &str) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "DELETE FROM login_failures WHERE kind = $1 AND key = $2",
        kind,
        key
    )
    .map(drop)
}

pub async fn set_seen(
    tx: &mut Tx,
    user: UserId,
    network: &str,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    sql!(
        tx,
        execute,
        "INSERT INTO known_networks (user_id, network, seen_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, network) DO UPDATE SET seen_at = $3",
        user,
        network,
        at
    )
    .map(drop)
}

/// Stores the same password in another form, unless it has been changed since.
pub async fn replace_hash(
    tx: &mut Tx,
    user: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, Error> {
    sql!(
        tx,
        execute,
        "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
        user,
        old,
        new
    )
    .map(|replaced| replaced > 0)
}

/// Removes failures before one time and networks not seen since another; the number of rows.
pub async fn delete_old(
    tx: &mut Tx,
    failures_before: DateTime<Utc>,
    seen_before: DateTime<Utc>,
) -> Result<u64, Error> {
    let failures = sql!(
        tx,
        execute,
        "DELETE FROM login_failures WHERE last_failure_at < $1",
        failures_before
    )?;
    let networks = sql!(
        tx,
        execute,
        "DELETE FROM known_networks WHERE seen_at < $1",
        seen_before
    )?;
    Ok(failures + networks)
}
