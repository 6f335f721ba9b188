//! What is wrong at the moment, and so what clients must put up with.
//!
//! The time here is a counter: it orders what happens in this program, and nothing else.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Something that a fault brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A server is not there, or not yet.
    Down,
    /// A disk has no room, or cannot be written: pulls go on.
    NoWrites,
    /// `PostgreSQL` cannot be reached.
    NoDatabase,
}

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(pub u64);

#[derive(Debug, Default)]
pub struct Weather {
    ticks: AtomicU64,
    troubles: Mutex<Vec<Period>>,
}

#[derive(Clone, Copy, Debug)]
struct Period {
    trouble: Trouble,
    ended: Option<Tick>,
}

impl Weather {
    pub fn tick(&self) -> Tick {
        Tick(self.ticks.fetch_add(1, Ordering::SeqCst))
    }

    pub fn begin(&self, trouble: Trouble) {
        let period = Period {
            trouble,
            ended: None,
        };
        self.troubles.lock().unwrap().push(period);
    }

    pub fn end(&self, trouble: Trouble) {
        let ended = self.tick();
        let mut troubles = self.troubles.lock().unwrap();
        for period in troubles.iter_mut() {
            if period.trouble == trouble && period.ended.is_none() {
                period.ended = Some(ended);
            }
        }
    }

    /// Whether it was so at any moment since.
    pub fn since(&self, tick: Tick, trouble: Trouble) -> bool {
        let troubles = self.troubles.lock().unwrap();
        troubles.iter().any(|period| {
            period.trouble == trouble && period.ended.is_none_or(|ended| ended > tick)
        })
    }

    pub fn is(&self, trouble: Trouble) -> bool {
        let troubles = self.troubles.lock().unwrap();
        let mut of_kind = troubles.iter().filter(|period| period.trouble == trouble);
        of_kind.any(|period| period.ended.is_none())
    }

    /// Waits until the servers are there; a client that is refused comes again.
    pub async fn wait_until_up(&self) {
        let deadline = Instant::now() + Duration::from_mins(3);
        while self.is(Trouble::Down) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_meets_every_trouble_that_its_time_touches() {
        let weather = Weather::default();
        let before = weather.tick();
        weather.begin(Trouble::Down);
        let within = weather.tick();
        assert!(weather.is(Trouble::Down));
        weather.end(Trouble::Down);
        let after = weather.tick();
        assert!(weather.since(before, Trouble::Down));
        assert!(weather.since(within, Trouble::Down));
        assert!(!weather.since(after, Trouble::Down));
        assert!(!weather.since(before, Trouble::NoWrites));
        assert!(!weather.is(Trouble::Down));
    }
}
