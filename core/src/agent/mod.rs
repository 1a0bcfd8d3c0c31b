//! What a worker does with the tasks it was given.
//!
//! The agent knows the leases that the worker holds and checks every result against them; it says which
//! executors run, what stands in a job's page, and what the coordinator is told. Executors claim from the page
//! by themselves. The agent never sees task data.

mod alone;
mod executor;
mod invariants;
mod io;
mod job;
mod lease;
#[cfg(feature = "mutations")]
mod mutate;
mod share;

pub use io::{ExitCause, Grant, Input, Output, PluginKey};

use crate::id::{ExecutorId, JobId, LeaseId};
use crate::mutation::Broken;
use crate::range::{IndexRange, RangeSet};
use crate::small_map::SmallMap;
use crate::time::{Span, Time};
use alloc::collections::VecDeque;
use executor::Executor;
use job::Job;
use lease::Lease;
use smallvec::SmallVec;

/// How long an executor may take to close a job that is over before it is killed.
pub const CLOSE_GRACE: Span = Span::from_millis(2_000);
/// How long an executor without a job is kept for the next one.
pub const IDLE_KEEP: Span = Span::from_millis(30_000);
/// Executors of a job that may end in a row without having become ready; then the job is in trouble.
const FAILED_STARTS_MAX: u32 = 3;

/// How much an agent keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Jobs, with those that are ending.
    pub jobs: usize,
    /// Leases that something is owed of.
    pub leases: usize,
    /// Executors, with those that are ending.
    pub executors: usize,
    /// Pieces of leases that wait or stand in a page.
    pub pieces: usize,
    /// Jobs in the queue for slots.
    pub turns: usize,
}

/// A lease of which the coordinator waits for tasks.
#[derive(Clone, Copy, Debug)]
pub struct HeldLease<'a> {
    /// The lease.
    pub lease: LeaseId,
    /// Its job.
    pub job: JobId,
    /// Tasks that were not reported.
    pub outstanding: &'a RangeSet,
    /// Another life of the coordinator may let this worker keep it. Not when it is claimed as a whole, or when a partial
    /// result may leave out a task of whose failure that life does not know.
    pub can_be_adopted: bool,
}

/// Decides what a worker does. One owner drives it.
#[derive(Debug)]
pub struct Agent {
    slots: u32,
    jobs: SmallMap<JobId, Job, 1>,
    leases: SmallMap<LeaseId, Lease, 1>,
    executors: SmallMap<ExecutorId, Executor, 1>,
    next_executor: ExecutorId,
    /// Jobs with tasks to claim, in the order in which they get slots.
    turns: SmallVec<[JobId; 2]>,
    outputs: VecDeque<Output>,
    /// Guarantees that tests took away: none, and no memory, in other builds.
    broken: Broken,
}

