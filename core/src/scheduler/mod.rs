//! Which worker gets which tasks.
//!
//! ```text
//! scheduler.handle(now, Input::..);
//! while let Some(output) = scheduler.poll_output() { .. }
//! sleep_until(scheduler.poll_timeout());   // then handle_timeout(now)
//! ```
//!
//! Which tasks may run (`job`) is kept apart from who runs them (`lease`, `fleet`). A task is at every moment
//! ready, waiting for its next try, out on one lease (or two, of which one is speculative), committed, or failed for
//! good; `check_invariants` says so.

mod adopt;
mod backoff;
mod chunk;
mod config;
mod dispatch;
mod fleet;
mod invariants;
mod io;
mod job;
mod lease;
#[cfg(feature = "mutations")]
mod mutate;
mod pause;
mod policy;
mod reduction;
mod release;
mod report;
mod retry;
mod speculation;
mod unfit;
mod worker;

pub use chunk::{Batch, Outlook};
pub use config::Config;
pub use io::{
    DropReason, FailureClass, Grant, GrantKind, Held, Input, JobSpec, Loss, Outcome, Output, RecoveredJob,
};
pub use policy::{Candidate, Chunking, Order, Policy, PolicyError, PolicySpec, Rank, Speculation};
pub use retry::{BUDGETED, Charges, RetryPolicy};

use crate::id::{JobId, LeaseId, LogPos, WorkerId};
use crate::mutation::{Broken, Mutation};
use crate::range::IndexRange;
use crate::time::{Span, Time};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use backoff::Waiting;
use fleet::Fleet;
use job::Job;
use lease::{Leases, Work};
use report::Results;
use speculation::Stragglers;
use unfit::Unfit;

/// Decides which worker gets which tasks. One owner drives it; it keeps no clock and no task data.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    policy: Box<dyn Policy>,
    jobs: BTreeMap<JobId, Job>,
    /// Jobs that have something to lease out, and that somebody may run.
    ready: BTreeSet<JobId>,
    fleet: Fleet,
    /// Workers that must not run a job.
    unfit: Unfit,
    leases: Leases,
    outputs: VecDeque<Output>,
    next_pos: LogPos,
    /// When the workers' signs of life are looked at next.
    next_check: Option<Time>,
    /// Nothing can be called back until something is leased out again.
    balanced: bool,
    /// What the job served last had been given: newcomers start there.
    served_ns: u64,
    /// Leases given so far.
    turn: u64,
    /// Leases that ended because their worker was gone.
    expired: u64,
    stragglers: Stragglers,
    waiting: Waiting,
    /// Until then recovered jobs wait for the workers that had their tasks.
    awaits_workers: Option<Time>,
    /// The time of the last input.
    now: Time,
    /// Guarantees that tests took away: none, and no memory, in other builds.
    broken: Broken,
}

/// How much a scheduler keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Jobs that have not ended.
    pub jobs: usize,
    /// Workers that are there.
    pub workers: usize,
    /// Leases in force.
    pub leases: usize,
    /// Places in the table of leases, used or free.
    pub lease_places: usize,
    /// Tasks that attempts were charged to.
    pub charged: usize,
    /// Tasks that wait before they are tried again.
    pub waiting: usize,
    /// Partial results that are kept apart.
    pub blocks: usize,
    /// Pairs of worker and job that must not come together.
    pub unfit: usize,
}

/// What a job looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Tasks it has so far.
    pub tasks: u64,
    /// Tasks that nobody has.
    pub ready: u64,
    /// Those of them that wait before they are tried again.
    pub waiting: u64,
    /// Tasks out on leases; those on two count once.
    pub leased: u64,
    /// Tasks with a committed result.
    pub committed: u64,
    /// Tasks that failed for good.
    pub failed: u64,
    /// Workers that know of it.
    pub workers: usize,
    /// Workers that stay and could run it: large enough for its shape, not told to be unfit, and the plugin is not
    /// known to fail there.
    pub fitting: usize,
    /// It is held back by the caller.
    pub held: bool,
    /// It is paused, because most of its attempts crashed.
    pub paused: bool,
}

impl Scheduler {
    /// A scheduler without jobs and workers. `next_pos` is the first free place in the log.
    #[must_use]
    pub fn new(config: Config, next_pos: LogPos) -> Self {
        let policy = config.policy.build(config.seed);
        Self::with_policy(config, next_pos, policy)
    }

