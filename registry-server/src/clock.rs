//! Where time and identifiers come from, so that a test can set them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use uuid::Uuid;

/// The server's source of time and identifiers. Cheap to clone; clones of a manual clock share
/// their time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<Mutex<DateTime<Utc>>>>,
}

impl Clock {
    /// The time of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self { manual: None }
    }

    /// A clock that stands still until a test moves it.
    #[must_use]
    pub fn manual(now: DateTime<Utc>) -> Self {
        Self {
            manual: Some(Arc::new(Mutex::new(now.trunc_subsecs(6)))),
        }
    }

    /// Now, to the microsecond: what both databases can store and give back unchanged.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.manual {
            Some(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
            #[expect(
                clippy::disallowed_methods,
                reason = "this is the one place that asks the machine"
            )]
            None => Utc::now().trunc_subsecs(6),
        }
    }

    /// Moves a manual clock forward. The system's clock does not listen.
    pub fn advance(&self, by: Duration) {
        if let Some(now) = &self.manual {
            *now.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }

    /// An identifier that nobody can guess: 122 random bits.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine"
    )]
    pub fn unguessable_id(&self) -> Uuid {
        Uuid::new_v4()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_share_their_time() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let other = clock.clone();
        clock.advance(Duration::from_secs(90));
        assert_eq!(other.now().timestamp(), 90);
    }

    #[test]
    fn the_time_fits_into_a_database() {
        assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1_000, 0);
    }

    #[test]
    fn identifiers_differ() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        assert_ne!(clock.unguessable_id(), clock.unguessable_id());
    }
}
