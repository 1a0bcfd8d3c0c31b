//! Everything there is in a run, and what happens next.

use super::Options;
use super::checker::{self, Checker, Fact};
use super::client::Client;
use super::connection::Connection;
use super::dice::Dice;
use super::disk::{Disk, Partials};
use super::fault::{Fault, Struck};
use super::machine::Machine;
use super::mutation::Shell;
use super::params::Params;
use super::report::{Report, Violation};
use super::setting::Setting;
use crate::digest::Digest;
use crate::queue::Queue;
use muster_core::id::{ExecutorId, JobId, LeaseId, LogPos, WorkerId};
use muster_core::range::IndexRange;
use muster_core::scheduler::{Input, Scheduler};
use muster_core::time::{Span, Time};
use std::collections::{BTreeMap, VecDeque};

/// More events than any run has: one that has more never ends.
const EVENTS_MAX: u64 = 3_000_000;

/// What happens at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A message may be read from a connection.
    Up {
        connection: usize,
    },
    Down {
        connection: usize,
    },
    /// A worker notices that its connection is gone.
    Closed {
        connection: usize,
    },
    /// The coordinator notices.
    Gone {
        connection: usize,
    },
    Connect {
        machine: usize,
        life: u32,
    },
    Beat {
        machine: usize,
        life: u32,
        connection: usize,
    },
    Finish {
        machine: usize,
        life: u32,
        turn: u32,
    },
    Ready {
        machine: usize,
        life: u32,
        executor: ExecutorId,
    },
    Idle {
        machine: usize,
        life: u32,
        executor: ExecutorId,
    },
    Exit {
        machine: usize,
        life: u32,
        executor: ExecutorId,
        killed: bool,
    },
    AgentDue {
        machine: usize,
        life: u32,
    },
    MachineUp {
        machine: usize,
    },
    SchedulerDue,
    Durable,
    CoordinatorUp,
    Client {
        job: usize,
    },
    Resume {
        job: usize,
    },
    Strike,
    Heal,
    Deadline,
    Over,
}

/// A run.
pub(super) struct World {
    pub now: Time,
    pub seed: u64,
    pub params: Params,
    pub setting: Setting,
    pub queue: Queue<Event>,
    options: Options,
    events: u64,
    pub inputs: u64,
    pub digest: Digest,
    checkers: Vec<Box<dyn Checker>>,
    violation: Option<Violation>,
    pub struck: Struck,
    pub healed: bool,
    healed_at: Time,
    ended_at: Time,
    pub patience: Span,
    over: bool,

    pub scheduler: Scheduler,
    pub up: bool,
    pub epoch: u32,
    pub scheduler_due: Time,
    pub disk: Disk,
    pub partials: BTreeMap<JobId, Partials>,
    /// The connection of each worker that the scheduler knows.
    pub sessions: BTreeMap<WorkerId, usize>,
    pub next_worker: u64,
    pub next_job: u64,
    pub left: VecDeque<Input>,
    shell_strikes: u64,
    pub strikes_before: u64,
    pub committed: u64,
    /// Second leases that were given.
    pub second_leases: u64,

    pub clients: Vec<Client>,
    pub machines: Vec<Machine>,
    pub connections: Vec<Connection>,
    /// Leases that were granted lately, for whoever lies about them.
    pub recent: VecDeque<(WorkerId, LeaseId, JobId, IndexRange)>,
    pub net: Dice,
    pub luck: Dice,
    pub work: Dice,
    /// Runs of tasks.
    pub runs: u64,
    pub turns: u32,
}

impl World {
    pub(super) fn new(seed: u64, params: &Params, options: Options) -> Self {
        let setting = Setting::draw(seed, params);
        let mut world = Self {
            now: Time::ZERO,
            seed,
            params: *params,
            queue: Queue::default(),
            options,
            events: 0,
            inputs: 0,
            digest: Digest::default(),
            checkers: checker::all(&setting),
            violation: None,
            struck: Struck::default(),
            healed: false,
            healed_at: Time::ZERO,
            ended_at: Time::ZERO,
            patience: Span::ZERO,
            over: false,
            scheduler: Scheduler::new(setting.config.clone(), LogPos(1)),
            up: true,
            epoch: 1,
            scheduler_due: Time(u64::MAX),
            disk: Disk::default(),
            partials: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_worker: 1,
            next_job: 1,
            left: VecDeque::new(),
            shell_strikes: 0,
            strikes_before: 0,
            committed: 0,
            second_leases: 0,
            clients: setting.jobs.iter().map(|_| Client::default()).collect(),
            machines: Vec::new(),
            connections: Vec::new(),
            recent: VecDeque::new(),
            net: Dice::new(seed, 3),
            luck: Dice::new(seed, 4),
            work: Dice::new(seed, 5),
            runs: 0,
            turns: 0,
            setting,
        };
        world.take_guarantee();
        world
    }

