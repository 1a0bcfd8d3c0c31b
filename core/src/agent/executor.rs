//! Executors: started for a place of a job's shape, kept for the next job where the plugin allows it, replaced
//! when they die, and what their end means for the tasks they had.

use super::io::{ExitCause, Output, PluginKey};
use super::lease::Lease;
use super::{Agent, CLOSE_GRACE, FAILED_STARTS_MAX, IDLE_KEEP};
use crate::id::{ExecutorId, JobId, LeaseId};
use crate::range::{IndexRange, RangeSet};
use crate::shape::Flow;
use crate::time::{Span, Time};
use alloc::vec::Vec;

/// An executor process.
#[derive(Debug)]
pub(super) struct Executor {
    plugin: PluginKey,
    pub(super) state: State,
}

/// A task of a lease.
type Task = (LeaseId, u64);

/// Who ended an executor.
#[derive(Debug)]
enum Blame {
    /// One of these tasks.
    AnyOf(Vec<Task>),
    /// Each of these tasks.
    All(Vec<Task>),
}

impl Blame {
    fn tasks(&self) -> &[Task] {
        let (Self::AnyOf(tasks) | Self::All(tasks)) = self;
        tasks
    }
}

/// What an executor is doing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It was given a job and has not said that it is ready.
    Opening { job: JobId, place: usize },
    /// It runs a job.
    Running { job: JobId, place: usize },
    /// Its job is over and it will say when it has closed it.
    Closing { job: JobId, place: usize, kill_at: Time },
    /// It was told to end; `next` says what follows when it does not.
    Stopping { job: Option<(JobId, usize)>, next: Option<Rung> },
    /// It waits for a job until `until`.
    Idle { until: Time },
}

/// What is done with an executor that does not stop, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rung {
    /// It is asked once more, in a way that ends it unless its plugin handles it; then killed.
    Terminate { at: Time, kill_at: Time },
    /// It is killed.
    Kill { at: Time },
}

impl Rung {
    /// What follows on the cancel flag.
    fn first(now: Time, grace: Span) -> Self {
        Self::Terminate { at: now + Span(grace.0 / 2), kill_at: now + grace }
    }

    const fn at(self) -> Time {
        match self {
            Self::Terminate { at, .. } | Self::Kill { at } => at,
        }
    }
}

impl Executor {
    /// When something must be done about it, and what.
    pub(super) fn deadline(&self) -> Option<(Time, &'static str)> {
        match self.state {
            State::Opening { .. } | State::Running { .. } => None,
            State::Closing { kill_at, .. } => Some((kill_at, "an executor does not close its job")),
            State::Stopping { next, .. } => next.map(|rung| (rung.at(), "an executor does not stop")),
            State::Idle { until } => Some((until, "an executor waited long enough for a job")),
        }
    }

    fn seat(&self) -> Option<(JobId, usize)> {
        match self.state {
            State::Opening { job, place }
            | State::Running { job, place }
            | State::Closing { job, place, .. } => Some((job, place)),
            State::Stopping { job, .. } => job,
            State::Idle { .. } => None,
        }
    }
}

