//! How many executors an agent starts and keeps.

#![allow(missing_docs)]

use muster_core::agent::{Agent, ExitCause, Grant, Input, Output, PluginKey};
use muster_core::id::{ExecutorId, JobId, LeaseId};
use muster_core::range::IndexRange;
use muster_core::shape::Shape;
use muster_core::time::{Span, Time};

struct World {
    agent: Agent,
    now: Time,
}

impl World {
    fn new(slots: u32) -> Self {
        Self { agent: Agent::new(slots), now: Time::ZERO }
    }

    fn hand(&mut self, input: Input) -> Vec<Output> {
        self.now = self.now + Span::from_millis(1);
        self.agent.handle(self.now, input);
        let outputs = std::iter::from_fn(|| self.agent.poll_output()).collect();
        self.agent.check_invariants();
        outputs
    }

    fn open(&mut self, job: u64, processes: u32, threads: u32) -> Vec<u32> {
        let shape = Shape::new(processes, threads);
        let plugin = PluginKey(1);
        seated(&self.hand(Input::Open { job: JobId(job), shape, plugin, reusable: true, reduce: false }))
    }

    fn grant(&mut self, job: u64, lease: u64, start: u64, count: u64, whole: bool) -> Vec<u32> {
        let range = IndexRange::from_count(start, count);
        let grant = Grant { lease: LeaseId(lease), job: JobId(job), range, whole };
        seated(&self.hand(Input::Grant(grant)))
    }

    fn done(&mut self, lease: u64, start: u64, count: u64) {
        self.hand(Input::Done { lease: LeaseId(lease), range: IndexRange::from_count(start, count) });
    }

    fn exited(&mut self, executor: u64) -> Vec<u32> {
        let (executor, cause) = (ExecutorId(executor), ExitCause::Signal);
        let exited =
            Input::ExecutorExited { executor, cause, held: Vec::new(), running: Vec::new(), culprit: None };
        seated(&self.hand(exited))
    }
}

/// The first slots of the executors that are given the job.
fn seated(outputs: &[Output]) -> Vec<u32> {
    let first_slot = |output: &Output| match output {
        Output::Start { first_slot, .. } | Output::Assign { first_slot, .. } => Some(*first_slot),
        _ => None,
    };
    outputs.iter().filter_map(first_slot).collect()
}

fn stopped(outputs: &[Output]) -> Vec<ExecutorId> {
    let stopped = |output: &Output| match output {
        Output::Stop { executor, .. } => Some(*executor),
        _ => None,
    };
    outputs.iter().filter_map(stopped).collect()
}

#[test]
fn executors_come_as_tasks_need_them() {
    let mut world = World::new(2);
    assert_eq!(world.open(1, 4_096, 1), [0], "one loads the plugin before there are tasks");
    assert_eq!(world.grant(1, 1, 0, 1, false), []);
    assert_eq!(world.grant(1, 2, 1, 2, false), [1, 2]);
    world.done(1, 0, 1);
    world.done(2, 1, 2);
    assert_eq!(world.grant(1, 3, 3, 1, false), [], "those that are there wait for tasks");
    assert_eq!(world.grant(1, 4, 4, 1_000_000, false).len(), 4_093, "up to the shape");
    assert_eq!(world.agent.executors(), 4_096);
}

#[test]
fn executors_of_several_threads_are_filled_one_after_the_other() {
    let mut world = World::new(8);
    assert_eq!(world.open(1, 4, 2), [0]);
    assert_eq!(world.grant(1, 1, 0, 2, false), []);
    assert_eq!(world.grant(1, 2, 2, 1, false), [2]);
    assert_eq!(world.grant(1, 3, 10, 1_000, true), [], "a whole lease is run by one thread");
    assert_eq!(world.grant(1, 4, 2_000, 1, true), [4]);
}

#[test]
fn an_executor_that_died_is_replaced_when_its_place_is_needed() {
    let mut world = World::new(4);
    world.open(1, 4, 1);
    assert_eq!(world.grant(1, 1, 0, 4, false), [1, 2, 3]);
    world.done(1, 0, 3);
    assert_eq!(world.exited(4), [], "one task is left and the first place has an executor");
    assert_eq!(world.exited(1), [0], "the first place is the one that may always claim");
}

#[test]
fn as_many_executors_wait_for_a_job_as_the_worker_has_slots() {
    let mut world = World::new(2);
    world.open(1, 5, 1);
    world.grant(1, 1, 0, 5, false);
    world.done(1, 0, 5);
    world.hand(Input::Close { job: JobId(1), cancel: false });
    let order = [3, 1, 5, 2, 4].map(ExecutorId);
    let ended: Vec<ExecutorId> =
        order.iter().flat_map(|&executor| stopped(&world.hand(Input::ExecutorIdle { executor }))).collect();
    assert_eq!(ended, order[..3], "those that waited longest are ended at once");
    ended.iter().for_each(|executor| drop(world.exited(executor.0)));
    assert_eq!(world.agent.executors(), 2);
    world.open(2, 5, 1);
    world.grant(2, 2, 0, 2, false);
    assert_eq!(world.agent.executors(), 2, "the next job gets them");
}
