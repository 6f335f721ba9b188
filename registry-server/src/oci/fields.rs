//! [`Fields`]: a JSON object whose keys every client reads alike.
//!
//! Parsers disagree about an object that has a key twice (first wins, last wins) and about case (Go's
//! standard parser takes `Layers` for `layers`). A manifest that means one thing to the registry
//! and another to a client gets unverified content pulled, so both are refused.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The values of an object by key, not parsed yet. Keys are unique.
#[derive(Debug)]
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Parses one object; a key that a lenient client would take for one of `known` is refused.
    pub(super) fn parse(json: &'a [u8], known: &[&str]) -> Result<Self, serde_json::Error> {
        let fields: Self = serde_json::from_slice(json)?;
        for key in fields.0.keys() {
            let folded = fold(key);
            if let Some(meant) = known.iter().find(|name| fold(name) == folded)
                && meant != key
            {
                return Err(serde_json::Error::custom(format_args!(
                    "the key {key:?} must be spelled {meant:?}"
                )));
            }
        }
        Ok(fields)
    }

    /// The raw value; `null` counts as absent, which is how Go writes an empty list or map.
    pub(super) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.0
            .get(key)
            .copied()
            .filter(|value| value.get() != "null")
    }

    pub(super) fn get<T: DeserializeOwned>(
        &self,
        key: &'static str,
    ) -> Result<Option<T>, FieldError> {
        self.raw(key)
            .map(|value| serde_json::from_str(value.get()))
            .transpose()
            .map_err(|source| FieldError { key, source })
    }

    /// The members of a list, not parsed yet.
    pub(super) fn list(&self, key: &'static str) -> Result<Vec<&'a RawValue>, FieldError> {
        match self.raw(key) {
            None => Ok(Vec::new()),
            Some(value) => {
                serde_json::from_str(value.get()).map_err(|source| FieldError { key, source })
            }
        }
    }

    /// Whether the key is there and its value is `null`.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| value.get() == "null")
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }
}

/// A field's value is of the wrong kind.
#[derive(Debug, thiserror::Error)]
#[error("`{key}`: {source}")]
pub struct FieldError {
    pub(super) key: &'static str,
    pub(super) source: serde_json::Error,
}

/// Simple case folding as Go's `encoding/json` does it: the two non-ASCII letters that fold to ASCII
/// ones matter as well.
fn fold(key: &str) -> String {
    key.chars()
        .map(|letter| match letter {
            'ſ' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = BTreeMap<String, &'de RawValue>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if fields.contains_key(&key) {
                        return Err(A::Error::custom(format_args!(
                            "the key {key:?} occurs twice"
                        )));
                    }
                    fields.insert(key, value);
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(FieldsVisitor).map(Self)
    }
}
