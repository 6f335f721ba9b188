//! [`Unwritten`]: failures that the database does not take, for the [throttle](super::throttle).
//!
//! A full disk must neither keep out who knows the password, nor make guessing free: a wrong
//! password that ends in an error tells as much as one that ends in 401. So this process
//! counts such failures for itself, on top of those that are stored. They are forgotten with the
//! process, which no guesser can end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::throttle::{Kind, REMEMBERED};

/// Keys that are counted apart. All others share one count of their kind: who fills this from many
/// networks blocks those that nobody knows, and guesses no faster.
const MANY: usize = 10_000;

type Key = (Kind, String);

/// One per process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwritten(Arc<Mutex<HashMap<Key, Count>>>);

#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub failures: i64,
    last_failure_at: DateTime<Utc>,
    pub blocked_until: Option<DateTime<Utc>>,
}

impl Unwritten {
    pub fn find(&self, kind: Kind, key: &str, now: DateTime<Utc>) -> Option<Count> {
        let counts = self.lock();
        if counts.is_empty() {
            return None;
        }
        let found = counts.get(&place(&counts, kind, key))?;
        is_remembered(found, now).then_some(*found)
    }

    /// Counts a failure, and blocks for as long as `delay` says of so many.
    pub fn fail(
        &self,
        kind: Kind,
        key: &str,
        now: DateTime<Utc>,
        delay: impl FnOnce(i64) -> Option<std::time::Duration>,
    ) {
        let mut counts = self.lock();
        if counts.len() >= MANY {
            counts.retain(|_, count| is_remembered(count, now));
        }
        let place = place(&counts, kind, key);
        let count = counts.entry(place).or_insert(Count {
            failures: 0,
            last_failure_at: now,
            blocked_until: None,
        });
        count.failures += 1;
        count.last_failure_at = now;
        count.blocked_until = delay(count.failures).map(|delay| now + delay);
    }

    /// Blocks a key again, unless somebody else was faster.
    pub fn claim(&self, kind: Kind, key: &str, now: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        let mut counts = self.lock();
        let place = place(&counts, kind, key);
        match counts.entry(place) {
            Entry::Occupied(mut entry) => {
                let count = entry.get_mut();
                let is_blocked = count
                    .blocked_until
                    .is_some_and(|blocked| now < blocked && blocked <= until);
                if !is_blocked {
                    count.blocked_until = Some(until);
                }
                !is_blocked
            }
            Entry::Vacant(entry) => {
                entry.insert(Count {
                    failures: 0,
                    last_failure_at: now,
                    blocked_until: Some(until),
                });
                true
            }
        }
    }

    /// Gives a claimed turn back.
    pub fn release(&self, kind: Kind, key: &str) {
        let mut counts = self.lock();
        if let Some(count) = counts.get_mut(&(kind, key.to_owned())) {
            count.blocked_until = None;
        }
    }

    pub fn forget(&self, kind: Kind, key: &str) {
        let mut counts = self.lock();
        if !counts.is_empty() {
            counts.remove(&(kind, key.to_owned()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a key is counted: apart, while there is room.
fn place(counts: &HashMap<Key, Count>, kind: Kind, key: &str) -> Key {
    let own = (kind, key.to_owned());
    if counts.len() < MANY || counts.contains_key(&own) {
        own
    } else {
        // No name and no network is empty.
        (kind, String::new())
    }
}

fn is_remembered(count: &Count, now: DateTime<Utc>) -> bool {
    now - count.last_failure_at <= REMEMBERED
}