    /// Runs to the end, or to the first violation.
    pub(super) fn run(&mut self) {
        let slots = self.setting.slots.clone();
        slots.into_iter().for_each(|slots| self.add_machine(slots));
        for job in 0..self.clients.len() {
            self.queue.push(self.setting.jobs[job].script[0].0, Event::Client { job });
        }
        self.queue.push(Time::ZERO + Span::from_millis(self.params.from_ms), Event::Strike);
        self.queue.push(Time::ZERO + Span::from_millis(self.params.until_ms), Event::Heal);
        while self.violation.is_none() && !self.over {
            let Some((at, event)) = self.queue.pop() else { break };
            self.now = at;
            self.events += 1;
            self.digest.add(at.0);
            if self.options.trace.is_some() {
                self.note(|| format!("{event:?}"));
            }
            self.happen(event);
            if self.events > EVENTS_MAX {
                self.violate(checker::LIVENESS, format!("{EVENTS_MAX} events and no end: {}", self.dump()));
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Up { connection } => self.arrive_up(connection),
            Event::Down { connection } => self.arrive_down(connection),
            Event::Closed { connection } => self.closed(connection),
            Event::Gone { connection } => self.gone(connection),
            Event::Connect { machine, life } => self.connect(machine, life),
            Event::Beat { machine, life, connection } => self.beat(machine, life, connection),
            Event::Finish { machine, life, turn } => self.finish(machine, life, turn),
            Event::Ready { machine, life, executor } => self.ready(machine, life, executor),
            Event::Idle { machine, life, executor } => self.idle(machine, life, executor),
            Event::Exit { machine, life, executor, killed } => self.exit(machine, life, executor, killed),
            Event::AgentDue { machine, life } => self.agent_due(machine, life),
            Event::MachineUp { machine } => self.machine_up(machine),
            Event::SchedulerDue => self.scheduler_due(),
            Event::Durable => self.durable(),
            Event::CoordinatorUp => self.coordinator_up(),
            Event::Client { job } => self.act_as_client(job),
            Event::Resume { job } => self.resume(job),
            Event::Strike => self.strike(),
            Event::Heal => {
                self.healed_at = self.now;
                self.heal();
            }
            Event::Deadline => {
                if self.clients.iter().any(|client| !client.done) {
                    let what = format!(
                        "not everything ended within {} after the faults: {}",
                        self.patience,
                        self.dump()
                    );
                    self.violate(checker::LIVENESS, what);
                }
            }
            Event::Over => self.check_over(),
        }
    }

    /// Whether a fault may strike now.
    pub(super) fn may(&self, fault: Fault) -> bool {
        let begun = self.now >= Time::ZERO + Span::from_millis(self.params.from_ms);
        begun && !self.healed && self.params.faults.has(fault)
    }

    /// Shows a fact to the checkers.
    pub(super) fn check(&mut self, fact: &Fact<'_>) {
        if self.violation.is_some() {
            return;
        }
        for checker in &mut self.checkers {
            if let Err(what) = checker.look(self.now, fact) {
                let (step, at) = (self.events, self.now);
                self.violation = Some(Violation { checker: checker.name(), step, at, what });
                return;
            }
        }
    }

    /// Shows the scheduler to the checkers, and lets it look at itself.
    pub(super) fn check_scheduler(&mut self) {
        let Self { checkers, scheduler, violation, now, events, .. } = self;
        for checker in checkers.iter_mut().take_while(|_| violation.is_none()) {
            if let Err(what) = checker.look(*now, &Fact::Settled(scheduler)) {
                *violation = Some(Violation { checker: checker.name(), step: *events, at: *now, what });
                return;
            }
        }
        if self.violation.is_none() {
            self.scheduler.check_invariants();
        }
    }

    /// Shows an agent to the checkers, and lets it look at itself.
    pub(super) fn check_agent(&mut self, machine: usize) {
        let Self { checkers, machines, violation, now, events, .. } = self;
        let agent = &machines[machine].agent;
        for checker in checkers.iter_mut().take_while(|_| violation.is_none()) {
            if let Err(what) = checker.look(*now, &Fact::Rested { machine, agent }) {
                *violation = Some(Violation { checker: checker.name(), step: *events, at: *now, what });
                return;
            }
        }
        if self.violation.is_none() {
            self.machines[machine].agent.check_invariants();
        }
    }

    fn check_over(&mut self) {
        self.over = true;
        let Self { checkers, machines, scheduler, violation, now, events, .. } = self;
        let agents: Vec<_> =
            machines.iter().filter(|machine| machine.up).map(|machine| &machine.agent).collect();
        for checker in checkers.iter_mut().take_while(|_| violation.is_none()) {
            if let Err(what) = checker.look(*now, &Fact::Over { scheduler, agents: &agents }) {
                *violation = Some(Violation { checker: checker.name(), step: *events, at: *now, what });
                return;
            }
        }
    }

    pub(super) fn violate(&mut self, checker: &'static str, what: String) {
        let (step, at) = (self.events, self.now);
        self.violation.get_or_insert(Violation { checker, step, at, what });
    }

    pub(super) const fn has_violation(&self) -> bool {
        self.violation.is_some()
    }

    /// Tells whoever follows the run, with the time.
    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = self.options.trace {
            trace(&format!("{:>12.6} {}", self.now.0 as f64 / 1e9, what()));
        }
    }

