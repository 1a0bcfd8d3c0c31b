//! What a worker sends: its first message and its reports.

use std::collections::BTreeMap;

use muster_core::agent::ExitCause;
use muster_core::id::{Epoch, Incarnation, JobId, LeaseId};
use muster_core::range::IndexRange;
use muster_core::sandbox::Terms;
use muster_core::scheduler::{FailureClass, Held};
use muster_core::sketch::Sketch;
use muster_core::time::{Span, Time};
use muster_core::trust::Trust;

use super::arrivals::TaskSample;
use super::evidence::Evidence;
use super::held;
use super::sandbox::terms;
use super::scalar::{exit_cause, failure_class, range, sketch, sketch_to_wire};
use super::trust::trust;
use super::{
    BUSY_MAX_NS, ConvertError, EXECUTORS_MAX, PROGRESS_JOBS_MAX, PSS_MAX_BYTES, SLOTS_MAX, TASKS_MAX,
};
use super::{all, at_most, malformed, name, named, protocol, some_range, words};
use crate::packed::Items;
use crate::v1;

/// The first message of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it can beyond the protocol.
    pub features: Vec<String>,
    /// Its name.
    pub name: String,
    /// Which life of the worker this is.
    pub incarnation: Incarnation,
    /// Tasks it can run at the same time.
    pub slots: u32,
    /// Its target triple.
    pub target: String,
    /// Its version of muster.
    pub version: String,
    /// Its machine.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// `HOST:PORT` of its metrics, empty for none.
    pub metrics_address: String,
    /// The state whose leases the held tasks are from; 0: none.
    pub state: u64,
    /// What it still has of leases that ended with its link.
    pub held: Vec<Held>,
    /// What it keeps from executors, and what it grants them.
    pub sandbox: Terms,
    /// Which plugins it loads.
    pub trust: Trust,
}

/// What a worker says of itself every second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heartbeat {
    /// Slots that run a task.
    pub busy_slots: u32,
    /// Executors.
    pub executors: u32,
    /// Memory of the worker and its executors.
    pub pss_bytes: u64,
    /// What running tasks say they have done, in tasks, for jobs where they say so.
    pub progress: BTreeMap<JobId, f64>,
}

/// Everything that a worker reports at once.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The life of the coordinator that it reports to.
    pub epoch: Epoch,
    /// Results.
    pub blocks: Vec<ResultBlock>,
    /// Attempts that failed.
    pub failures: Vec<TaskFailure>,
    /// Tasks given back.
    pub returned: Vec<(LeaseId, IndexRange)>,
    /// Jobs that cannot run there.
    pub troubles: Vec<Trouble>,
    /// Times.
    pub phases: Vec<Phases>,
    /// Executors that ended.
    pub exits: Vec<ExecutorExit>,
    /// Cancelled jobs of which nothing runs there any more.
    pub stopped: Vec<Stopped>,
    /// What users of jobs should know.
    pub notices: Vec<(JobId, String)>,
    /// When it was sent, by the worker's monotonic clock.
    pub sent: Time,
    /// Its number among the reports of its worker; 0: nobody waits to hear that it lasts.
    pub number: u64,
}

/// Results of tasks of one lease, or one partial result for all of them.
#[derive(Clone, Debug)]
pub struct ResultBlock {
    /// The lease.
    pub lease: LeaseId,
    /// The tasks.
    pub range: IndexRange,
    /// Thread time they took.
    pub busy: Span,
    /// Reduction: failed tasks that are not in the partial result, rising.
    pub skipped: Vec<u64>,
    /// Where they ran; `None`: not known, or not all on one thread.
    pub ran_on: Option<RanOn>,
    results: v1::Packed,
}

/// Where tasks ran, and when they had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RanOn {
    /// The executor's number on its worker.
    pub executor: u64,
    /// The thread of that executor, from 0.
    pub thread: u32,
    /// When the last of them had ended, by the worker's clock.
    pub ended: Time,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskFailure {
    /// The lease.
    pub lease: LeaseId,
    /// The task.
    pub index: u64,
    /// Why.
    pub class: FailureClass,
    /// In words.
    pub message: String,
    /// Thread time of the attempt that no block counts.
    pub busy: Span,
    /// How it came to that, as far as it is known.
    pub evidence: Option<Evidence>,
    /// Where it ran, when that is known.
    pub ran_on: Option<RanOn>,
}

/// A job that a worker cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The job.
    pub job: JobId,
    /// Why.
    pub message: String,
}

/// An executor that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorExit {
    /// Its job.
    pub job: JobId,
    /// Why.
    pub cause: ExitCause,
    /// In words.
    pub detail: String,
    /// What else is known.
    pub evidence: Option<Evidence>,
    /// Tasks that it had, are not to blame, and run again.
    pub lost_tasks: u64,
}

/// How the running tasks of a cancelled job came to a stop on a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// The job.
    pub job: JobId,
    /// Tasks that ended after the cancel flag.
    pub asked: u64,
    /// Tasks whose executor ended at SIGTERM.
    pub terminated: u64,
    /// Tasks whose executor was killed.
    pub killed: u64,
    /// From the flag to the end of the last.
    pub longest: Span,
}

