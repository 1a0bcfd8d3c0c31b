//! The metrics that a plugin declares in its manifest: a fixed table of atomics.

use crate::kind::MetricKind;
use crate::manifest::{self, MetricSpec};
use std::sync::atomic::{AtomicU64, Ordering};

/// Metrics that one plugin may declare.
pub const METRICS_MAX: usize = manifest::METRICS_MAX;
/// Buckets of a histogram: powers of two from 2^-32 up to 2^31; the last one is for everything larger.
const BUCKETS: usize = 64;
const LOWEST_POWER: i32 = -32;

/// The metrics of a plugin in this process.
#[derive(Debug)]
pub struct Metrics {
    metrics: Vec<Metric>,
}

#[derive(Debug)]
struct Metric {
    spec: MetricSpec,
    /// Bits of an `f64`: the sum of a counter or histogram, the value of a gauge.
    value: AtomicU64,
    buckets: Vec<AtomicU64>,
}

/// A metric as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricReading<'a> {
    /// What the plugin declared.
    pub spec: &'a MetricSpec,
    /// The value.
    pub value: MetricValue,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    /// Sum so far.
    Counter(f64),
    /// Last value.
    Gauge(f64),
    /// Observations so far.
    Histogram {
        /// How many.
        count: u64,
        /// Their sum.
        sum: f64,
        /// Upper border and number of observations of each bucket that has some, ascending, not cumulative.
        buckets: Vec<(f64, u64)>,
    },
}

impl Metrics {
    pub(crate) fn new(specs: &[MetricSpec]) -> Self {
        let metric = |spec: &MetricSpec| {
            let buckets = if spec.kind == MetricKind::Histogram { BUCKETS } else { 0 };
            let buckets = (0..buckets).map(|_| AtomicU64::new(0)).collect();
            Metric { spec: spec.clone(), value: AtomicU64::new(0_f64.to_bits()), buckets }
        };
        Self { metrics: specs.iter().take(METRICS_MAX).map(metric).collect() }
    }

    /// The number under which a plugin records; 0 when it declared no such metric.
    pub(crate) fn id(&self, kind: u32, name: &[u8]) -> u32 {
        let position = self
            .metrics
            .iter()
            .position(|metric| metric.spec.name.as_bytes() == name && metric.spec.kind.code() == kind);
        position.map_or(0, |position| position as u32 + 1)
    }

    /// Values that make no sense for the kind are dropped.
    pub(crate) fn record(&self, id: u32, value: f64) {
        let Some(metric) = (id as usize).checked_sub(1).and_then(|at| self.metrics.get(at)) else { return };
        match metric.spec.kind {
            MetricKind::Gauge => metric.value.store(value.to_bits(), Ordering::Relaxed),
            MetricKind::Counter if value.is_finite() && value >= 0.0 => add(&metric.value, value),
            MetricKind::Histogram if value.is_finite() => {
                add(&metric.value, value);
                if let Some(bucket) = metric.buckets.get(bucket_of(value)) {
                    bucket.fetch_add(1, Ordering::Relaxed);
                }
            }
            MetricKind::Counter | MetricKind::Histogram => {}
        }
    }

    /// All metrics as they are now, in the order of the manifest. Values only grow between two readings,
    /// except gauges.
    pub fn read(&self) -> impl Iterator<Item = MetricReading<'_>> {
        self.metrics.iter().map(|metric| {
            let value = f64::from_bits(metric.value.load(Ordering::Relaxed));
            let value = match metric.spec.kind {
                MetricKind::Counter => MetricValue::Counter(value),
                MetricKind::Gauge => MetricValue::Gauge(value),
                MetricKind::Histogram => histogram(metric, value),
            };
            MetricReading { spec: &metric.spec, value }
        })
    }
}

fn histogram(metric: &Metric, sum: f64) -> MetricValue {
    let counts = metric.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).enumerate();
    let buckets: Vec<_> =
        counts.filter(|(_, count)| *count > 0).map(|(bucket, count)| (border_of(bucket), count)).collect();
    MetricValue::Histogram { count: buckets.iter().map(|(_, count)| count).sum(), sum, buckets }
}

fn add(total: &AtomicU64, value: f64) {
    let _ = total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
        Some((f64::from_bits(bits) + value).to_bits())
    });
}

/// The first bucket whose border is not below `value`.
fn bucket_of(value: f64) -> usize {
    if value <= 0.0 {
        return 0;
    }
    let power = value.log2().ceil() as i32;
    power.saturating_sub(LOWEST_POWER).clamp(0, BUCKETS as i32 - 1) as usize
}

fn border_of(bucket: usize) -> f64 {
    if bucket + 1 == BUCKETS { f64::INFINITY } else { 2_f64.powi(LOWEST_POWER + bucket as i32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_keeps_what_it_should() {
        let spec = |name: &str, kind| MetricSpec { name: name.into(), kind, help: String::new() };
        let metrics = Metrics::new(&[
            spec("words", MetricKind::Counter),
            spec("depth", MetricKind::Gauge),
            spec("bytes", MetricKind::Histogram),
        ]);
        let id = |kind, name: &[u8]| metrics.id(kind, name);
        assert_eq!((id(1, b"words"), id(2, b"words"), id(1, b"other")), (1, 0, 0));
        for value in [2.0, -1.0, f64::NAN, 3.0] {
            metrics.record(id(1, b"words"), value);
            metrics.record(id(3, b"bytes"), value);
        }
        metrics.record(id(2, b"depth"), 7.0);
        metrics.record(0, 1.0);
        metrics.record(99, 1.0);
        let values: Vec<_> = metrics.read().map(|reading| reading.value).collect();
        let buckets = vec![(2_f64.powi(-32), 1), (2.0, 1), (4.0, 1)];
        assert_eq!(values[0], MetricValue::Counter(5.0));
        assert_eq!(values[1], MetricValue::Gauge(7.0));
        assert_eq!(values[2], MetricValue::Histogram { count: 3, sum: 4.0, buckets });
    }

    #[test]
    fn borders_hold_their_values() {
        for value in [1e-30, 0.3, 1.0, 1.5, 4096.0, 1e30] {
            let bucket = bucket_of(value);
            assert!(value <= border_of(bucket), "{value} is above the border of {bucket}");
            assert!(bucket == 0 || value > border_of(bucket - 1), "{value} fits below {bucket}");
        }
    }
}
