//! How long single tasks of a row took: all runs of a row together.

use super::sample::Sample;
use crate::summary::{at, secs};
use muster_core::sketch::Sketch;
use serde::Serialize;

/// Quantiles of the curve; the reader's axis has as much room from 99 to 99.9 % as from 0 to 90.
const QUANTILES: [f64; 18] = [
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.925, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9999, 0.99999,
];

/// Percentiles in seconds; `null`: fewer than ten times are above.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latency {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
    pub samples: u64,
    /// From when it counts: `from intended start` or `service time`.
    pub kind: &'static str,
}

/// Of all runs of a row, and the curve: quantile and seconds.
pub fn latency(samples: &[Sample]) -> (Option<Latency>, Vec<(f64, f64)>) {
    let all = merged(samples, |sample| &sample.latencies);
    if all.count() == 0 {
        return (None, Vec::new());
    }
    let is_open = samples.iter().any(|sample| sample.latency_p95_s.is_some());
    let found = Latency {
        p50: at(&all, 0.5),
        p95: at(&all, 0.95),
        p99: at(&all, 0.99),
        max: Some(secs(all.max())),
        samples: all.count(),
        kind: if is_open { "from intended start" } else { "service time" },
    };
    let curve = QUANTILES.iter().filter_map(|&q| Some((q, at(&all, q)?))).collect();
    (Some(found), curve)
}

/// The times of all runs.
pub fn merged(samples: &[Sample], of: impl Fn(&Sample) -> &Sketch) -> Sketch {
    let mut all = Sketch::new();
    samples.iter().for_each(|sample| all.merge(of(sample)));
    all
}
