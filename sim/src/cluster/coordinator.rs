//! The coordinator: the real scheduler, and what its messages and its disk cost.

use super::Cluster;
use super::fault::GREETING_TRIPS;
use super::machine::NO_SESSION;
use super::message::{Down, Event, FromWorker, Healing, ToWorker, Up};
use super::network::{MESSAGE_BYTES, Way};
use crate::scenario::Scenario;
use muster_core::id::{JobId, LogPos, WorkerId};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::{
    Charges, Config, FailureClass, Grant, GrantKind, Input, Loss, Outcome, Output, RecoveredJob, Scheduler,
};
use muster_core::time::{Span, Time};
use std::collections::{BTreeMap, VecDeque};

/// Signs of life of a worker in the length of a lease.
const HEARTBEATS_PER_LEASE: u64 = 10;
/// Longer than any simulation.
const NEVER: Span = Span(u64::MAX / 4);

/// The coordinator and what it knows.
#[derive(Debug)]
pub(super) struct Coordinator {
    pub scheduler: Scheduler,
    config: Config,
    pub up: bool,
    /// Worker of each connection, by its number.
    sessions: Vec<u32>,
    jobs: Vec<JobState>,
    jobs_left: usize,
    committed: u64,
    workers: u64,
    slots: u64,
    busy_until: Time,
    due: Time,
    log: Log,
    pub inputs: u64,
    /// The worker that the last message went to, and when: what follows at once travels with it.
    last_to: (u32, Time),
    /// Workers that have finished and go.
    left: VecDeque<WorkerId>,
}

/// What became of a job.
#[derive(Clone, Debug, Default)]
pub(super) struct JobState {
    pub submitted: Option<Time>,
    /// Its end is written down and durable from then on.
    ending: Option<Time>,
    pub ended: Option<Time>,
    pub outcome: Option<Outcome>,
    pub committed: u64,
    pub failed: u64,
}

/// What the coordinator wrote down, kept only where it may be needed.
#[derive(Debug, Default)]
struct Log {
    kept: bool,
    next: u64,
    /// When entries become durable.
    waiting: VecDeque<(Time, Entry)>,
    jobs: BTreeMap<u32, Durable>,
}

#[derive(Clone, Debug)]
enum Entry {
    Submitted(u32),
    Committed(u32, IndexRange),
    Failed(u32, u64),
    Charged(u32, u64, FailureClass, u32),
    Ended(u32),
}

#[derive(Clone, Debug, Default)]
struct Durable {
    committed: RangeSet,
    failed: RangeSet,
    charged: BTreeMap<u64, Charges>,
    ended: bool,
}

impl Log {
    fn write(&mut self, durable: Time, entry: Entry) {
        self.next += 1;
        if self.kept {
            self.waiting.push_back((durable, entry));
        }
    }

    /// What is durable now; the rest is lost.
    fn settle(&mut self, now: Time) {
        while self.waiting.front().is_some_and(|(durable, _)| *durable <= now) {
            let Some((_, entry)) = self.waiting.pop_front() else { return };
            match entry {
                Entry::Submitted(job) => drop(self.jobs.entry(job).or_default()),
                Entry::Committed(job, range) => {
                    let job = self.jobs.entry(job).or_default();
                    job.committed.insert(range);
                    job.charged.retain(|index, _| !range.contains(*index));
                }
                Entry::Failed(job, index) => {
                    let job = self.jobs.entry(job).or_default();
                    job.failed.insert(IndexRange::from_count(index, 1));
                    job.charged.remove(&index);
                }
                Entry::Charged(job, index, class, charged) => {
                    let job = self.jobs.entry(job).or_default();
                    job.charged.entry(index).or_default().set(class, charged);
                }
                Entry::Ended(job) => self.jobs.entry(job).or_default().ended = true,
            }
        }
    }
}

