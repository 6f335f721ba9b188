//! [`Time`]: a moment, as clients write it.

use chrono::{DateTime, Datelike as _, SubsecRound as _, Utc};
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

#[cfg(test)]
mod tests {
    use super::Time;

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
