//! [`Values`]: what a configuration says, to be compared with what it says later.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The keys that are set, each with a hash of its value: secrets are not kept a second time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, u64>);

impl Values {
    pub(super) fn record(&mut self, key: &str, value: &str) {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        self.0.insert(key.to_owned(), hasher.finish());
    }

    /// The keys that are set now and were not, the other way round, or have another value.
    #[must_use]
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let before = self
            .0
            .keys()
            .filter(|key| self.0.get(*key) != later.0.get(*key));
        let new = later.0.keys().filter(|key| !self.0.contains_key(*key));
        let mut keys: Vec<String> = before.chain(new).cloned().collect();
        keys.sort();
        keys
    }

    /// Takes over what `later` says of this key.
    pub fn adopt(&mut self, key: &str, later: &Self) {
        match later.0.get(key) {
            Some(value) => self.0.insert(key.to_owned(), *value),
            None => self.0.remove(key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(entries: &[(&str, &str)]) -> Values {
        let mut values = Values::default();
        for (key, value) in entries {
            values.record(key, value);
        }
        values
    }

    #[test]
    fn what_is_new_gone_or_different_is_a_change() {
        let before = values(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let later = values(&[("a", "1"), ("b", "two"), ("d", "4")]);
        assert_eq!(before.changes(&later), ["b", "c", "d"]);
        assert!(before.changes(&before).is_empty());
    }

    #[test]
    fn what_was_adopted_is_no_change_any_more() {
        let mut before = values(&[("a", "1"), ("b", "2")]);
        let later = values(&[("a", "2"), ("c", "3")]);
        for key in ["a", "b", "c"] {
            before.adopt(key, &later);
        }
        assert_eq!(before, later);
    }
}
