//! The table `audit_events`.

use chrono::{DateTime, Utc};
use database::{Error, Tx, sql};

use crate::audit::{Event, Origin};

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