/// Where the time of a job went on a worker since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// The job.
    pub job: JobId,
    /// From the lease's arrival until a thread claimed.
    pub dispatch: Sketch,
    /// Sampled single tasks.
    pub run: Sketch,
    /// From a task's end until its result was sent.
    pub report: Sketch,
    /// Thread time in the plugin.
    pub busy: Span,
    /// Slot time that the job had.
    pub slot: Span,
    /// Attempts that an executor repeated at once, inside a leaf of a reduction.
    pub retried: u64,
    /// How long each task waited for the lock of its executor.
    pub gil_wait: Sketch,
    /// How often a task gave that lock to another that had asked for it.
    pub gil_handovers: u64,
    /// Threads of an executor that stand in for a missing async form; 0: none are needed.
    pub stand_ins: u32,
    /// How long executors took from being asked for until they had the job open.
    pub start: Sketch,
    /// Jobs with arrivals: from the intended start to the end of each task with a result.
    pub latency: Sketch,
    /// Jobs with arrivals: how late each task began although a slot was free.
    pub start_lag: Sketch,
    /// Tasks that were looked at.
    pub samples: Vec<TaskSample>,
    /// What their starts are counted from, by the worker's clock.
    pub zero: Time,
}

impl TryFrom<v1::WorkerHello> for Hello {
    type Error = ConvertError;

    fn try_from(wire: v1::WorkerHello) -> Result<Self, ConvertError> {
        protocol(wire.protocol)?;
        if wire.slots == 0 {
            return Err(ConvertError::wrong("slots", 0, "a worker has at least one"));
        }
        Ok(Self {
            features: wire.features,
            name: named("name", wire.name)?,
            incarnation: Incarnation(wire.incarnation),
            slots: at_most("slots", wire.slots, SLOTS_MAX)?,
            target: named("target", wire.target)?,
            version: name("version", wire.version)?,
            host: name("host", wire.host)?,
            pid: wire.pid,
            metrics_address: name("metrics_address", wire.metrics_address)?,
            state: wire.state,
            held: held::all_held(wire.held)?,
            sandbox: terms(wire.sandbox, wire.sandbox_most, wire.grants)?,
            trust: trust(wire.trust)?,
        })
    }
}

impl TryFrom<v1::Heartbeat> for Heartbeat {
    type Error = ConvertError;

    fn try_from(wire: v1::Heartbeat) -> Result<Self, ConvertError> {
        Ok(Self {
            busy_slots: at_most("busy_slots", wire.busy_slots, SLOTS_MAX)?,
            executors: at_most("executors", wire.executors, EXECUTORS_MAX)?,
            pss_bytes: at_most("pss_bytes", wire.pss_bytes, PSS_MAX_BYTES)?,
            progress: progress(wire.progress)?,
        })
    }
}

fn progress(wire: Vec<v1::JobProgress>) -> Result<BTreeMap<JobId, f64>, ConvertError> {
    at_most("progress (jobs)", wire.len(), PROGRESS_JOBS_MAX)?;
    let checked = |it: v1::JobProgress| {
        if !(0.0..=f64::from(SLOTS_MAX)).contains(&it.tasks) {
            let limit = format_args!("from 0 to {SLOTS_MAX}").to_string();
            return Err(ConvertError::wrong("progress.tasks", it.tasks, limit));
        }
        Ok((JobId(it.job), it.tasks))
    };
    wire.into_iter().map(checked).collect()
}

impl TryFrom<v1::Report> for Report {
    type Error = ConvertError;

    fn try_from(wire: v1::Report) -> Result<Self, ConvertError> {
        Ok(Self {
            epoch: Epoch(wire.epoch),
            blocks: all(wire.blocks)?,
            failures: all(wire.failures)?,
            returned: wire
                .returned
                .into_iter()
                .map(|it| Ok((LeaseId(it.lease), range("returned", it.start, it.count)?)))
                .collect::<Result<_, _>>()?,
            troubles: wire
                .troubles
                .into_iter()
                .map(|it| Trouble { job: JobId(it.job), message: words(it.message) })
                .collect(),
            phases: all(wire.phases)?,
            exits: all(wire.exits)?,
            stopped: all(wire.stopped)?,
            notices: wire.notices.into_iter().map(|it| (JobId(it.job), words(it.text))).collect(),
            sent: Time(wire.sent_ns),
            number: wire.number,
        })
    }
}

impl ResultBlock {
    /// The results: one per task, or the one partial result of a reduction (`partial`).
    ///
    /// # Errors
    /// Another number of results, or bytes that do not fit their lengths.
    pub fn into_items(self, partial: bool) -> Result<Items, ConvertError> {
        let count = if partial { 1 } else { self.range.len() };
        Items::try_new(self.results, count).map_err(|error| malformed("results", error))
    }

    /// Bytes of the results.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.results.data.len()
    }
}

impl TryFrom<v1::ResultBlock> for ResultBlock {
    type Error = ConvertError;

