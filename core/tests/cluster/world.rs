//! A scheduler and workers with real agents and claim words, whose messages and threads move when a test says.

use crate::value::{self, Partial, bytes_of};
use muster_core::agent::{self, Agent, ExitCause, PluginKey};
use muster_core::id::{ExecutorId, JobId, LeaseId, LogPos, WorkerId};
use muster_core::page::{Claim, ENTRIES, LeaseEntry, LeaseFacts};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::{Block, LEAVES_MAX, blocks};
use muster_core::scheduler::{
    Charges, Config, FailureClass, GrantKind, Input, JobSpec, Loss, Outcome, Output, RecoveredJob, Scheduler,
};
use muster_core::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The job that tests submit.
pub const JOB: JobId = JobId(1);

/// A thread of an executor, with what it claimed and did not deliver.
pub struct Thread {
    executor: ExecutorId,
    job: JobId,
    slot: u32,
    claim: Option<(LeaseId, Claim)>,
}

/// A worker: the real agent, real claim words, threads that move when told.
pub struct Worker {
    pub id: WorkerId,
    pub agent: Agent,
    pub down: VecDeque<Output>,
    pub up: VecDeque<(Input, Option<Partial>)>,
    pub threads: Vec<Thread>,
    pub dead: bool,
    pages: BTreeMap<JobId, Vec<LeaseEntry>>,
    published: BTreeMap<(JobId, usize), (LeaseId, IndexRange)>,
    whole: BTreeSet<LeaseId>,
    allowed: BTreeMap<JobId, u32>,
    leaf: Option<u64>,
    /// The partial results of combine leases, and whether they make the output.
    parts: BTreeMap<LeaseId, (Vec<(Block, Partial)>, bool)>,
    /// The partial result that is being handed to the agent.
    handed: Option<Partial>,
}

/// Small enough that leases are cut for it.
const COMBINE_BYTES_MAX: u64 = 30;

/// Everything, and what was committed so far.
pub struct World {
    pub now: Time,
    pub scheduler: Scheduler,
    pub workers: Vec<Worker>,
    pub committed: RangeSet,
    pub failed: RangeSet,
    pub blocks: BTreeMap<u64, u64>,
    pub partials: BTreeMap<u64, Partial>,
    /// Blocks that were committed in pieces although they are inside a leaf.
    pub cut: u64,
    pub ended: BTreeMap<JobId, Outcome>,
    pub dropped: u64,
    /// Second leases that were given.
    pub speculative: u64,
    pub reduce: bool,
    pub leaf: Option<u64>,
    config: Config,
    spec: JobSpec,
    charged: BTreeMap<u64, Charges>,
    /// What the message being handled carries.
    subject: Option<Partial>,
    next_worker: u64,
    last_pos: u64,
}

impl World {
    pub fn new(workers: u32, slots: u32) -> Self {
        Self::with_leaves(workers, slots, LEAVES_MAX)
    }

    pub fn with_leaves(workers: u32, slots: u32, leaves_max: u64) -> Self {
        Self::with_config(workers, slots, Config { leaves_max, ..Config::default() })
    }

    pub fn under(workers: u32, slots: u32, policy: &str) -> Self {
        Self::with_config(workers, slots, Config { policy: policy.parse().unwrap(), ..Config::default() })
    }

