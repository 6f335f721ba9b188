//! The table `audit_events`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::audit::{Event, Origin};

/// An event as it is kept.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct StoredEvent {
    pub number: i64,
    pub at: DateTime<Utc>,
    pub action: String,
    pub outcome: String,
    pub actor_kind: String,
    pub actor_id: Option<Uuid>,
    pub actor_name: String,
    pub subject_kind: Option<String>,
    pub subject_id: Option<Uuid>,
    pub subject_name: Option<String>,
    pub address: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    pub reason: Option<String>,
    pub state_before: Option<String>,
    pub state_after: Option<String>,
}

/// What events must have in common; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct StoredFilter {
    /// This one, or from here to before there in the order of bytes.
    pub action: Option<(String, Option<String>)>,
    pub actor: Option<String>,
    pub subject: Option<String>,
    pub outcome: Option<&'static str>,
    pub address: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "number, at, action, outcome, actor_kind, actor_id, actor_name, subject_kind,
    subject_id, subject_name, address, user_agent, request_id, reason, state_before, state_after";

/// `$1` to `$8`, in the order of [`conditions`]; then what the statement adds.
macro_rules! filtered {
    ($tx:expr, $filter:expr, $statement:expr, [$($fetch:tt)+] $(, $argument:expr)*) => {{
        let filter = $filter;
        let action = filter.action.as_ref();
        sql!(
            $tx,
            $($fetch)+,
            AssertSqlSafe($statement),
            action.map(|(from, _)| from.as_str()),
            action.and_then(|(_, to)| to.as_deref()),
            filter.actor.as_deref(),
            filter.subject.as_deref(),
            filter.outcome,
            filter.address.as_deref(),
            filter.since,
            filter.until
            $(, $argument)*
        )
    }};
}

/// The conditions of a filter: constant texts alone, the values are bound. Only those that count
/// are there, because `$3 IS NULL OR actor_name = $3` finds no index.
///
/// `SQLite` takes one index for as good as another. What most events have in common must not be the
/// one that is searched by: an expression is in no index, but can be tested on what is in one.
fn conditions(filter: &StoredFilter) -> String {
    let either = |is_given: bool, condition: &'static str, absent: &'static str| {
        if is_given { condition } else { absent }
    };
    let by_name = filter.actor.is_some() || filter.subject.is_some() || filter.address.is_some();
    let by_action = by_name || filter.action.is_some();
    [
        match (&filter.action, by_name) {
            (Some((_, Some(_))), false) => "action >= $1 AND action < $2",
            (Some((_, Some(_))), true) => "action || '' >= $1 AND action || '' < $2",
            // An index by action and number then has them in the order that is wanted.
            (Some((_, None)), false) => "action = $1 AND $2 IS NULL",
            (Some((_, None)), true) => "action || '' = $1 AND $2 IS NULL",
            (None, _) => "$1 IS NULL AND $2 IS NULL",
        },
        either(filter.actor.is_some(), "actor_name = $3", "$3 IS NULL"),
        either(filter.subject.is_some(), "subject_name = $4", "$4 IS NULL"),
        match (filter.outcome, by_action) {
            (Some(_), false) => "outcome = $5",
            (Some(_), true) => "outcome || '' = $5",
            (None, _) => "$5 IS NULL",
        },
        either(filter.address.is_some(), "address = $6", "$6 IS NULL"),
        either(filter.since.is_some(), "at >= $7", "$7 IS NULL"),
        either(filter.until.is_some(), "at < $8", "$8 IS NULL"),
    ]
    .join(" AND ")
}

/// The newest events below a number, the newest first. Numbers first and rows second: where many
/// have to be sorted, it is numbers alone, from an index.
pub async fn newest(
    tx: &mut Tx,
    filter: &StoredFilter,
    below: i64,
    limit: i64,
) -> Result<Vec<StoredEvent>, Error> {
    let conditions = conditions(filter);
    let statement = format!(
        "SELECT {COLUMNS} FROM audit_events WHERE number IN
             (SELECT number FROM audit_events WHERE {conditions} AND number < $9
              ORDER BY number DESC LIMIT $10)
         ORDER BY number DESC"
    );
    filtered!(tx, filter, statement, [fetch_all StoredEvent], below, limit)
}

/// The oldest events above a number, the oldest first.
pub async fn oldest(
    tx: &mut Tx,
    filter: &StoredFilter,
    above: i64,
    limit: i64,
) -> Result<Vec<StoredEvent>, Error> {
    let conditions = conditions(filter);
    let statement = format!(
        "SELECT {COLUMNS} FROM audit_events WHERE number IN
             (SELECT number FROM audit_events WHERE {conditions} AND number > $9
              ORDER BY number LIMIT $10)
         ORDER BY number"
    );
    filtered!(tx, filter, statement, [fetch_all StoredEvent], above, limit)
}

pub async fn count(tx: &mut Tx, filter: &StoredFilter) -> Result<i64, Error> {
    let conditions = conditions(filter);
    let statement = format!("SELECT count(*) FROM audit_events WHERE {conditions}");
    filtered!(tx, filter, statement, [fetch_one(i64,)]).map(|(count,)| count)
}

/// Removes events from before this time, the oldest first; how many.
pub async fn delete_before(tx: &mut Tx, at: DateTime<Utc>, limit: i64) -> Result<u64, Error> {
    sql!(
        tx,
        execute,
        "DELETE FROM audit_events WHERE number IN
             (SELECT number FROM audit_events WHERE at < $1 ORDER BY at, number LIMIT $2)",
        at,
        limit
    )
}

pub async fn insert(
    tx: &mut Tx,
    at: DateTime<Utc>,
    origin: &Origin,
    event: &Event,
) -> Result<(), Error> {
    let (actor, subject) = (&origin.actor, event.subject.as_ref());
    sql!(
        tx,
        execute,
        "INSERT INTO audit_events (at, action, outcome, actor_kind, actor_id, actor_name,
                                   subject_kind, subject_id, subject_name, address, user_agent,
                                   request_id, reason, state_before, state_after)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        at,
        event.action.as_str(),
        event.outcome.as_str(),
        actor.kind.as_str(),
        actor.id,
        &actor.name,
        subject.map(|subject| subject.kind),
        subject.and_then(|subject| subject.id),
        subject.map(|subject| subject.name.as_str()),
        origin.address.map(|address| address.to_string()),
        origin.user_agent.as_deref(),
        origin.request_id.as_deref(),
        event.reason.as_deref(),
        event.before.as_ref().map(ToString::to_string),
        event.after.as_ref().map(ToString::to_string)
    )
    .map(drop)
}
