//! The private claim `denials`: why a token lacks what was asked for.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};

use crate::RepositoryName;

/// How many sentences a token may carry: each costs room in every request.
pub const MAX_DENIALS: usize = 4;

/// The longest sentence, in bytes. It ends up in a header.
pub const MAX_DENIAL_LENGTH: usize = 400;

/// Sentences of the issuer for the bearer, one for a repository.
///
/// The registry shows them to whoever it refuses, in place of its own words, and grants or refuses
/// nothing because of them. Registries that do not know the claim ignore it; so does this one if
/// it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Denials(Vec<Denial>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Denial {
    name: RepositoryName,
    message: Sentence,
}

/// Printable ASCII without what would have to be escaped, which is all that a header can carry
/// (RFC 6750, section 3), and no more than [`MAX_DENIAL_LENGTH`] of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Sentence(String);

impl Sentence {
    fn new(text: &str) -> Self {
        let fitting = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        let shown = text.chars().map(|c| if fitting(c) { c } else { '?' });
        Self(shown.take(MAX_DENIAL_LENGTH).collect())
    }
}

impl<'de> Deserialize<'de> for Sentence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

impl Denials {
    /// Adds a sentence about a repository; if there is no room for it, it is left out.
    pub fn add(&mut self, name: RepositoryName, message: impl fmt::Display) {
        if self.0.len() < MAX_DENIALS {
            let message = Sentence::new(&message.to_string());
            self.0.push(Denial { name, message });
        }
    }

    /// What is said about the repository.
    pub fn of(&self, repository: &RepositoryName) -> Option<&str> {
        self.0
            .iter()
            .find(|denial| denial.name == *repository)
            .map(|denial| denial.message.0.as_str())
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Denials {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Known(Vec<Denial>),
            Foreign(IgnoredAny),
        }

        Ok(match Wire::deserialize(deserializer)? {
            Wire::Known(mut denials) => {
                denials.truncate(MAX_DENIALS);
                Self(denials)
            }
            Wire::Foreign(_) => Self::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn a_sentence_is_found_by_its_repository() {
        let mut denials = Denials::default();
        denials.add(name("team/app"), "ask `team`");
        assert_eq!(denials.of(&name("team/app")), Some("ask `team`"));
        assert_eq!(denials.of(&name("team")), None);
        let json = serde_json::to_value(&denials).unwrap();
        assert_eq!(json, json!([{"name": "team/app", "message": "ask `team`"}]));
        assert_eq!(serde_json::from_value::<Denials>(json).unwrap(), denials);
    }

    #[test]
    fn there_is_little_room() {
        let mut denials = Denials::default();
        for index in 0..10 {
            denials.add(name(&format!("a{index}")), "x".repeat(1_000));
        }
        assert_eq!(denials.0.len(), MAX_DENIALS);
        assert_eq!(denials.of(&name("a0")).unwrap().len(), MAX_DENIAL_LENGTH);
        let many: Vec<_> = (0..100)
            .map(|_| json!({"name": "a", "message": "b"}))
            .collect();
        assert_eq!(
            serde_json::from_value::<Denials>(many.into())
                .unwrap()
                .0
                .len(),
            MAX_DENIALS
        );
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        for json in [
            json!(null),
            json!("no"),
            json!(7),
            json!({"name": "a", "message": "b"}),
            json!([{"name": "A", "message": "b"}]),
            json!([{"name": "a"}]),
            json!([{"name": "a", "message": 7}]),
            json!([[]]),
        ] {
            let read: Denials = serde_json::from_value(json.clone()).unwrap();
            assert!(read.is_empty(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_sentence_fits_between_quotation_marks_in_a_header(text in "(\\PC|\\s|[\"\\\\\r\n]){0,500}") {
            let denials: Denials =
                serde_json::from_value(json!([{"name": "a", "message": text}])).unwrap();
            let shown = denials.of(&name("a")).unwrap();
            prop_assert!(shown.len() <= MAX_DENIAL_LENGTH);
            prop_assert!(shown.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
        }
    }
}