    fn with_config(workers: u32, slots: u32, config: Config) -> Self {
        // Pauses have tests of their own.
        let config = Config { combine_bytes_max: COMBINE_BYTES_MAX, pause_crashes: 0, ..config };
        let mut world = Self {
            now: Time::ZERO,
            scheduler: Scheduler::new(config.clone(), LogPos(1)),
            workers: Vec::new(),
            committed: RangeSet::new(),
            failed: RangeSet::new(),
            blocks: BTreeMap::new(),
            partials: BTreeMap::new(),
            cut: 0,
            ended: BTreeMap::new(),
            dropped: 0,
            speculative: 0,
            reduce: false,
            leaf: None,
            config,
            spec: JobSpec::default(),
            charged: BTreeMap::new(),
            subject: None,
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
            leaf: None,
            parts: BTreeMap::new(),
            handed: None,
        });
        self.tell(Input::Joined { worker: id, slots });
    }

    pub fn submit(&mut self, mut spec: JobSpec) {
        // So have waits.
        spec.retry.backoff = Span::ZERO;
        self.reduce = spec.reduce;
        self.spec = spec.clone();
        self.tell(Input::Submit { job: JOB, spec });
    }

    /// The coordinator starts again with what it had committed of a closed job, and without its workers.
    pub fn restart(&mut self) {
        if self.ended.contains_key(&JOB) {
            return;
        }
        self.workers.clear();
        self.scheduler = Scheduler::new(self.config.clone(), LogPos(self.last_pos + 1));
        self.scheduler.recover(RecoveredJob {
            job: JOB,
            spec: self.spec.clone(),
            tasks: self.spec.tasks,
            bytes: 0,
            sealed: true,
            committed: self.committed.clone(),
            failed: self.failed.clone(),
            charged: self.charged.clone(),
            last_attempt: 0,
            paused: false,
            blocks: self.kept_blocks().map(|block| (block, bytes_of(block.range()))).collect(),
        });
        self.pump();
        self.join(2);
    }

    fn kept_blocks(&self) -> impl Iterator<Item = Block> {
        self.blocks.iter().map(|(&start, &size)| Block { start, size })
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
        | Output::Paused { pos, .. }
        | Output::Released { pos, .. }
        | Output::Ended { pos, .. }) = output
        else {
            return;
        };
        assert_eq!(pos.0, self.last_pos + 1, "the log has a gap");
        self.last_pos = pos.0;
    }

    fn act(&mut self, output: Output) {
        if let Output::Open { leaf, .. } = output {
            self.leaf = leaf;
        }
        if let Output::Grant { grant, .. } = &output {
            self.speculative += u64::from(grant.speculative);
            assert!(!grant.speculative || grant.attempt > 1, "a second lease is no first attempt");
        }
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
                self.partials.retain(|start, _| !block.range().contains(*start));
                self.keep(block);
            }
            Output::Fail { index, .. } => {
                assert!(!self.committed.contains(index), "a committed task failed");
                self.failed.insert(IndexRange::from_count(index, 1));
                self.charged.remove(&index);
            }
            Output::Retry { index, class, charged, .. } => {
                self.charged.entry(index).or_default().set(class, charged);
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
            | Output::Paused { .. }
            | Output::Released { .. }
            | Output::Drained { .. }
            | Output::Adopted { .. } => {}
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
            self.cut += u64::from(self.leaf.is_some_and(|leaf| block.size < leaf));
            self.keep(block);
        }
        self.charged.retain(|index, _| !range.contains(*index));
    }

    fn keep(&mut self, block: Block) {
        self.blocks.insert(block.start, block.size);
        if let Some(partial) = &self.subject {
            self.partials.insert(block.start, partial.clone());
        }
    }

    /// One message of a worker reaches the scheduler; `twice`: it is repeated.
    pub fn deliver_up(&mut self, at: usize, twice: bool) -> bool {
        let Some(worker) = self.workers.get_mut(at) else { return false };
        if worker.dead {
            worker.up.clear();
        }
        let Some((input, subject)) = worker.up.pop_front() else { return false };
        self.subject = subject;
        if twice {
            self.tell(input.clone());
        }
        self.tell(input);
        self.subject = None;
        true
    }

    /// One message of the scheduler reaches a worker.
    pub fn deliver_down(&mut self, at: usize) -> bool {
        let (now, reduce) = (self.now, self.reduce);
        let Some(worker) = self.workers.get_mut(at).filter(|worker| !worker.dead) else { return false };
        let Some(output) = worker.down.pop_front() else { return false };
        let input = match output {
            Output::Open { job, shape, leaf, .. } => {
                worker.leaf = leaf;
                let grace = agent::CLOSE_GRACE;
                agent::Input::Open { job, shape, plugin: PluginKey(1), reusable: true, reduce, grace }
            }
            Output::Grant { grant, .. } => {
                let whole = matches!(grant.kind, GrantKind::Combine { .. });
                if let GrantKind::Combine { blocks, finish } = grant.kind {
                    let bytes: u64 = blocks.iter().map(|block| bytes_of(block.range())).sum();
                    assert!(blocks.len() <= 2 || bytes <= COMBINE_BYTES_MAX, "{blocks:?} have {bytes} bytes");
                    let part = |block: Block| Some((block, self.partials.get(&block.start)?.clone()));
                    worker.parts.insert(grant.lease, (blocks.into_iter().filter_map(part).collect(), finish));
                }
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
            Out::MakePage { job, .. } | Out::RenewPage { job } => {
                self.pages.insert(job, (0..ENTRIES).map(|_| LeaseEntry::default()).collect());
                self.allowed.insert(job, 0);
            }
            Out::Start { executor, job, threads, first_slot }
            | Out::Assign { executor, job, threads, first_slot } => {
                let slots = first_slot..first_slot + threads;
                self.threads.extend(slots.map(|slot| Thread { executor, job, slot, claim: None }));
                self.agent.handle(now, agent::Input::ExecutorReady { executor });
            }
            Out::CloseJob { executor, .. } => {
                self.threads.retain(|thread| thread.executor != executor);
                self.agent.handle(now, agent::Input::ExecutorIdle { executor });
            }
            Out::Terminate { executor } | Out::Stop { executor, .. } => {
                self.threads.retain(|thread| thread.executor != executor);
                let cause = ExitCause::Stopped;
                let exited = agent::Input::ExecutorExited {
                    executor,
                    cause,
                    held: vec![],
                    running: vec![],
                    culprits: Vec::new(),
                };
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
                let done = Input::Done {
                    worker,
                    lease,
                    range,
                    bytes: bytes_of(range),
                    busy: Span(range.len() * 1_000),
                };
                self.up.push_back((done, self.handed.take()));
            }
            Out::ReportFailed { lease, index, class } => {
                self.up.push_back((Input::Failed { worker, lease, index, class, busy: Span(1_000) }, None));
            }
            Out::Return { lease, range } => {
                self.up.push_back((Input::Returned { worker, lease, range }, None));
            }
            Out::ReportTrouble { job } => self.up.push_back((Input::Trouble { worker, job }, None)),
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
        if view.slot >= self.allowed[&job] {
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
        let mut good = RangeSet::from(claim.range);
        if let Some(class) = fail {
            self.hand(now, agent::Input::Failed { lease, index: claim.range.start, class });
            good.remove(IndexRange::from_count(claim.range.start, 1));
        }
        if self.whole.contains(&lease) {
            if fail.is_none() {
                let (_, range) =
                    *self.published.values().find(|(other, _)| *other == lease).expect("published");
                let leaf = self.leaf.unwrap_or(1);
                self.handed = self
                    .parts
                    .get(&lease)
                    .filter(|(parts, _)| !parts.is_empty())
                    .map(|(parts, finish)| value::of_parts(parts, leaf, *finish));
                self.hand(now, agent::Input::Done { lease, range });
            }
            return true;
        }
        match self.leaf {
            // Blocks of wide leaves leave failed tasks out.
            Some(leaf) if leaf > 1 => self.hand_in(now, lease, claim.range, leaf, &good),
            Some(leaf) => good.iter().for_each(|range| self.hand_in(now, lease, range, leaf, &good)),
            None => {
                let blocks: Vec<Block> = good.iter().flat_map(blocks).collect();
                for block in blocks {
                    self.hand(now, agent::Input::Done { lease, range: block.range() });
                }
            }
        }
        true
    }

    fn hand_in(&mut self, now: Time, lease: LeaseId, claim: IndexRange, leaf: u64, good: &RangeSet) {
        for (block, partial) in value::of_claim(claim, leaf, good) {
            self.handed = Some(partial);
            self.hand(now, agent::Input::Done { lease, range: block.range() });
            self.handed = None;
        }
    }

    /// The executor of a thread dies with all that its threads claimed, while they were running the task at
    /// this place of their claims.
    pub fn crash(&mut self, now: Time, thread: usize, cause: ExitCause, place: u64) {
        let Some(executor) = self.threads.get(thread).map(|thread| thread.executor) else { return };
        let held = self.held(executor);
        let running = held.iter().map(|(lease, range)| (*lease, range.start + place % range.len())).collect();
        self.threads.retain(|thread| thread.executor != executor);
        self.hand(now, agent::Input::ExecutorExited { executor, cause, held, running, culprits: Vec::new() });
    }

    /// As [`Worker::crash`], with a record that says which thread it was. What it says of the task may be wrong, because
    /// it comes from the page.
    pub fn crash_recorded(&mut self, now: Time, thread: usize, place: u64) {
        let Some(view) = self.threads.get(thread) else { return };
        let executor = view.executor;
        let at = |range: IndexRange| range.start + place % range.len();
        let culprits =
            view.claim.as_ref().map(|(lease, claim)| (*lease, at(claim.range))).into_iter().collect();
        let held = self.held(executor);
        let running = held.iter().map(|(lease, range)| (*lease, at(*range))).collect();
        self.threads.retain(|thread| thread.executor != executor);
        let cause = ExitCause::Signal;
        self.hand(now, agent::Input::ExecutorExited { executor, cause, held, running, culprits });
    }

    /// A plugin wrote all over the page.
    pub fn lose_page(&mut self, now: Time) {
        let jobs: Vec<JobId> = self.pages.keys().copied().collect();
        for job in jobs {
            self.hand(now, agent::Input::PageLost { job });
        }
    }

    /// The executor of a thread dies, and the page does not say what it was running.
    pub fn crash_unseen(&mut self, now: Time, thread: usize) {
        if let Some(view) = self.threads.get(thread) {
            let (executor, held) = (view.executor, self.held(view.executor));
            let (cause, running) = (ExitCause::Signal, vec![]);
            self.threads.retain(|thread| thread.executor != executor);
            self.hand(
                now,
                agent::Input::ExecutorExited { executor, cause, held, running, culprits: Vec::new() },
            );
        }
    }

    fn held(&self, executor: ExecutorId) -> Vec<(LeaseId, IndexRange)> {
        let threads = self.threads.iter().filter(|thread| thread.executor == executor);
        threads
            .filter_map(|thread| thread.claim.as_ref())
            .map(|(lease, claim)| (*lease, claim.range))
            .collect()
    }

    /// The tasks that a thread has claimed.
    pub fn claimed(&self, thread: usize) -> IndexRange {
        let claim = self.threads.get(thread).and_then(|thread| thread.claim.as_ref());
        claim.map_or(IndexRange::default(), |(_, claim)| claim.range)
    }

    /// Plugins wrote into the page: what a thread had claimed is forgotten.
    pub fn forget_claim(&mut self, thread: usize) {
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.claim = None;
        }
    }

    /// Says that nothing moves, when that is so.
    pub fn quiet(&mut self, now: Time) {
        if self.threads.iter().any(|thread| thread.claim.is_some()) {
            return;
        }
        let jobs: Vec<JobId> = self.pages.keys().copied().collect();
        for job in jobs {
            self.hand(now, agent::Input::Quiet { job });
        }
    }
}
