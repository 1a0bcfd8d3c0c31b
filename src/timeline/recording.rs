//! What is known of the single tasks of one job.

use crate::summary::number;
use muster_proto::v1;
use serde::{Deserialize, Serialize};

/// The runs of tasks of one job. All times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// What it was, as in `job 7: primes`.
    pub name: String,
    /// Tasks of the job.
    pub tasks: u64,
    /// From when the job was submitted until it ended, as far as it has.
    pub wall_ns: u64,
    pub workers: Vec<Worker>,
    pub runs: Vec<TaskRun>,
}

/// A worker that ran some of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    pub number: u64,
    pub name: String,
    pub host: String,
}

/// One run of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskRun {
    pub index: u64,
    pub attempt: u32,
    pub worker: u64,
    pub executor: u64,
    pub thread: u32,
    /// When it began, since the job was submitted.
    pub at_ns: u64,
    pub run_ns: u64,
    /// How long it lay on the worker before.
    pub queued_ns: u64,
    /// From its intended start to its end, where it had one.
    pub latency_ns: Option<u64>,
    pub lock_wait_ns: u64,
    /// The first waits for the lock: from when, since it began, and how long.
    pub lock_waits: Vec<(u64, u64)>,
    pub end: End,
}

/// How it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// With a result.
    #[default]
    Ok,
    /// It said that it failed.
    Failed,
    /// Its executor ended.
    Crashed,
}

impl End {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
        }
    }
}

impl TaskRun {
    pub const fn ended_ns(&self) -> u64 {
        self.at_ns.saturating_add(self.run_ns)
    }
}

impl Recording {
    /// What a coordinator knows of a job.
    pub fn of_job(status: &v1::JobStatus, reply: v1::TaskSamplesReply) -> Self {
        let plugin = status.spec.as_ref().and_then(|spec| spec.plugin.as_ref());
        let plugin = plugin.map_or("", |plugin| plugin.name.as_str());
        let worker = |it: v1::SampledWorker| Worker { number: it.worker, name: it.name, host: it.host };
        let runs: Vec<TaskRun> = reply.samples.into_iter().map(TaskRun::from).collect();
        let last_ns = runs.iter().map(TaskRun::ended_ns).max().unwrap_or(0);
        Self {
            name: format!("job {}: {plugin}", status.job),
            tasks: status.tasks,
            // The time of a job is counted from its first lease.
            wall_ns: last_ns.max((status.wall_s * 1e9) as u64),
            workers: reply.workers.into_iter().map(worker).collect(),
            runs,
        }
    }

    /// How many tasks it tells of.
    pub fn seen(&self) -> u64 {
        let mut indexes: Vec<u64> = self.runs.iter().map(|run| run.index).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes.len() as u64
    }

    /// How many tasks that is of all, in words.
    pub fn share(&self) -> String {
        let (seen, all) = (self.seen(), self.tasks.max(self.seen()));
        if seen == all {
            format!("all {} tasks", number(all))
        } else {
            format!("{} of {} tasks, drawn at random", number(seen), number(all))
        }
    }
}

impl From<v1::TaskSample> for TaskRun {
    fn from(sample: v1::TaskSample) -> Self {
        let end = match (sample.crashed, sample.failed) {
            (true, _) => End::Crashed,
            (false, true) => End::Failed,
            (false, false) => End::Ok,
        };
        Self {
            index: sample.index,
            attempt: sample.attempt,
            worker: sample.worker,
            executor: sample.executor,
            thread: sample.thread,
            at_ns: sample.at_ns,
            run_ns: sample.run_ns,
            queued_ns: sample.queued_ns,
            latency_ns: sample.latency_ns,
            lock_wait_ns: sample.lock_wait_ns,
            lock_waits: sample.lock_waits.iter().map(|wait| (wait.start_ns, wait.wait_ns)).collect(),
            end,
        }
    }
}
