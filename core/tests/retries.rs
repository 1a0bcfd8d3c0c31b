//! Budgets by class, waits between attempts, pauses and retries, without a clock.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_core::id::{JobId, LogPos, WorkerId};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::{
    Config, FailureClass, Grant, Input, JobSpec, JobView, Outcome, Output, RecoveredJob, RetryPolicy,
    Scheduler,
};
use muster_core::time::{Span, Time};
use std::collections::BTreeMap;

const JOB: JobId = JobId(1);
const WORKER: WorkerId = WorkerId(1);
const MS: u64 = 1_000_000;

/// A worker and what it has.
struct World {
    now: Time,
    scheduler: Scheduler,
    grants: Vec<Grant>,
    said: Vec<Output>,
}

impl World {
    fn new(slots: u32) -> Self {
        // Nobody beats here.
        let lease = Span::from_millis(3_600_000);
        let config = Config { lease, policy: "fixed:1".parse().unwrap(), ..Config::default() };
        let scheduler = Scheduler::new(config, LogPos(1));
        let mut world = Self { now: Time::ZERO, scheduler, grants: Vec::new(), said: Vec::new() };
        world.tell(Input::Joined { worker: WORKER, slots });
        world
    }

    fn with_job(slots: u32, spec: JobSpec) -> Self {
        let mut world = Self::new(slots);
        world.tell(Input::Submit { job: JOB, spec });
        world.said.clear();
        world
    }

    fn tell(&mut self, input: Input) {
        self.scheduler.handle(self.now, input);
        self.listen();
    }

    fn listen(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Grant { grant, .. } => self.grants.push(grant),
                Output::Open { .. } | Output::Close { .. } => {}
                other => self.said.push(other),
            }
        }
        self.scheduler.check_invariants();
    }

    /// Waits until the scheduler wants to be woken for a task, if it does; says how long that was.
    fn wait(&mut self) -> Option<Span> {
        let (due, why) = self.scheduler.poll_timeout()?;
        if why != "a task may be tried again" {
            return None;
        }
        let waited = due.since(self.now);
        self.now = due;
        self.scheduler.handle_timeout(due);
        self.listen();
        Some(waited)
    }

    /// The oldest lease fails in this way; says which task it had.
    fn fail(&mut self, class: FailureClass) -> u64 {
        let grant = self.grants.remove(0);
        let (worker, lease, index) = (WORKER, grant.lease, grant.range.start);
        self.tell(Input::Failed { worker, lease, index, class, busy: Span(MS) });
        index
    }

    fn finish(&mut self) {
        let grant = self.grants.remove(0);
        let (worker, lease, range) = (WORKER, grant.lease, grant.range);
        self.tell(Input::Done { worker, lease, range, bytes: 0, busy: Span(MS) });
    }

    fn give_back(&mut self) {
        while !self.grants.is_empty() {
            let grant = self.grants.remove(0);
            self.tell(Input::Returned { worker: WORKER, lease: grant.lease, range: grant.range });
        }
    }

    fn view(&self) -> JobView {
        self.scheduler.job(JOB).unwrap()
    }

    fn paused(&mut self) -> Option<(u64, u64)> {
        let said = std::mem::take(&mut self.said);
        said.iter().find_map(|output| match output {
            Output::Paused { crashed, good, .. } => Some((*crashed, *good)),
            _ => None,
        })
    }
}

fn all() -> RangeSet {
    RangeSet::from(IndexRange::new(0, u64::MAX))
}

fn tasks(tasks: u64) -> JobSpec {
    JobSpec { tasks, ..JobSpec::default() }
}

#[test]
fn a_task_is_tried_as_often_as_the_class_of_its_failures_allows() {
    use FailureClass::{Cancelled, Crashed, Failed, Limit, Memory, Panicked, Timeout, Transient};
    let retry = RetryPolicy { transient: Some(2), panicked: 4, memory: 2, ..RetryPolicy::default() };
    let spec = JobSpec { retry, ..tasks(1) };
    for (class, attempts) in [
        (Transient, 2),
        (Crashed, 3),
        (Panicked, 4),
        (Timeout, 1),
        (Memory, 2),
        (Failed, 1),
        (Limit, 1),
        (Cancelled, 1),
    ] {
        let mut world = World::with_job(1, spec.clone());
        for attempt in 1..attempts {
            assert_eq!(world.grants[0].attempt, attempt);
            world.fail(class);
            assert!(
                matches!(world.said[..], [Output::Retry { charged, .. }] if charged == attempt),
                "{class:?}: {:?}",
                world.said
            );
            world.said.clear();
            world.wait().unwrap();
        }
        world.fail(class);
        let [Output::Fail { charged, .. }, Output::Ended { outcome: Outcome::Done, .. }] = world.said[..]
        else {
            panic!("{class:?}: {:?}", world.said);
        };
        assert_eq!(charged, attempts, "{class:?}");
    }
}

