//! What goes wrong: planned from the seed, so that a fault strikes at the same time whatever the policy does.

use super::chance::Chance;
use super::machine::NO_SESSION;
use super::message::{Event, FromWorker, Healing};
use super::page::Page;
use super::thread::State;
use super::{Cluster, Purpose, scaled};
use crate::scenario::{Direction, Fault, FaultKind, Scenario, Target, Unreliable, When};
use muster_core::agent::Agent;
use muster_core::id::WorkerId;
use muster_core::random::Stream;
use muster_core::range::IndexRange;
use muster_core::scheduler::Loss;
use muster_core::time::{Span, Time};

/// Ways through the link until a worker may get a lease: there and back for the link, and one for its greeting.
pub(super) const GREETING_TRIPS: u64 = 3;
/// A worker that found no coordinator tries again after this long at the latest.
const BACKOFF_MAX: Span = Span::from_millis(1_000);

/// The faults of a scenario.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// How often each has struck.
    struck: Vec<u64>,
    poison: Vec<Poison>,
    backoffs: u64,
    /// Workers that crashed and will be there again.
    returning: u32,
}

/// Tasks that end their executor.
#[derive(Debug)]
struct Poison {
    job: u32,
    share: f64,
    /// Says which.
    stream: Stream,
    /// What began before ends well.
    from: Time,
}

/// A straggler that was slowed down again and again stays this many times as slow.
pub const SLOWNESS_MAX: f64 = 1e12;

impl Scenario {
    /// Whether something in it can keep the coordinator from hearing of a worker that is there.
    pub(super) fn can_silence(&self) -> bool {
        let unreliable = self.links.iter().any(|link| link.unreliable != Unreliable::default());
        let limited =
            self.links.iter().any(|link| link.bandwidth.is_some() || link.worker_bandwidth.is_some());
        let silences = |fault: &Fault| match fault.kind {
            FaultKind::Pause { .. } | FaultKind::Partition { .. } | FaultKind::ClockDrift { .. } => true,
            FaultKind::CoordinatorCrash { .. } | FaultKind::WorkerCrash { .. } | FaultKind::Join { .. } => {
                true
            }
            FaultKind::ExecutorCrash { .. }
            | FaultKind::Straggler { .. }
            | FaultKind::Poison { .. }
            | FaultKind::Leave { .. } => false,
        };
        unreliable || limited || self.coordinator.bandwidth.is_some() || self.faults.iter().any(silences)
    }

    /// Whether the coordinator may start again and needs what it wrote down.
    pub(super) fn can_restart(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault.kind, FaultKind::CoordinatorCrash { .. }))
    }
}

impl FaultKind {
    /// Its name in scenario files, metrics and reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WorkerCrash { .. } => "worker_crash",
            Self::ExecutorCrash { .. } => "executor_crash",
            Self::CoordinatorCrash { .. } => "coordinator_crash",
            Self::Pause { .. } => "pause",
            Self::Partition { .. } => "partition",
            Self::Straggler { .. } => "straggler",
            Self::Poison { .. } => "poison",
            Self::Join { .. } => "join",
            Self::Leave { .. } => "leave",
            Self::ClockDrift { .. } => "clock_drift",
        }
    }

    /// The workers that it may hit; none: it is about something else.
    #[must_use]
    pub const fn target(&self) -> Option<Target> {
        match self {
            Self::WorkerCrash { target, .. }
            | Self::ExecutorCrash { target }
            | Self::Pause { target, .. }
            | Self::Partition { target, .. }
            | Self::Straggler { target, .. }
            | Self::Leave { target }
            | Self::ClockDrift { target, .. } => Some(*target),
            Self::CoordinatorCrash { .. } | Self::Poison { .. } | Self::Join { .. } => None,
        }
    }
}

impl Cluster {
    pub(super) fn plan_faults(&mut self) {
        self.faults.struck = vec![0; self.scenario.faults.len()];
        for at in 0..self.scenario.faults.len() {
            let fault = &self.scenario.faults[at];
            if let FaultKind::Poison { job, share } = fault.kind {
                let stream = self.stream(Purpose::Poison).split(at as u64);
                let from = match fault.when {
                    When::At(at) => Time::ZERO + at,
                    When::Every(_) => Time::ZERO,
                };
                self.faults.poison.push(Poison { job: job as u32, share, stream, from });
                continue;
            }
            self.plan(at);
        }
    }

