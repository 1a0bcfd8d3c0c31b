//! One run of a workload under a configuration, as it was measured.

use super::configuration::Configuration;
use super::machine::Interference;
use super::tasks::TaskRun;
use super::usage::Usage;
use crate::exit::{Exit, Failure, Outcome};
use crate::summary::{OpenLoop, sketch};
use muster_core::sketch::Sketch;
use muster_proto::v1;
use std::time::Duration;

/// What one run came to.
#[derive(Clone, Debug)]
pub struct Sample {
    /// From submitting the job to its end, with the start of its executors.
    pub time: Duration,
    /// Tasks that there were.
    pub tasks: u64,
    /// Of all processes of muster, with the start and the end of its cluster; `None`: they are elsewhere.
    pub usage: Option<Usage>,
    /// Processors that this process, which holds the coordinator of a private cluster, kept busy.
    pub coordinator: f64,
    /// Other jobs were on the cluster.
    pub is_shared: bool,
    /// What else the machine did.
    pub interference: Interference,
    /// Of all outputs, whatever their order.
    pub checksum: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// How long tasks waited for their lock, as a share of the slots' time; `None`: there is none.
    pub lock_wait: Option<f64>,
    /// Threads that stood in for an async form.
    pub stand_ins: u32,
    /// What the outputs told, one for each reading.
    pub readings: Vec<f64>,
    /// From the intended start of tasks to their end where they have one, else the service times that are sampled.
    pub latencies: Sketch,
    /// How late tasks began although a slot was free, where they have an intended start.
    pub start_lag: Sketch,
    /// Tasks arrived faster than they could be run.
    pub outran: bool,
    /// Of tasks with an intended start, to their end; exact up to 10,000 tasks, else of a random sample of so many.
    pub latency_p95_s: Option<f64>,
    /// Some of its tasks.
    pub tasks_seen: Vec<TaskRun>,
    /// How the first failed task failed.
    pub first_failure: Option<String>,
}

/// What is asked of a job after its end.
#[derive(Debug, Default)]
pub struct Told {
    pub readings: Vec<f64>,
    pub latency_p95_s: Option<f64>,
    pub tasks_seen: Vec<TaskRun>,
}

/// What a job's end says of a run, without what only its place knows.
pub fn sample(
    configuration: &Configuration,
    status: &v1::JobStatus,
    time: Duration,
    told: Told,
) -> Outcome<Sample> {
    if status.state() != v1::JobState::Done {
        let (name, reason) = (&configuration.name, &status.reason);
        let failure =
            Failure::new(Exit::Job, format_args!("{name}: the job did not come to its end: {reason}"));
        return Err(failure.hint("muster run shows more of it: muster run PLUGIN, with the same parameters"));
    }
    let slot_time = f64::from(configuration.slots()) * status.wall_s;
    let waited = mean_s(status.gil_wait.as_ref()) * (status.ok + status.failed) as f64;
    let is_open = status.spec.as_ref().is_some_and(|spec| spec.arrivals.is_some());
    Ok(Sample {
        time,
        tasks: status.tasks,
        usage: None,
        coordinator: 0.0,
        is_shared: false,
        interference: Interference::default(),
        checksum: status.checksum,
        failed: status.failed,
        lock_wait: configuration.has_lock().then(|| waited / slot_time.max(f64::MIN_POSITIVE)),
        stand_ins: status.stand_ins,
        readings: told.readings,
        latencies: sketch(if is_open { status.latency.as_ref() } else { status.run.as_ref() }),
        start_lag: sketch(status.start_lag.as_ref()),
        outran: OpenLoop::new(status).is_some_and(|open| open.outran()),
        latency_p95_s: told.latency_p95_s,
        tasks_seen: told.tasks_seen,
        first_failure: status.first_failures.first().map(|failure| failure.message.clone()),
    })
}

/// The mean of times, in seconds; 0 without any.
fn mean_s(times: Option<&v1::Sketch>) -> f64 {
    sketch(times).mean().map_or(0.0, |mean| mean.0 as f64 / 1e9)
}
