//! The end of events: those that are older than the setting `audit.retention` are deleted. Every
//! deletion is an event itself, in the same transaction.

use std::time::Duration;

use chrono::TimeDelta;

use super::{Action, Event, Subject};
use crate::context::Context;
use crate::store;

/// How many events one transaction deletes: others want to write in between.
const BATCH: i64 = 5_000;

/// Deletes what is over; how many events.
pub async fn purge(context: &Context, retention: Duration) -> Result<u64, database::Error> {
    let retention = TimeDelta::from_std(retention).unwrap_or(TimeDelta::MAX);
    // Before the beginning of time there is nothing.
    let Some(end) = context.clock.now().checked_sub_signed(retention) else {
        return Ok(0);
    };
    let mut total = 0;
    loop {
        let mut tx = context.database.begin().await?;
        let removed = store::audit::delete_before(&mut tx, end, BATCH).await?;
        if removed == 0 {
            return Ok(total);
        }
        total += removed;
        let subject = Subject::new("audit", None, "events");
        let what = serde_json::json!({"removed": removed, "before": end});
        let event = Event::success(Action::AuditPurge, subject)
            .after(what)
            .because("audit.retention");
        context.record(&mut tx, &event).await?;
        tx.commit().await?;
    }
}
