//! Guessing passwords takes for ever: after a few failures each further one blocks for twice as
//! long as the one before.
//!
//! Failures are counted by account and by network, in the database: a restart forgets none, and
//! replicas share them. The name that was tried is the key of an account, whether somebody is
//! called so or not.
//!
//! Blocking must not become a weapon. A user who has logged in from a network before is therefore
//! neither stopped by what others do in it, nor by what is tried on the account from elsewhere:
//! failures of this user from there have a count of their own. That count is all that such a login
//! resets; else whoever guesses from elsewhere would start afresh with each login of the user.
//!
//! When a block is over, one attempt gets through, on whichever replica: it claims its turn by
//! renewing the block before the password is looked at. A block that is longer than any can be was made
//! before the clock was put back, and is over.
//!
//! What cannot be stored is [counted here](super::unwritten).

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use database::Tx;

use super::unwritten::Unwritten;
use super::{User, Username};
use crate::context::Context;
use crate::store;
use crate::store::logins::CountRow;

/// Failures count for this long after the last one.
pub(crate) const REMEMBERED: TimeDelta = TimeDelta::hours(24);

/// A network is known for this long after a user was last seen in it.
pub(crate) const KNOWN: TimeDelta = TimeDelta::days(90);

/// A known network is written this seldom.
const SEEN_PRECISION: TimeDelta = TimeDelta::days(1);

/// When blocking begins, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct ThrottlePolicy {
    /// How many wrong passwords for one account are free.
    pub threshold: u32,
    /// How many from one network are free: many users may share it.
    pub address_threshold: u32,
    /// How long the first block lasts; each further failure doubles it.
    pub base_delay: Duration,
    /// No block is longer.
    pub max_delay: Duration,
}

/// What failures are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Account,
    Address,
    /// An account from a network where its user is known.
    Known,
}

impl Kind {
    /// The column `kind`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Address => "address",
            Self::Known => "known",
        }
    }
}

impl ThrottlePolicy {
    /// How long so many failures block.
    fn delay(&self, kind: Kind, failures: i64) -> Option<Duration> {
        let threshold = match kind {
            Kind::Account | Kind::Known => self.threshold,
            Kind::Address => self.address_threshold,
        };
        let doublings = u32::try_from(failures - i64::from(threshold)).ok()?;
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        Some(self.base_delay.saturating_mul(factor).min(self.max_delay))
    }
}

/// Who tries to log in, and from where, before anything is known of them.
#[derive(Debug)]
pub(super) struct Attempt {
    account: String,
    /// `None`: nobody knows where it comes from.
    pub network: Option<String>,
    known: String,
    /// The user is known in the network.
    is_known: bool,
    /// Counts that are over their threshold, whose turn this attempt has claimed.
    claimed: Vec<Kind>,
    /// Whether a success has something to reset.
    has_failed: bool,
    /// How often the database knows to have failed, of those that are not zero.
    stored: Vec<(Kind, i64)>,
    unwritten: Unwritten,
}

/// Why an attempt is not looked at.
#[derive(Debug)]
pub(super) enum Refused {
    Blocked { retry_after: Duration },
    Database(database::Error),
}

impl From<database::Error> for Refused {
    fn from(error: database::Error) -> Self {
        Self::Database(error)
    }
}

impl Attempt {
    pub fn new(username: &str, address: Option<IpAddr>, unwritten: &Unwritten) -> Self {
        // No name is longer, or has other characters: all that is no name may share a count.
        let account: String = username
            .chars()
            .filter(|c| !c.is_control())
            .take(Username::MAX_LENGTH)
            .collect();
        let network = address.map(network);
        let known = format!("{account} {}", network.as_deref().unwrap_or_default());
        Self {
            account,
            network,
            known,
            is_known: false,
            claimed: Vec::new(),
            has_failed: false,
            stored: Vec::new(),
            unwritten: unwritten.clone(),
        }
    }

