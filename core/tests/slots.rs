//! How the jobs on a worker divide its slots.

#![allow(missing_docs)]

use muster_core::agent::{Agent, ExitCause, Grant, Input, Output, PluginKey};
use muster_core::id::{ExecutorId, JobId, LeaseId};
use muster_core::range::IndexRange;
use muster_core::shape::Shape;
use muster_core::time::{Span, Time};
use std::collections::BTreeMap;

/// An agent, and what each job may claim with.
struct World {
    agent: Agent,
    allowed: BTreeMap<u64, u32>,
    /// Entries that were given a lease's tasks.
    published: BTreeMap<u64, usize>,
}

impl World {
    fn new(slots: u32) -> Self {
        Self { agent: Agent::new(slots), allowed: BTreeMap::new(), published: BTreeMap::new() }
    }

    /// A worker with jobs of one executor each, which has as many threads as the worker has slots.
    fn with_jobs(slots: u32, jobs: u64) -> Self {
        let mut world = Self::new(slots);
        (1..=jobs).for_each(|job| world.open(job, slots));
        world
    }

    /// A job of one executor, all of whose threads are ready.
    fn open(&mut self, job: u64, threads: u32) {
        let (shape, plugin) = (Shape::new(1, threads), PluginKey(1));
        self.hand(Input::Open {
            job: JobId(job),
            shape,
            plugin,
            reusable: true,
            reduce: false,
            grace: Span::from_millis(2_000),
        });
        self.hand(Input::ExecutorReady { executor: ExecutorId(job) });
    }

    fn hand(&mut self, input: Input) {
        self.agent.handle(Time::ZERO, input);
        self.take_outputs();
        self.agent.check_invariants();
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.agent.poll_output() {
            match output {
                Output::Allow { job, slots } => drop(self.allowed.insert(job.0, slots)),
                Output::Publish { entry, lease, .. } => drop(self.published.insert(lease.0, entry)),
                _ => {}
            }
        }
    }

    fn grant(&mut self, job: u64, lease: u64, tasks: u64) {
        let range = IndexRange::from_count(lease * 1_000, tasks);
        let grant = Grant { lease: LeaseId(lease), job: JobId(job), range, whole: false };
        self.hand(Input::Grant(grant));
    }

    /// So many threads of a job run something.
    fn runs(&mut self, job: u64, threads: u32) {
        self.agent.set_running(JobId(job), threads);
        self.take_outputs();
    }

    /// Threads have claimed all there was of a lease.
    fn claimed(&mut self, job: u64, lease: u64) {
        self.hand(Input::Drained { job: JobId(job), entry: self.published[&lease] });
    }

    fn done(&mut self, lease: u64, first: u64, tasks: u64) {
        let range = IndexRange::from_count(lease * 1_000 + first, tasks);
        self.hand(Input::Done { lease: LeaseId(lease), range });
    }

    fn allowed<const N: usize>(&self) -> [u32; N] {
        std::array::from_fn(|at| self.allowed.get(&(at as u64 + 1)).copied().unwrap_or(0))
    }
}

#[test]
fn a_slot_goes_to_the_next_job_when_its_task_has_ended() {
    let mut world = World::with_jobs(1, 2);
    world.grant(1, 1, 1);
    assert_eq!(world.allowed(), [1, 0]);
    world.grant(2, 2, 1);
    assert_eq!(world.allowed(), [1, 0], "the first has something to claim");
    world.runs(1, 1);
    world.claimed(1, 1);
    assert_eq!(world.allowed::<2>()[1], 0, "its task runs");
    world.grant(1, 3, 1);
    assert_eq!(world.allowed(), [0, 0], "the other's turn comes, once the task has ended");
    world.runs(1, 0);
    assert_eq!(world.allowed(), [0, 1]);
    world.done(1, 0, 1);
    assert_eq!(world.allowed(), [0, 1]);
    world.runs(2, 1);
    world.claimed(2, 2);
    assert_eq!(world.allowed::<2>()[0], 0, "now that task runs");
    world.runs(2, 0);
    world.done(2, 0, 1);
    assert_eq!(world.allowed::<2>()[0], 1);
}

#[test]
fn slots_of_which_no_task_runs_are_given_on_at_once() {
    let mut world = World::with_jobs(4, 2);
    world.grant(1, 1, 3);
    world.runs(1, 3);
    world.claimed(1, 1);
    world.grant(2, 2, 100);
    assert_eq!(world.allowed::<2>()[1], 1, "three of four are busy");
    world.runs(1, 2);
    world.done(1, 0, 1);
    assert_eq!(world.allowed::<2>()[1], 2);
    world.grant(1, 3, 100);
    assert_eq!(world.allowed(), [2, 2], "each has its share, and two are the first one's already");
    world.runs(1, 4);
    world.done(1, 1, 1);
    assert_eq!(world.allowed(), [2, 0], "results that wait for others say nothing about what runs");
}

#[test]
fn the_slots_of_a_cancelled_job_are_given_on_when_its_executor_has_stopped() {
    let mut world = World::with_jobs(1, 2);
    world.grant(1, 1, 1);
    world.runs(1, 1);
    world.claimed(1, 1);
    world.grant(2, 2, 1);
    world.hand(Input::Close { job: JobId(1), cancel: true });
    assert_eq!(world.allowed::<2>()[1], 0, "its task still runs");
    world.runs(1, 0);
    let (executor, cause) = (ExecutorId(1), ExitCause::Stopped);
    world.hand(Input::ExecutorExited {
        executor,
        cause,
        held: Vec::new(),
        running: Vec::new(),
        culprits: Vec::new(),
    });
    assert_eq!(world.allowed::<2>()[1], 1);
}

#[test]
fn the_slot_of_a_task_that_was_lost_is_given_on() {
    let mut world = World::with_jobs(1, 2);
    world.grant(1, 1, 1);
    world.runs(1, 1);
    world.claimed(1, 1);
    world.grant(2, 2, 1);
    world.grant(1, 3, 1);
    assert_eq!(world.allowed(), [0, 0], "a task of the first still runs");
    world.runs(1, 0);
    assert_eq!(world.allowed(), [0, 1]);
}

#[test]
fn a_job_alone_has_all_of_its_shape() {
    let mut world = World::new(2);
    [1, 2].into_iter().for_each(|job| world.open(job, 8));
    world.grant(1, 1, 100);
    assert_eq!(world.allowed(), [8, 0], "more threads than slots are its author's wish");
    world.grant(2, 2, 1);
    assert_eq!(world.allowed(), [1, 1]);
    world.runs(2, 1);
    world.claimed(2, 2);
    assert_eq!(world.allowed::<2>()[0], 1, "the task of the other runs");
    world.runs(2, 0);
    world.done(2, 0, 1);
    assert_eq!(world.allowed::<2>()[0], 8);
}

#[test]
fn what_a_small_job_cannot_use_is_for_the_others() {
    let mut world = World::new(16);
    [(1, 16), (2, 1), (3, 3)].into_iter().for_each(|(job, threads)| world.open(job, threads));
    world.grant(1, 1, 1_000);
    world.grant(2, 2, 10);
    assert_eq!(world.allowed(), [15, 1]);
    world.grant(3, 3, 10);
    assert_eq!(world.allowed(), [12, 1, 3]);
    // The same when the wide one comes last.
    world.claimed(1, 1);
    world.grant(1, 4, 1_000);
    assert_eq!(world.allowed(), [12, 1, 3]);
}
