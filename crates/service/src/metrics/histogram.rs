//! A histogram without a lock.
//!
//! `prometheus_client`'s own takes a mutex per observation, which all workers would share on every
//! request. Here an observation is two additions; a scrape may see one of them without the other,
//! which the next scrape corrects.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Counts whole numbers (bytes, microseconds) by size. Clones share their counts.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Upper bounds, inclusive, ascending.
    bounds: &'static [u64],
    /// One more than there are bounds: the last holds what is above all of them.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    /// How many counted units make an exported one: a million microseconds a second.
    unit: f64,
}

impl Histogram {
    #[must_use]
    pub fn new(bounds: &'static [u64], unit: f64) -> Self {
        Self(Arc::new(Inner {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            unit,
        }))
    }

    pub fn observe(&self, value: u64) {
        let bucket = self.0.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.0.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        self.0.sum.fetch_add(value, Relaxed);
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "Prometheus knows floating point only; 2^53 bytes or microseconds are exact"
    )]
    pub(super) fn encode_into(
        &self,
        encoder: &mut MetricEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        let inner = &*self.0;
        let bounds = inner
            .bounds
            .iter()
            .map(|bound| *bound as f64 / inner.unit)
            .chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds
            .zip(inner.counts.iter().map(|count| count.load(Relaxed)))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = inner.sum.load(Relaxed) as f64 / inner.unit;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.encode_into(&mut encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}
