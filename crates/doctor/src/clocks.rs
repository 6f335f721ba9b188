//! Verdicts on clocks. Tokens live for minutes: a registry refuses those of an issuer whose clock is
//! more than a minute ahead, and those that have expired by its own.

use chrono::{DateTime, TimeDelta, Utc};

use crate::http::Answer;
use crate::report::Verdict;

/// What registries forgive.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// More than the way of an answer and the missing parts of a second explain.
const NOTICED: TimeDelta = TimeDelta::seconds(10);

/// For tokens that come from somebody's cache.
pub const NOT_KEPT: &str = "if they agree, something keeps old tokens: cache no answers of the token \
     endpoint (nginx: `proxy_cache off`, Apache: no `CacheEnable`)";

/// How much the clock of who answered is ahead of this machine's, by the `Date` header.
pub fn ahead(answer: &Answer) -> Option<TimeDelta> {
    let date = DateTime::parse_from_rfc2822(answer.header("date")?).ok()?;
    Some(date.with_timezone(&Utc) - answer.at)
}

/// A server's clock against this machine's.
pub fn skew(ahead: Option<TimeDelta>) -> Verdict {
    let Some(ahead) = ahead else {
        return Verdict::skipped("the answer has no `Date`");
    };
    let off = in_words(ahead);
    let fix = "synchronize the clocks of all machines (NTP: `timedatectl set-ntp true`)";
    if ahead.abs() > LEEWAY {
        Verdict::failure(format!("its clock is {off} this machine's"), fix)
    } else if ahead.abs() > NOTICED {
        Verdict::warning(format!("its clock is {off} this machine's"), fix)
    } else {
        Verdict::ok("its clock agrees with this machine's")
    }
}

/// When a token is valid, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: Option<DateTime<Utc>>,
    pub issued: Option<DateTime<Utc>>,
    pub until: DateTime<Utc>,
}

/// Whether a token that was just issued is valid by the registry's clock.
pub fn token_dates(token: Validity, registry_now: DateTime<Utc>) -> Verdict {
    let fix = "synchronize the clocks of the registry's and the token server's machines (NTP: \
               `timedatectl set-ntp true`)";
    let from = token.from.or(token.issued);
    if let Some(from) = from.filter(|from| *from - registry_now > LEEWAY) {
        let off = in_words(from - registry_now);
        return Verdict::failure(
            format!("a new token is valid from a moment on that is {off} the registry's clock"),
            fix,
        );
    }
    if registry_now - token.until > LEEWAY {
        let off = in_words(token.until - registry_now);
        return Verdict::failure(
            format!("a new token has expired already: its end is {off} the registry's clock"),
            format!("{fix}; {NOT_KEPT}"),
        );
    }
    let left = token.until - registry_now;
    if left < TimeDelta::seconds(30) {
        return Verdict::warning(
            format!(
                "a new token is valid for {} seconds only",
                left.num_seconds()
            ),
            format!("{fix}, or raise `token.lifetime` of the auth-server"),
        );
    }
    let minutes = (left + TimeDelta::seconds(30)).num_minutes().max(1);
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    Verdict::ok(format!(
        "a new token is valid now, and for {minutes} {unit}"
    ))
}

/// `12 minutes ahead of`
fn in_words(ahead: TimeDelta) -> String {
    let seconds = ahead.num_seconds().abs();
    let amount = match seconds {
        0..=119 => format!("{seconds} seconds"),
        120..=7_199 => format!("{} minutes", seconds / 60),
        7_200..=172_799 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    let side = if ahead < TimeDelta::zero() {
        "behind"
    } else {
        "ahead of"
    };
    format!("{amount} {side}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;
    use crate::testing::{answer, noon};

    fn off(seconds: i64) -> Verdict {
        skew(Some(TimeDelta::seconds(seconds)))
    }

    #[test]
    fn clocks_are_compared_by_the_date_header() {
        let with = answer(200, &[("date", "Sat, 15 Jun 2030 12:10:00 GMT")], "");
        assert_eq!(ahead(&with), Some(TimeDelta::minutes(10)));
        assert_eq!(ahead(&answer(200, &[], "")), None);
        assert_eq!(ahead(&answer(200, &[("date", "today")], "")), None);
        assert_eq!(skew(None).status, Status::Skipped);
    }

    #[test]
    fn a_minute_is_what_registries_forgive() {
        assert_eq!(off(0).status, Status::Ok);
        assert_eq!(off(-10).status, Status::Ok);
        assert_eq!(off(-11).status, Status::Warning);
        assert_eq!(off(60).status, Status::Warning);
        let ahead = off(61);
        assert!(ahead.is_failure() && ahead.message.contains("61 seconds ahead of"));
        assert!(
            off(-7_500).message.contains("2 hours behind"),
            "{:?}",
            off(-7_500)
        );
        assert!(off(600).message.contains("10 minutes ahead of"));
        assert!(off(864_000).message.contains("10 days ahead of"));
    }

    fn dates(from: i64, until: i64) -> Verdict {
        let token = Validity {
            from: Some(noon() + TimeDelta::seconds(from)),
            issued: None,
            until: noon() + TimeDelta::seconds(until),
        };
        token_dates(token, noon())
    }

    #[test]
    fn a_token_must_be_valid_by_the_clock_of_the_registry() {
        assert_eq!(
            dates(-5, 300).message,
            "a new token is valid now, and for 5 minutes"
        );
        assert!(
            dates(600, 900)
                .message
                .contains("10 minutes ahead of the registry's clock")
        );
        assert!(dates(-900, -600).message.contains("expired already"));
        assert_eq!(dates(-290, 10).status, Status::Warning);
        assert_eq!(dates(55, 300).status, Status::Ok);
        let only_issued = Validity {
            from: None,
            issued: Some(noon() + TimeDelta::hours(3)),
            until: noon() + TimeDelta::hours(4),
        };
        assert!(token_dates(only_issued, noon()).is_failure());
    }
}
