//! A scheduler and workers with real agents and claim words, whose messages and threads move when a test says.

use muster_core::agent::{self, Agent, ExitCause, PluginKey};
use muster_core::id::{ExecutorId, JobId, LeaseId, LogPos, WorkerId};
use muster_core::page::{Claim, ENTRIES, LeaseEntry, LeaseFacts};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::{Block, blocks};
use muster_core::scheduler::{
    Config, FailureClass, GrantKind, Input, JobSpec, Loss, Outcome, Output, Scheduler,
};
use muster_core::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The job that tests submit.
pub const JOB: JobId = JobId(1);

/// A thread of an executor, with what it claimed and did not deliver.
pub struct Thread {
    executor: ExecutorId,
    job: JobId,
    claim: Option<(LeaseId, Claim)>,
}

/// A worker: the real agent, real claim words, threads that move when told.
pub struct Worker {
    pub id: WorkerId,
    pub agent: Agent,
    pub down: VecDeque<Output>,
    pub up: VecDeque<Input>,
    pub threads: Vec<Thread>,
    pub dead: bool,
    pages: BTreeMap<JobId, Vec<LeaseEntry>>,
    published: BTreeMap<(JobId, usize), (LeaseId, IndexRange)>,
    whole: BTreeSet<LeaseId>,
    allowed: BTreeMap<JobId, u32>,
}

/// Everything, and what was committed so far.
pub struct World {
    pub now: Time,
    pub scheduler: Scheduler,
    pub workers: Vec<Worker>,
    pub committed: RangeSet,
    pub failed: RangeSet,
    pub blocks: BTreeMap<u64, u64>,
    pub ended: BTreeMap<JobId, Outcome>,
    pub dropped: u64,
    pub reduce: bool,
    next_worker: u64,
    last_pos: u64,
}

impl World {
    pub fn new(workers: u32, slots: u32) -> Self {
        let mut world = Self {
            now: Time::ZERO,
            scheduler: Scheduler::new(Config::default(), LogPos(1)),
            workers: Vec::new(),
            committed: RangeSet::new(),
            failed: RangeSet::new(),
            blocks: BTreeMap::new(),
            ended: BTreeMap::new(),
            dropped: 0,
            reduce: false,
            next_worker: 1,
            last_pos: 0,
        };
        (0..workers).for_each(|_| world.join(slots));
        world
    }

    pub fn join(&mut self, slots: u32) {
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.workers.push(Worker {
            id,
            agent: Agent::new(slots),
            down: VecDeque::new(),
            up: VecDeque::new(),
            threads: Vec::new(),
            dead: false,
            pages: BTreeMap::new(),
            published: BTreeMap::new(),
            whole: BTreeSet::new(),
            allowed: BTreeMap::new(),
        });
        self.tell(Input::Joined { worker: id, slots });
    }

    pub fn submit(&mut self, spec: JobSpec) {
        self.reduce = spec.reduce;
        self.tell(Input::Submit { job: JOB, spec });
    }

    /// Tells the scheduler something and does what it says.
    pub fn tell(&mut self, input: Input) {
        self.scheduler.handle(self.now, input);
        self.pump();
    }

