//! [`Register`]: what a name may stand for, after writes that were acknowledged, refused, or of which
//! nobody knows what became.

use std::collections::BTreeSet;

use crate::weather::Tick;

/// `None`: nothing is there.
pub type Value = Option<String>;

/// A write that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteId(Tick);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Acknowledged,
    /// It certainly did nothing.
    Refused,
    /// The connection broke, or the server said that something was wrong: it may have taken effect.
    Unknown,
}

#[derive(Clone, Debug)]
struct Write {
    id: WriteId,
    value: Value,
    /// `None` while it is under way, and for ever if nobody knows.
    ended: Option<Tick>,
    acknowledged: bool,
}

/// One name. Several may write to it at once.
#[derive(Clone, Debug)]
pub struct Register {
    writes: Vec<Write>,
}

impl Register {
    /// Nothing is there.
    pub fn new() -> Self {
        Self::holding(None)
    }

    fn holding(value: Value) -> Self {
        Self {
            writes: vec![Write {
                id: WriteId(Tick(0)),
                value,
                ended: Some(Tick(0)),
                acknowledged: true,
            }],
        }
    }

    pub fn begin(&mut self, value: Value, now: Tick) -> WriteId {
        let id = WriteId(now);
        self.writes.push(Write {
            id,
            value,
            ended: None,
            acknowledged: false,
        });
        id
    }

    pub fn end(&mut self, id: WriteId, outcome: Outcome, now: Tick) {
        match outcome {
            Outcome::Refused => self.writes.retain(|write| write.id != id),
            Outcome::Unknown => {}
            Outcome::Acknowledged => {
                for write in &mut self.writes {
                    if write.id == id {
                        write.ended = Some(now);
                        write.acknowledged = true;
                    }
                }
            }
        }
    }

    /// What a read that began then may find: every write but those that an acknowledged one has
    /// surely replaced, as it began after their end, and ended before the read began.
    pub fn allowed(&self, read: Tick) -> BTreeSet<Value> {
        let replaced = |old: &Write| {
            self.writes.iter().any(|new| {
                new.acknowledged
                    && new.ended.is_some_and(|ended| ended < read)
                    && old.ended.is_some_and(|ended| ended < new.id.0)
            })
        };
        let possible = self.writes.iter().filter(|write| !replaced(write));
        possible.map(|write| write.value.clone()).collect()
    }

    /// Nobody writes any more, and this was read: from now on it is nothing else.
    pub fn pin(&mut self, value: Value) {
        *self = Self::holding(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::unnecessary_wraps,
        reason = "the kind of value that writes have"
    )]
    fn some(value: &str) -> Value {
        Some(value.to_owned())
    }

    fn allowed(register: &Register, read: u64) -> Vec<Value> {
        register.allowed(Tick(read)).into_iter().collect()
    }

    #[test]
    fn what_was_acknowledged_replaces_what_was_before() {
        let mut register = Register::new();
        let write = register.begin(some("a"), Tick(1));
        assert_eq!(allowed(&register, 2), [None, some("a")]);
        register.end(write, Outcome::Acknowledged, Tick(3));
        // A read that began before may have looked before.
        assert_eq!(allowed(&register, 2), [None, some("a")]);
        assert_eq!(allowed(&register, 4), [some("a")]);
    }

    #[test]
    fn of_what_nobody_knows_both_are_allowed_until_it_is_seen() {
        let mut register = Register::new();
        let write = register.begin(some("a"), Tick(1));
        register.end(write, Outcome::Unknown, Tick(2));
        assert_eq!(allowed(&register, 9), [None, some("a")]);
        register.pin(None);
        assert_eq!(allowed(&register, 10), [None]);
    }

    #[test]
    fn what_was_refused_has_done_nothing() {
        let mut register = Register::new();
        let write = register.begin(some("a"), Tick(1));
        register.end(write, Outcome::Refused, Tick(2));
        assert_eq!(allowed(&register, 3), [None]);
    }

    #[test]
    fn of_two_writes_at_once_either_may_be_the_last() {
        let mut register = Register::new();
        let one = register.begin(some("a"), Tick(1));
        let other = register.begin(some("b"), Tick(2));
        register.end(one, Outcome::Acknowledged, Tick(3));
        register.end(other, Outcome::Acknowledged, Tick(4));
        assert_eq!(allowed(&register, 5), [some("a"), some("b")]);
    }

    #[test]
    fn one_that_nobody_knows_of_may_come_late() {
        let mut register = Register::new();
        let lost = register.begin(some("a"), Tick(1));
        register.end(lost, Outcome::Unknown, Tick(2));
        let write = register.begin(some("b"), Tick(3));
        register.end(write, Outcome::Acknowledged, Tick(4));
        assert_eq!(allowed(&register, 5), [some("a"), some("b")]);
    }
}