    /// When a fault strikes next.
    fn plan(&mut self, at: usize) {
        let fault = &self.scenario.faults[at];
        let struck = self.faults.struck[at];
        let next = match fault.when {
            When::At(span) => (struck == 0).then_some(Time::ZERO + span),
            When::Every(mean) => {
                let hit = match fault.kind.target() {
                    Some(target) => self.candidates(target).len(),
                    None if matches!(fault.kind, FaultKind::Join { .. }) => 1,
                    None => self.machines.states.iter().filter(|machine| machine.up).count().min(1),
                };
                // Nobody is there to be hit, nor ever will be.
                if hit == 0 && !self.somebody_comes() {
                    return;
                }
                Some(self.now + Chance::of(self.seed, at).gap(struck, mean, hit))
            }
        };
        if let Some(next) = next {
            self.queue.push(next, Event::Fault { fault: at as u32 });
        }
    }

    /// Whether a worker that is not there may come.
    fn somebody_comes(&self) -> bool {
        let comes = |(fault, &struck): (&Fault, &u64)| {
            matches!(fault.kind, FaultKind::Join { .. })
                && (struck == 0 || matches!(fault.when, When::Every(_)))
        };
        self.faults.returning > 0 || self.scenario.faults.iter().zip(&self.faults.struck).any(comes)
    }

    fn fault_stream(&self, at: usize) -> Stream {
        self.stream(Purpose::Faults).split(at as u64 + 1)
    }

    /// Workers that a fault may hit.
    fn candidates(&self, target: Target) -> Vec<u32> {
        let group = target.group.map(|group| group as u32);
        let states = self.machines.states.iter().enumerate();
        states
            .filter(|(_, machine)| {
                machine.up && !machine.leaving && group.is_none_or(|group| machine.group == group)
            })
            .map(|(worker, _)| worker as u32)
            .collect()
    }

    /// Workers that a fault hits this time.
    fn chosen(&self, at: usize, target: Target) -> Vec<u32> {
        let fault = &self.scenario.faults[at];
        let candidates = self.candidates(target);
        let count = match (fault.when, target.count) {
            (When::Every(_), _) => 1,
            (When::At(_), Some(count)) => count as usize,
            (When::At(_), None) => return candidates,
        };
        Chance::of(self.seed, at).choose(self.faults.struck[at], candidates, count)
    }

    /// A fault strikes.
    pub(super) fn strike(&mut self, number: u32) {
        let at = number as usize;
        let kind = self.scenario.faults[at].kind.clone();
        let workers = kind.target().map(|target| self.chosen(at, target)).unwrap_or_default();
        self.faults.struck[at] += 1;
        let mut hits = if kind.target().is_some() { workers.len() as u64 } else { 1 };
        for &worker in &workers {
            match &kind {
                FaultKind::WorkerCrash { restart, .. } => self.crash_worker(worker, *restart),
                FaultKind::ExecutorCrash { .. } => hits -= u64::from(!self.crash_some_executor(at, worker)),
                FaultKind::Pause { length, .. } => self.pause(worker, *length),
                FaultKind::Partition { direction, length, .. } => self.cut(worker, *direction, *length),
                FaultKind::Straggler { factor, .. } => {
                    let machine = self.machines.get_mut(worker);
                    machine.slowness = (machine.slowness * factor).min(SLOWNESS_MAX);
                }
                FaultKind::Leave { .. } => self.leave_cluster(worker),
                FaultKind::ClockDrift { ppm, .. } => self.machines.get_mut(worker).drift_ppm = *ppm,
                FaultKind::CoordinatorCrash { .. } | FaultKind::Poison { .. } | FaultKind::Join { .. } => {}
            }
        }
        if hits > 0 {
            *self.measures.faults.entry(kind.name()).or_default() += hits;
        }
        match kind {
            FaultKind::CoordinatorCrash { restart } if self.coordinator.up => {
                self.crash_coordinator();
                self.queue.push(self.now + restart, Event::CoordinatorBack);
            }
            FaultKind::Join { group, count } => {
                for _ in 0..count {
                    let spec = &self.scenario.workers[group];
                    let worker = self.machines.add(group as u32, spec);
                    self.reconnect_at(worker, self.now);
                }
            }
            _ => {}
        }
        self.plan(at);
    }

