//! Second leases: when a task gets one, and what becomes of the two.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_core::id::{JobId, LogPos, WorkerId};
use muster_core::range::IndexRange;
use muster_core::scheduler::{
    Config, DropReason, FailureClass, Grant, Input, JobSpec, JobView, Loss, Outcome, Output, RetryPolicy,
    Scheduler,
};
use muster_core::time::{Span, Time};

const JOB: JobId = JobId(1);
/// The time of a task that is none of the slow ones.
const TASK: Span = Span::from_millis(100);
const SLOW: WorkerId = WorkerId(1);
const QUICK: WorkerId = WorkerId(2);

/// A scheduler whose outputs are taken one kind after the other.
struct World {
    now: Time,
    scheduler: Scheduler,
    outputs: Vec<Output>,
}

impl World {
    fn new(policy: &str, spec: JobSpec) -> Self {
        let policy = policy.parse().unwrap();
        let config = Config { policy, credit_tasks: 1, credit: Span::ZERO, ..Config::default() };
        let scheduler = Scheduler::new(config, LogPos(1));
        let mut world = Self { now: Time::ZERO, scheduler, outputs: Vec::new() };
        for worker in [SLOW, QUICK] {
            world.tell(Input::Joined { worker, slots: 1 });
        }
        world.tell(Input::Submit { job: JOB, spec });
        world
    }

    /// The slow worker has task 0 since the start; the quick one has done all others, 100 ms each. Gives the grant of
    /// the slow one.
    fn with_straggler(policy: &str, spec: JobSpec) -> (Self, Grant) {
        let tasks = spec.tasks;
        let mut world = Self::new(policy, spec);
        let mut slow = None;
        for _ in 1..=tasks {
            for (worker, grant) in world.take_grants() {
                match worker {
                    SLOW => slow = Some(grant),
                    _ => {
                        world.now = world.now + TASK;
                        world.done(QUICK, &grant);
                    }
                }
            }
        }
        let slow = slow.unwrap();
        assert_eq!(slow.range, IndexRange::new(0, 1));
        (world, slow)
    }

    /// As [`World::with_straggler`], when the straggler has its second lease.
    fn with_pair(spec: JobSpec) -> (Self, Grant, Grant) {
        let (mut world, slow) = Self::with_straggler("fixed:1+speculation", spec);
        world.outputs.clear();
        world.wake();
        let (worker, second) = world.take_grants().pop().unwrap();
        assert_eq!((worker, second.range, second.speculative), (QUICK, slow.range, true));
        world.outputs.clear();
        (world, slow, second)
    }

    fn tell(&mut self, input: Input) {
        self.scheduler.handle(self.now, input);
        self.pump();
    }

    /// Goes to when the scheduler wants to be woken for a straggler.
    fn wake(&mut self) {
        let (time, why) = self.scheduler.poll_timeout().unwrap();
        assert_eq!(why, "a lease may be out for too long");
        self.now = self.now.max(time);
        self.scheduler.handle_timeout(self.now);
        self.pump();
    }

    /// Lets some time go by.
    fn wait(&mut self, span: Span) {
        self.now = self.now + span;
        self.scheduler.handle_timeout(self.now);
        self.pump();
    }

    fn pump(&mut self) {
        self.outputs.extend(std::iter::from_fn(|| self.scheduler.poll_output()));
        self.scheduler.check_invariants();
    }

    fn done(&mut self, worker: WorkerId, grant: &Grant) {
        let busy = Span(TASK.0 * grant.range.len());
        self.tell(Input::Done { worker, lease: grant.lease, range: grant.range, bytes: 0, busy });
    }

    fn failed(&mut self, worker: WorkerId, grant: &Grant, class: FailureClass) {
        let (lease, index) = (grant.lease, grant.range.start);
        self.tell(Input::Failed { worker, lease, index, class, busy: TASK });
    }

    fn take_grants(&mut self) -> Vec<(WorkerId, Grant)> {
        let is_grant = |output: &mut Output| matches!(output, Output::Grant { .. });
        let grants = self.outputs.extract_if(.., is_grant).map(|output| match output {
            Output::Grant { worker, grant } => (worker, grant),
            other => unreachable!("{other:?}"),
        });
        grants.collect()
    }

    /// Takes the outputs there are, but for the positions in the log.
    fn take_said(&mut self) -> Vec<String> {
        self.outputs.drain(..).map(|output| said(&output)).collect()
    }

    fn view(&self) -> JobView {
        self.scheduler.job(JOB).unwrap()
    }

    fn tasks_of(&self, worker: WorkerId) -> u64 {
        self.scheduler.worker_tasks(worker).unwrap()
    }
}