    pub fn wait(&mut self, span: Span) {
        self.now = self.now + span;
        self.scheduler.handle_timeout(self.now);
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            self.check_log(&output);
            self.act(output);
        }
        self.scheduler.check_invariants();
    }

    fn check_log(&mut self, output: &Output) {
        let (Output::Accepted { pos, .. }
        | Output::Extended { pos, .. }
        | Output::Sealed { pos, .. }
        | Output::Commit { pos, .. }
        | Output::Combined { pos, .. }
        | Output::Fail { pos, .. }
        | Output::Retry { pos, .. }
        | Output::Ended { pos, .. }) = output
        else {
            return;
        };
        assert_eq!(pos.0, self.last_pos + 1, "the log has a gap");
        self.last_pos = pos.0;
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Open { worker, .. }
            | Output::Grant { worker, .. }
            | Output::Recall { worker, .. }
            | Output::Close { worker, .. } => {
                self.workers.iter_mut().filter(|other| other.id == worker).for_each(|other| {
                    other.down.push_back(output.clone());
                });
            }
            Output::Commit { range, .. } => self.commit(range),
            Output::Combined { block, .. } => {
                self.blocks.retain(|start, _| !block.range().contains(*start));
                self.blocks.insert(block.start, block.size);
            }
            Output::Fail { index, .. } => {
                assert!(!self.committed.contains(index), "a committed task failed");
                self.failed.insert(IndexRange::from_count(index, 1));
            }
            Output::Ended { job, outcome, .. } => {
                assert!(self.ended.insert(job, outcome).is_none(), "a job ended twice");
            }
            Output::Lost { worker } => {
                self.workers
                    .iter_mut()
                    .filter(|other| other.id == worker)
                    .for_each(|other| other.dead = true);
            }
            Output::Dropped { range, .. } => self.dropped += range.len(),
            Output::Accepted { .. }
            | Output::Extended { .. }
            | Output::Sealed { .. }
            | Output::Retry { .. }
            | Output::Drained { .. } => {}
        }
    }

    fn commit(&mut self, range: IndexRange) {
        assert!(self.committed.overlap(range).next().is_none(), "{range} is committed twice");
        let mut rest = RangeSet::from(range);
        let failed: Vec<IndexRange> = self.failed.overlap(range).collect();
        for gone in failed {
            rest.remove(gone);
        }
        assert!(self.reduce || rest.len() == range.len(), "a failed task is committed");
        rest.iter().for_each(|piece| self.committed.insert(piece));
        if self.reduce {
            let block = Block::from_range(range).expect("commits of a reduction are blocks");
            self.blocks.insert(block.start, block.size);
        }
    }

    /// One message of a worker reaches the scheduler; `twice`: it is repeated.
    pub fn deliver_up(&mut self, at: usize, twice: bool) -> bool {
        let Some(worker) = self.workers.get_mut(at) else { return false };
        if worker.dead {
            worker.up.clear();
        }
        let Some(input) = worker.up.pop_front() else { return false };
        if twice {
            self.tell(input.clone());
        }
        self.tell(input);
        true
    }

    /// One message of the scheduler reaches a worker.
    pub fn deliver_down(&mut self, at: usize) -> bool {
        let (now, reduce) = (self.now, self.reduce);
        let Some(worker) = self.workers.get_mut(at).filter(|worker| !worker.dead) else { return false };
        let Some(output) = worker.down.pop_front() else { return false };
        let input = match output {
            Output::Open { job, shape, .. } => {
                agent::Input::Open { job, shape, plugin: PluginKey(1), reusable: true, reduce }
            }
            Output::Grant { grant, .. } => {
                let whole = matches!(grant.kind, GrantKind::Combine { .. });
                agent::Input::Grant(agent::Grant {
                    lease: grant.lease,
                    job: grant.job,
                    range: grant.range,
                    whole,
                })
            }
            Output::Recall { lease, count, .. } => agent::Input::Recall { lease, count },
            Output::Close { job, cancel, .. } => agent::Input::Close { job, cancel },
            other => panic!("{other:?} is not for a worker"),
        };
        worker.hand(now, input);
        true
    }

    pub fn kill_worker(&mut self, at: usize) {
        let Some(worker) = self.workers.get_mut(at).filter(|worker| !worker.dead) else { return };
        worker.dead = true;
        let worker = worker.id;
        self.tell(Input::Left { worker, reason: Loss::Disconnected });
    }

    pub fn alive(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter().filter(|worker| !worker.dead)
    }

    /// A worker that is alive.
    pub fn worker(&mut self, at: usize) -> Option<&mut Worker> {
        self.workers.get_mut(at).filter(|worker| !worker.dead)
    }

    /// Faults stop: everything ends within a bound.
    pub fn finish(&mut self) {
        if self.alive().next().is_none() {
            self.join(2);
        }
        let mut still = 0;
        for _ in 0..100_000 {
            if self.ended.contains_key(&JOB) {
                return;
            }
            let mut moved = false;
            for at in 0..self.workers.len() {
                moved |= self.deliver_down(at) | self.deliver_up(at, false);
                let now = self.now;
                let Some(worker) = self.worker(at) else { continue };
                let mut worked = false;
                for thread in 0..worker.threads.len() {
                    worked |= worker.claim(now, thread, 4) | worker.deliver(now, thread, None);
                }
                if !worked {
                    worker.quiet(now);
                }
                moved |= worked;
            }
            // What was lost is published again in one round and claimed in the next.
            still = if moved { 0 } else { still + 1 };
            assert!(still < 3, "nothing moves and the job has not ended: {:?}", self.scheduler.job(JOB));
        }
        panic!("the job did not end: {:?}", self.scheduler.job(JOB));
    }
}

impl Worker {
    fn hand(&mut self, now: Time, input: agent::Input) {
        self.agent.handle(now, input);
        while let Some(output) = self.agent.poll_output() {
            self.act(now, output);
        }
        self.agent.check_invariants();
    }