    /// All jobs may have ended; then the run is over after a while.
    pub(super) fn check_done(&mut self) {
        if self.healed && self.clients.iter().all(|client| client.done) {
            self.ended_at = self.now;
            let settled = Span(4 * self.setting.config.lease.0) + Span::from_millis(6_000);
            self.queue.push(self.now + settled, Event::Over);
        }
    }

    #[cfg(feature = "mutations")]
    pub(super) fn take_guarantee(&mut self) {
        if let Some(super::Mutation::Core(mutation)) = self.options.mutation {
            self.scheduler.mutate(mutation);
        }
    }

    #[cfg(not(feature = "mutations"))]
    #[allow(clippy::unused_self)]
    pub(super) const fn take_guarantee(&mut self) {}

    /// The same for the agent of a machine, which is new.
    #[cfg(feature = "mutations")]
    pub(super) fn take_guarantee_of(&mut self, machine: usize) {
        if let Some(super::Mutation::Core(mutation)) = self.options.mutation {
            self.machines[machine].agent.mutate(mutation);
        }
    }

    #[cfg(not(feature = "mutations"))]
    #[allow(clippy::unused_self)]
    pub(super) const fn take_guarantee_of(&mut self, _machine: usize) {}

    /// A machine ends, with everything in it.
    pub(super) fn stop_machine(&mut self, machine: usize) {
        self.strikes_before += self.agent_strikes(machine);
        self.machines[machine].stop();
    }

    /// Whether a guarantee of the shells is taken away. Asked only where that makes a difference, and counted.
    #[cfg(feature = "mutations")]
    pub(super) fn strikes(&mut self, guarantee: Shell) -> bool {
        let struck = self.options.mutation == Some(super::Mutation::Shell(guarantee));
        self.shell_strikes += u64::from(struck);
        struck
    }

    #[cfg(not(feature = "mutations"))]
    #[allow(clippy::unused_self)]
    pub(super) const fn strikes(&mut self, _guarantee: Shell) -> bool {
        false
    }

    /// How often the mutation made a difference in this life of the scheduler.
    #[cfg(feature = "mutations")]
    pub(super) fn scheduler_strikes(&self) -> u64 {
        self.scheduler.mutation_strikes()
    }

    #[cfg(not(feature = "mutations"))]
    #[allow(clippy::unused_self)]
    pub(super) const fn scheduler_strikes(&self) -> u64 {
        0
    }

    /// The same for the agent of a machine.
    #[cfg(feature = "mutations")]
    fn agent_strikes(&self, machine: usize) -> u64 {
        self.machines[machine].agent.mutation_strikes()
    }

    #[cfg(not(feature = "mutations"))]
    #[allow(clippy::unused_self)]
    const fn agent_strikes(&self, _machine: usize) -> u64 {
        0
    }

    pub(super) fn report(self) -> Report {
        let used = self.ended_at.since(self.healed_at);
        let agents: u64 = (0..self.machines.len()).map(|machine| self.agent_strikes(machine)).sum();
        Report {
            seed: self.seed,
            params: self.params,
            events: self.events,
            inputs: self.inputs,
            struck: self.struck,
            committed: self.committed,
            second_leases: self.second_leases,
            jobs: self.clients.iter().filter(|client| client.done).count() as u64,
            patience_used: used.0 * 1_000 / self.patience.0.max(1),
            digest: self.digest.value(),
            mutated: self.strikes_before + self.scheduler_strikes() + agents + self.shell_strikes,
            violation: self.violation,
        }
    }
}
