//! [`Clock`]: where time and randomness come in, and nowhere else, so that tests can hold them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

/// The time, identifiers and secrets. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Mutex<Manual>>),
}

#[derive(Debug)]
struct Manual {
    now: DateTime<Utc>,
    random: StdRng,
}

impl Clock {
    /// The time of the machine, and the random generator of the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is [advanced](Self::advance), with predictable
    /// randomness. For tests alone: its secrets are no secrets.
    #[must_use]
    pub fn manual(now: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(Manual {
            now,
            random: StdRng::seed_from_u64(0),
        }))))
    }

    /// Moves a manual clock on; a system clock goes by itself.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            manual.lock().unwrap_or_else(PoisonError::into_inner).now += by;
        }
    }

    /// Puts a manual clock back, as somebody does whose clock was fast.
    #[cfg(test)]
    pub fn put_back(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            manual.lock().unwrap_or_else(PoisonError::into_inner).now -= by;
        }
    }

    /// Now, in microseconds: what the databases keep, so that a time read back equals the one
    /// that was written.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the clock")]
            Source::System => Utc::now(),
            Source::Manual(manual) => manual.lock().unwrap_or_else(PoisonError::into_inner).now,
        };
        now.trunc_subsecs(6)
    }

    /// A new UUID, version 7: sorts by the time it was made.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let milliseconds = u64::try_from(self.now().timestamp_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &self.random()).into_uuid()
    }

    /// Random bytes, good for secrets.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => rand::rng().fill_bytes(&mut bytes),
            Source::Manual(manual) => manual
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .random
                .fill_bytes(&mut bytes),
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_until_it_is_advanced_and_its_clones_with_it() {
        let start = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        let clock = Clock::manual(start);
        let clone = clock.clone();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_mins(1));
        assert_eq!(clone.now(), start + Duration::from_mins(1));
    }

    #[test]
    fn identifiers_are_version_7_and_differ() {
        for clock in [Clock::system(), Clock::manual(DateTime::UNIX_EPOCH)] {
            let (one, two) = (clock.uuid(), clock.uuid());
            assert_eq!(one.get_version_num(), 7);
            assert_ne!(one, two);
        }
    }

    #[test]
    fn the_time_is_cut_to_what_the_databases_keep() {
        assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1_000, 0);
    }
}
