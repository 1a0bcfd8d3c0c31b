//! The numbers of a job, as `--json` prints them.

mod text;

use super::open_loop::OpenLoop;
use super::times::{Times, at, busy_share, in_flight, mean_run, secs, sketch, times};
use super::words::{class_name, model_name, state_name, why_stand_ins};
use crate::job::is_final;
use muster_proto::hex;
use muster_proto::v1::{self, JobState};
use serde::Serialize;
use std::collections::BTreeMap;

/// What the job's status does not know.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What people call the cluster.
    pub cluster: String,
    /// From submitting to the last result.
    pub total_s: Option<f64>,
    /// The reduced output as text, when it is short.
    pub output: Option<String>,
    /// Ctrl-C cancelled it.
    pub interrupted: bool,
}

/// The numbers of a job.
#[derive(Debug, Serialize)]
pub struct Report {
    job: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    plugin: Plugin,
    cluster: String,
    model: &'static str,
    workers: u32,
    processes: u32,
    threads: u32,
    /// Threads of all executors; workers may be of different sizes, then the two above are those of the largest.
    slots: u32,
    seed: u64,
    tasks: u64,
    ok: u64,
    failed: u64,
    retried: u64,
    duplicates: u64,
    /// What running tasks say they have done together, in tasks.
    in_progress: f64,
    wall_s: f64,
    total_s: Option<f64>,
    tasks_per_s: f64,
    /// Service time: from when a slot was free.
    run_s: RunTimes,
    /// Of a job whose tasks arrived at a rate: latency is from the intended start; `null`: closed loop.
    open_loop: Option<OpenLoop>,
    queue_s: Times,
    dispatch_s: Times,
    report_s: Times,
    /// How long a task waited for the lock of its process, where it has one.
    /// From asking for an executor until it has the job open.
    start_s: Times,
    executors_started: u64,
    gil_wait_s: Option<Times>,
    gil_handovers: u64,
    /// Tasks that a thread keeps going.
    in_flight: u32,
    /// Threads of a process that stand in for an async form that the plugin does not have; 0: none.
    stand_in_threads: u32,
    /// Share of the slot time that the job had in which tasks ran; what other jobs had is not in it.
    busy_share: Option<f64>,
    leases: u64,
    lease_tasks: LeaseTasks,
    /// `null` for a job that was over before memory was looked at.
    peak_pss_bytes: Option<u64>,
    output_bytes: u64,
    results_from: u64,
    checksum: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    lost_workers: u64,
    executor_exits: u64,
    /// Executors that ended other than as told; the same as `executor_exits`.
    lost_executors: u64,
    /// Attempts that ended, in whatever way.
    attempts: u64,
    /// Failed tasks that used up their attempts by ending executors or by panics.
    quarantined: u64,
    /// Executors that ended other than as told, by cause.
    exits: BTreeMap<String, u64>,
    /// Tasks that ran beside one that ended their executor, and ran again.
    lost_tasks: u64,
    /// How the running tasks of a cancelled job came to a stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<Stopped>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
    interrupted: bool,
    failures: Vec<Failed>,
    /// Nothing will change any more.
    #[serde(skip)]
    ended: bool,
    /// What becomes of its outputs.
    #[serde(skip)]
    outputs: v1::Outputs,
    #[serde(skip)]
    reduces: bool,
    /// Why tasks were not in flight on the threads themselves.
    #[serde(skip)]
    why_stand_ins: &'static str,
}

#[derive(Debug, Serialize)]
struct Plugin {
    name: String,
    version: String,
    digest: String,
}

#[derive(Debug, Serialize)]
struct RunTimes {
    p50: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
    mean: Option<f64>,
    samples: u64,
}

#[derive(Debug, Serialize)]
struct LeaseTasks {
    min: u64,
    max: u64,
}

#[derive(Debug, Serialize)]
struct Stopped {
    asked: u64,
    terminated: u64,
    killed: u64,
    longest_s: f64,
}