    /// A worker ends with everything it has.
    fn crash_worker(&mut self, worker: u32, restart: Option<Span>) {
        self.stop_machine(worker);
        let machine = self.machines.get(worker);
        let (life, group) = (machine.life, machine.group);
        let session = machine.session;
        if session != NO_SESSION {
            // The operating system closes the connection; the coordinator hears of it.
            let at = (self.now + self.network.latency(group)).max(machine.cut_until[1]);
            self.queue.push(at, Event::Healed { worker, what: Healing::Notice, life: session.0 as u32 });
        }
        self.machines.get_mut(worker).session = NO_SESSION;
        if let Some(restart) = restart.filter(|_| !self.machines.get(worker).leaving) {
            self.faults.returning += 1;
            self.queue.push(self.now + restart, Event::Healed { worker, what: Healing::Restart, life });
        }
    }

    /// Everything that runs on a worker is gone.
    fn stop_machine(&mut self, worker: u32) {
        self.empty_pipes(worker);
        let pages = std::mem::take(&mut self.machines.get_mut(worker).pages);
        for (_, page) in pages {
            self.pages.get(page).seats().for_each(|thread| self.abort(thread));
            let removed = self.pages.remove(page);
            self.threads.release(removed.seats());
        }
        let group = self.machines.get(worker).group;
        *self.machines.agent(worker) = Agent::new(self.scenario.workers[group as usize].slots);
        let machine = self.machines.get_mut(worker);
        machine.up = false;
        machine.life += 1;
        machine.agent_due = Time(u64::MAX);
        machine.paused_until = Time::ZERO;
    }

    /// A running task takes its executor with it; `false`: none runs.
    fn crash_some_executor(&mut self, at: usize, worker: u32) -> bool {
        let pages = &self.machines.get(worker).pages;
        let running: Vec<u32> = pages
            .iter()
            .flat_map(|&(_, page)| self.pages.get(page).seats())
            .filter(|&thread| self.threads.get(thread).is_busy())
            .collect();
        if running.is_empty() {
            return false;
        }
        let unit = self.fault_stream(at).unit(2 * self.faults.struck[at] + 1);
        let thread = running[((unit * running.len() as f64) as usize).min(running.len() - 1)];
        let executor = self.threads.get(thread).executor;
        let index = self.task_at(thread);
        self.crash_executor(worker, executor, (thread, index), false);
        true
    }

    /// A worker stands still. What computes goes on where it stopped.
    fn pause(&mut self, worker: u32, length: Span) {
        let until = self.now + length;
        let machine = self.machines.get_mut(worker);
        let longer = until.since(machine.paused_until.max(self.now));
        machine.paused_until = machine.paused_until.max(until);
        let pages: Vec<u32> = machine.pages.iter().map(|&(_, page)| page).collect();
        for page in pages {
            let (job, seats) = (self.pages.get(page).job, self.pages.get(page).seats());
            // What waits for something else than a core goes on; shared cores stand still by themselves.
            let goes_on = self.scenario.jobs[job as usize].io >= 1.0 || self.shares_cores(worker, job);
            for number in seats {
                let state = self.threads.get(number).state;
                if state == State::Computing || (state == State::Running && !goes_on) {
                    self.stand(number, longer);
                }
                let thread = self.threads.get_mut(number);
                if state == State::Running && !goes_on {
                    thread.version = thread.version.wrapping_add(1);
                    thread.ends = thread.ends + longer;
                    let (ends, version) = (thread.ends, thread.version);
                    let (range, began) = (thread.running.range, thread.began);
                    let event = match self.first_poisoned(job, range, began) {
                        Some(_) => Event::Crash { thread: number, version },
                        None => Event::Ran { worker, thread: number, version },
                    };
                    self.queue.push(ends, event);
                }
            }
            self.queue.push(until, Event::Wake { page, worker });
        }
        self.freeze_cores(worker, until);
    }

    fn cut(&mut self, worker: u32, direction: Direction, length: Span) {
        let until = self.now + length;
        let cut = &mut self.machines.get_mut(worker).cut_until;
        if direction != Direction::ToCoordinator {
            cut[0] = cut[0].max(until);
        }
        if direction != Direction::ToWorkers {
            cut[1] = cut[1].max(until);
        }
    }

    /// A worker says goodbye; the coordinator lets it finish first.
    fn leave_cluster(&mut self, worker: u32) {
        let machine = self.machines.get_mut(worker);
        machine.leaving = true;
        if machine.session == NO_SESSION {
            self.stop_machine(worker);
        } else {
            self.say(worker, FromWorker::Leaving, false, 0);
        }
    }

    /// The coordinator has ended the session of a worker.
    pub(super) fn part(&mut self, worker: u32) {
        let machine = self.machines.get_mut(worker);
        machine.session = NO_SESSION;
        if machine.leaving {
            self.stop_machine(worker);
        } else {
            // Its first try is at once.
            self.reconnect_at(worker, self.now);
        }
    }

