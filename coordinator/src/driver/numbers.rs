//! The numbers of a job that has not ended, as its status tells them.

use muster_core::agent::ExitCause;
use muster_core::id::WorkerId;
use muster_core::shape::Shape;
use muster_core::sketch::Sketch;
use muster_core::time::{Span, Time};
use muster_proto::convert::{exit_cause, sketch};
use muster_proto::v1;
use std::collections::BTreeMap;

/// The numbers of a job's status.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Tasks with a result.
    pub ok: u64,
    /// Attempts repeated after one that failed or was lost.
    pub retried: u64,
    /// Those of them that an executor repeated at once.
    pub retried_there: u64,
    /// How long each task waited for the lock of its executor.
    pub gil_wait: Sketch,
    /// How often that lock was given to a task that had asked for it.
    pub gil_handovers: u64,
    /// From the intended start to the end of tasks that arrive.
    pub latency: Sketch,
    /// How late those began although a slot was free.
    pub start_lag: Sketch,
    /// How long executors took to start.
    pub start: Sketch,
    /// Threads of an executor that stand in for a missing async form.
    pub stand_ins: u32,
    /// Tasks whose result came a second time or too late.
    pub duplicates: u64,
    /// Sum of the tasks' checksums.
    pub checksum: u64,
    /// Bytes of all results.
    pub output_bytes: u64,
    /// Leases, and their shortest and longest.
    pub leases: u64,
    /// Tasks of the shortest lease.
    pub lease_tasks_min: u64,
    /// Tasks of the longest lease.
    pub lease_tasks_max: u64,
    /// Workers that were lost while they knew of the job.
    pub lost_workers: u64,
    /// Attempts that ended with a result or a failure.
    pub attempts: u64,
    /// Tasks that ran beside a culprit and run again.
    pub lost_tasks: u64,
    /// What its user should know, each once.
    pub notices: Vec<String>,
    /// Executors that ended other than as told, by cause.
    pub exits: BTreeMap<&'static str, u64>,
    /// Executors of the job that ended unasked.
    pub executor_exits: u64,
    /// The most memory that workers and executors had together while it ran.
    pub peak_pss_bytes: u64,
    /// Submitted to leased.
    pub queue: Sketch,
    /// Leased to claimed.
    pub dispatch: Sketch,
    /// Sampled single tasks.
    pub run: Sketch,
    /// Ended to reported.
    pub report: Sketch,
    /// Thread time in the plugin.
    pub busy: Span,
    /// Slot time.
    pub slot: Span,
    /// The failures of the lowest indexes, in order.
    pub first_failures: Vec<v1::TaskFailure>,
    /// From the submission to this life of the coordinator, for a job that ran before it.
    pub before: Span,
    /// When the first lease was given; in such a job when it was taken up again.
    pub first_grant: Option<Time>,
    /// When the last result came.
    pub last_commit: Option<Time>,
    /// Workers that ever knew of it, with its executors there.
    pub workers: BTreeMap<WorkerId, Shape>,
}

impl Numbers {
    /// Counts an executor's end, unless it was told to end.
    pub fn count_exit(&mut self, cause: ExitCause) {
        self.executor_exits += u64::from(cause.is_crash());
        if cause.is_crash() || cause == ExitCause::LoadFailed {
            *self.exits.entry(cause.name()).or_default() += 1;
        }
    }

    /// How long it has run, or ran.
    pub fn wall(&self, until: Time) -> Span {
        let since = |first| Span(self.before.0.saturating_add(until.since(first).0));
        self.first_grant.map_or(Span::ZERO, since)
    }

    /// Executors that ended other than as told, for the status.
    pub fn exits(&self) -> Vec<v1::CauseCount> {
        let count =
            |(cause, &count): (&&'static str, &u64)| v1::CauseCount { cause: (*cause).to_owned(), count };
        self.exits.iter().map(count).collect()
    }

    /// The numbers of a job that had ended go on. What it waited for leases is in the totals already.
    pub fn take_up(&mut self, status: &v1::JobStatus, now: Time) {
        let known = |wire: &Option<v1::Sketch>| sketch(wire.clone()).unwrap_or_default();
        (self.ok, self.retried, self.duplicates) = (status.ok, status.retried, status.duplicates);
        (self.checksum, self.output_bytes) = (status.checksum, status.output_bytes);
        (self.leases, self.lease_tasks_min) = (status.leases, status.lease_tasks_min);
        self.lease_tasks_max = status.lease_tasks_max;
        (self.lost_workers, self.executor_exits) = (status.lost_workers, status.executor_exits);
        self.peak_pss_bytes = status.peak_pss_bytes;
        self.attempts = status.attempts.saturating_sub(status.lost_tasks);
        self.lost_tasks = status.lost_tasks;
        for exit in &status.exits {
            if let Ok(cause) = exit_cause(&exit.cause) {
                self.exits.insert(cause.name(), exit.count);
            }
        }
        (self.dispatch, self.run, self.report) =
            (known(&status.dispatch), known(&status.run), known(&status.report));
        (self.latency, self.start_lag) = (known(&status.latency), known(&status.start_lag));
        (self.busy, self.slot) = (Span(status.busy_ns), Span(status.slot_ns));
        self.first_failures.clone_from(&status.first_failures);
        self.before = Span((status.wall_s * 1e9) as u64);
        self.first_grant = Some(now);
    }
}