impl Agent {
    /// An agent of a worker that can run `slots` tasks at the same time.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        Self {
            slots: slots.max(1),
            jobs: SmallMap::default(),
            leases: SmallMap::default(),
            executors: SmallMap::default(),
            next_executor: ExecutorId(1),
            turns: SmallVec::new(),
            outputs: VecDeque::new(),
            broken: Broken::default(),
        }
    }

    /// Takes an input. Something late, repeated or wrong is harmless.
    pub fn handle(&mut self, now: Time, input: Input) {
        let Some(input) = self.defer(now, input) else { return };
        match input {
            Input::Attached => self.on_attached(now),
            Input::Open { job, shape, plugin, reusable, reduce, grace } => {
                self.on_open(job, Job::new(shape, plugin, reusable, reduce, grace));
            }
            Input::Grant(grant) => self.on_grant(grant),
            Input::Recall { lease, count } => self.on_recall(lease, count),
            Input::Close { job, cancel } => self.close(now, job, cancel),
            Input::ExecutorReady { executor } => self.on_ready(executor),
            Input::ExecutorIdle { executor } => self.on_idle(now, executor),
            Input::ExecutorExited { executor, cause, held, running, culprits } => {
                self.on_exited(now, executor, cause, &held, (&running, &culprits));
            }
            Input::Done { lease, range } => self.on_done(lease, range),
            Input::Failed { lease, index, class } => self.on_failed(lease, index, class),
            Input::Reclaimed { job, entry, range } => self.on_reclaimed(job, entry, range),
            Input::Drained { job, entry } => self.on_drained(job, entry),
            Input::Quiet { job } => self.on_quiet(job),
            Input::PageLost { job } => self.on_page_lost(job),
        }
    }

    /// Says how many threads of a job run something. To be said before each input while several jobs are here: a slot goes
    /// to another job when its task has ended, which the page shows and results that wait for others do not.
    pub fn set_running(&mut self, job: JobId, threads: u32) {
        let Some(job) = self.jobs.get_mut(&job) else { return };
        let before = core::mem::replace(&mut job.running, threads);
        if threads < before || (threads > before && threads > job.allowed) {
            self.share_slots();
        }
    }

    /// Tasks of a range that are still to be done under a lease. A lease that is claimed as a whole counts as one.
    #[must_use]
    pub fn owed(&self, lease: LeaseId, range: IndexRange) -> u64 {
        let Some(view) = self.leases.get(&lease) else { return 0 };
        let owed: u64 = view.outstanding.overlap(range).map(|piece| piece.len()).sum();
        if view.whole { owed.min(1) } else { owed }
    }

    /// What to do next. Outputs keep their order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Exchanges the memory that outputs wait in for another's; both must be empty. Whoever drives many agents lends
    /// each the same.
    pub fn swap_outputs(&mut self, other: &mut VecDeque<Output>) {
        debug_assert!(self.outputs.is_empty() && other.is_empty(), "outputs are neither lost nor mixed");
        core::mem::swap(&mut self.outputs, other);
    }

    /// When [`Agent::handle_timeout`] should be called at the latest, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        self.executors.values().filter_map(Executor::deadline).min()
    }

    /// Does what is due; harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Time) {
        let due: alloc::vec::Vec<ExecutorId> = self
            .executors
            .iter()
            .filter(|(_, executor)| executor.deadline().is_some_and(|(time, _)| time <= now))
            .map(|(&id, _)| id)
            .collect();
        for id in due {
            self.on_deadline(now, id);
        }
    }

    /// Executor processes, with a job or without.
    #[must_use]
    pub fn executors(&self) -> usize {
        self.executors.len()
    }

    /// How much it keeps, for whoever watches that nothing is kept for ever.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            jobs: self.jobs.len(),
            leases: self.leases.len(),
            executors: self.executors.len(),
            pieces: self.jobs.values().map(|job| job.pieces().count()).sum(),
            turns: self.turns.len(),
        }
    }

    /// Tasks that the coordinator waits for.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.leases.values().map(|lease| lease.outstanding.len()).sum()
    }

    /// The leases that something is owed of: what the coordinator waits for.
    pub fn held(&self) -> impl Iterator<Item = HeldLease<'_>> {
        self.leases.iter().map(|(&lease, view)| HeldLease {
            lease,
            job: view.job,
            outstanding: &view.outstanding,
            can_be_adopted: view.can_be_adopted(self.jobs.get(&view.job).is_some_and(|job| job.reduce)),
        })
    }

    /// Whether leases of a job are taken: it is open, and not about to be closed.
    #[must_use]
    pub fn is_open(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|job| !job.closing)
    }

    /// The job of a lease that is in force.
    #[must_use]
    pub fn job_of(&self, lease: LeaseId) -> Option<JobId> {
        self.leases.get(&lease).map(|lease| lease.job)
    }

    /// The executor that has these slots of a job's page.
    #[must_use]
    pub fn executor_at(&self, job: JobId, place: usize) -> Option<ExecutorId> {
        self.jobs.get(&job)?.places.get(place).copied().flatten()
    }
}