impl Stopped {
    fn new(stopped: v1::JobStopped) -> Self {
        let v1::JobStopped { job: _, asked, terminated, killed, longest_ns } = stopped;
        Self { asked, terminated, killed, longest_s: longest_ns as f64 / 1e9 }
    }
}

#[derive(Debug, Serialize)]
struct Failed {
    index: u64,
    class: &'static str,
    message: String,
}

impl Report {
    /// The numbers of a status.
    pub fn new(status: &v1::JobStatus, facts: Facts) -> Self {
        let spec = status.spec.clone().unwrap_or_default();
        let plugin = spec.plugin.clone().unwrap_or_default();
        let run = sketch(status.run.as_ref());
        let done = status.ok + status.failed;
        let mut failures: Vec<Failed> = status.first_failures.iter().map(failed).collect();
        failures.sort_by_key(|failure| failure.index);
        Self {
            job: status.job,
            state: state_name(status.state()),
            reason: (!status.reason.is_empty()).then(|| status.reason.clone()),
            plugin: Plugin { name: plugin.name, version: plugin.version, digest: hex(&plugin.digest) },
            cluster: facts.cluster,
            model: model_name(spec.shape.unwrap_or_default().model()),
            workers: status.workers,
            processes: status.processes,
            threads: status.threads,
            slots: status.slots,
            seed: spec.seed,
            tasks: status.tasks,
            ok: status.ok,
            failed: status.failed,
            retried: status.retried,
            duplicates: status.duplicates,
            in_progress: status.in_progress,
            wall_s: status.wall_s,
            total_s: facts.total_s,
            tasks_per_s: if status.wall_s > 0.0 { done as f64 / status.wall_s } else { 0.0 },
            run_s: RunTimes {
                p50: at(&run, 0.5),
                p99: at(&run, 0.99),
                max: (run.count() > 0).then(|| secs(run.max())),
                mean: mean_run(status),
                samples: run.count(),
            },
            open_loop: OpenLoop::new(status),
            queue_s: times(status.queue.as_ref()),
            dispatch_s: times(status.dispatch.as_ref()),
            report_s: times(status.report.as_ref()),
            start_s: times(status.start.as_ref()),
            executors_started: sketch(status.start.as_ref()).count(),
            gil_wait_s: spec.shape.and_then(|shape| shape.gil).map(|_| times(status.gil_wait.as_ref())),
            gil_handovers: status.gil_handovers,
            in_flight: in_flight(&spec),
            stand_in_threads: status.stand_ins,
            busy_share: busy_share(status),
            leases: status.leases,
            lease_tasks: LeaseTasks { min: status.lease_tasks_min, max: status.lease_tasks_max },
            peak_pss_bytes: (status.peak_pss_bytes > 0).then_some(status.peak_pss_bytes),
            output_bytes: status.output_bytes,
            results_from: status.results_from,
            checksum: format!("{:016x}", status.checksum),
            output: facts.output,
            lost_workers: status.lost_workers,
            executor_exits: status.executor_exits,
            lost_executors: status.executor_exits,
            attempts: status.attempts,
            quarantined: status.quarantined,
            exits: status.exits.iter().map(|it| (it.cause.clone(), it.count)).collect(),
            lost_tasks: status.lost_tasks,
            stopped: status.stopped.filter(|_| status.state() == JobState::Cancelled).map(Stopped::new),
            notices: status.notices.clone(),
            interrupted: facts.interrupted,
            failures,
            ended: is_final(status),
            outputs: spec.outputs(),
            reduces: spec.reduce,
            why_stand_ins: why_stand_ins(spec.reduce),
        }
    }
}

fn failed(failure: &v1::TaskFailure) -> Failed {
    Failed { index: failure.index, class: class_name(failure.class()), message: failure.message.clone() }
}

#[cfg(test)]
mod tests;