    /// A scheduler that chooses as `policy` says; what `config` says of policies counts for nothing.
    #[must_use]
    pub fn with_policy(config: Config, next_pos: LogPos, policy: Box<dyn Policy>) -> Self {
        Self {
            stragglers: Stragglers::new(policy.patience(Span::ZERO)),
            config,
            policy,
            jobs: BTreeMap::new(),
            ready: BTreeSet::new(),
            fleet: Fleet::default(),
            unfit: Unfit::default(),
            leases: Leases::default(),
            outputs: VecDeque::new(),
            next_pos,
            next_check: None,
            balanced: true,
            served_ns: 0,
            turn: 0,
            expired: 0,
            waiting: Waiting::default(),
            awaits_workers: None,
            now: Time::ZERO,
            broken: Broken::default(),
        }
    }

    /// Takes up a job that the log knows and that had not ended. Its unfinished tasks are ready again.
    pub fn recover(&mut self, recovered: RecoveredJob) {
        let RecoveredJob {
            job: id,
            spec,
            tasks,
            bytes,
            sealed,
            committed,
            failed,
            charged,
            last_attempt,
            paused,
            blocks,
        } = recovered;
        let mut job = Job::new(JobSpec { tasks: 0, ..spec }, &self.config);
        job.reduction = job
            .spec
            .reduce
            .then(|| reduction::Reduction::new(spec.tasks, spec.open || spec.paced, &self.config));
        (job.spec.tasks, job.tasks, job.bytes, job.sealed) = (spec.tasks, tasks, bytes, sealed);
        let mut left = crate::range::RangeSet::from(IndexRange::new(0, tasks));
        committed.iter().chain(failed.iter()).for_each(|range| {
            left.remove(range);
        });
        left.iter().for_each(|range| job.ready.insert(last_attempt + 1, range));
        (job.last_attempt, job.paused) = (last_attempt, paused);
        job.served_ns = self.served_ns;
        (job.committed, job.failed, job.charged) = (committed.len(), failed, charged);
        if let Some(reduction) = &mut job.reduction {
            blocks.into_iter().for_each(|(block, bytes)| reduction.insert(block, bytes));
        }
        self.jobs.insert(id, job);
        self.unfit_jobs_changed(None);
        self.settle(id);
        self.dispatch();
    }

