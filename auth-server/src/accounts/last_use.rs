//! [`LastUses`]: when and from where tokens are used, to the minute, without making anybody wait.
//!
//! Whoever shows a good token is served whether or not this can be written. It is written beside
//! the request, once for however many requests come in the meantime.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::audit::Event;
use crate::context::Context;
use crate::store;

/// A last use is written this seldom: a client that logs in for every request should not turn
/// reads into writes.
pub(crate) const PRECISION: TimeDelta = TimeDelta::minutes(1);

/// What is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Used {
    Token(Uuid),
    RefreshToken(Uuid),
    Session(Uuid),
}

/// Those that are being written just now. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastUses(Arc<Mutex<HashSet<Used>>>);

/// Whether a use is to be written, given the last that was.
pub(crate) fn is_due(now: DateTime<Utc>, last: Option<DateTime<Utc>>) -> bool {
    last.is_none_or(|last| now - last >= PRECISION)
}

impl LastUses {
    /// Writes that something is used, and the event if there is one.
    pub fn note(&self, context: Context, used: Used, event: Option<Event>) {
        if !self.lock().insert(used) {
            return;
        }
        let writing = Writing {
            uses: self.clone(),
            used,
        };
        tokio::spawn(async move {
            // All of it, not the one field that is used below: it has to last as long as the task.
            let writing = writing;
            if let Err(error) = write(&context, writing.used, event.as_ref()).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the last use of a token could not be kept");
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<Used>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all is written.
    #[cfg(test)]
    pub async fn settled(&self) {
        while !self.lock().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

/// However the task ends, the next one may begin.
struct Writing {
    uses: LastUses,
    used: Used,
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.uses.lock().remove(&self.used);
    }
}

async fn write(
    context: &Context,
    used: Used,
    event: Option<&Event>,
) -> Result<(), database::Error> {
    let now = context.clock.now();
    let address = context.origin.address.map(|address| address.to_string());
    let address = address.as_deref();
    let mut tx = context.database.begin_relaxed().await?;
    match used {
        Used::Token(id) => store::tokens::set_last_used(&mut tx, id, now, address).await?,
        Used::RefreshToken(id) => {
            store::refresh_tokens::set_last_used(&mut tx, id, now, address).await?;
        }
        Used::Session(id) => store::sessions::set_last_used(&mut tx, id, now, address).await?,
    }
    if let Some(event) = event {
        context.record(&mut tx, event).await?;
    }
    tx.commit().await
}
