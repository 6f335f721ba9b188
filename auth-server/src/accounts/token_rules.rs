//! What a token may be: its name, what it allows, how long it lasts, and how many there may be.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use registry_token::{Action, Actions, RepositoryName};

use super::Pattern;
use super::token::{NewPathToken, TokenError};

/// Of what people call a token, in characters.
pub const MAX_NAME_LENGTH: usize = 64;

/// How many personal tokens of a user may be good at once: what nobody can keep track of is not
/// looked after either, and a script that makes one at every run is to notice.
pub(super) const MAX_PERSONAL: i64 = 200;

/// How many deploy tokens of one group or project may be good at once.
pub(super) const MAX_DEPLOY: i64 = 500;

/// The same of job tokens, of which every pipeline run takes some.
pub(super) const MAX_JOB: i64 = 5_000;

/// How long a job token lasts if nobody says otherwise.
pub(super) const JOB_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// How long a job token lasts at most.
pub(super) const MAX_JOB_LIFETIME: TimeDelta = TimeDelta::hours(24);

/// What the settings say about tokens.
#[derive(Clone, Copy, Debug)]
pub struct TokenPolicy {
    /// The longest that a personal or deploy token may last, and how long one lasts if nobody
    /// says otherwise.
    pub max_lifetime: Duration,
}

pub(super) fn checked_name(name: &str) -> Result<&str, TokenError> {
    let name = name.trim();
    let fits = (1..=MAX_NAME_LENGTH).contains(&name.chars().count())
        && !name.chars().any(char::is_control);
    fits.then_some(name).ok_or(TokenError::Name)
}

/// One component of a repository name.
pub(super) fn checked_deploy_name(name: &str) -> Result<&str, TokenError> {
    let fits =
        name.len() <= MAX_NAME_LENGTH && !name.contains('/') && RepositoryName::parse(name).is_ok();
    fits.then_some(name).ok_or(TokenError::DeployName)
}

pub(super) fn check_rights(
    path: &RepositoryName,
    may: Actions,
    new: &NewPathToken,
) -> Result<(), TokenError> {
    let actions = new.actions;
    if actions.is_empty() {
        return Err(TokenError::NoActions);
    }
    if actions.contains(Action::All) {
        return Err(TokenError::AllActions);
    }
    if actions.contains(Action::Push) && !actions.contains(Action::Pull) {
        return Err(TokenError::PushWithoutPull);
    }
    if !may.contains_all(actions) {
        let more = actions.iter().filter(|action| !may.contains(*action));
        return Err(TokenError::MoreThanMaker(more.collect()));
    }
    match &new.pattern {
        Some(pattern) if !may_lie_below(pattern, path) => Err(TokenError::PatternElsewhere {
            pattern: pattern.clone(),
            path: path.clone(),
        }),
        _ => Ok(()),
    }
}

/// Whether some name at or below the path begins like the pattern does before its first `*`.
fn may_lie_below(pattern: &Pattern, path: &RepositoryName) -> bool {
    let (pattern, path) = (pattern.as_str(), path.as_str());
    let below = |name: &str| {
        name.strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match pattern.split_once('*') {
        None => below(pattern),
        Some((literal, _)) => path.starts_with(literal) || below(literal),
    }
}

pub(super) fn check_expiry(
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    latest: DateTime<Utc>,
) -> Result<(), TokenError> {
    if expires_at <= now {
        Err(TokenError::Past)
    } else if expires_at > latest {
        Err(TokenError::TooLate(latest))
    } else {
        Ok(())
    }
}

impl TokenPolicy {
    pub(super) fn expiry(
        self,
        now: DateTime<Utc>,
        wanted: Option<DateTime<Utc>>,
    ) -> Result<DateTime<Utc>, TokenError> {
        let latest = now + self.max_lifetime;
        let expires_at = wanted.unwrap_or(latest);
        check_expiry(now, expires_at, latest)?;
        Ok(expires_at)
    }
}