    /// What was to happen to a worker happens.
    pub(super) fn heal(&mut self, worker: u32, what: Healing, life: u32) {
        match what {
            Healing::Notice => self.lose(WorkerId(u64::from(life)), Loss::Disconnected),
            Healing::Restart => {
                self.faults.returning -= 1;
                if self.machines.get(worker).life == life {
                    self.machines.get_mut(worker).up = true;
                    self.reconnect_at(worker, self.now);
                }
            }
            Healing::Attach => {
                let machine = self.machines.get(worker);
                if machine.life != life || !machine.up || machine.session != NO_SESSION {
                    return;
                }
                let reachable = machine.cut_until[0].max(machine.cut_until[1]).max(machine.paused_until);
                if !self.coordinator.up {
                    // It tries again when the coordinator is back.
                } else if reachable > self.now {
                    self.queue.push(reachable, Event::Healed { worker, what, life });
                } else {
                    self.attach(worker);
                }
            }
        }
    }

    /// A worker that just started connects without waiting.
    pub(super) fn reconnect_at(&mut self, worker: u32, from: Time) {
        let machine = self.machines.get(worker);
        let (life, trip) = (machine.life, self.network.latency(machine.group));
        self.queue.push(
            from + Span(GREETING_TRIPS * trip.0),
            Event::Healed { worker, what: Healing::Attach, life },
        );
    }

    /// How long a worker waits before it tries to connect again.
    pub(super) fn backoff(&mut self, worker: u32) -> Span {
        self.faults.backoffs += 1;
        let stream = self.stream(Purpose::Backoff).split(u64::from(worker) + 1);
        scaled(BACKOFF_MAX, stream.unit(self.faults.backoffs))
    }

    /// A worker says that it is alive, from now on again and again.
    pub(super) fn start_beating(&mut self, worker: u32) {
        if let Some(interval) = self.coordinator.heartbeat() {
            let machine = self.machines.get_mut(worker);
            machine.beats = machine.beats.wrapping_add(1);
            let beats = machine.beats;
            self.queue.push(self.now + interval, Event::Beat { worker, life: beats });
        }
    }

    pub(super) fn beat(&mut self, worker: u32, life: u32) {
        let machine = self.machines.get(worker);
        let Some(interval) = self.coordinator.heartbeat() else { return };
        if machine.beats != life || !machine.up || machine.session == NO_SESSION {
            return;
        }
        if machine.paused_until > self.now {
            let until = machine.paused_until;
            self.queue.push(until, Event::Beat { worker, life });
            return;
        }
        let late = scaled(interval, 1.0 - machine.drift_ppm as f64 / 1e6);
        self.say(worker, FromWorker::Heartbeat, false, 0);
        self.queue.push(self.now + late, Event::Beat { worker, life });
    }

    /// The first of these tasks, claimed at `began`, that ends its executor.
    pub(super) fn first_poisoned(&self, job: u32, range: IndexRange, began: Time) -> Option<u64> {
        let poison = self.faults.poison.iter().filter(|poison| poison.job == job && poison.from <= began);
        poison
            .filter_map(|&Poison { share, stream, .. }| {
                (range.start..range.end).find(|&index| stream.unit(index) < share)
            })
            .min()
    }

    /// A thread has run into a task that ends its executor.
    pub(super) fn poisoned(&mut self, number: u32, version: u32) {
        let thread = self.threads.get(number);
        if thread.version != version || thread.state != State::Running {
            return;
        }
        let (page, executor, range) = (thread.page, thread.executor, thread.running.range);
        let began = thread.began;
        let Page { worker, job, .. } = *self.pages.get(page);
        let paused = self.machines.get(worker).paused_until;
        if paused > self.now {
            self.queue.push(paused, Event::Crash { thread: number, version });
            return;
        }
        *self.measures.faults.entry("poison").or_default() += 1;
        let index = self.first_poisoned(job, range, began).unwrap_or(range.start);
        self.crash_executor(worker, executor, (number, index), true);
    }

    /// A worker that stood still goes on: its threads look for work.
    pub(super) fn wake_up(&mut self, page: u32, worker: u32) {
        if self.machines.get(worker).pages.iter().any(|&(_, other)| other == page) {
            if self.machines.get(worker).paused_until <= self.now {
                self.pages.get(page).seats().for_each(|thread| self.go_on(thread));
            }
            self.wake(page);
            self.drain_backlog(worker);
        }
    }
}