impl Coordinator {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut config = crate::scheduling::config(&scenario.scheduling, seed);
        // Where nothing can silence a worker, nobody needs to beat.
        if !scenario.can_silence() {
            config.lease = NEVER;
        }
        Self {
            scheduler: Scheduler::new(config.clone(), LogPos(1)),
            config,
            up: true,
            sessions: vec![u32::MAX],
            jobs: vec![JobState::default(); scenario.jobs.len()],
            jobs_left: scenario.jobs.len(),
            committed: 0,
            workers: 0,
            slots: 0,
            busy_until: Time::ZERO,
            due: Time(u64::MAX),
            log: Log { kept: scenario.can_restart(), ..Log::default() },
            inputs: 0,
            last_to: (u32::MAX, Time::ZERO),
            left: VecDeque::new(),
        }
    }

    pub(super) const fn jobs_left(&self) -> usize {
        self.jobs_left
    }

    pub(super) const fn committed(&self) -> u64 {
        self.committed
    }

    /// Tasks that failed for good.
    pub(super) fn failed(&self) -> u64 {
        self.jobs.iter().map(|job| job.failed).sum()
    }

    /// Tasks that will not run again.
    pub(super) fn ended(&self) -> u64 {
        self.committed + self.failed()
    }

    /// Jobs that were submitted and have not ended.
    pub(super) fn jobs_live(&self, now: Time) -> u64 {
        let lives = |job: &&JobState| job.submitted.is_some() && job.ended.is_none_or(|ended| ended > now);
        self.jobs.iter().filter(lives).count() as u64
    }

    pub(super) const fn fleet(&self) -> (u64, u64) {
        (self.workers, self.slots)
    }

    pub(super) fn jobs(&self) -> &[JobState] {
        &self.jobs
    }

    /// How often workers say that they are alive; none: never.
    pub(super) fn heartbeat(&self) -> Option<Span> {
        (self.config.lease != NEVER).then_some(Span((self.config.lease.0 / HEARTBEATS_PER_LEASE).max(1)))
    }

    fn owner(&self, session: WorkerId) -> Option<u32> {
        self.sessions.get(session.0 as usize).copied().filter(|&worker| worker != u32::MAX)
    }
}

impl Cluster {
    /// A worker is connected, and the coordinator knows.
    pub(super) fn attach(&mut self, worker: u32) {
        let session = WorkerId(self.coordinator.sessions.len() as u64);
        self.coordinator.sessions.push(worker);
        let machine = self.machines.get_mut(worker);
        machine.session = session;
        machine.arrival = [self.now; 2];
        let slots = self.scenario.workers[machine.group as usize].slots;
        self.coordinator.workers += 1;
        self.coordinator.slots += u64::from(slots);
        if self.now > Time::ZERO {
            self.send_message(worker, session, ToWorker::Welcome, MESSAGE_BYTES);
        }
        self.tell_scheduler(Input::Joined { worker: session, slots });
        self.start_beating(worker);
        if self.machines.get(worker).leaving {
            self.say(worker, FromWorker::Leaving, false, 0);
        }
    }

    pub(super) fn submit(&mut self, job: u32) {
        if !self.coordinator.up {
            // Whoever submits tries again.
            self.queue.push(self.now + Span::from_millis(100), Event::Submit { job });
            return;
        }
        self.coordinator.jobs[job as usize].submitted.get_or_insert(self.now);
        let spec = self.scenario.jobs[job as usize].spec.clone();
        self.tell_scheduler(Input::Submit { job: JobId(u64::from(job)), spec });
    }

    /// A message reaches the coordinator, which reads one after the other.
    pub(super) fn arrive_up(&mut self, message: u32) {
        let Up { worker, follows, bytes, .. } = self.up.get(message);
        if self.is_held_up(Way::Up, worker, Event::Up { message }) {
            return;
        }
        let done = self.coordinate(self.cost(follows, bytes));
        if done == self.now {
            return self.read(message);
        }
        self.queue.push_in(self.network.reading, done, Event::Read { message });
    }

    /// The coordinator acts on a message.
    pub(super) fn read(&mut self, message: u32) {
        let Up { session, what, .. } = self.up.take(message);
        if !self.coordinator.up || self.coordinator.owner(session).is_none() {
            return;
        }
        let input = match what {
            FromWorker::Done { lease, range, busy } => {
                Input::Done { worker: session, lease, range, bytes: 0, busy }
            }
            FromWorker::Failed { lease, index, class, busy } => {
                Input::Failed { worker: session, lease, index, class, busy }
            }
            FromWorker::Returned { lease, range } => Input::Returned { worker: session, lease, range },
            FromWorker::Trouble { job } => Input::Trouble { worker: session, job },
            FromWorker::Heartbeat => Input::Heartbeat { worker: session },
            FromWorker::Leaving => Input::Drain { worker: session },
        };
        self.tell_scheduler(input);
    }

    /// A connection is gone as far as the coordinator knows.
    pub(super) fn lose(&mut self, session: WorkerId, reason: Loss) {
        if self.forget(session) {
            self.measures.workers_lost += u64::from(reason != Loss::Left);
            self.tell_scheduler(Input::Left { worker: session, reason });
        }
    }

    /// `false`: nobody has this session.
    fn forget(&mut self, session: WorkerId) -> bool {
        let Some(worker) = self.coordinator.owner(session) else { return false };
        self.coordinator.sessions[session.0 as usize] = u32::MAX;
        let group = self.machines.get(worker).group;
        self.coordinator.workers -= 1;
        self.coordinator.slots -= u64::from(self.scenario.workers[group as usize].slots);
        true
    }

