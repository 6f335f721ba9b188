//! Value types that both servers' configurations use.

use std::fmt;
use std::time::Duration as StdDuration;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, Visitor};

/// The name by which the loader recognises [`Obsolete`].
pub(super) const OBSOLETE: &str = "$portcullis::Obsolete";

/// A length of time in Go's syntax, as distribution writes it: `168h`, `1m30s`, `250ms`.
///
/// A number without a unit is refused, except `0`: distribution would read `30` as 30 nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(StdDuration);

impl Duration {
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(StdDuration::from_secs(seconds))
    }

    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(StdDuration::from_millis(milliseconds))
    }

    #[must_use]
    pub const fn get(self) -> StdDuration {
        self.0
    }
}

impl From<StdDuration> for Duration {
    fn from(duration: StdDuration) -> Self {
        Self(duration)
    }
}

impl From<Duration> for StdDuration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

/// A text that is no [`Duration`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    #[error("`{0}` is no duration; write it like 90s, 1m30s, 250ms or 168h")]
    Malformed(String),
    #[error("`{0}` has no unit; write {0}s, {0}m or {0}h")]
    NoUnit(String),
    #[error("`{0}` is negative")]
    Negative(String),
    #[error("`{0}` is too long")]
    TooLong(String),
}

impl std::str::FromStr for Duration {
    type Err = InvalidDuration;

    /// <https://pkg.go.dev/time#ParseDuration>, without negative values.
    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let malformed = || InvalidDuration::Malformed(text.to_owned());
        let too_long = || InvalidDuration::TooLong(text.to_owned());
        if text
            .strip_prefix('-')
            .is_some_and(|rest| rest.parse::<f64>().is_ok() || rest.parse::<Self>().is_ok())
        {
            return Err(InvalidDuration::Negative(text.to_owned()));
        }
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest == "0" {
            return Ok(Self(StdDuration::ZERO));
        }
        if rest.is_empty() {
            return Err(malformed());
        }
        if rest.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidDuration::NoUnit(text.to_owned()));
        }
        let mut nanoseconds: u128 = 0;
        while !rest.is_empty() {
            let (whole, after) = digits(rest);
            let (fraction, after) = match after.strip_prefix('.') {
                Some(after) => digits(after),
                None => ("", after),
            };
            if whole.is_empty() && fraction.is_empty() {
                return Err(malformed());
            }
            let (unit, after) = UNITS
                .iter()
                .find_map(|(name, unit)| Some((*unit, after.strip_prefix(name)?)))
                .ok_or_else(malformed)?;
            // 19 digits hold every length that fits the result.
            if whole.len() > 19 {
                return Err(too_long());
            }
            let whole: u128 = if whole.is_empty() {
                0
            } else {
                whole.parse().map_err(|_| malformed())?
            };
            nanoseconds += whole * unit + fraction_of(fraction, unit);
            rest = after;
        }
        let seconds = u64::try_from(nanoseconds / 1_000_000_000).map_err(|_| too_long())?;
        // A century; beyond it additions to a date begin to overflow.
        if seconds > 100 * 366 * 86_400 {
            return Err(too_long());
        }
        let subsecond = u32::try_from(nanoseconds % 1_000_000_000).map_err(|_| too_long())?;
        Ok(Self(StdDuration::new(seconds, subsecond)))
    }
}

/// Units and their nanoseconds; those that another begins with come later.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // U+00B5, micro sign
    ("μs", 1_000), // U+03BC, Greek mu
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// `0.fraction` of a unit, in nanoseconds, rounded down. Digits below a nanosecond drop out.
fn fraction_of(fraction: &str, unit: u128) -> u128 {
    let mut share = unit * 1_000_000;
    let mut sum = 0;
    for digit in fraction.bytes().take(20) {
        share /= 10;
        sum += u128::from(digit - b'0') * share;
    }
    sum / 1_000_000
}

impl fmt::Display for Duration {
    /// Largest units first, none that is zero: `1h30m`, `1.5s`, `250ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let nanoseconds = self.0.subsec_nanos();
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if seconds > 0 || self.0.is_zero() {
            write!(f, "{seconds}s")?;
        }
        match nanoseconds {
            0 => Ok(()),
            n if n % 1_000_000 == 0 => write!(f, "{}ms", n / 1_000_000),
            n if n % 1_000 == 0 => write!(f, "{}us", n / 1_000),
            n => write!(f, "{n}ns"),
        }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration like 90s, 1m30s or 168h")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A key that old configurations may hold and that does nothing here. The loader accepts any value
/// and warns with the key and its line. The field needs `#[serde(default)]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Obsolete;

struct Ignore;

impl<'de> Visitor<'de> for Ignore {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    /// Any other deserializer hands the value over.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| ())
    }
}

impl<'de> Deserialize<'de> for Obsolete {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_newtype_struct(OBSOLETE, Ignore)
            .map(|()| Self)
    }
}