    fn act(&mut self, now: Time, output: agent::Output) {
        use agent::Output as Out;
        let worker = self.id;
        match output {
            Out::MakePage { job, .. } => {
                self.pages.insert(job, (0..ENTRIES).map(|_| LeaseEntry::default()).collect());
                self.allowed.insert(job, 0);
            }
            Out::Start { executor, job, threads, .. } | Out::Assign { executor, job, threads, .. } => {
                (0..threads).for_each(|_| self.threads.push(Thread { executor, job, claim: None }));
                self.agent.handle(now, agent::Input::ExecutorReady { executor });
            }
            Out::CloseJob { executor, .. } => {
                self.threads.retain(|thread| thread.executor != executor);
                self.agent.handle(now, agent::Input::ExecutorIdle { executor });
            }
            Out::Stop { executor, .. } => {
                self.threads.retain(|thread| thread.executor != executor);
                let cause = ExitCause::Stopped;
                let exited = agent::Input::ExecutorExited { executor, cause, held: vec![], running: vec![] };
                self.agent.handle(now, exited);
            }
            Out::Publish { job, entry, lease, range, whole } => {
                let page = &self.pages[&job][entry];
                assert_eq!(page.word().unclaimed(), 0, "an entry in use is published again");
                let tasks = if whole { IndexRange::from_count(range.start, 1) } else { range };
                page.publish(tasks, LeaseFacts { base: range.start, ..LeaseFacts::default() });
                self.published.insert((job, entry), (lease, range));
                if whole {
                    self.whole.insert(lease);
                }
            }
            Out::Reclaim { job, entry, count } => {
                let page = &self.pages[&job][entry];
                let range = page.call_back(page.word().generation, count);
                let drained = page.word().unclaimed() == 0;
                self.agent.handle(now, agent::Input::Reclaimed { job, entry, range });
                if drained {
                    self.agent.handle(now, agent::Input::Drained { job, entry });
                }
            }
            Out::Allow { job, slots } => {
                self.allowed.insert(job, slots);
            }
            Out::Forward { lease, range } => {
                self.up.push_back(Input::Done { worker, lease, range, busy: Span(range.len() * 1_000) });
            }
            Out::ReportFailed { lease, index, class } => {
                self.up.push_back(Input::Failed { worker, lease, index, class });
            }
            Out::Return { lease, range } => self.up.push_back(Input::Returned { worker, lease, range }),
            Out::ReportTrouble { job } => self.up.push_back(Input::Trouble { worker, job }),
            Out::ForgetJob { job } => {
                self.pages.remove(&job);
            }
            Out::CancelTasks { .. } | Out::Refuse { .. } | Out::ForgetLease { .. } => {}
        }
    }

    /// A thread takes tasks, when it has none and may.
    pub fn claim(&mut self, now: Time, thread: usize, size: u32) -> bool {
        let Some(view) = self.threads.get(thread).filter(|thread| thread.claim.is_none()) else {
            return false;
        };
        let job = view.job;
        let rank = self.threads[..thread].iter().filter(|other| other.job == job).count();
        if rank as u32 >= self.allowed[&job] {
            return false;
        }
        let Some(page) = self.pages.get(&job) else { return false };
        for (at, entry) in page.iter().enumerate() {
            let Some(claim) = entry.claim(|_| size, |_, _| {}) else { continue };
            let drained = entry.word().unclaimed() == 0;
            let (lease, _) = self.published[&(job, at)];
            self.threads[thread].claim = Some((lease, claim));
            if drained {
                self.hand(now, agent::Input::Drained { job, entry: at });
            }
            return true;
        }
        false
    }

    /// A thread delivers what it claimed, with its first task failing when `fail` says so.
    pub fn deliver(&mut self, now: Time, thread: usize, fail: Option<FailureClass>) -> bool {
        let Some((lease, claim)) = self.threads.get_mut(thread).and_then(|thread| thread.claim.take()) else {
            return false;
        };
        let mut range = claim.range;
        if let Some(class) = fail {
            self.hand(now, agent::Input::Failed { lease, index: range.start, class });
            range.start += 1;
        }
        if self.whole.contains(&lease) {
            if fail.is_none() {
                let (_, range) =
                    *self.published.values().find(|(other, _)| *other == lease).expect("published");
                self.hand(now, agent::Input::Done { lease, range });
            }
            return true;
        }
        for block in blocks(range) {
            self.hand(now, agent::Input::Done { lease, range: block.range() });
        }
        true
    }

    /// The executor of a thread dies with all that its threads claimed.
    pub fn crash(&mut self, now: Time, thread: usize, cause: ExitCause) {
        let Some(executor) = self.threads.get(thread).map(|thread| thread.executor) else { return };
        let (mut held, mut running) = (Vec::new(), Vec::new());
        for (lease, claim) in self
            .threads
            .iter()
            .filter(|thread| thread.executor == executor)
            .filter_map(|thread| thread.claim.as_ref())
        {
            held.push((*lease, claim.range));
            running.push((*lease, claim.range.start));
        }
        self.threads.retain(|thread| thread.executor != executor);
        self.hand(now, agent::Input::ExecutorExited { executor, cause, held, running });
    }

    /// Plugins wrote into the page: what a thread had claimed is forgotten.
    pub fn forget_claim(&mut self, thread: usize) {
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.claim = None;
        }
    }

    /// Says that nothing moves, when that is so.
    fn quiet(&mut self, now: Time) {
        if self.threads.iter().any(|thread| thread.claim.is_some()) {
            return;
        }
        let jobs: Vec<JobId> = self.pages.keys().copied().collect();
        for job in jobs {
            self.hand(now, agent::Input::Quiet { job });
        }
    }
}