    /// Takes an input. Calling with something late, repeated or wrong is harmless.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = now;
        match input {
            Input::Joined { worker, slots } => self.on_joined(now, worker, slots),
            Input::Rejoined { worker, slots, held } => self.on_rejoined(now, worker, slots, held),
            Input::Left { worker, reason: _ } => self.on_left(worker),
            Input::Drain { worker } => self.on_drain(worker),
            Input::Heartbeat { worker } => {
                self.fleet.hear(worker, now);
                return;
            }
            Input::Submit { job, spec } => self.on_submit(job, spec),
            Input::Extend { job, tasks, bytes } => self.on_extend(job, tasks, bytes),
            Input::Seal { job } => self.on_seal(job),
            Input::Cancel { job } => self.end(job, Outcome::Cancelled),
            Input::Hold { job, held } => self.on_hold(job, held),
            Input::Retry { job, tasks } => self.on_retry(job, &tasks),
            Input::Done { worker, lease, range, bytes, busy } => {
                self.on_done(now, worker, lease, Results { range, bytes, busy });
            }
            Input::Failed { worker, lease, index, class, busy } => {
                self.on_failed(now, worker, lease, index, class, busy);
            }
            Input::Returned { worker, lease, range } => self.on_returned(now, worker, lease, range),
            Input::Trouble { worker, job } => self.on_trouble(worker, job),
            Input::Unfit { worker, job } => self.on_unfit(worker, job),
        }
        self.dispatch();
    }

    /// What to do next. Outputs keep their order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Scheduler::handle_timeout`] should be called at the latest, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        let silence = self.next_check.map(|time| (time, "a worker may have fallen silent"));
        let straggler = self.next_look().map(|time| (time, "a lease may be out for too long"));
        let waited = self.waiting.next().map(|time| (time, "a task may be tried again"));
        let back = self.awaits_workers.map(|time| (time, "workers of an earlier life may not come back"));
        silence.into_iter().chain(straggler).chain(waited).chain(back).min_by_key(|&(time, _)| time)
    }

    /// Does what is due; harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = now;
        if self.awaits_workers.is_some_and(|until| until <= now) {
            self.await_no_workers();
        }
        self.check_silence(now);
        self.dispatch();
    }

    /// A job that has not ended.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<JobView> {
        let job = self.jobs.get(&id)?;
        let fits = |(worker, view): &(WorkerId, &fleet::Worker)| {
            !view.draining && self.fits(id, job, *worker, view.slots as u32)
        };
        let fitting = self.fleet.iter().filter(fits).count();
        Some(JobView {
            tasks: job.tasks,
            ready: job.unleased(),
            waiting: job.later.len() as u64,
            leased: job.leased,
            committed: job.committed,
            failed: job.failed.len(),
            workers: job.workers.len(),
            fitting,
            held: job.held,
            paused: job.paused,
        })
    }

    /// What a message of a worker about a lease will need, for a caller that can have memory brought closer before
    /// the message is there. Nothing can be seen in it.
    #[must_use]
    pub fn memory_of(&self, worker: WorkerId, lease: LeaseId) -> (Option<&impl Sized>, Option<&impl Sized>) {
        (self.fleet.memory_of(worker), self.leases.memory_of(lease))
    }

    /// Tasks that a worker has and did not finish.
    #[must_use]
    pub fn worker_tasks(&self, worker: WorkerId) -> Option<u64> {
        self.fleet.get(worker).map(|worker| worker.tasks)
    }

    /// The job of a lease that is in force with this worker.
    #[must_use]
    pub fn lease_job(&self, worker: WorkerId, lease: LeaseId) -> Option<JobId> {
        self.leases.get(lease).filter(|lease| lease.worker == worker).map(|lease| lease.job)
    }

    /// Whether a lease makes the output of a reduction.
    #[must_use]
    pub fn lease_finishes(&self, lease: LeaseId) -> bool {
        matches!(self.leases.get(lease).map(|lease| &lease.work), Some(Work::Combine { finish: true, .. }))
    }

    /// Tasks of all jobs that nobody has.
    #[must_use]
    pub fn queued_tasks(&self) -> u64 {
        self.jobs.values().map(Job::unleased).sum()
    }

    /// Tasks of a job that nobody has.
    #[must_use]
    pub fn queued_tasks_of(&self, id: JobId) -> u64 {
        self.jobs.get(&id).map_or(0, Job::unleased)
    }

    /// Leases that ended because their worker was gone.
    #[must_use]
    pub const fn expired_leases(&self) -> u64 {
        self.expired
    }

    /// How much it keeps, for whoever watches that nothing is kept for ever.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let (leases, lease_places) = self.leases.sizes();
        Sizes {
            jobs: self.jobs.len(),
            workers: self.fleet.len(),
            leases,
            lease_places,
            charged: self.jobs.values().map(|job| job.charged.len()).sum(),
            waiting: self.waiting.len(),
            unfit: self.unfit.len(),
            blocks: self.jobs.values().filter_map(|job| Some(job.reduction.as_ref()?.blocks().count())).sum(),
        }
    }

    fn on_submit(&mut self, id: JobId, spec: JobSpec) {
        let mut job = Job::new(spec, &self.config);
        job.served_ns = self.served_ns;
        self.jobs.insert(id, job);
        self.unfit_jobs_changed(None);
        let pos = self.log();
        self.outputs.push_back(Output::Accepted { job: id, pos });
        self.settle(id);
    }

    fn on_extend(&mut self, id: JobId, tasks: u64, bytes: u64) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.sealed) else { return };
        let range = IndexRange::from_count(job.tasks, tasks);
        job.tasks = range.end;
        job.bytes = job.bytes.saturating_add(bytes);
        job.ready.insert(1, range);
        let pos = self.log();
        self.outputs.push_back(Output::Extended { job: id, range, pos });
        self.settle(id);
    }

    fn on_seal(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.sealed) else { return };
        job.sealed = true;
        let pos = self.log();
        self.outputs.push_back(Output::Sealed { job: id, pos });
        self.settle(id);
    }

    fn on_hold(&mut self, id: JobId, held: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.held == held || (held && self.broken.strikes(Mutation::HoldUnheard)) {
            return;
        }
        job.held = held;
        if held {
            self.recall_unstarted(id, true);
        }
        self.settle(id);
    }

    /// Files a job after a change: it has work, or not, or is over.
    fn settle(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        if job.is_over() {
            self.end(id, Outcome::Done);
        } else if job.has_work() && !self.suits_nobody(id) {
            self.ready.insert(id);
        } else {
            self.ready.remove(&id);
        }
    }

    /// Ends a job: its leases are void and its workers forget it.
    fn end(&mut self, id: JobId, outcome: Outcome) {
        let Some(job) = self.jobs.remove(&id) else { return };
        self.ready.remove(&id);
        self.waiting.forget(id, &job.later);
        // What second leases left running is of no use any more.
        let cancel = outcome != Outcome::Done || job.speculated;
        for &worker in &job.workers {
            self.void_leases(worker, id);
            self.fleet.update(worker, &self.config, |worker| {
                worker.unlearn(id);
            });
            self.outputs.push_back(Output::Close { worker, job: id, cancel });
            self.check_drained(worker);
        }
        self.unfit_jobs_changed(Some(id));
        let pos = self.log();
        self.outputs.push_back(Output::Ended { job: id, outcome, pos });
    }

    /// The next place in the log.
    fn log(&mut self) -> LogPos {
        let pos = self.next_pos;
        if !self.broken.strikes(Mutation::PlaceGivenTwice) {
            self.next_pos = LogPos(pos.0 + 1);
        }
        pos
    }
}
