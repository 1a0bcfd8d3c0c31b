//! Jobs go to workers that may run them, and wait while none is there.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_core::id::{JobId, LogPos, WorkerId};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::{Config, Grant, Held, Input, JobSpec, Loss, Output, Scheduler};
use muster_core::time::{Span, Time};

const JOB: JobId = JobId(1);
const OTHER: JobId = JobId(2);
const WARY: WorkerId = WorkerId(1);
const SURE: WorkerId = WorkerId(2);

fn scheduler(policy: &str) -> Scheduler {
    Scheduler::new(Config { policy: policy.parse().unwrap(), ..Config::default() }, LogPos(0))
}

fn tell(scheduler: &mut Scheduler, input: Input) {
    scheduler.handle(Time::ZERO, input);
    scheduler.check_invariants();
}

fn unfit(scheduler: &mut Scheduler, worker: WorkerId, job: JobId) {
    tell(scheduler, Input::Unfit { worker, job });
}

fn join(scheduler: &mut Scheduler, worker: WorkerId, slots: u32) {
    tell(scheduler, Input::Joined { worker, slots });
}

fn submit(scheduler: &mut Scheduler, job: JobId, tasks: u64) {
    tell(scheduler, Input::Submit { job, spec: JobSpec { tasks, ..JobSpec::default() } });
}

fn outputs(scheduler: &mut Scheduler) -> Vec<Output> {
    std::iter::from_fn(|| scheduler.poll_output()).collect()
}

fn grants(outputs: &[Output]) -> Vec<(WorkerId, Grant)> {
    let of = |output: &Output| match output {
        Output::Grant { worker, grant } => Some((*worker, grant.clone())),
        _ => None,
    };
    outputs.iter().filter_map(of).collect()
}

fn done(worker: WorkerId, grant: &Grant) -> Input {
    let busy = Span::from_millis(10 * grant.range.len());
    Input::Done { worker, lease: grant.lease, range: grant.range, bytes: 0, busy }
}

#[test]
fn a_job_waits_without_an_attempt_until_a_worker_comes_that_may_run_it() {
    let mut scheduler = scheduler("fair");
    join(&mut scheduler, WARY, 4);
    unfit(&mut scheduler, WARY, JOB);
    submit(&mut scheduler, JOB, 10);
    let said = outputs(&mut scheduler);
    assert!(matches!(said[..], [Output::Accepted { .. }]), "{said:?}");
    assert_eq!(scheduler.job(JOB).unwrap().fitting, 0);
    join(&mut scheduler, SURE, 4);
    assert_eq!(scheduler.job(JOB).unwrap().fitting, 1);
    let given = grants(&outputs(&mut scheduler));
    assert!(!given.is_empty() && given.iter().all(|(worker, grant)| *worker == SURE && grant.attempt == 1));
}

#[test]
fn a_job_outlives_its_only_worker_and_goes_on_with_the_next() {
    let mut scheduler = scheduler("fair");
    unfit(&mut scheduler, WARY, JOB);
    submit(&mut scheduler, JOB, 4);
    join(&mut scheduler, SURE, 4);
    // It comes after the job.
    join(&mut scheduler, WARY, 4);
    assert!(grants(&outputs(&mut scheduler)).iter().all(|(worker, _)| *worker == SURE));
    tell(&mut scheduler, Input::Left { worker: SURE, reason: Loss::Left });
    let said = outputs(&mut scheduler);
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(scheduler.job(JOB).unwrap().ready, 4);
    join(&mut scheduler, WorkerId(3), 4);
    assert_eq!(grants(&outputs(&mut scheduler)).iter().map(|(_, grant)| grant.range.len()).sum::<u64>(), 4);
}

#[test]
fn who_comes_back_keeps_no_tasks_that_it_must_not_run() {
    let mut scheduler = scheduler("fair");
    submit(&mut scheduler, JOB, 8);
    unfit(&mut scheduler, WARY, JOB);
    let tasks = RangeSet::from(IndexRange::new(0, 8));
    let held = vec![Held { claim: 1, job: JOB, attempt: 1, tasks, open: true }];
    tell(&mut scheduler, Input::Rejoined { worker: WARY, slots: 4, held });
    let said = outputs(&mut scheduler);
    assert!(matches!(said[..], [Output::Accepted { .. }]), "{said:?}");
}

#[test]
fn what_is_said_late_takes_the_job_away() {
    let mut scheduler = scheduler("fair");
    join(&mut scheduler, WARY, 4);
    submit(&mut scheduler, JOB, 4);
    assert!(!grants(&outputs(&mut scheduler)).is_empty());
    unfit(&mut scheduler, WARY, JOB);
    unfit(&mut scheduler, WARY, JOB);
    let said = outputs(&mut scheduler);
    assert!(matches!(said[..], [Output::Close { worker: WARY, job: JOB, cancel: true }]), "{said:?}");
    assert_eq!(scheduler.job(JOB).unwrap().ready, 4);
}

/// The length of leases counts the slots that a job can have.
#[test]
fn leases_are_as_long_as_without_the_others() {
    let given = |strangers: u64| {
        let mut scheduler = scheduler("fair");
        for worker in 3..3 + strangers {
            unfit(&mut scheduler, WorkerId(worker), JOB);
        }
        submit(&mut scheduler, JOB, 1_000);
        for worker in 3..3 + strangers {
            join(&mut scheduler, WorkerId(worker), 4);
        }
        join(&mut scheduler, WorkerId(100), 2);
        let mut lengths = Vec::new();
        while let Some((worker, grant)) = grants(&outputs(&mut scheduler)).pop() {
            lengths.push(grant.range.len());
            tell(&mut scheduler, done(worker, &grant));
        }
        lengths
    };
    assert_eq!(given(0), given(9));
}

/// A job that waits for a worker keeps nobody from sharing the tasks of another one.
#[test]
fn others_are_balanced_and_have_second_leases_while_a_job_waits() {
    for (policy, tasks, is_shared) in [
        ("fixed:8", 17, (|output| matches!(output, Output::Recall { .. })) as fn(&Output) -> bool),
        (
            "fixed:1+speculation",
            2,
            |output| matches!(output, Output::Grant { grant, .. } if grant.speculative),
        ),
    ] {
        let mut scheduler = scheduler(policy);
        for worker in 1..=4 {
            unfit(&mut scheduler, WorkerId(worker), OTHER);
        }
        // The idle worker that comes first may run neither.
        unfit(&mut scheduler, WorkerId(1), JOB);
        submit(&mut scheduler, OTHER, 1);
        submit(&mut scheduler, JOB, tasks);
        join(&mut scheduler, WorkerId(2), 1);
        let first = grants(&outputs(&mut scheduler));
        tell(&mut scheduler, done(first[0].0, &first[0].1));
        outputs(&mut scheduler);
        for worker in [1, 3, 4] {
            join(&mut scheduler, WorkerId(worker), 1);
        }
        let mut said = outputs(&mut scheduler);
        for ms in 1..2_000 {
            scheduler.handle_timeout(Time(ms * 1_000_000));
            scheduler.check_invariants();
            said.extend(outputs(&mut scheduler));
        }
        assert!(said.iter().any(is_shared), "{policy}: {said:?}");
        assert!(grants(&said).iter().all(|(worker, grant)| grant.job == JOB && *worker != WorkerId(1)));
    }
}