fn said(output: &Output) -> String {
    match output {
        Output::Commit { range, .. } => format!("commit {range}"),
        Output::Recall { worker, count, .. } => format!("recall {count} from {worker}"),
        Output::Close { worker, cancel, .. } => format!("close at {worker}, cancel: {cancel}"),
        Output::Ended { outcome: Outcome::Done, .. } => "done".into(),
        Output::Dropped { worker, reason, .. } => format!("dropped of {worker}: {}", reason.name()),
        Output::Retry { index, charged, .. } => format!("retry {index}, charged {charged}"),
        Output::Fail { index, charged, .. } => format!("fail {index}, charged {charged}"),
        Output::Grant { worker, grant } => {
            format!("grant {} to {worker}, attempt {}", grant.range, grant.attempt)
        }
        other => format!("{other:?}"),
    }
}

fn tasks(tasks: u64) -> JobSpec {
    let retry = RetryPolicy { backoff: Span::ZERO, ..RetryPolicy::default() };
    JobSpec { tasks, retry, ..JobSpec::default() }
}

#[test]
fn a_lease_that_is_out_for_twice_its_time_gets_a_second_one() {
    let (mut world, slow) = World::with_straggler("fixed:1+speculation", tasks(2));
    assert_eq!(world.now, Time::ZERO + TASK);
    assert!(world.take_grants().is_empty(), "not yet");
    world.wake();
    assert_eq!(world.now, Time::ZERO + TASK + TASK);
    let (worker, second) = world.take_grants().pop().unwrap();
    assert_eq!((worker, second.range, second.attempt), (QUICK, slow.range, 2));
    assert!(second.speculative && !slow.speculative && second.lease != slow.lease);
    assert_eq!((world.view().ready, world.view().leased), (0, 1), "it counts once");
    assert_eq!((world.tasks_of(SLOW), world.tasks_of(QUICK)), (1, 1));
    // Two leases are the most, however long they take.
    world.tell(Input::Joined { worker: WorkerId(3), slots: 4 });
    for worker in [SLOW, QUICK, WorkerId(3)] {
        world.now = world.now + TASK;
        world.tell(Input::Heartbeat { worker });
    }
    world.scheduler.handle_timeout(world.now);
    world.pump();
    assert!(world.take_grants().is_empty());
}

/// A lease of several tasks, behind others: it is late when all of that should be done twice over.
#[test]
fn a_lease_has_the_time_of_all_its_tasks() {
    let mut world = World::new("fixed:4+speculation", tasks(8));
    let grants = world.take_grants();
    world.now = world.now + Span(4 * TASK.0);
    world.done(QUICK, &grants[1].1);
    let (worker, lease) = (SLOW, grants[0].1.lease);
    world.tell(Input::Done { worker, lease, range: IndexRange::new(0, 3), bytes: 0, busy: Span(3 * TASK.0) });
    // The task that is left may run; the recall that finds this out is answered.
    world.tell(Input::Returned { worker, lease, range: IndexRange::default() });
    world.outputs.clear();
    world.wake();
    assert_eq!(world.now, Time::ZERO + Span(8 * TASK.0));
    assert_eq!(world.take_grants()[0].1.range, IndexRange::new(3, 4));
}

#[test]
fn the_first_result_counts_and_the_other_is_dropped() {
    for first in [SLOW, QUICK] {
        let (mut world, slow, second) = World::with_pair(tasks(2));
        let (first, last) =
            if first == SLOW { ((SLOW, slow), (QUICK, second)) } else { ((QUICK, second), (SLOW, slow)) };
        world.done(first.0, &first.1);
        let said = world.take_said();
        assert_eq!(said[..2], ["commit 0..1".to_owned(), format!("recall 1 from {}", last.0)], "{said:?}");
        // Its result is of no use: the worker may stop it.
        assert!(said.contains(&format!("close at {}, cancel: true", last.0)), "{said:?}");
        assert_eq!(said.last().unwrap(), "done");
        assert_eq!((world.tasks_of(SLOW), world.tasks_of(QUICK)), (0, 0));
        world.done(last.0, &last.1);
        assert_eq!(world.take_said(), [format!("dropped of {}: stale_lease", last.0)]);
    }
}

#[test]
fn a_task_stays_with_the_lease_that_is_left() {
    let (mut world, slow, second) = World::with_pair(tasks(2));
    world.tell(Input::Left { worker: SLOW, reason: Loss::Disconnected });
    assert_eq!((world.view().ready, world.view().leased), (0, 1));
    assert!(world.take_grants().is_empty());
    world.tell(Input::Returned { worker: QUICK, lease: second.lease, range: second.range });
    let again = world.take_grants();
    assert_eq!((again[0].0, again[0].1.range, again[0].1.attempt), (QUICK, slow.range, 2), "not started");
    world.done(SLOW, &slow);
    assert_eq!(world.take_said(), ["dropped of worker 1: unknown_worker"]);
    world.tell(Input::Left { worker: QUICK, reason: Loss::Silent });
    assert_eq!((world.view().ready, world.view().leased), (1, 0));
    world.tell(Input::Joined { worker: WorkerId(3), slots: 1 });
    assert_eq!(world.take_grants()[0].1.attempt, 3);
}

