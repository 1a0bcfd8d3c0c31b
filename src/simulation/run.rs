//! The numbers of one run, as `--json` and the files show them.

use super::plan::Point;
use muster_core::scheduler::Outcome;
use muster_core::sketch::{Sketch, bucket_floor};
use muster_core::time::Span;
use muster_sim::outcome::{JobReport, Report};
use serde::Serialize;
use std::collections::BTreeMap;

/// The numbers of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Swept keys and their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    pub policy: String,
    pub seed: u64,
    /// Every job ended.
    pub ended: bool,
    pub makespan_s: f64,
    pub tasks: u64,
    pub ok: u64,
    pub failed: u64,
    pub unfinished: u64,
    /// Tasks with a result per second of the makespan.
    pub throughput: f64,
    pub utilisation: f64,
    pub queue_wait_s: Times,
    /// Attempts whose work was lost.
    pub lost: u64,
    pub lost_thread_s: f64,
    /// Attempts beyond one for each task that ended.
    pub repeated: u64,
    pub lost_workers: u64,
    pub faults: BTreeMap<&'static str, u64>,
    pub coordinator_load: f64,
    /// Where the coordinator would have no time left; `null`: its messages cost nothing.
    pub saturation: Option<Saturation>,
    pub messages_to_workers: u64,
    pub messages_to_coordinator: u64,
    pub events: u64,
    pub scheduler_inputs: u64,
    pub agent_inputs: u64,
    pub digest: String,
    pub jobs: Vec<Job>,
}

/// Seconds; `null` without ten samples above the percentile.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub mean: Option<f64>,
    pub max: Option<f64>,
    pub samples: u64,
}

/// Where the coordinator would have no time left.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Saturation {
    pub tasks_per_s: f64,
    /// Of workers like these, as busy as these.
    pub workers: f64,
}

/// What became of a job.
#[derive(Clone, Debug, Serialize)]
pub struct Job {
    pub name: String,
    /// `done`, `unrunnable` and so on; `null`: it did not end.
    pub outcome: Option<&'static str>,
    pub tasks: u64,
    pub ok: u64,
    pub failed: u64,
    pub submitted_s: Option<f64>,
    pub ended_s: Option<f64>,
    /// From its submission to its end.
    pub makespan_s: Option<f64>,
}

impl Run {
    /// The numbers of a report.
    pub fn new(axes: &[muster_sim::scenario::Sweep], point: &Point, report: &Report) -> Self {
        let measures = &report.measures;
        let keys = axes.iter().map(|axis| axis.key.clone());
        let workers: f64 = point.scenario.workers.iter().map(|group| f64::from(group.count)).sum();
        let per_worker = report.throughput() / workers.max(1.0);
        Self {
            set: keys.zip(point.values.iter().cloned()).collect(),
            policy: point.scenario.scheduling.policy.to_string(),
            seed: report.seed,
            ended: report.jobs.iter().all(|job| job.ended.is_some()),
            makespan_s: secs(report.makespan),
            tasks: report.tasks(),
            ok: report.committed(),
            failed: report.jobs.iter().map(|job| job.failed).sum(),
            unfinished: report.unfinished(),
            throughput: report.throughput(),
            utilisation: report.utilisation(),
            queue_wait_s: Times::of(&measures.queue_wait),
            lost: measures.lost,
            lost_thread_s: secs(measures.wasted),
            repeated: report.repeated(),
            lost_workers: measures.workers_lost,
            faults: measures.faults.clone(),
            coordinator_load: report.coordinator_load(),
            saturation: report
                .saturates_at()
                .filter(|_| per_worker > 0.0)
                .map(|tasks_per_s| Saturation { tasks_per_s, workers: tasks_per_s / per_worker }),
            messages_to_workers: measures.messages[0],
            messages_to_coordinator: measures.messages[1],
            events: report.events,
            scheduler_inputs: report.scheduler_inputs,
            agent_inputs: report.agent_inputs,
            digest: format!("{:016x}", report.digest),
            jobs: report.jobs.iter().map(job).collect(),
        }
    }

    /// How many faults struck.
    pub fn faults_struck(&self) -> u64 {
        self.faults.values().sum()
    }
}

impl Times {
    /// Those of a histogram.
    pub fn of(sketch: &Sketch) -> Self {
        let at = |quantile| sketch.supported_quantile(quantile).map(secs);
        Self {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            mean: mean(sketch),
            max: (sketch.count() > 0).then(|| secs(sketch.max())),
            samples: sketch.count(),
        }
    }
}

/// Exact while the sum of all times has room in a histogram, 584 years; beyond it from its buckets, at most 3.2 % off.
fn mean(sketch: &Sketch) -> Option<f64> {
    if sketch.sum() < Span(u64::MAX) {
        return sketch.mean().map(secs);
    }
    let middle = |bucket| (bucket_floor(bucket) as f64 + bucket_floor(bucket + 1) as f64) / 2e9;
    let sum: f64 = sketch.buckets().map(|(bucket, count)| middle(bucket) * count as f64).sum();
    Some(sum / sketch.count() as f64)
}

fn job(job: &JobReport) -> Job {
    let outcome = job.ended.and(job.outcome).map(|outcome| match outcome {
        Outcome::Done => "done",
        Outcome::Cancelled => "cancelled",
        Outcome::Unrunnable => "unrunnable",
        Outcome::Uncombined { .. } => "uncombined",
    });
    let time = |time: Option<muster_core::time::Time>| time.map(|time| time.0 as f64 / 1e9);
    Job {
        name: job.name.clone(),
        outcome,
        tasks: job.tasks,
        ok: job.committed,
        failed: job.failed,
        submitted_s: time(job.submitted),
        ended_s: time(job.ended),
        makespan_s: job.submitted.zip(job.ended).map(|(from, until)| secs(until.since(from))),
    }
}

pub fn secs(span: Span) -> f64 {
    span.0 as f64 / 1e9
}

#[cfg(test)]
impl Run {
    /// A run of nothing that ended.
    pub fn empty() -> Self {
        Self {
            set: BTreeMap::new(),
            policy: String::new(),
            seed: 1,
            ended: true,
            makespan_s: 0.0,
            tasks: 0,
            ok: 0,
            failed: 0,
            unfinished: 0,
            throughput: 0.0,
            utilisation: 0.0,
            queue_wait_s: Times::of(&Sketch::new()),
            lost: 0,
            lost_thread_s: 0.0,
            repeated: 0,
            lost_workers: 0,
            faults: BTreeMap::new(),
            coordinator_load: 0.0,
            saturation: None,
            messages_to_workers: 0,
            messages_to_coordinator: 0,
            events: 0,
            scheduler_inputs: 0,
            agent_inputs: 0,
            digest: String::new(),
            jobs: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_survives_more_time_than_a_histogram_can_add_up() {
        let mut sketch = Sketch::new();
        sketch.record_many(Span(1_000_000_000), 10);
        assert_eq!(Times::of(&sketch).mean, Some(1.0));
        sketch.record_many(Span(1_000_000_000_000), u64::MAX >> 20);
        let mean = Times::of(&sketch).mean.unwrap();
        assert!((mean - 1_000.0).abs() < 32.0, "{mean}");
    }
}
