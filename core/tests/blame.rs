//! Who is charged when an executor crashes.

#![allow(missing_docs)]

use muster_core::agent::{Agent, ExitCause, Grant, Input, Output, PluginKey};
use muster_core::id::{ExecutorId, JobId, LeaseId};
use muster_core::range::IndexRange;
use muster_core::scheduler::FailureClass;
use muster_core::shape::Shape;
use muster_core::time::{Span, Time};

const JOB: JobId = JobId(1);
const LEASE: LeaseId = LeaseId(7);

struct World {
    agent: Agent,
    now: Time,
}

impl World {
    /// One executor of three threads, which have claimed ten tasks.
    fn new() -> Self {
        let mut world = Self { agent: Agent::new(3), now: Time::ZERO };
        let (shape, plugin) = (Shape::new(1, 3), PluginKey(1));
        world.hand(Input::Open {
            job: JOB,
            shape,
            plugin,
            reusable: true,
            reduce: false,
            grace: Span::from_millis(2_000),
        });
        world.hand(Input::ExecutorReady { executor: ExecutorId(1) });
        let range = IndexRange::new(0, 10);
        world.hand(Input::Grant(Grant { lease: LEASE, job: JOB, range, whole: false }));
        world.hand(Input::Drained { job: JOB, entry: 0 });
        world
    }

    fn hand(&mut self, input: Input) -> Vec<Output> {
        self.now = self.now + Span::from_millis(1);
        self.agent.handle(self.now, input);
        let outputs = std::iter::from_fn(|| self.agent.poll_output()).collect();
        self.agent.check_invariants();
        outputs
    }

    /// The executor crashes while it runs the tasks 1, 4 and 8.
    fn crash(&mut self, cause: ExitCause, culprits: &[(LeaseId, u64)]) -> Vec<Output> {
        let held = [(0, 3), (3, 6), (6, 10)].map(|(start, end)| (LEASE, IndexRange::new(start, end)));
        let running = [1, 4, 8].map(|index| (LEASE, index));
        let (held, running) = (held.to_vec(), running.to_vec());
        self.hand(Input::ExecutorExited {
            executor: ExecutorId(1),
            cause,
            held,
            running,
            culprits: culprits.to_vec(),
        })
    }
}

fn charged(outputs: &[Output]) -> Vec<u64> {
    let charged = |output: &Output| match output {
        Output::ReportFailed { index, class, .. } => {
            assert_eq!(*class, FailureClass::Crashed);
            Some(*index)
        }
        _ => None,
    };
    outputs.iter().filter_map(charged).collect()
}

/// The tasks that may be claimed, and by how many threads.
fn published(outputs: &[Output]) -> (Vec<u64>, u32) {
    let (mut tasks, mut slots) = (Vec::new(), 0);
    for output in outputs {
        match output {
            Output::Publish { range, .. } => tasks.extend(range.start..range.end),
            Output::Allow { slots: allowed, .. } => slots = *allowed,
            _ => {}
        }
    }
    tasks.sort_unstable();
    (tasks, slots)
}

#[test]
fn a_record_charges_the_task_of_its_thread_and_no_other() {
    let mut world = World::new();
    let outputs = world.crash(ExitCause::Signal, &[(LEASE, 4)]);
    assert_eq!(charged(&outputs), [4]);
    let (tasks, _) = published(&outputs);
    assert_eq!(tasks, [0, 1, 2, 3, 5, 6, 7, 8, 9], "all others run again at once");
    let slots = published(&world.hand(Input::ExecutorReady { executor: ExecutorId(2) })).1;
    assert_ne!(slots, 1, "none of them is a suspect that must run alone");
}

#[test]
fn without_a_record_all_that_ran_are_suspects() {
    let outputs = World::new().crash(ExitCause::Signal, &[]);
    assert_eq!(charged(&outputs), [0; 0]);
    assert_eq!(published(&outputs), ((0..10).collect(), 1), "one thread runs what is suspected");
}

#[test]
fn a_record_that_names_what_is_not_owed_is_none() {
    let mut world = World::new();
    world.hand(Input::Done { lease: LEASE, range: IndexRange::new(4, 5) });
    let outputs = world.crash(ExitCause::Aborted, &[(LEASE, 4)]);
    assert_eq!(charged(&outputs), [0; 0], "that task was done before");
    let outputs = World::new().crash(ExitCause::Aborted, &[(LeaseId(99), 4)]);
    assert_eq!(charged(&outputs), [0; 0], "that lease is not there");
}

#[test]
fn a_record_of_an_executor_that_was_told_to_end_charges_nobody() {
    for cause in [ExitCause::Killed, ExitCause::Stopped] {
        let outputs = World::new().crash(cause, &[(LEASE, 4)]);
        assert_eq!(charged(&outputs), [0; 0], "{cause:?}");
    }
}

#[test]
fn tasks_that_only_seem_to_be_over_their_time_are_tried_one_by_one() {
    let outputs = World::new().crash(ExitCause::Timeout, &[]);
    assert_eq!(charged(&outputs), [0; 0], "three ran, and none is known to have done it");
}
