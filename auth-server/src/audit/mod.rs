//! The audit log: who did what, when, from where, and how it ended.
//!
//! - [`Origin`]: who acts, and through which request. [`Event`]: what happened.
//! - [`search`]: finds events again, by page or all in a stream. [`retention`]: ends them.
//! - [`record`]: writes an event in the transaction of the change it tells of, so that there is
//!   neither a change without its event nor an event without its change.
//!
//! Events are never changed; the database refuses it. Nothing secret goes into one: what a change
//! shows of its object is what the admin API shows of it.

mod event;
pub mod retention;
pub mod search;

use database::Tx;

use crate::clock::Clock;
use crate::store;

pub use self::event::{Action, Actor, ActorKind, Event, Origin, Outcome, Subject};
pub use self::search::{AuditEntry, AuditFilter};

/// Writes an event. It holds once the transaction is committed.
pub async fn record(
    tx: &mut Tx,
    clock: &Clock,
    origin: &Origin,
    event: &Event,
) -> Result<(), database::Error> {
    store::audit::insert(tx, clock.now(), origin, event).await?;
    tracing::info!(
        target: "audit",
        action = event.action.as_str(),
        outcome = event.outcome.as_str(),
        actor_kind = origin.actor.kind.as_str(),
        actor = origin.actor.name,
        subject = event.subject.as_ref().map(|subject| subject.name.as_str()),
        address = origin.address.map(tracing::field::display),
        reason = event.reason,
        "audit"
    );
    Ok(())
}

#[cfg(test)]
mod tests;
