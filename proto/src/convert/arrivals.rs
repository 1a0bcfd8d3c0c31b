//! When the tasks of open-loop jobs are to start, and what is told of single tasks.

use muster_core::arrivals::{Arrivals, Pattern, RATE_MAX_PER_S};
use muster_core::sampling::SAMPLES_MAX;
use muster_core::time::Span;

use super::{ConvertError, SLOTS_MAX, TASKS_MAX, at_most};
use crate::v1;

/// One run of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskSample {
    /// The task.
    pub index: u64,
    /// When it began, since the worker's zero of the job: when the first executor was ready there.
    pub start: Span,
    /// How long it ran.
    pub run: Span,
    /// From its intended start to its end, in a job with arrivals.
    pub latency: Option<Span>,
    /// It ended without a result.
    pub failed: bool,
    /// Its executor ended while it ran.
    pub crashed: bool,
    /// The executor, by its number on the worker.
    pub executor: u64,
    /// The thread of the executor, from 0.
    pub thread: u32,
    /// Which attempt at the task this was, from 1.
    pub attempt: u32,
    /// From when its lease came to the worker, or it was due, until it began.
    pub queued: Span,
    /// How long it waited for its lock in all.
    pub lock_wait: Span,
    /// The first of these waits: when they began, since the task did, and how long they took.
    pub lock_waits: Vec<LockWait>,
}

/// Waits for a lock of which a sample tells one by one.
pub const LOCK_WAITS_MAX: usize = 16;

/// A task waited for its lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockWait {
    /// Since the task began.
    pub start: Span,
    /// How long.
    pub wait: Span,
}

/// The arrivals of a job, when it has some; `rate` is what the field with the rate is called.
///
/// # Errors
/// A rate that is none or too high, or an unknown pattern.
pub(super) fn arrivals(
    rate: &'static str,
    wire: Option<v1::Arrivals>,
) -> Result<Option<Arrivals>, ConvertError> {
    let Some(wire) = wire else { return Ok(None) };
    let pattern = match v1::ArrivalPattern::try_from(wire.pattern) {
        Ok(v1::ArrivalPattern::Unspecified | v1::ArrivalPattern::Constant) => Pattern::Constant,
        Ok(v1::ArrivalPattern::Poisson) => Pattern::Poisson,
        Err(_) => return Err(ConvertError::wrong("arrivals.pattern", wire.pattern, "not a known pattern")),
    };
    let limit = format_args!("above 0 and at most {RATE_MAX_PER_S} tasks a second").to_string();
    let wrong = || ConvertError::wrong(rate, wire.rate_per_s, limit);
    Arrivals::try_new(wire.rate_per_s, pattern).map(Some).ok_or_else(wrong)
}

/// The arrivals of a job for the wire.
#[must_use]
pub fn arrivals_to_wire(arrivals: Arrivals) -> v1::Arrivals {
    let pattern = match arrivals.pattern() {
        Pattern::Constant => v1::ArrivalPattern::Constant,
        Pattern::Poisson => v1::ArrivalPattern::Poisson,
    };
    v1::Arrivals { rate_per_s: arrivals.rate_per_s(), pattern: pattern.into() }
}

/// Tasks that a job wants to have looked at.
pub(super) fn task_samples(field: &'static str, wire: u32) -> Result<u32, ConvertError> {
    at_most(field, wire, SAMPLES_MAX)
}

impl TryFrom<v1::TaskSample> for TaskSample {
    type Error = ConvertError;

    fn try_from(wire: v1::TaskSample) -> Result<Self, ConvertError> {
        Ok(Self {
            index: at_most("samples.index", wire.index, TASKS_MAX - 1)?,
            start: Span(wire.start_ns),
            run: Span(wire.run_ns),
            latency: wire.latency_ns.map(Span),
            failed: wire.failed,
            crashed: wire.crashed,
            executor: wire.executor,
            thread: at_most("samples.thread", wire.thread, SLOTS_MAX)?,
            attempt: wire.attempt,
            queued: Span(wire.queued_ns),
            lock_wait: Span(wire.lock_wait_ns),
            lock_waits: lock_waits(&wire.lock_waits)?,
        })
    }
}

impl TaskSample {
    /// For the wire; `worker` is the number of the worker that ran it, 0 from the worker itself.
    #[must_use]
    pub fn to_wire(&self, worker: u64) -> v1::TaskSample {
        v1::TaskSample {
            index: self.index,
            start_ns: self.start.0,
            run_ns: self.run.0,
            latency_ns: self.latency.map(|latency| latency.0),
            failed: self.failed,
            worker,
            crashed: self.crashed,
            executor: self.executor,
            thread: self.thread,
            attempt: self.attempt,
            queued_ns: self.queued.0,
            lock_wait_ns: self.lock_wait.0,
            lock_waits: self.lock_waits.iter().copied().map(lock_wait_to_wire).collect(),
            at_ns: 0,
        }
    }
}

fn lock_waits(wire: &[v1::LockWait]) -> Result<Vec<LockWait>, ConvertError> {
    at_most("samples.lock_waits", wire.len(), LOCK_WAITS_MAX)?;
    Ok(wire.iter().map(|it| LockWait { start: Span(it.start_ns), wait: Span(it.wait_ns) }).collect())
}

const fn lock_wait_to_wire(wait: LockWait) -> v1::LockWait {
    v1::LockWait { start_ns: wait.start.0, wait_ns: wait.wait.0 }
}
