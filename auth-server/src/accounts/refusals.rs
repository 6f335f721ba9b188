//! [`Refusals`]: failed logins in the audit log, but no more of them than anybody can read.
//!
//! Whoever has no account can fail as often as the network carries it. Each failure being a row,
//! that would fill the disk; so each network has an allowance, and all of them together have one.
//! What exceeds it is counted, and the next event says how many there were.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use governor::clock::{Clock as Time, ReasonablyRealtime, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use service::metrics::prometheus_client::metrics::counter::Counter;

use crate::audit::Event;
use crate::clock::Clock;
use crate::context::Context;

/// Events a minute for one network.
const OF_NETWORK: NonZeroU32 = NonZeroU32::new(30).unwrap();

/// Events a minute altogether.
const OF_ALL: NonZeroU32 = NonZeroU32::new(600).unwrap();

/// Networks that are remembered before those whose allowance is whole again are forgotten.
const MANY_NETWORKS: usize = 10_000;

type Limiter<K, S> = RateLimiter<K, S, Ticks, NoOpMiddleware<Tick>>;

/// One per process. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Refusals(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    by_network: Limiter<Option<IpAddr>, HashMapStateStore<Option<IpAddr>>>,
    all: Limiter<NotKeyed, InMemoryState>,
    /// Since the last event.
    suppressed: AtomicU64,
    /// Since the start.
    metric: Counter,
}

impl Refusals {
    pub fn new(clock: &Clock) -> Self {
        let ticks = Ticks::of(clock);
        Self(Arc::new(Inner {
            by_network: RateLimiter::hashmap_with_clock(
                Quota::per_minute(OF_NETWORK),
                ticks.clone(),
            ),
            all: RateLimiter::direct_with_clock(Quota::per_minute(OF_ALL), ticks),
            suppressed: AtomicU64::new(0),
            metric: Counter::default(),
        }))
    }

    /// How many events were left out, for `/metrics`.
    pub fn metric(&self) -> Counter {
        self.0.metric.clone()
    }

    /// The event, if there is room for it.
    pub fn admit(&self, address: Option<IpAddr>, event: Event) -> Option<Event> {
        if self.0.by_network.len() > MANY_NETWORKS {
            self.0.by_network.retain_recent();
        }
        let key = address.map(prefix);
        if self.0.by_network.check_key(&key).is_err() || self.0.all.check().is_err() {
            self.0.suppressed.fetch_add(1, Ordering::Relaxed);
            self.0.metric.inc();
            return None;
        }
        let suppressed = self.0.suppressed.swap(0, Ordering::Relaxed);
        if suppressed == 0 {
            return Some(event);
        }
        let reason = event.reason.clone().unwrap_or_default();
        Some(event.because(format!(
            "{reason} (and {suppressed} more refusals that are not listed)"
        )))
    }

    /// Writes the event in a transaction of its own, if there is room for it. What was refused
    /// stays refused if the database does not take it.
    pub async fn record(&self, context: &Context, event: Event) {
        let Some(event) = self.admit(context.origin.address, event) else {
            return;
        };
        let written = async {
            let mut tx = context.database.begin_relaxed().await?;
            context.record(&mut tx, &event).await?;
            tx.commit().await
        };
        if let Err(error) = written.await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "a refusal could not be recorded");
        }
    }
}

/// Addresses of one network share an allowance.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The server's clock, as the limiter reads it: when it is put back, this goes on, and so does the
/// allowance.
#[derive(Clone, Debug)]
struct Ticks {
    clock: Clock,
    passed: Arc<Mutex<Passed>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    /// What the clock has said last, in nanoseconds.
    read: u64,
    /// How far it was put back, all in all.
    lost: u64,
}

impl Ticks {
    fn of(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            passed: Arc::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(u64);

impl Time for Ticks {
    type Instant = Tick;

    fn now(&self) -> Tick {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let nanoseconds = self.clock.now().timestamp_nanos_opt().unwrap_or_default();
        let read = u64::try_from(nanoseconds).unwrap_or_default();
        passed.lost += passed.read.saturating_sub(read);
        passed.read = read;
        Tick(read.saturating_add(passed.lost))
    }
}

impl ReasonablyRealtime for Ticks {}

impl Add<Nanos> for Tick {
    type Output = Self;

    fn add(self, other: Nanos) -> Self {
        Self(self.0.saturating_add(other.as_u64()))
    }
}

impl Reference for Tick {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.as_u64()).unwrap_or(self.0))
    }
}

#[cfg(test)]
#[path = "refusals_tests.rs"]
mod tests;
