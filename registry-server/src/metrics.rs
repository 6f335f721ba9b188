//! [`StorageMetrics`]: what the store is asked for, how long it takes, and what is asked for again.
//!
//! Names, labels and actions are distribution's (`registry_storage_action_seconds`), so that its
//! dashboards work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use service::metrics::Histogram;
use service::metrics::prometheus_client::collector::Collector;
use service::metrics::prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric as _, NoLabelSet,
};
use service::metrics::prometheus_client::metrics::MetricType;

/// From a look-up in the page cache to the last flush of a large layer.
const DURATION_MICROSECONDS: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// What a store is asked to do, in distribution's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A blob is opened to be read.
    Reader,
    /// The size of a blob is looked up.
    Stat,
    /// A blob or an upload is removed.
    Delete,
    /// An upload is opened to be written.
    Writer,
    /// What was written becomes durable.
    Commit,
    /// An upload becomes a blob.
    Move,
}

impl Action {
    pub(crate) const ALL: [Self; 6] = [
        Self::Reader,
        Self::Stat,
        Self::Delete,
        Self::Writer,
        Self::Commit,
        Self::Move,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reader => "Reader",
            Self::Stat => "Stat",
            Self::Delete => "Delete",
            Self::Writer => "Writer",
            Self::Commit => "Commit",
            Self::Move => "Move",
        }
    }
}

/// The metrics of one registry's storage. Clones share them.
#[derive(Clone, Debug)]
pub struct StorageMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    driver: &'static str,
    /// In the order of [`Action::ALL`].
    actions: [Histogram; Action::ALL.len()],
    cache: CacheCounts,
    damaged: AtomicU64,
}

#[derive(Debug, Default)]
struct CacheCounts {
    requests: AtomicU64,
    hits: AtomicU64,
    errors: AtomicU64,
}

impl StorageMetrics {
    /// Of the store that the configuration calls `driver`.
    #[must_use]
    pub fn new(driver: &'static str) -> Self {
        Self(Arc::new(Inner {
            driver,
            actions: Action::ALL.map(|_| Histogram::new(DURATION_MICROSECONDS, 1e6)),
            cache: CacheCounts::default(),
            damaged: AtomicU64::new(0),
        }))
    }

    pub(crate) fn observe(&self, action: Action, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.0.actions[action as usize].observe(micros);
    }

    /// A blob was asked for; `hit` if it was open already.
    pub(crate) fn looked_up(&self, hit: bool) {
        self.0.cache.requests.fetch_add(1, Relaxed);
        if hit {
            self.0.cache.hits.fetch_add(1, Relaxed);
        }
    }

    /// A blob that is to be there could not be opened.
    pub(crate) fn look_up_failed(&self) {
        self.0.cache.errors.fetch_add(1, Relaxed);
    }

    /// A blob that the database knows is missing from the store, or has another size there.
    pub(crate) fn found_damaged(&self) {
        self.0.damaged.fetch_add(1, Relaxed);
    }
}

impl Collector for StorageMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Inner {
            driver,
            actions,
            cache,
            damaged,
        } = &*self.0;
        let mut family = encoder.encode_descriptor(
            "registry_storage_action_seconds",
            "Time that the storage took.",
            None,
            MetricType::Histogram,
        )?;
        for (action, histogram) in Action::ALL.iter().zip(actions) {
            let labels = [("driver", *driver), ("action", action.name())];
            histogram.encode(family.encode_family(&labels)?)?;
        }
        for (name, help, count) in [
            (
                "cache_requests",
                "Blobs looked for among the open ones.",
                &cache.requests,
            ),
            ("cache_hits", "Blobs found there.", &cache.hits),
            (
                "cache_errors",
                "Blobs that could not be opened.",
                &cache.errors,
            ),
            (
                "damaged_blobs",
                "How often a blob was asked for that is missing from the storage or has another \
                 size there.",
                damaged,
            ),
        ] {
            let name = format!("registry_storage_{name}");
            encoder
                .encode_descriptor(&name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, u64>(&count.load(Relaxed), None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub mod tests {
    use service::metrics::Metrics;

    use crate::auth::Pull;
    use crate::blob_store::BlobStore as _;
    use crate::testing::TestRegistry;

    pub fn value(metrics: &Metrics, series: &str) -> f64 {
        let text = metrics.encode();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.expect(&text).parse().unwrap()
    }

    #[tokio::test]
    async fn a_blob_that_is_open_is_a_hit() {
        let registry = TestRegistry::new().await;
        let metrics = Metrics::new();
        metrics.register_collector(registry.metrics.clone());
        let digest = registry.push_blob("a", b"hello").await;
        let pull = registry.proof::<Pull>("a");
        for _ in 0..3 {
            registry.registry().blob(&pull, &digest).await.unwrap();
        }
        let lost = registry.push_blob("a", b"lost").await;
        registry.store.delete(&lost).await.unwrap();
        registry.registry().blob(&pull, &lost).await.unwrap_err();
        for (name, expected) in [("requests", 4.0), ("hits", 2.0), ("errors", 1.0)] {
            let found = value(&metrics, &format!("registry_storage_cache_{name}_total"));
            assert!((found - expected).abs() < f64::EPSILON, "{name}: {found}");
        }
    }
}