    fn try_from(wire: v1::ResultBlock) -> Result<Self, ConvertError> {
        let range = some_range("results.count", wire.start, wire.count)?;
        let inside = wire.skipped.iter().all(|&index| range.contains(index));
        if !inside || wire.skipped.windows(2).any(|pair| pair[0] >= pair[1]) {
            let found = format!("{} indexes of {range}", wire.skipped.len());
            return Err(ConvertError::wrong("skipped", found, "rising indexes of the block are wanted"));
        }
        Ok(Self {
            lease: LeaseId(wire.lease),
            range,
            busy: Span(at_most("busy_ns", wire.busy_ns, BUSY_MAX_NS)?),
            skipped: wire.skipped,
            ran_on: wire.ran_on.map(TryInto::try_into).transpose()?,
            results: wire.results.unwrap_or_default(),
        })
    }
}

impl TryFrom<v1::TaskFailure> for TaskFailure {
    type Error = ConvertError;

    fn try_from(wire: v1::TaskFailure) -> Result<Self, ConvertError> {
        Ok(Self {
            lease: LeaseId(wire.lease),
            index: at_most("index", wire.index, TASKS_MAX - 1)?,
            class: failure_class(wire.class)?,
            message: words(wire.message),
            busy: Span(at_most("busy_ns", wire.busy_ns, BUSY_MAX_NS)?),
            evidence: wire.evidence.map(Evidence::try_from).transpose()?,
            ran_on: wire.ran_on.map(TryInto::try_into).transpose()?,
        })
    }
}

impl TryFrom<v1::RanOn> for RanOn {
    type Error = ConvertError;

    fn try_from(wire: v1::RanOn) -> Result<Self, ConvertError> {
        Ok(Self {
            executor: wire.executor,
            thread: at_most("ran_on.thread", wire.thread, SLOTS_MAX)?,
            ended: Time(wire.ended_ns),
        })
    }
}

impl From<RanOn> for v1::RanOn {
    fn from(RanOn { executor, thread, ended }: RanOn) -> Self {
        Self { executor, thread, ended_ns: ended.0 }
    }
}

impl TryFrom<v1::PhaseStats> for Phases {
    type Error = ConvertError;

    fn try_from(wire: v1::PhaseStats) -> Result<Self, ConvertError> {
        Ok(Self {
            job: JobId(wire.job),
            dispatch: sketch(wire.dispatch)?,
            run: sketch(wire.run)?,
            report: sketch(wire.report)?,
            busy: Span(wire.busy_ns),
            slot: Span(wire.slot_ns),
            retried: at_most("retried", wire.retried, TASKS_MAX)?,
            gil_wait: sketch(wire.gil_wait)?,
            gil_handovers: wire.gil_handovers,
            stand_ins: at_most("stand_ins", wire.stand_ins, SLOTS_MAX)?,
            start: sketch(wire.start)?,
            latency: sketch(wire.latency)?,
            start_lag: sketch(wire.start_lag)?,
            samples: all(wire.samples)?,
            zero: Time(wire.zero_ns),
        })
    }
}

/// Times for the wire.
#[must_use]
pub fn phases_to_wire(phases: &Phases) -> v1::PhaseStats {
    v1::PhaseStats {
        job: phases.job.0,
        dispatch: sketch_to_wire(&phases.dispatch),
        run: sketch_to_wire(&phases.run),
        report: sketch_to_wire(&phases.report),
        busy_ns: phases.busy.0,
        slot_ns: phases.slot.0,
        retried: phases.retried,
        gil_wait: sketch_to_wire(&phases.gil_wait),
        gil_handovers: phases.gil_handovers,
        stand_ins: phases.stand_ins,
        start: sketch_to_wire(&phases.start),
        latency: sketch_to_wire(&phases.latency),
        start_lag: sketch_to_wire(&phases.start_lag),
        samples: phases.samples.iter().map(|sample| sample.to_wire(0)).collect(),
        zero_ns: phases.zero.0,
    }
}

impl TryFrom<v1::ExecutorExit> for ExecutorExit {
    type Error = ConvertError;

    fn try_from(wire: v1::ExecutorExit) -> Result<Self, ConvertError> {
        Ok(Self {
            job: JobId(wire.job),
            cause: exit_cause(&wire.cause)?,
            detail: words(wire.detail),
            evidence: wire.evidence.map(Evidence::try_from).transpose()?,
            lost_tasks: at_most("lost_tasks", wire.lost_tasks, TASKS_MAX)?,
        })
    }
}

impl TryFrom<v1::JobStopped> for Stopped {
    type Error = ConvertError;

    fn try_from(wire: v1::JobStopped) -> Result<Self, ConvertError> {
        let tasks = |count| at_most("stopped (tasks)", count, SLOTS_MAX.into());
        Ok(Self {
            job: JobId(wire.job),
            asked: tasks(wire.asked)?,
            terminated: tasks(wire.terminated)?,
            killed: tasks(wire.killed)?,
            longest: Span(at_most("stopped.longest_ns", wire.longest_ns, BUSY_MAX_NS)?),
        })
    }
}
