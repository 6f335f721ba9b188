//! [`World`]: what clients, faults and checks have in common.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use url::Url;

use crate::model::{Key, Model};
use crate::register::{Outcome, Value, WriteId};
use crate::report::Report;
use crate::weather::{Tick, Weather};

#[derive(Debug)]
pub struct World {
    pub registry: Url,
    pub auth: Url,
    pub weather: Weather,
    pub report: Arc<Report>,
    /// Begun in this round, by all clients.
    pub operations: AtomicU64,
    /// Clients that are still at work in this round.
    pub working: AtomicU64,
    model: Mutex<Model>,
    began: Instant,
    /// What the servers' clock is ahead, in seconds.
    offset: AtomicI64,
}

impl World {
    pub fn new(registry: Url, auth: Url, report: Arc<Report>) -> Self {
        Self {
            registry,
            auth,
            weather: Weather::default(),
            report,
            operations: AtomicU64::default(),
            working: AtomicU64::default(),
            model: Mutex::default(),
            began: Instant::now(),
            offset: AtomicI64::default(),
        }
    }

    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    pub fn tick(&self) -> Tick {
        self.weather.tick()
    }

    /// The servers' time, in seconds since the lap began.
    #[expect(clippy::cast_precision_loss, reason = "a few hours")]
    pub fn server_time(&self) -> f64 {
        self.began.elapsed().as_secs_f64() + self.offset() as f64
    }

    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::SeqCst)
    }

    /// While no server runs.
    pub fn set_offset(&self, offset: i64) {
        self.offset.store(offset, Ordering::SeqCst);
    }

    pub fn begin(&self, key: &Key, value: Value) -> WriteId {
        let now = self.tick();
        self.model().begin(key, value, now)
    }

    pub fn end(&self, key: &Key, write: WriteId, outcome: Outcome) {
        let now = self.tick();
        self.model().end(key, write, outcome, now);
    }

    pub fn acknowledged(&self) {
        Report::count(&self.report.acknowledged);
    }

    /// Whether it is certainly there now.
    pub fn holds(&self, key: &Key) -> bool {
        let now = self.tick();
        self.model().holds(key, now)
    }
}
