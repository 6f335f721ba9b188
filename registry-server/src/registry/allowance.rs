//! What an upload may take: the room that is left in the store, and what its subject may hold in
//! uploads that are not finished.
//!
//! Both are looked at before a body is read, if its length is known, and again while it comes in.
//! What is on its way is counted by each process for itself; what is acknowledged, by the database.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Error, Registry};
use crate::blob_store::Capacity;
use crate::metadata::uploads;

/// How long a look at the room that is left serves others, so that small blobs do not each cost one.
const GLANCE: Duration = Duration::from_secs(1);

/// The reserve, if nothing else is set: this much, but on a small disk no more than a part of it.
const RESERVE: u64 = 64 << 20;
const RESERVED_PART: u64 = 20;

/// What requests under way in this process take.
#[derive(Debug, Default)]
pub(super) struct Allowances {
    subjects: Mutex<HashMap<Option<String>, Account>>,
    room: Mutex<Option<Room>>,
}

/// Of one subject, while it has requests under way.
#[derive(Debug, Default)]
struct Account {
    requests: usize,
    /// Acknowledged, as the database last said.
    held: u64,
    /// On the way.
    arriving: u64,
}

/// Bytes that may still be stored, as seen a moment ago, less those admitted since.
#[derive(Clone, Copy, Debug)]
struct Room {
    seen: Instant,
    left: u64,
}

/// One request's part in what its subject may hold. Given back when dropped.
#[derive(Debug)]
pub(super) struct Allowance<'r> {
    allowances: &'r Allowances,
    subject: Option<String>,
    limit: Option<u64>,
    taken: u64,
    /// Announced, and so taken before they come.
    ahead: u64,
    kept: bool,
}

impl Allowances {
    fn enter(&self, subject: Option<&str>, held: u64, limit: Option<u64>) -> Allowance<'_> {
        let subject = subject.map(str::to_owned);
        let mut subjects = self.subjects();
        let account = subjects.entry(subject.clone()).or_default();
        account.requests += 1;
        account.held = held;
        Allowance {
            allowances: self,
            subject,
            limit,
            taken: 0,
            ahead: 0,
            kept: false,
        }
    }

    fn subjects(&self) -> MutexGuard<'_, HashMap<Option<String>, Account>> {
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self) -> MutexGuard<'_, Option<Room>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room for so many bytes a moment ago. They are taken.
    fn had_room(&self, bytes: u64) -> bool {
        let mut room = self.room();
        let Some(room) = room.as_mut().filter(|room| room.seen.elapsed() < GLANCE) else {
            return false;
        };
        let left = room.left.checked_sub(bytes.max(1));
        room.left = left.unwrap_or(room.left);
        left.is_some()
    }
}

impl Allowance<'_> {
    /// Takes what a body announces.
    fn announce(&mut self, bytes: u64) -> Result<(), Error> {
        self.take(bytes)?;
        self.ahead = bytes;
        Ok(())
    }

    /// Takes what has come in.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Error> {
        let expected = bytes.min(self.ahead);
        self.ahead -= expected;
        let more = bytes - expected;
        if more == 0 {
            return Ok(());
        }
        let mut subjects = self.allowances.subjects();
        let Some(account) = subjects.get_mut(&self.subject) else {
            return Ok(());
        };
        let sum = account
            .held
            .saturating_add(account.arriving)
            .saturating_add(more);
        match self.limit {
            Some(limit) if sum > limit => Err(Error::TooMuchHeld { limit }),
            _ => {
                account.arriving += more;
                self.taken += more;
                Ok(())
            }
        }
    }

    /// The session has the bytes from now on.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Allowance<'_> {
    fn drop(&mut self) {
        let mut subjects = self.allowances.subjects();
        let Some(account) = subjects.get_mut(&self.subject) else {
            return;
        };
        account.arriving -= self.taken;
        if self.kept {
            account.held = account.held.saturating_add(self.taken);
        }
        account.requests -= 1;
        if account.requests == 0 {
            subjects.remove(&self.subject);
        }
    }
}