    /// The counts that may block it.
    fn gates(&self) -> &'static [Kind] {
        match (self.is_known, &self.network) {
            (true, _) => &[Kind::Known],
            (false, Some(_)) => &[Kind::Account, Kind::Address],
            (false, None) => &[Kind::Account],
        }
    }

    /// The counts that a failure adds to.
    fn counts(&self) -> &'static [Kind] {
        match (self.is_known, &self.network) {
            (true, _) => &[Kind::Address, Kind::Known],
            (false, Some(_)) => &[Kind::Account, Kind::Address],
            (false, None) => &[Kind::Account],
        }
    }

    fn key(&self, kind: Kind) -> &str {
        match kind {
            Kind::Account => &self.account,
            Kind::Address => self.network.as_deref().unwrap_or_default(),
            Kind::Known => &self.known,
        }
    }

    /// Lets the attempt through, or says when the next one is. `seen_at`: when the user was last
    /// seen in this network.
    pub async fn admit(
        &mut self,
        context: &Context,
        policy: &ThrottlePolicy,
        mut tx: Tx,
        seen_at: Option<DateTime<Utc>>,
    ) -> Result<(), Refused> {
        let now = context.clock.now();
        self.is_known = seen_at.is_some_and(|seen| now - seen <= KNOWN);
        let (account, address) = (&self.account, self.network.as_deref());
        let failures = store::logins::failures(&mut tx, account, address, &self.known).await?;
        drop(tx);
        let longest = now + policy.max_delay;
        let is_block = |until: &DateTime<Utc>| now < *until && *until <= longest;
        let is_remembered = |row: &&CountRow| now - row.last_failure_at <= REMEMBERED;
        let counted = failures.iter().filter(is_remembered);
        self.stored = self
            .counts()
            .iter()
            .filter_map(|kind| {
                let row = counted.clone().find(|row| row.kind == kind.as_str())?;
                Some((*kind, row.failures))
            })
            .collect();
        let mut to_claim = Vec::new();
        let mut blocked_until = None;
        for kind in self.gates() {
            let row = counted.clone().find(|row| row.kind == kind.as_str());
            let unwritten = self.unwritten.find(*kind, self.key(*kind), now);
            if row.is_none() && unwritten.is_none() {
                continue;
            }
            self.has_failed = true;
            let ends = [
                row.and_then(|row| row.blocked_until),
                unwritten.and_then(|count| count.blocked_until),
            ];
            let failures =
                row.map_or(0, |row| row.failures) + unwritten.map_or(0, |count| count.failures);
            if let Some(until) = ends.into_iter().flatten().filter(is_block).max() {
                blocked_until = blocked_until.max(Some(until));
            } else if let Some(delay) = policy.delay(*kind, failures) {
                to_claim.push((*kind, delay));
            }
        }
        if let Some(until) = blocked_until {
            let retry_after = (until - now).to_std().unwrap_or_default();
            return Err(Refused::Blocked { retry_after });
        }
        if to_claim.is_empty() {
            return Ok(());
        }
        match self.claim(context, now, longest, &to_claim).await {
            Err(Refused::Database(error)) if error.cannot_store() => {
                self.claim_unwritten(now, &to_claim)
            }
            claimed => claimed,
        }
    }

    async fn claim(
        &mut self,
        context: &Context,
        now: DateTime<Utc>,
        longest: DateTime<Utc>,
        to_claim: &[(Kind, Duration)],
    ) -> Result<(), Refused> {
        let mut tx = context.database.begin_relaxed().await?;
        for (kind, delay) in to_claim {
            // Those that are counted here alone have no row.
            if !self.stored.iter().any(|(stored, _)| stored == kind) {
                continue;
            }
            let (key, until) = (self.key(*kind), now + *delay);
            if !store::logins::claim(&mut tx, kind.as_str(), key, now, longest, until).await? {
                return Err(Refused::Blocked {
                    retry_after: *delay,
                });
            }
        }
        tx.commit().await?;
        self.claimed.extend(to_claim.iter().map(|(kind, _)| *kind));
        let counted_here: Vec<_> = to_claim
            .iter()
            .filter(|(kind, _)| self.unwritten.find(*kind, self.key(*kind), now).is_some())
            .copied()
            .collect();
        self.claim_unwritten(now, &counted_here)
    }

    /// The turn of this process, where the database gives none.
    fn claim_unwritten(
        &mut self,
        now: DateTime<Utc>,
        to_claim: &[(Kind, Duration)],
    ) -> Result<(), Refused> {
        for (kind, delay) in to_claim {
            let key = self.key(*kind);
            if !self.unwritten.claim(*kind, key, now, now + *delay) {
                return Err(Refused::Blocked {
                    retry_after: *delay,
                });
            }
            self.claimed.push(*kind);
        }
        Ok(())
    }

    /// Counts a wrong password that the database does not take.
    pub fn failed_unwritten(&self, context: &Context, policy: &ThrottlePolicy) {
        let now = context.clock.now();
        for kind in self.counts() {
            let key = self.key(*kind);
            if key.is_empty() && *kind == Kind::Address {
                continue;
            }
            let stored = self.stored.iter().find(|(stored, _)| stored == kind);
            let stored = stored.map_or(0, |(_, failures)| *failures);
            self.unwritten.fail(*kind, key, now, |failures| {
                policy.delay(*kind, stored + failures)
            });
        }
    }

    /// Counts a wrong password.
    pub async fn failed(
        &self,
        context: &Context,
        policy: &ThrottlePolicy,
        tx: &mut Tx,
    ) -> Result<(), database::Error> {
        let now = context.clock.now();
        for kind in self.counts() {
            let key = self.key(*kind);
            if key.is_empty() && *kind == Kind::Address {
                continue;
            }
            let failures =
                store::logins::count(tx, kind.as_str(), key, now, now - REMEMBERED).await?;
            if let Some(delay) = policy.delay(*kind, failures) {
                store::logins::block(tx, kind.as_str(), key, Some(now + delay)).await?;
            }
        }
        Ok(())
    }

    /// Whether [`succeeded`](Self::succeeded) has anything to write.
    pub fn has_news(&self, now: DateTime<Utc>, seen_at: Option<DateTime<Utc>>) -> bool {
        self.has_failed || self.is_news(now, seen_at)
    }

    /// Whether the user is not known here, or was last seen a day ago.
    pub fn is_news(&self, now: DateTime<Utc>, seen_at: Option<DateTime<Utc>>) -> bool {
        self.network.is_some() && seen_at.is_none_or(|seen| now - seen >= SEEN_PRECISION)
    }

    /// Forgets what failed, and remembers where the user is known.
    pub async fn succeeded(
        &self,
        tx: &mut Tx,
        now: DateTime<Utc>,
        user: &User,
        seen_at: Option<DateTime<Utc>>,
    ) -> Result<(), database::Error> {
        if self.has_failed {
            let kind = if self.is_known {
                Kind::Known
            } else {
                Kind::Account
            };
            store::logins::forget(tx, kind.as_str(), self.key(kind)).await?;
        }
        self.release(tx).await?;
        if self.is_news(now, seen_at)
            && let Some(network) = &self.network
        {
            store::logins::set_seen(tx, user.id, network, now).await?;
        }
        Ok(())
    }

    /// The same for what is counted here, whether or not the database takes it.
    pub fn succeeded_unwritten(&self) {
        let kind = if self.is_known {
            Kind::Known
        } else {
            Kind::Account
        };
        self.unwritten.forget(kind, self.key(kind));
        self.release_unwritten();
    }

    pub fn release_unwritten(&self) {
        for kind in &self.claimed {
            self.unwritten.release(*kind, self.key(*kind));
        }
    }

    /// Whether a turn was claimed, which has to be given back if nothing was tried.
    pub fn has_claimed(&self) -> bool {
        !self.claimed.is_empty()
    }

    /// Gives the claimed turns to the next who comes. What others have failed still counts.
    pub async fn release(&self, tx: &mut Tx) -> Result<(), database::Error> {
        for kind in &self.claimed {
            store::logins::block(tx, kind.as_str(), self.key(*kind), None).await?;
        }
        Ok(())
    }
}

/// What one client can choose its address from: with IPv6, a whole /64.
pub(super) fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