/// The attempt numbers of a task rise, whichever of its leases was the last.
#[test]
fn attempts_go_on_behind_both_leases() {
    let (mut world, _, second) = World::with_pair(tasks(2));
    world.tell(Input::Left { worker: QUICK, reason: Loss::Silent });
    assert_eq!(second.attempt, 2);
    world.tell(Input::Left { worker: SLOW, reason: Loss::Silent });
    world.tell(Input::Joined { worker: WorkerId(3), slots: 1 });
    assert_eq!(world.take_grants()[0].1.attempt, 3);
}

/// Two tasks on two slots of one worker and again on two of another, where the first comes back while the second stays.
/// Gives the lease that is left with both.
fn with_one_task_of_two_back(back: impl Fn(&Grant) -> Input) -> (World, Grant) {
    let (mut world, wide) = (World::new("fixed:2+speculation", tasks(0)), WorkerId(3));
    let job = JobId(2);
    for worker in [SLOW, QUICK] {
        world.tell(Input::Left { worker, reason: Loss::Left });
    }
    world.tell(Input::Joined { worker: wide, slots: 2 });
    world.tell(Input::Submit { job, spec: JobSpec { open: true, ..tasks(2) } });
    let (_, grant) = world.take_grants().pop().unwrap();
    world.done(wide, &grant);
    world.tell(Input::Extend { job, tasks: 2, bytes: 0 });
    let (_, first) = world.take_grants().pop().unwrap();
    assert_eq!((first.range, first.attempt), (IndexRange::new(2, 4), 1));
    world.wait(Span(20 * TASK.0));
    world.tell(Input::Joined { worker: WorkerId(4), slots: 2 });
    let (_, second) = world.take_grants().pop().unwrap();
    assert_eq!((second.range, second.attempt, second.speculative), (IndexRange::new(2, 4), 2, true));
    world.tell(back(&second));
    (world, first)
}

/// A task that was tried under the second lease has the number of that behind it, although the lease goes on with
/// others.
#[test]
fn attempts_go_on_behind_a_second_lease_that_has_other_tasks_left() {
    let failed = |second: &Grant| Input::Failed {
        worker: WorkerId(4),
        lease: second.lease,
        index: 2,
        class: FailureClass::Crashed,
        busy: TASK,
    };
    let returned = |second: &Grant| {
        let range = IndexRange::new(2, 3);
        Input::Returned { worker: WorkerId(4), lease: second.lease, range }
    };
    let (mut world, _) = with_one_task_of_two_back(failed);
    world.tell(Input::Left { worker: WorkerId(3), reason: Loss::Silent });
    let (_, third) = world.take_grants().pop().unwrap();
    assert_eq!((third.range, third.attempt), (IndexRange::new(2, 3), 3));
    // Nobody had started it under the first: but it was under the second.
    let give_back = |world: &mut World, first: &Grant| {
        let (worker, lease, range) = (WorkerId(3), first.lease, IndexRange::new(2, 3));
        world.tell(Input::Returned { worker, lease, range });
        world.take_grants().pop().unwrap().1
    };
    let (mut world, first) = with_one_task_of_two_back(failed);
    assert_eq!(give_back(&mut world, &first).attempt, 3);
    let lost = |_: &Grant| Input::Left { worker: WorkerId(4), reason: Loss::Silent };
    let (mut world, first) = with_one_task_of_two_back(lost);
    assert_eq!(give_back(&mut world, &first).attempt, 3);
    // Nobody had started it under the second lease nor under the first: it keeps the number of the second.
    let (mut world, first) = with_one_task_of_two_back(returned);
    let third = give_back(&mut world, &first);
    assert_eq!((third.range, third.attempt), (IndexRange::new(2, 3), 2));
}

#[test]
fn a_straggler_whose_second_lease_is_lost_gets_another() {
    let (mut world, slow, _) = World::with_pair(tasks(2));
    world.tell(Input::Left { worker: QUICK, reason: Loss::Silent });
    assert!(world.take_grants().is_empty(), "its own worker is no other");
    world.tell(Input::Joined { worker: WorkerId(3), slots: 1 });
    let (worker, third) = world.take_grants().pop().unwrap();
    assert_eq!((worker, third.range, third.attempt, third.speculative), (WorkerId(3), slow.range, 3, true));
}