#[test]
fn failures_of_several_classes_have_one_budget_together() {
    let retry = RetryPolicy { transient: Some(2), panicked: 2, ..RetryPolicy::default() };
    let mut world = World::with_job(1, JobSpec { retry, ..tasks(1) });
    for class in [FailureClass::Transient, FailureClass::Panicked] {
        world.fail(class);
        assert!(matches!(world.said[..], [Output::Retry { charged: 1, .. }]));
        world.said.clear();
        world.wait().unwrap();
    }
    // The first of its class, and the third of all: crashes may be three.
    world.fail(FailureClass::Crashed);
    assert!(matches!(world.said[..], [Output::Fail { charged: 1, .. }, Output::Ended { .. }]));
}

#[test]
fn a_task_that_waits_holds_up_neither_its_job_nor_others() {
    let mut world = World::with_job(1, tasks(2));
    world.grants.truncate(1);
    world.tell(Input::Submit { job: JobId(2), spec: tasks(2) });
    let failed = world.fail(FailureClass::Transient);
    assert_eq!((world.view().waiting, failed), (1, 0));
    assert!(world.grants.iter().all(|grant| (grant.job, grant.range.start) != (JOB, failed)));
    assert!(!world.grants.is_empty(), "others go on");
    let waited = world.wait().unwrap();
    assert!(waited.0 >= 50 * MS && waited.0 <= 100 * MS, "{waited}");
    assert_eq!(world.view().waiting, 0);
}

/// The times to the second, third, .. attempt: each between half of the doubled wait and all of it.
#[test]
fn waits_double_and_the_same_task_always_waits_as_long() {
    let waits = || -> Vec<u64> {
        let mut world = World::with_job(1, JobSpec { max_attempts: 10, ..tasks(1) });
        let mut waits = Vec::new();
        for _ in 1..10 {
            world.fail(FailureClass::Transient);
            waits.push(world.wait().unwrap().0);
        }
        waits
    };
    let first = waits();
    assert_eq!(first, waits());
    for (wait, whole) in first.iter().zip([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]) {
        assert!((whole * MS / 2..=whole * MS).contains(wait), "{wait} of {whole} ms");
    }
}

#[test]
fn a_wait_ends_with_its_job() {
    let mut world = World::with_job(1, tasks(1));
    world.fail(FailureClass::Crashed);
    assert_eq!(world.scheduler.sizes().waiting, 1);
    world.tell(Input::Cancel { job: JOB });
    assert_eq!(world.scheduler.sizes().waiting, 0);
    assert_eq!(world.wait(), None, "nobody is to be woken for it");
}

/// Twenty tasks that are given up pause a job of many; nineteen are a job's end.
#[test]
fn a_job_is_paused_when_most_tasks_crash_unless_it_has_few() {
    let crash_all = |count: u64| {
        let mut world = World::with_job(4, tasks(count));
        let mut crashes = 0;
        while world.scheduler.job(JOB).is_some_and(|view| !view.paused) {
            if world.grants.is_empty() {
                world.wait().unwrap();
                continue;
            }
            world.fail(FailureClass::Crashed);
            crashes += 1;
        }
        let paused = world.paused();
        (world, crashes, paused)
    };
    let (world, crashes, paused) = crash_all(19);
    assert_eq!((crashes, paused), (57, None));
    assert!(world.scheduler.job(JOB).is_none(), "it ended by itself");
    let (mut world, crashes, paused) = crash_all(100_000);
    assert_eq!(paused, Some((100, 0)));
    // Time stands still while something can be leased out: no task is tried twice before all were tried once.
    assert_eq!(crashes, 100);
    world.give_back();
    assert!(world.grants.is_empty() && world.wait().is_some(), "what comes back stays");
    while world.wait().is_some() {}
    assert!(world.grants.is_empty());
    assert_eq!(world.view().leased, 0);
}