impl Registry {
    /// Lets a body in, of which so many bytes are announced, if there is room for it and its subject
    /// may hold it.
    pub(super) async fn admit(
        &self,
        subject: Option<&str>,
        announced: Option<u64>,
    ) -> Result<Allowance<'_>, Error> {
        self.expect_room(announced).await?;
        let limit = self.rules.load().uploads.max_held;
        let held = if limit.is_some() {
            let mut tx = self.database.read().await?;
            uploads::held_bytes(&mut tx, subject).await?
        } else {
            0
        };
        let mut allowance = self.allowances.enter(subject, held, limit);
        if let Some(bytes) = announced {
            allowance.announce(bytes)?;
        }
        Ok(allowance)
    }

    /// Refuses what would take from the reserve. With an unknown length, some room must be left.
    pub async fn expect_room(&self, announced: Option<u64>) -> Result<(), Error> {
        let bytes = announced.unwrap_or(0);
        if self.allowances.had_room(bytes) {
            return Ok(());
        }
        // Whatever keeps the store from answering is told by the write that follows.
        let Ok(capacity) = self.blobs.capacity().await else {
            return Ok(());
        };
        let Some(left) = left(capacity, self.rules.load().uploads.reserve) else {
            return Ok(());
        };
        *self.allowances.room() = Some(Room {
            seen: Instant::now(),
            left,
        });
        if self.allowances.had_room(bytes) {
            Ok(())
        } else {
            Err(Error::NoRoom { bytes: announced })
        }
    }
}

/// What may be stored besides the reserve; `None` if nobody knows.
fn left(capacity: Capacity, reserve: Option<u64>) -> Option<u64> {
    let Capacity { total, available } = capacity;
    let usual = || total.map_or(RESERVE, |total| RESERVE.min(total / RESERVED_PART));
    Some(available?.saturating_sub(reserve.unwrap_or_else(usual)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(allowance: &mut Allowance<'_>, bytes: u64) -> bool {
        matches!(
            allowance.take(bytes),
            Err(Error::TooMuchHeld { limit: 100 })
        )
    }

    #[test]
    fn what_is_held_and_what_arrives_are_counted_together() {
        let allowances = Allowances::default();
        let mut first = allowances.enter(Some("alice"), 50, Some(100));
        first.announce(30).unwrap();
        let mut second = allowances.enter(Some("alice"), 50, Some(100));
        assert!(refuses(&mut second, 21));
        second.take(20).unwrap();
        // Announced bytes are not counted twice, and more than was announced is.
        first.take(30).unwrap();
        assert!(refuses(&mut first, 1));
        // Others have an allowance of their own, all who are anonymous one together.
        allowances
            .enter(Some("bob"), 0, Some(100))
            .take(100)
            .unwrap();
        let mut anonymous = allowances.enter(None, 0, Some(100));
        anonymous.take(100).unwrap();
        assert!(refuses(&mut allowances.enter(None, 0, Some(100)), 1));

        first.keep();
        assert!(refuses(&mut second, 1));
        drop(second);
        drop(anonymous);
        assert!(allowances.subjects().is_empty());
    }

    #[test]
    fn without_a_limit_everything_may_be_held() {
        let allowances = Allowances::default();
        let mut allowance = allowances.enter(None, u64::MAX, None);
        allowance.take(u64::MAX).unwrap();
    }

    #[test]
    fn the_reserve_is_small_on_a_small_disk() {
        let disk = |total, available| Capacity {
            total: Some(total),
            available: Some(available),
        };
        assert_eq!(
            left(disk(1 << 40, 1 << 30), None),
            Some((1 << 30) - RESERVE)
        );
        assert_eq!(left(disk(2_000, 150), None), Some(50));
        assert_eq!(left(disk(2_000, 150), Some(0)), Some(150));
        assert_eq!(left(disk(2_000, 150), Some(200)), Some(0));
        let unknown = Capacity {
            total: None,
            available: None,
        };
        assert_eq!(left(unknown, Some(1)), None);
    }
}