#[test]
fn a_task_that_fails_under_both_leases_is_charged_once() {
    for class in [FailureClass::Transient, FailureClass::Crashed] {
        let (mut world, slow, second) = World::with_pair(tasks(2));
        world.failed(SLOW, &slow, class);
        assert_eq!(world.take_said(), ["dropped of worker 1: other_lease"]);
        assert_eq!((world.view().ready, world.view().leased), (0, 1), "the other lease has it");
        assert_eq!((world.tasks_of(SLOW), world.tasks_of(QUICK)), (0, 1));
        world.failed(QUICK, &second, class);
        let said = world.take_said();
        assert_eq!(said, ["retry 0, charged 1", "grant 0..1 to worker 1, attempt 3"]);
    }
    assert_eq!(DropReason::OtherLease.name(), "other_lease");
}

/// The failure of the lease that is left would not be charged either if that had another lease again, and so on for
/// ever: a task that always fails would never be given up.
#[test]
fn a_task_that_failed_under_one_lease_gets_no_other_while_the_other_runs() {
    let (mut world, slow, second) = World::with_pair(tasks(2));
    world.failed(SLOW, &slow, FailureClass::Crashed);
    world.wait(Span(20 * TASK.0));
    assert!(world.take_grants().is_empty());
    world.outputs.clear();
    world.failed(QUICK, &second, FailureClass::Crashed);
    assert_eq!(world.take_said()[0], "retry 0, charged 1");
}

#[test]
fn a_failure_for_good_ends_both_leases() {
    let (mut world, slow, second) = World::with_pair(tasks(2));
    world.failed(QUICK, &second, FailureClass::Failed);
    let said = world.take_said();
    assert_eq!(said[..2], ["fail 0, charged 1", "recall 1 from worker 1"]);
    assert_eq!(said.last().unwrap(), "done");
    world.done(SLOW, &slow);
    assert_eq!(world.take_said(), ["dropped of worker 1: stale_lease"]);
}

#[test]
fn there_is_no_second_lease_unless_the_policy_says_so() {
    let quiet = |policy, spec| {
        let (mut world, _) = World::with_straggler(policy, spec);
        world.wait(Span::from_millis(5_000));
        assert!(world.take_grants().is_empty());
        assert_eq!(world.scheduler.poll_timeout().unwrap().1, "a worker may have fallen silent");
    };
    quiet("fixed:1", tasks(3));
    // A job with reduction gets none either.
    quiet("fixed:1+speculation", JobSpec { reduce: true, ..tasks(3) });
}

/// Nobody knows how long a task should take before one has ended.
#[test]
fn what_was_not_measured_is_not_late() {
    let mut world = World::new("fixed:1+speculation", tasks(2));
    let grants = world.take_grants();
    world.tell(Input::Joined { worker: WorkerId(3), slots: 1 });
    world.wait(Span::from_millis(5_000));
    assert!(world.take_grants().is_empty());
    // Now it is known, and the other is late by far.
    world.done(QUICK, &grants[1].1);
    assert_eq!(world.take_grants()[0].1.range, IndexRange::new(0, 1));
}

/// Tasks that nobody has started are called back, not leased a second time.
#[test]
fn a_lease_of_more_tasks_than_may_run_is_left_to_recalls() {
    let mut world = World::new("fixed:4+speculation", tasks(8));
    let grants = world.take_grants();
    let lease = grants[0].1.lease;
    world.wait(Span(4 * TASK.0));
    world.outputs.clear();
    world.done(QUICK, &grants[1].1);
    assert_eq!(world.take_said(), ["commit 4..8", "recall 2 from worker 1"]);
    world.wait(Span(20 * TASK.0));
    assert!(world.take_grants().is_empty());
    world.tell(Input::Returned { worker: SLOW, lease, range: IndexRange::new(1, 4) });
    let said = world.take_said();
    assert_eq!(said, ["grant 1..4 to worker 2, attempt 1"]);
}

#[test]
fn a_job_that_is_held_gets_no_second_lease() {
    let (mut world, slow) = World::with_straggler("fixed:1+speculation", tasks(2));
    world.tell(Input::Hold { job: JOB, held: true });
    world.wait(Span(20 * TASK.0));
    assert!(world.take_grants().is_empty());
    world.tell(Input::Hold { job: JOB, held: false });
    assert_eq!(world.take_grants()[0].1.range, slow.range);
}

#[test]
fn the_lease_that_is_late_for_the_longest_time_comes_first() {
    let mut world = World::new("fixed:1+speculation", tasks(5));
    let first = world.take_grants();
    world.wait(TASK);
    first.iter().for_each(|(worker, grant)| world.done(*worker, grant));
    let late = world.take_grants();
    world.wait(Span::from_millis(10));
    world.tell(Input::Joined { worker: WorkerId(3), slots: 1 });
    let later = world.take_grants();
    assert_eq!((late.len(), later.len()), (2, 1));
    world.done(QUICK, &late[1].1);
    world.wait(Span(20 * TASK.0));
    let second = world.take_grants();
    assert_eq!((second.len(), second[0].1.range), (1, late[0].1.range));
}