    pub(super) fn scheduler_due(&mut self) {
        if self.now >= self.coordinator.due {
            self.coordinator.due = Time(u64::MAX);
        }
        if self.coordinator.up {
            self.coordinator.scheduler.handle_timeout(self.now);
            self.act_on_scheduler();
        }
    }

    pub(super) fn tell_scheduler(&mut self, input: Input) {
        self.coordinator.inputs += 1;
        self.coordinator.scheduler.handle(self.now, input);
        self.act_on_scheduler();
    }

    fn act_on_scheduler(&mut self) {
        loop {
            while let Some(output) = self.coordinator.scheduler.poll_output() {
                self.act(output);
            }
            let Some(worker) = self.coordinator.left.pop_front() else { break };
            self.coordinator.scheduler.handle(self.now, Input::Left { worker, reason: Loss::Left });
        }
        if let Some((at, _)) = self.coordinator.scheduler.poll_timeout()
            && at < self.coordinator.due
            && at.0 < NEVER.0
        {
            self.coordinator.due = at;
            self.queue.push(at.max(self.now), Event::SchedulerDue);
        }
    }

    fn act(&mut self, output: Output) {
        let durable = self.now + self.scenario.coordinator.commit;
        match output {
            Output::Accepted { job, .. } => {
                self.coordinator.log.write(durable, Entry::Submitted(job.0 as u32))
            }
            Output::Open { worker, job, shape, leaf } => {
                let owner = self.coordinator.owner(worker);
                let plugin = owner.map_or(0, |owner| self.plugins.bytes_to_send(owner, worker, job.0 as u32));
                self.send(worker, ToWorker::Open { job, shape, leaf }, MESSAGE_BYTES + plugin);
            }
            Output::Grant { worker, grant } => {
                let Grant { lease, job, range, kind, attempt, speculative, .. } = grant;
                if attempt > 1 && !speculative {
                    self.measures.retried += range.len();
                }
                let whole = matches!(kind, GrantKind::Combine { .. });
                let inputs = if whole { 0 } else { range.len() };
                let bytes =
                    inputs.saturating_mul(self.scenario.jobs[job.0 as usize].input_bytes) + MESSAGE_BYTES;
                self.send(worker, ToWorker::Grant { lease, job, range, whole }, bytes);
            }
            Output::Recall { worker, lease, count } => {
                self.send(worker, ToWorker::Recall { lease, count }, MESSAGE_BYTES);
            }
            Output::Close { worker, job, cancel } => {
                self.send(worker, ToWorker::Close { job, cancel }, MESSAGE_BYTES);
            }
            Output::Commit { job, range, .. } => {
                let number = job.0 as u32;
                self.coordinator.log.write(durable, Entry::Committed(number, range));
                self.coordinator.jobs[number as usize].committed += range.len();
                self.coordinator.committed += range.len();
            }
            Output::Fail { job, index, .. } => {
                self.coordinator.log.write(durable, Entry::Failed(job.0 as u32, index));
                self.coordinator.jobs[job.0 as usize].failed += 1;
            }
            Output::Retry { job, index, class, charged, .. } => {
                self.coordinator.log.write(durable, Entry::Charged(job.0 as u32, index, class, charged));
            }
            // Nobody is there who could let a paused job go on, so none is paused; and nobody asks for retries.
            Output::Paused { .. } | Output::Released { .. } => self.coordinator.log.next += 1,
            Output::Ended { job, outcome, .. } => {
                self.coordinator.log.write(durable, Entry::Ended(job.0 as u32));
                let state = &mut self.coordinator.jobs[job.0 as usize];
                state.ending = Some(durable);
                state.outcome = Some(outcome);
                if durable == self.now {
                    self.end(job.0 as u32);
                } else {
                    self.queue.push(durable, Event::Ended { job: job.0 as u32 });
                }
            }
            Output::Lost { worker } => {
                self.measures.workers_lost += 1;
                self.turn_away(worker);
            }
            Output::Drained { worker } => {
                self.turn_away(worker);
                self.coordinator.left.push_back(worker);
            }
            // Simulated workers come back with nothing.
            Output::Adopted { .. } => {}
            Output::Dropped { range, .. } => self.measures.dropped += range.len(),
            Output::Combined { .. } | Output::Extended { .. } | Output::Sealed { .. } => {
                self.coordinator.log.next += 1;
            }
        }
    }

    /// The end of a job is durable, unless it was lost before.
    pub(super) fn end(&mut self, job: u32) {
        let state = &mut self.coordinator.jobs[job as usize];
        if state.ending != Some(self.now) {
            return;
        }
        state.ending = None;
        if state.ended.replace(self.now).is_none() {
            self.coordinator.jobs_left -= 1;
        }
    }