/// The culprits of a job come together at its end: that is no reason to pause it.
#[test]
fn culprits_that_crash_again_do_not_pause_a_job() {
    let mut world = World::with_job(1, tasks(200));
    let is_bad = |index: u64| index.is_multiple_of(8);
    while world.scheduler.job(JOB).is_some() {
        let Some(grant) = world.grants.first() else {
            world.wait().unwrap();
            continue;
        };
        if is_bad(grant.range.start) {
            world.fail(FailureClass::Crashed);
        } else {
            world.finish();
        }
    }
    let failed = world.said.iter().filter(|output| matches!(output, Output::Fail { .. })).count();
    assert_eq!((failed, world.paused()), (25, None));
}

#[test]
fn a_paused_job_goes_on_when_it_is_told_to_with_what_failed_before_it() {
    let spec = JobSpec { max_attempts: 1, ..tasks(1_000) };
    let mut world = World::with_job(1, spec);
    (0..20).for_each(|_| _ = world.fail(FailureClass::Crashed));
    assert_eq!(world.paused(), Some((20, 0)));
    world.give_back();
    assert_eq!((world.view().failed, world.view().ready), (20, 980));
    world.tell(Input::Extend { job: JOB, tasks: 1, bytes: 0 });
    assert!(world.grants.is_empty() && world.said.is_empty());
    // Other jobs go on meanwhile.
    world.tell(Input::Submit { job: JobId(2), spec: tasks(1) });
    assert_eq!(world.grants.remove(0).job, JobId(2));
    world.said.clear();
    let some = RangeSet::from(IndexRange::new(18, 700));
    world.tell(Input::Retry { job: JOB, tasks: some });
    let [Output::Released { ref tasks, .. }] = world.said[..] else { panic!("{:?}", world.said) };
    assert_eq!(tasks.iter().collect::<Vec<_>>(), [IndexRange::new(18, 20)]);
    let grant = &world.grants[0];
    assert_eq!((grant.range.start, grant.attempt), (18, 2), "attempts go on rising");
    assert_eq!((world.view().failed, world.view().paused), (18, false));
    world.said.clear();
    // It counts anew: nineteen more do not pause it, the twentieth does.
    (0..19).for_each(|_| _ = world.fail(FailureClass::Crashed));
    assert_eq!(world.paused(), None);
    world.fail(FailureClass::Crashed);
    assert_eq!(world.paused(), Some((20, 0)));
}

#[test]
fn retrying_is_harmless_where_there_is_nothing_to_retry() {
    let mut world = World::with_job(1, tasks(3));
    world.tell(Input::Retry { job: JOB, tasks: all() });
    world.tell(Input::Retry { job: JOB, tasks: RangeSet::new() });
    world.tell(Input::Retry { job: JobId(9), tasks: all() });
    assert!(world.said.is_empty());
    // A job that is combined keeps its failures.
    let mut world = World::with_job(1, JobSpec { reduce: true, ..tasks(3) });
    world.fail(FailureClass::Failed);
    world.said.clear();
    world.tell(Input::Retry { job: JOB, tasks: all() });
    assert!(world.said.is_empty());
    assert_eq!(world.view().failed, 1);
}

#[test]
fn budgets_and_pauses_outlive_the_coordinator() {
    let mut charges = BTreeMap::new();
    let charged: &mut muster_core::scheduler::Charges = charges.entry(0).or_default();
    charged.set(FailureClass::Crashed, 2);
    let recovered = RecoveredJob {
        job: JOB,
        spec: tasks(2),
        tasks: 2,
        bytes: 0,
        sealed: true,
        committed: RangeSet::new(),
        failed: RangeSet::new(),
        charged: charges,
        last_attempt: 6,
        paused: true,
        blocks: Vec::new(),
    };
    let mut world = World::new(1);
    world.scheduler.recover(recovered);
    world.listen();
    assert!(world.grants.is_empty() && world.view().paused);
    world.tell(Input::Retry { job: JOB, tasks: all() });
    assert_eq!(world.grants[0].attempt, 7);
    world.said.clear();
    assert_eq!(world.fail(FailureClass::Crashed), 0);
    assert!(matches!(world.said[..], [Output::Fail { charged: 3, .. }]), "{:?}", world.said);
}