impl Agent {
    /// Gives a job as many executors as its tasks here can use, and one before there are any. The first places go
    /// first, because slots are allowed from the first on.
    pub(super) fn staff_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id).filter(|job| !job.closing) else { return };
        if job.places.iter().all(Option::is_some) {
            return;
        }
        let (places, shape) = (job.places.len(), job.shape);
        let threads = u64::from(shape.threads) * u64::from(shape.flow.in_flight());
        let tasks: u64 =
            self.leases.values().filter(|lease| lease.job == id).map(Lease::concurrent_tasks).sum();
        let useful = usize::try_from(tasks.div_ceil(threads.max(1))).unwrap_or(places).min(places);
        let is_vacant = |place: &usize| job.places[*place].is_none();
        let vacant: Vec<usize> = if shape.flow == Flow::Once && !job.is_tried_alone() {
            // Each that is there takes one of the tasks, wherever it sits.
            let there = job.places.iter().flatten().count();
            (0..places).filter(is_vacant).take(useful.saturating_sub(there)).collect()
        } else {
            (0..useful.max(1)).filter(is_vacant).collect()
        };
        for place in vacant {
            self.staff(id, place);
        }
    }

    /// Gives a place of a job's shape an executor: an idle one of the same plugin, or a new one.
    fn staff(&mut self, id: JobId, place: usize) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let (threads, plugin) = (job.shape.threads, job.plugin);
        let first_slot = place as u32 * threads;
        let state = State::Opening { job: id, place };
        let idle = self
            .executors
            .iter_mut()
            .find(|(_, executor)| executor.plugin == plugin && matches!(executor.state, State::Idle { .. }));
        let executor = match idle {
            Some((&executor, view)) => {
                view.state = state;
                self.outputs.push_back(Output::Assign { executor, job: id, threads, first_slot });
                executor
            }
            None => {
                let executor = self.next_executor;
                self.next_executor = ExecutorId(executor.0 + 1);
                self.executors.insert(executor, Executor { plugin, state });
                self.outputs.push_back(Output::Start { executor, job: id, threads, first_slot });
                executor
            }
        };
        job.places[place] = Some(executor);
    }

    pub(super) fn on_ready(&mut self, id: ExecutorId) {
        let Some(executor) = self.executors.get_mut(&id) else { return };
        if let State::Opening { job, place } = executor.state {
            executor.state = State::Running { job, place };
            if let Some(job) = self.jobs.get_mut(&job) {
                job.failed_starts = 0;
            }
        }
    }

    /// An executor closed its job: it waits for the next.
    pub(super) fn on_idle(&mut self, now: Time, id: ExecutorId) {
        let Some(executor) = self.executors.get_mut(&id) else { return };
        if let State::Closing { job, place, .. } = executor.state {
            executor.state = State::Idle { until: now + IDLE_KEEP };
            self.leave(now, job, place, id);
            self.limit_idle();
        }
    }

    /// Ends the executor that has waited longest for a job when more wait than the worker has slots: a job of an
    /// oversubscribed shape may leave thousands.
    fn limit_idle(&mut self) {
        let idle = self.executors.iter().filter_map(|(&id, executor)| match executor.state {
            State::Idle { until } => Some((until, id)),
            State::Opening { .. }
            | State::Running { .. }
            | State::Closing { .. }
            | State::Stopping { .. } => None,
        });
        if idle.clone().count() > self.slots as usize
            && let Some((_, longest)) = idle.min()
        {
            self.end_idle(longest);
        }
    }

    /// Lets the executors of a closed job go.
    pub(super) fn release_executors(&mut self, now: Time, id: JobId, cancel: bool) {
        let Some(job) = self.jobs.get(&id) else { return };
        if !job.reusable || cancel {
            self.stop_executors(now, id, false);
            return;
        }
        let executors: Vec<ExecutorId> = job.places.iter().copied().flatten().collect();
        for executor in executors {
            let Some(view) = self.executors.get_mut(&executor) else { continue };
            let Some((job, place)) = view.seat() else { continue };
            view.state = State::Closing { job, place, kill_at: now + CLOSE_GRACE };
            self.outputs.push_back(Output::CloseJob { executor, job });
        }
    }

    /// Ends the executors of a closed job, at once or when their tasks have stopped.
    pub(super) fn stop_executors(&mut self, now: Time, id: JobId, kill: bool) {
        let Some(job) = self.jobs.get(&id) else { return };
        let next = (!kill).then(|| Rung::first(now, job.grace));
        let executors: Vec<ExecutorId> = job.places.iter().copied().flatten().collect();
        for executor in executors {
            let Some(view) = self.executors.get_mut(&executor) else { continue };
            view.state = State::Stopping { job: view.seat(), next };
            self.outputs.push_back(Output::Stop { executor, kill });
        }
    }

    pub(super) fn on_deadline(&mut self, now: Time, id: ExecutorId) {
        let Some(executor) = self.executors.get_mut(&id) else { return };
        let job = executor.seat();
        let (next, output) = match executor.state {
            State::Stopping { next: Some(Rung::Terminate { at, kill_at }), .. } if at < kill_at => {
                // What cleans up has a quarter of the grace at least, also when this worker was late to say so.
                let kill_at = kill_at.max(now + Span(kill_at.since(at).0 / 2));
                (Some(Rung::Kill { at: kill_at }), Output::Terminate { executor: id })
            }
            State::Closing { .. } | State::Stopping { .. } => {
                (None, Output::Stop { executor: id, kill: true })
            }
            State::Idle { .. } => return self.end_idle(id),
            State::Opening { .. } | State::Running { .. } => return,
        };
        executor.state = State::Stopping { job, next };
        self.outputs.push_back(output);
    }

    fn end_idle(&mut self, id: ExecutorId) {
        let Some(executor) = self.executors.get_mut(&id) else { return };
        executor.state = State::Stopping { job: None, next: None };
        self.outputs.push_back(Output::Stop { executor: id, kill: false });
    }

    pub(super) fn on_exited(
        &mut self,
        now: Time,
        id: ExecutorId,
        cause: ExitCause,
        held: &[(LeaseId, IndexRange)],
        (running, culprits): (&[Task], &[Task]),
    ) {
        let Some(executor) = self.executors.remove(&id) else { return };
        let Some((job_id, place)) = executor.seat() else { return };
        self.leave(now, job_id, place, id);
        if self.has_left(job_id, id) {
            self.staff_job(job_id);
            self.run_owed_alone(job_id);
            return;
        }
        let Some(job) = self.jobs.get_mut(&job_id).filter(|job| !job.closing) else { return };
        // One that ended for no fault of its own says nothing of the next.
        if matches!(executor.state, State::Opening { .. }) && cause != ExitCause::Stopped {
            job.failed_starts += 1;
        }
        let hopeless = cause == ExitCause::LoadFailed || job.failed_starts >= FAILED_STARTS_MAX;
        if hopeless {
            self.outputs.push_back(Output::ReportTrouble { job: job_id });
            self.close(now, job_id, true);
            return;
        }
        // Whoever crashed is the only one to blame, whatever else was running.
        let owed = |tasks: &[Task]| -> Vec<Task> {
            tasks.iter().copied().filter(|&(lease, index)| self.owes(job_id, lease, index)).collect()
        };
        let culprits = owed(culprits);
        let blame = if culprits.is_empty() { Blame::AnyOf(owed(running)) } else { Blame::All(culprits) };
        if cause == ExitCause::Retired || !self.settle_alone(job_id, place, cause, blame.tasks()) {
            self.settle_blame(job_id, cause, held, &blame);
        }
        self.staff_job(job_id);
        self.share_slots();
    }

    /// Whether a task of a job is still to be done under a lease.
    fn owes(&self, job: JobId, lease: LeaseId, index: u64) -> bool {
        self.leases.get(&lease).is_some_and(|view| view.job == job && view.outstanding.contains(index))
    }

    /// The one task that ran when an executor crashed, or those that are known to have crashed it, are charged; of several
    /// that may have, none is: they become suspects and run again one at a time. Everything else the executor had runs
    /// again.
    fn settle_blame(
        &mut self,
        job_id: JobId,
        cause: ExitCause,
        held: &[(LeaseId, IndexRange)],
        blame: &Blame,
    ) {
        let owed = blame.tasks();
        let owes = |&(lease, range): &(LeaseId, IndexRange)| {
            self.leases.get(&lease).is_some_and(|view| view.outstanding.overlap(range).next().is_some())
        };
        let lost_tasks = held.iter().any(owes);
        let class = cause.failure_class();
        match (cause.is_crash(), blame) {
            (true, Blame::AnyOf(several)) if several.len() > 1 => {
                for &(lease, index) in several {
                    self.suspect(job_id, lease, IndexRange::from_count(index, 1));
                }
            }
            (true, Blame::All(tasks) | Blame::AnyOf(tasks)) => {
                tasks.iter().for_each(|&(lease, index)| self.on_failed(lease, index, class));
            }
            (false, _) => {}
        }
        for &(lease, range) in held {
            let Some(view) = self.leases.get(&lease).filter(|view| view.job == job_id) else { continue };
            if view.whole {
                let entire: Vec<IndexRange> = view.outstanding.iter().collect();
                entire.into_iter().for_each(|range| self.queue(job_id, lease, range));
                continue;
            }
            let mut tasks = RangeSet::new();
            view.outstanding.overlap(range).for_each(|piece| tasks.insert(piece));
            // Suspects run as pieces of their own.
            let alone: Vec<IndexRange> = owed
                .iter()
                .filter(|(of, index)| *of == lease && tasks.contains(*index))
                .map(|&(_, index)| IndexRange::from_count(index, 1))
                .collect();
            for range in alone {
                tasks.remove(range);
                self.queue(job_id, lease, range);
            }
            let pieces: Vec<IndexRange> = tasks.iter().collect();
            pieces.into_iter().for_each(|range| self.queue(job_id, lease, range));
        }
        if cause.is_crash() && owed.is_empty() && lost_tasks {
            self.count_unblamed(job_id);
        }
    }

    fn leave(&mut self, now: Time, job: JobId, place: usize, id: ExecutorId) {
        if let Some(seat) = self.jobs.get_mut(&job).and_then(|job| job.places.get_mut(place))
            && *seat == Some(id)
        {
            *seat = None;
        }
        self.forget_when_empty(now, job);
        // Its slots may be what another job waits for.
        self.share_slots();
    }

    pub(super) fn executor_states(&self) -> impl Iterator<Item = (ExecutorId, Option<(JobId, usize)>)> + '_ {
        self.executors.iter().map(|(&id, executor)| (id, executor.seat()))
    }
}
