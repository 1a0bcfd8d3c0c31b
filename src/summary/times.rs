//! Times and shares that follow from a job's status.

use muster_core::shape::ShapeRequest;
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use muster_proto::convert::shape_request;
use muster_proto::v1;
use serde::Serialize;

/// Seconds; `null` without ten samples above the percentile.
#[derive(Debug, Serialize)]
pub struct Times {
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub mean: Option<f64>,
}

/// The share of the slots' time that tasks ran; where a thread keeps several tasks going, of their places.
pub fn busy_share(status: &v1::JobStatus) -> Option<f64> {
    let places = match &status.spec {
        Some(spec) if status.stand_ins == 0 => in_flight(spec),
        Some(_) | None => 1,
    };
    let time_ns = status.slot_ns as f64 * f64::from(places);
    (status.slot_ns > 0).then(|| (status.busy_ns as f64 / time_ns).min(1.0))
}

/// Tasks that a thread keeps going.
pub fn in_flight(spec: &v1::JobSpec) -> u32 {
    shape_request(spec.shape).map_or(1, ShapeRequest::in_flight)
}

/// The mean time of a task, from the slots' busy time: exact where single times are sampled.
pub fn mean_run(status: &v1::JobStatus) -> Option<f64> {
    let done = status.ok + status.failed;
    (done > 0 && status.busy_ns > 0).then(|| status.busy_ns as f64 / done as f64 / 1e9)
}

/// The histogram of a message; buckets that do not exist are left out.
pub fn sketch(message: Option<&v1::Sketch>) -> Sketch {
    let mut sketch = Sketch::new();
    if let Some(message) = message {
        for (&bucket, &count) in message.buckets.iter().zip(&message.counts) {
            sketch.add_bucket(bucket as usize, count);
        }
        sketch.add_exact(Span(message.sum_ns), Span(message.max_ns));
    }
    sketch
}

pub fn times(message: Option<&v1::Sketch>) -> Times {
    let sketch = sketch(message);
    Times { p50: at(&sketch, 0.5), p99: at(&sketch, 0.99), mean: sketch.mean().map(secs) }
}

/// Seconds; `null` without ten samples above the percentile.
#[derive(Debug, Serialize)]
pub struct Percentiles {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
    pub mean: Option<f64>,
    pub samples: u64,
}

pub fn percentiles(sketch: &Sketch) -> Percentiles {
    Percentiles {
        p50: at(sketch, 0.5),
        p95: at(sketch, 0.95),
        p99: at(sketch, 0.99),
        max: (sketch.count() > 0).then(|| secs(sketch.max())),
        mean: sketch.mean().map(secs),
        samples: sketch.count(),
    }
}

pub fn at(sketch: &Sketch, q: f64) -> Option<f64> {
    sketch.supported_quantile(q).map(secs)
}

pub fn secs(span: Span) -> f64 {
    span.0 as f64 / 1e9
}
