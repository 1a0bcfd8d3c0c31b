//! A cluster in virtual time: the real scheduler, the real agents, and around them what real clusters have and
//! computers do not need to wait for.
//!
//! One thread runs one simulation. State lies in arrays by number; an event is a few words.

mod chance;
mod coordinator;
mod cores;
mod executor;
mod fault;
mod machine;
mod message;
mod network;
mod page;
mod pipe;
mod plugins;
mod thread;
mod worker;

pub use chance::Chance;
pub use fault::SLOWNESS_MAX;

use crate::digest::Digest;
use crate::measure::{Columns, Measures, Point};
use crate::outcome::{JobReport, Report};
use crate::prefetch::prefetch;
use crate::queue::Queue;
use crate::scenario::Scenario;
use coordinator::Coordinator;
use cores::Cores;
use fault::Faults;
use machine::Machines;
use message::{Down, Event, FromWorker, Post, Up};
use muster_core::agent;
use muster_core::random::Stream;
use muster_core::time::{Span, Time};
use network::Network;
use page::Pages;
use plugins::Plugins;
use std::collections::{BTreeMap, VecDeque};
use thread::Threads;

/// What random numbers are for: each purpose has a stream of its own.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Jitter = 1,
    Faults = 2,
    Backoff = 3,
    Poison = 4,
}

/// A simulation that is running.
#[derive(Debug)]
pub struct Cluster {
    scenario: Scenario,
    seed: u64,
    now: Time,
    queue: Queue<Event>,
    events: u64,
    digest: Digest,
    coordinator: Coordinator,
    machines: Machines,
    pages: Pages,
    plugins: Plugins,
    threads: Threads,
    network: Network,
    down: Post<Down>,
    up: Post<Up>,
    faults: Faults,
    measures: Measures,
    /// What arose while an agent was told something, and is told to it next.
    backlog: VecDeque<agent::Input>,
    /// The memory for what an agent says, lent to each in turn.
    said: VecDeque<agent::Output>,
    checked: bool,
    /// Some job has results of a size.
    has_results: bool,
    /// The cores of workers that have more threads than cores, once they are used.
    cores: BTreeMap<u32, Cores>,
    /// The random numbers of each job.
    streams: Vec<Stream>,
    /// What workers were told about a job's reduction when it was opened.
    leaves: BTreeMap<(u32, u32), Option<u64>>,
    /// Who spoke last to the coordinator, and when: what follows at once travels with it.
    last_from: (u32, Time),
    agent_inputs: u64,
}

