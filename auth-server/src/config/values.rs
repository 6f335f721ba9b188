//! Settings that know what they may be. A refusal says so; the loader adds file, line and key.

use std::time::Duration as StdDuration;

use serde::{Deserialize, Deserializer, de};
use service::config::Duration;

/// A number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    /// The nearest number in the range.
    #[must_use]
    pub const fn clamped(number: u32) -> Self {
        if number < MIN {
            Self(MIN)
        } else if number > MAX {
            Self(MAX)
        } else {
            Self(number)
        }
    }

    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Number<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if (MIN..=MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(de::Error::custom(format!(
                "{number} is out of range: {MIN} to {MAX}"
            )))
        }
    }
}

/// A length of time from `MIN` to `MAX` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<const MIN: u64, const MAX: u64>(Duration);

impl<const MIN: u64, const MAX: u64> Span<MIN, MAX> {
    /// The nearest length in the range.
    #[must_use]
    pub const fn clamped(seconds: u64) -> Self {
        Self(Duration::from_secs(if seconds < MIN {
            MIN
        } else if seconds > MAX {
            MAX
        } else {
            seconds
        }))
    }

    #[must_use]
    pub const fn get(self) -> StdDuration {
        self.0.get()
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Span<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let span = Duration::deserialize(deserializer)?;
        let (min, max) = (Duration::from_secs(MIN), Duration::from_secs(MAX));
        if (min..=max).contains(&span) {
            Ok(Self(span))
        } else {
            Err(de::Error::custom(format!(
                "{span} is out of range: {min} to {max}"
            )))
        }
    }
}

/// The name of an issuer or a service. It stands in tokens and, quoted, in the header
/// `WWW-Authenticate`; there both sides must have it to the letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn constant(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = (1..=255).contains(&text.len())
            && text
                .chars()
                .all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | ','))
            && text.trim() == text;
        if fits {
            Ok(Self(text))
        } else {
            Err(de::Error::custom(
                "a name has 1 to 255 visible ASCII characters, none of them a space, a comma, a \
                 quotation mark or a backslash",
            ))
        }
    }
}

/// At least one [`Name`], none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(Vec<Name>);

impl Names {
    pub(super) fn of(name: Name) -> Self {
        Self(vec![name])
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Name::as_str)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names: Vec<Name> = Vec::deserialize(deserializer)?;
        if names.is_empty() {
            return Err(de::Error::custom("the list must name at least one service"));
        }
        for (index, name) in names.iter().enumerate() {
            if names.iter().skip(index + 1).any(|other| other == name) {
                return Err(de::Error::custom(format!(
                    "`{}` is listed twice",
                    name.as_str()
                )));
            }
        }
        Ok(Self(names))
    }
}
