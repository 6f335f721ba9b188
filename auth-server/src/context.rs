//! [`Context`]: with what, and in whose name, something is changed.

use database::{Database, Tx};

use crate::audit::{self, Event, Origin};
use crate::clock::Clock;

/// What every change takes: the database, the time, and who asks for it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    pub database: Database,
    pub clock: Clock,
    pub origin: Origin,
}

impl Context {
    /// Writes an event of the audit log in the name of who asks.
    pub async fn record(&self, tx: &mut Tx, event: &Event) -> Result<(), database::Error> {
        audit::record(tx, &self.clock, &self.origin, event).await
    }
}