    /// The coordinator closes the connection of a worker that was silent for too long; the worker notices when it
    /// hears from it again.
    fn turn_away(&mut self, session: WorkerId) {
        let Some(worker) = self.coordinator.owner(session) else { return };
        self.forget(session);
        self.send_message(worker, session, ToWorker::Farewell, MESSAGE_BYTES);
    }

    fn send(&mut self, session: WorkerId, what: ToWorker, bytes: u64) {
        if let Some(worker) = self.coordinator.owner(session) {
            self.send_message(worker, session, what, bytes);
        }
    }

    fn send_message(&mut self, worker: u32, session: WorkerId, what: ToWorker, bytes: u64) {
        let follows = self.coordinator.last_to == (worker, self.now);
        self.coordinator.last_to = (worker, self.now);
        let from = self.coordinate(self.cost(follows, bytes));
        self.send_down(from, Down { worker, session, follows, bytes, what });
    }

    fn cost(&self, follows: bool, bytes: u64) -> Span {
        let costs = &self.scenario.coordinator;
        let message = if follows { Span::ZERO } else { costs.per_message };
        message + Span(bytes.saturating_mul(costs.per_byte_ps) / 1_000)
    }

    /// The coordinator is busy for so long; says when it is done.
    fn coordinate(&mut self, cost: Span) -> Time {
        self.measures.coordinating += cost;
        self.measures.series.coordinate(cost);
        self.coordinator.busy_until = self.coordinator.busy_until.max(self.now) + cost;
        self.coordinator.busy_until
    }

    /// Work that the coordinator has taken on and not done.
    pub(super) fn undone(&self) -> Span {
        self.coordinator.busy_until.since(self.now)
    }

    /// The coordinator ends: what was not durable is gone, and so are all connections.
    pub(super) fn crash_coordinator(&mut self) {
        self.coordinator.up = false;
        self.coordinator.due = Time(u64::MAX);
        self.coordinator.log.settle(self.now);
        self.coordinator.log.waiting.clear();
        for session in 1..self.coordinator.sessions.len() as u64 {
            self.forget(WorkerId(session));
        }
        self.coordinator.jobs.iter_mut().for_each(|job| job.ending = None);
        for machine in &mut self.machines.states {
            machine.session = NO_SESSION;
        }
    }

    /// It starts again from what was durable; the workers find it one after the other.
    pub(super) fn coordinator_back(&mut self) {
        self.coordinator.up = true;
        self.coordinator.busy_until = self.now;
        let pos = LogPos(self.coordinator.log.next + 1);
        self.coordinator.scheduler = Scheduler::new(self.coordinator.config.clone(), pos);
        self.coordinator.committed = 0;
        let durable = self.coordinator.log.jobs.clone();
        for number in 0..self.scenario.jobs.len() as u32 {
            self.recover(number, durable.get(&number));
        }
        self.act_on_scheduler();
        for worker in 0..self.machines.states.len() as u32 {
            if self.machines.get(worker).up {
                self.reconnect(worker);
            }
        }
    }

    fn recover(&mut self, number: u32, durable: Option<&Durable>) {
        let state = &mut self.coordinator.jobs[number as usize];
        let Some(durable) = durable else {
            // Its client never got an answer and submits again.
            if state.submitted.is_some() {
                (state.committed, state.failed) = (0, 0);
                self.queue.push(self.now, Event::Submit { job: number });
            }
            return;
        };
        (state.committed, state.failed) = (durable.committed.len(), durable.failed.len());
        self.coordinator.committed += state.committed;
        if durable.ended {
            // It became durable at the last moment.
            state.ending = Some(self.now);
            return self.end(number);
        }
        if state.ended.take().is_some() {
            self.coordinator.jobs_left += 1;
        }
        let spec = self.scenario.jobs[number as usize].spec.clone();
        self.coordinator.scheduler.recover(RecoveredJob {
            job: JobId(u64::from(number)),
            tasks: spec.tasks,
            spec,
            bytes: 0,
            sealed: true,
            committed: durable.committed.clone(),
            failed: durable.failed.clone(),
            charged: durable.charged.clone(),
            last_attempt: 0,
            paused: false,
            blocks: Vec::new(),
        });
    }

    /// A worker that found no coordinator tries until it has one.
    pub(super) fn reconnect(&mut self, worker: u32) {
        let life = self.machines.get(worker).life;
        let group = self.machines.get(worker).group;
        let trip = self.network.latency(group);
        let at = self.now + self.backoff(worker) + Span(GREETING_TRIPS * trip.0);
        self.queue.push(at, Event::Healed { worker, what: Healing::Attach, life });
    }
}
