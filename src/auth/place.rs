//! What several commands have in common: a group or project, and until when something holds.

use auth_server::clock::Clock;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::{Args, ValueHint};

use super::client::ApiPath;

/// A group or a project.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Place {
    /// Of this group, such as `platform/backend`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::Other)]
    group: Option<String>,
    /// Of this project, such as `platform/backend/api`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::Other)]
    project: Option<String>,
}

/// A project.
#[derive(Debug, Args)]
pub struct InProject {
    /// Of this project, such as `platform/backend/api`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::Other)]
    project: String,
}

/// Something that tokens belong to.
pub trait Owner: Args {
    /// The address of what lies below it.
    fn api<'s>(&'s self, below: impl IntoIterator<Item = &'s str>) -> ApiPath;
}

impl Owner for InProject {
    fn api<'s>(&'s self, below: impl IntoIterator<Item = &'s str>) -> ApiPath {
        ApiPath::new(["projects", &self.project].into_iter().chain(below))
    }
}

impl Owner for Place {
    fn api<'s>(&'s self, below: impl IntoIterator<Item = &'s str>) -> ApiPath {
        let kind = if self.group.is_some() {
            "groups"
        } else {
            "projects"
        };
        ApiPath::new([kind, self.path()].into_iter().chain(below))
    }
}

impl Place {
    pub fn path(&self) -> &str {
        let either = self.group.as_deref().or(self.project.as_deref());
        either.unwrap_or_default()
    }
}

/// A moment in the future, as the admin API takes it.
#[derive(Clone, Debug)]
pub struct Expiry(String);

impl Expiry {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Expiry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "expected a lifetime such as 30d or 12h, or a time such as 2030-01-31T00:00:00Z";
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(written(time.to_utc())));
        }
        let time = Clock::system()
            .now()
            .checked_add_signed(time_span(text).ok_or(EXPECTED)?);
        time.map(|time| Self(written(time)))
            .ok_or("that is too far away")
    }
}

/// `30d`, or as configuration files write it: `12h`, `1h30m`.
fn time_span(text: &str) -> Option<TimeDelta> {
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u32>().ok());
    match days {
        Some(days) => Some(TimeDelta::days(days.into())),
        None => text
            .parse::<service::config::Duration>()
            .ok()
            .and_then(|duration| TimeDelta::from_std(duration.get()).ok()),
    }
}

/// A moment in the past, as the admin API takes it.
#[derive(Clone, Debug)]
pub struct Past(String);

impl Past {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Past {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "expected how long ago, such as 24h or 7d, or a time such as 2026-01-31T00:00:00Z";
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(written(time.to_utc())));
        }
        let time = Clock::system()
            .now()
            .checked_sub_signed(time_span(text).ok_or(EXPECTED)?);
        time.map(|time| Self(written(time)))
            .ok_or("that is too long ago")
    }
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_or_a_moment() {
        let moment: Expiry = "2030-01-31T01:00:00+01:00".parse().unwrap();
        assert_eq!(moment.as_str(), "2030-01-31T00:00:00Z");
        for lifetime in ["30d", "12h", "1h30m"] {
            let expiry: Expiry = lifetime.parse().unwrap();
            let expiry = DateTime::parse_from_rfc3339(expiry.as_str()).unwrap();
            assert!(expiry > Clock::system().now(), "{lifetime}");
        }
        let past: Past = "24h".parse().unwrap();
        let past = DateTime::parse_from_rfc3339(past.as_str()).unwrap();
        assert!(past < Clock::system().now());
        for nonsense in ["", "24", "yesterday", "-1d", "2026-01-31"] {
            assert!(nonsense.parse::<Past>().is_err(), "{nonsense}");
        }
        for nonsense in ["", "30", "tomorrow", "-1d", "4294967295d", "2030-01-31"] {
            assert!(nonsense.parse::<Expiry>().is_err(), "{nonsense}");
        }
    }
}