impl Cluster {
    /// A cluster with its workers connected, at time 0.
    #[must_use]
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let mut queue = Queue::default();
        let mut cluster = Self {
            seed,
            now: Time::ZERO,
            events: 0,
            digest: Digest::default(),
            coordinator: Coordinator::new(&scenario, seed),
            machines: Machines::new(&scenario),
            pages: Pages::default(),
            plugins: Plugins::new(&scenario),
            threads: Threads::new(scenario.scheduling.claim),
            network: Network::new(&scenario, &mut queue),
            down: Post::default(),
            up: Post::default(),
            faults: Faults::default(),
            measures: Measures::default(),
            backlog: VecDeque::new(),
            said: VecDeque::new(),
            checked: false,
            has_results: scenario.jobs.iter().any(|job| job.result_bytes > 0),
            streams: (0..scenario.jobs.len() as u64).map(|job| Stream::new(seed).split(job)).collect(),
            cores: BTreeMap::new(),
            leaves: BTreeMap::new(),
            last_from: (u32::MAX, Time::ZERO),
            agent_inputs: 0,
            queue,
            scenario,
        };
        cluster.begin();
        cluster
    }

    /// Compares all records of scheduler and agents with each other after each event. Slow.
    #[must_use]
    pub const fn checked(mut self) -> Self {
        self.checked = true;
        self
    }

    /// Keeps when and where every attempt ran.
    #[must_use]
    pub fn with_columns(mut self) -> Self {
        self.measures.columns = Some(Columns::default());
        self
    }

    /// Runs until all jobs have ended, nothing can happen any more, or the time is over. `stop` is asked now and
    /// then and ends the run when it says so.
    pub fn run(self, mut stop: impl FnMut() -> bool) -> Report {
        self.run_watched(|_| stop())
    }

    /// The same; `stop` is told as well how many tasks have a result or failed for good.
    pub fn run_watched(mut self, mut stop: impl FnMut(u64) -> bool) -> Report {
        const EVENTS_PER_LOOK: u64 = 1 << 16;
        let until = Time::ZERO + self.scenario.until;
        let mut stopped = false;
        while self.coordinator.jobs_left() > 0 {
            let Some((at, event)) = self.queue.pop() else { break };
            if at > until {
                self.now = until;
                break;
            }
            self.step(at, event);
            if self.events.is_multiple_of(EVENTS_PER_LOOK) && stop(self.coordinator.ended()) {
                stopped = true;
                break;
            }
        }
        self.report(stopped)
    }

    fn begin(&mut self) {
        for worker in 0..self.machines.states.len() as u32 {
            self.attach(worker);
        }
        for (job, spec) in self.scenario.jobs.iter().enumerate() {
            self.queue.push(Time::ZERO + spec.submit_at, Event::Submit { job: job as u32 });
        }
        self.plan_faults();
    }

    fn step(&mut self, at: Time, event: Event) {
        if self.measures.series.is_due(at) {
            let state = self.state();
            self.measures.series.advance(at, state);
        }
        self.look_ahead();
        self.now = at;
        self.events += 1;
        self.digest.add(at.0);
        match event {
            Event::Submit { job } => self.submit(job),
            Event::Leave { message } => self.leave(message),
            Event::Down { message } => self.arrive_down(message),
            Event::Up { message } => self.arrive_up(message),
            Event::Release { worker, way } => self.release(worker, way),
            Event::Read { message } => self.read(message),
            Event::Passed { pipe, version } => self.passed(pipe, version),
            Event::Ran { thread, version, .. } => self.ran(thread, version),
            Event::Overdue { thread, version } => self.overdue(thread, version),
            Event::Crash { thread, version } => self.poisoned(thread, version),
            Event::Waited { thread, version } => self.waited(thread, version),
            Event::Computed { worker, version } => self.computed(worker, version),
            Event::Wake { page, worker } => self.wake_up(page, worker),
            Event::Ready { worker, life, executor } => self.ready(worker, life, executor),
            Event::AgentDue { worker } => self.agent_due(worker),
            Event::SchedulerDue => self.scheduler_due(),
            Event::Beat { worker, life } => self.beat(worker, life),
            Event::Fault { fault } => self.strike(fault),
            Event::Healed { worker, what, life } => self.heal(worker, what, life),
            Event::CoordinatorBack => self.coordinator_back(),
            Event::Ended { job } => self.end(job),
        }
        if self.checked {
            self.coordinator.scheduler.check_invariants();
        }
    }

    /// Has everything about the worker of the next event that is not near in time brought closer.
    fn look_ahead(&self) {
        if let Some(Event::Ran { worker, thread, .. }) = self.queue.head() {
            prefetch(self.threads.get(thread));
            prefetch(self.machines.get(worker));
            prefetch(&self.machines.agents[worker as usize]);
            prefetch(self.pages.get(self.threads.page_of(thread)));
        }
    }

    fn state(&self) -> Point {
        let (workers, slots) = self.coordinator.fleet();
        Point {
            queued: self.coordinator.scheduler.queued_tasks(),
            committed: self.coordinator.committed(),
            failed: self.coordinator.failed(),
            attempts: self.measures.attempts,
            lost: self.measures.lost,
            workers_lost: self.measures.workers_lost,
            jobs: self.coordinator.jobs_live(self.now),
            workers,
            slots,
            ..Point::default()
        }
    }

    fn stream(&self, purpose: Purpose) -> Stream {
        Stream::new(self.seed).split(1 << 32 | purpose as u64)
    }

    fn report(mut self, stopped: bool) -> Report {
        let state = self.state();
        self.measures.series.finish(self.now, state);
        let undone = self.undone();
        self.measures.coordinating = Span(self.measures.coordinating.0.saturating_sub(undone.0));
        self.measures.on_the_way = self.on_the_way();
        self.digest.add(self.coordinator.committed());
        let jobs = self.job_reports();
        let first = jobs.iter().filter_map(|job| job.submitted).min().unwrap_or_default();
        let ends: Option<Vec<Time>> = jobs.iter().map(|job| job.ended).collect();
        let last = ends.and_then(|ends| ends.into_iter().max()).unwrap_or(self.now);
        Report {
            seed: self.seed,
            makespan: last.since(first),
            jobs,
            events: self.events,
            scheduler_inputs: self.coordinator.inputs,
            agent_inputs: self.agent_inputs,
            slots: self
                .scenario
                .workers
                .iter()
                .map(|group| u64::from(group.count) * u64::from(group.slots))
                .sum(),
            digest: self.digest.value(),
            stopped,
            measures: self.measures,
        }
    }

    /// Tasks that have run and whose results have not reached the coordinator, as far as they still can.
    fn on_the_way(&self) -> u64 {
        let held = self.threads.iter().flat_map(|thread| &thread.held).map(|results| results.range.len());
        let sent = self.up.iter().filter_map(|up| match up.what {
            FromWorker::Done { range, .. } => Some(range.len()),
            _ => None,
        });
        held.chain(sent).sum()
    }

    fn job_reports(&self) -> Vec<JobReport> {
        let states = self.coordinator.jobs().iter();
        let reports = self.scenario.jobs.iter().zip(states).map(|(job, state)| JobReport {
            name: job.name.clone(),
            tasks: job.spec.tasks,
            committed: state.committed,
            failed: state.failed,
            submitted: state.submitted,
            ended: state.ended,
            outcome: state.outcome,
        });
        reports.collect()
    }
}

/// `span` times `factor`, cut to nanoseconds.
fn scaled(span: Span, factor: f64) -> Span {
    if factor == 1.0 { span } else { Span((span.0 as f64 * factor) as u64) }
}
