//! Values as clients write them, read more strictly than what the server writes itself.
//!
//! - [`Time`]: a moment. [`GivenActions`]: what somebody is to be allowed.

use chrono::{DateTime, Datelike as _, SubsecRound as _, Utc};
use registry_token::{Action, Actions};
use serde::{Deserialize, Deserializer, de};

/// A moment that both databases can keep: in microseconds, in a year of four digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub DateTime<Utc>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = DateTime::<Utc>::deserialize(deserializer)?;
        if (0..=9999).contains(&time.year()) {
            Ok(Self(time.trunc_subsecs(6)))
        } else {
            Err(de::Error::custom("a year has four digits"))
        }
    }
}

/// A list of actions in which every word is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenActions(pub Actions);

impl<'de> Deserialize<'de> for GivenActions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        let actions: Result<Vec<Action>, _> = words.iter().map(|word| word.parse()).collect();
        let actions = actions.map_err(de::Error::custom)?;
        Ok(Self(actions.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn actions_are_words_that_are_known() {
        let read = |value| serde_json::from_value::<GivenActions>(value).map(|given| given.0);
        assert_eq!(read(json!(["push", "pull"])).unwrap(), Actions::PULL_PUSH);
        assert_eq!(read(json!([])).unwrap(), Actions::NONE);
        for value in [
            json!(["pul"]),
            json!(["pull", "x"]),
            json!(null),
            json!("pull"),
            json!([1]),
        ] {
            assert!(read(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn a_moment_is_what_the_databases_can_keep() {
        let read = |text: &str| serde_json::from_value::<Time>(text.into());
        let time = read("2027-01-15T09:00:00.123456789+01:00").unwrap();
        assert_eq!(time.0.to_rfc3339(), "2027-01-15T08:00:00.123456+00:00");
        for text in ["", "2027-01-15", "9999-12-31T23:59:59-10:00", "tomorrow"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
