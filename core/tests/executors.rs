//! How many executors an agent starts and keeps.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_core::agent::{Agent, ExitCause, Grant, Input, Output, PluginKey};
use muster_core::id::{ExecutorId, JobId, LeaseId};
use muster_core::range::IndexRange;
use muster_core::scheduler::FailureClass;
use muster_core::shape::{Flow, Shape};
use muster_core::time::{Span, Time};

const GRACE: Span = Span::from_millis(1_000);

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
        self.open_shape(job, Shape::new(processes, threads))
    }

    fn open_shape(&mut self, job: u64, shape: Shape) -> Vec<u32> {
        let plugin = PluginKey(1);
        let (reusable, grace) = (true, GRACE);
        seated(&self.hand(Input::Open { job: JobId(job), shape, plugin, reusable, reduce: false, grace }))
    }

    fn grant(&mut self, job: u64, lease: u64, start: u64, count: u64, whole: bool) -> Vec<u32> {
        let range = IndexRange::from_count(start, count);
        let grant = Grant { lease: LeaseId(lease), job: JobId(job), range, whole };
        seated(&self.hand(Input::Grant(grant)))
    }

    fn done(&mut self, lease: u64, start: u64, count: u64) {
        self.hand(Input::Done { lease: LeaseId(lease), range: IndexRange::from_count(start, count) });
    }

    fn ready(&mut self, executor: u64) {
        self.hand(Input::ExecutorReady { executor: ExecutorId(executor) });
    }

    /// What is due now.
    fn due(&mut self) -> Vec<Output> {
        self.agent.handle_timeout(self.now);
        std::iter::from_fn(|| self.agent.poll_output()).collect()
    }

    fn exited(&mut self, executor: u64) -> Vec<u32> {
        self.exited_by(executor, ExitCause::Signal)
    }

    fn exited_by(&mut self, executor: u64, cause: ExitCause) -> Vec<u32> {
        let executor = ExecutorId(executor);
        let exited = Input::ExecutorExited {
            executor,
            cause,
            held: Vec::new(),
            running: Vec::new(),
            culprits: Vec::new(),
        };
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

/// Executors that are to end, and whether at once.
fn stops(outputs: &[Output]) -> Vec<(u64, bool)> {
    let stop = |output: &Output| match output {
        Output::Stop { executor, kill } => Some((executor.0, *kill)),
        _ => None,
    };
    outputs.iter().filter_map(stop).collect()
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

#[test]
fn an_executor_that_was_terminated_late_has_time_to_clean_up() {
    let mut world = World::new(1);
    world.open(1, 1, 1);
    world.grant(1, 1, 0, 10, false);
    world.ready(1);
    world.hand(Input::Close { job: JobId(1), cancel: true });
    world.now = world.now + GRACE + GRACE;
    assert_eq!(world.due(), [Output::Terminate { executor: ExecutorId(1) }]);
    assert_eq!(world.agent.poll_timeout().unwrap().0, world.now + Span(GRACE.0 / 4));
    world.now = world.now + Span(GRACE.0 / 4);
    assert_eq!(stops(&world.due()), [(1, true)]);
}

#[test]
fn a_cancelled_executor_is_asked_then_terminated_then_killed() {
    let mut world = World::new(2);
    world.open(1, 2, 1);
    world.grant(1, 1, 0, 10, false);
    world.ready(1);
    world.ready(2);
    let outputs = world.hand(Input::Close { job: JobId(1), cancel: true });
    assert!(outputs.contains(&Output::CancelTasks { job: JobId(1) }));
    assert_eq!(stops(&outputs), [(1, false), (2, false)]);
    let asked = world.now;
    assert_eq!(world.agent.poll_timeout().unwrap().0, asked + Span(GRACE.0 / 2));
    // One ends by itself.
    world.exited(1);
    world.now = asked + Span(GRACE.0 / 2);
    assert_eq!(world.due(), [Output::Terminate { executor: ExecutorId(2) }]);
    assert_eq!(world.due(), [], "once");
    assert_eq!(world.agent.poll_timeout().unwrap().0, asked + GRACE);
    world.now = asked + GRACE;
    assert_eq!(stops(&world.due()), [(2, true)]);
    assert_eq!(world.agent.poll_timeout(), None);
    let exited = Input::ExecutorExited {
        executor: ExecutorId(2),
        cause: ExitCause::Killed,
        held: Vec::new(),
        running: Vec::new(),
        culprits: Vec::new(),
    };
    assert!(world.hand(exited).contains(&Output::ForgetJob { job: JobId(1) }));
}

#[test]
fn a_process_for_each_task_and_none_for_nothing() {
    let mut world = World::new(2);
    assert_eq!(world.open_shape(1, Shape { flow: Flow::Once, ..Shape::new(2, 1) }), []);
    assert_eq!(world.grant(1, 1, 0, 3, false), [0, 1]);
    // The first one ends with its task; of the two that are left, one has an executor.
    world.done(1, 0, 1);
    assert_eq!(world.exited_by(1, ExitCause::Retired), [0]);
    world.done(1, 2, 1);
    assert_eq!(world.exited_by(3, ExitCause::Retired), [], "the one in the other place has the last task");
    world.done(1, 1, 1);
    assert_eq!(world.exited_by(2, ExitCause::Retired), []);
    assert_eq!(world.agent.executors(), 0);
}

#[test]
fn only_tasks_over_their_time_are_charged_when_their_executor_is_ended() {
    let mut world = World::new(4);
    world.open(1, 1, 4);
    world.grant(1, 1, 0, 4, false);
    world.ready(1);
    let held = vec![(LeaseId(1), IndexRange::new(0, 4))];
    let running = vec![(LeaseId(1), 1), (LeaseId(1), 2)];
    let (cause, culprits) = (ExitCause::Timeout, running.clone());
    let exited = Input::ExecutorExited { executor: ExecutorId(1), cause, held, running, culprits };
    let outputs = world.hand(exited);
    let failed: Vec<u64> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::ReportFailed { index, class: FailureClass::Timeout, .. } => Some(*index),
            _ => None,
        })
        .collect();
    assert_eq!(failed, [1, 2]);
    let again: Vec<IndexRange> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Publish { range, .. } => Some(*range),
            _ => None,
        })
        .collect();
    assert_eq!(again, [IndexRange::new(0, 1), IndexRange::new(3, 4)]);
}

#[test]
fn executors_that_end_for_no_fault_of_theirs_start_again() {
    let mut world = World::new(2);
    world.open(1, 2, 1);
    world.grant(1, 1, 0, 4, false);
    // As those do whose plugin's file is fetched again.
    for executor in 1..=8 {
        assert_eq!(world.exited_by(executor, ExitCause::Stopped).len(), 1, "another in its place");
    }
    // Those that fail by themselves are given up.
    assert_eq!(world.exited(9).len() + world.exited(10).len(), 2);
    assert_eq!(world.exited(11), []);
}
