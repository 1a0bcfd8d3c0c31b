//! Workers that come back with tasks: what of them they keep.
#![allow(clippy::unwrap_used)]

use muster_core::id::{JobId, LeaseId, LogPos, WorkerId};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::{
    Config, FailureClass, Held, Input, JobSpec, Loss, Output, RecoveredJob, Scheduler,
};
use muster_core::time::{Span, Time};

const JOB: JobId = JobId(1);
const SECOND: u64 = 1_000_000_000;

fn tasks(ranges: &[(u64, u64)]) -> RangeSet {
    let mut set = RangeSet::new();
    ranges.iter().for_each(|&(start, end)| set.insert(IndexRange::new(start, end)));
    set
}

fn held(claim: u64, attempt: u32, ranges: &[(u64, u64)]) -> Held {
    Held { claim, job: JOB, attempt, tasks: tasks(ranges), open: true }
}

fn recovered(spec: JobSpec, committed: &[(u64, u64)]) -> RecoveredJob {
    RecoveredJob {
        job: JOB,
        spec,
        tasks: 10,
        bytes: 0,
        sealed: true,
        committed: tasks(committed),
        failed: RangeSet::new(),
        charged: Default::default(),
        last_attempt: 0,
        paused: false,
        blocks: Vec::new(),
    }
}

/// A second life of a coordinator, whose log has these commits of a job of ten tasks.
fn second_life(committed: &[(u64, u64)]) -> Scheduler {
    let mut scheduler = Scheduler::new(Config::default(), LogPos(1));
    scheduler.recover(recovered(JobSpec { tasks: 10, ..JobSpec::default() }, committed));
    scheduler
}

fn said(scheduler: &mut Scheduler) -> Vec<Output> {
    scheduler.check_invariants();
    std::iter::from_fn(|| scheduler.poll_output()).collect()
}

fn rejoin(scheduler: &mut Scheduler, worker: u64, held: Vec<Held>) -> Vec<Output> {
    scheduler.handle(Time::ZERO, Input::Rejoined { worker: WorkerId(worker), slots: 2, held });
    said(scheduler)
}

fn adopted(outputs: &[Output]) -> Vec<(u64, LeaseId, u32, RangeSet)> {
    let each = outputs.iter().filter_map(|output| match output {
        Output::Adopted { claim, lease, attempt, tasks, .. } => {
            Some((*claim, *lease, *attempt, tasks.clone()))
        }
        _ => None,
    });
    each.collect()
}

fn granted(outputs: &[Output]) -> Vec<IndexRange> {
    let each = outputs.iter().filter_map(|output| match output {
        Output::Grant { grant, .. } => Some(grant.range),
        _ => None,
    });
    each.collect()
}

#[test]
fn who_has_closed_the_job_is_told_of_it_again() {
    for open in [true, false] {
        let mut scheduler = second_life(&[(0, 3)]);
        scheduler.await_workers(Time(2 * SECOND));
        let claims = [held(1, 1, &[(3, 4)]), held(2, 1, &[(4, 5)])];
        let outputs = rejoin(&mut scheduler, 1, claims.map(|held| Held { open, ..held }).into());
        assert_eq!(adopted(&outputs).len(), 2);
        let opened = outputs.iter().filter(|output| matches!(output, Output::Open { .. })).count();
        assert_eq!(opened, usize::from(!open), "{outputs:?}");
    }
}

#[test]
fn what_is_neither_committed_nor_with_others_stays_with_its_worker() {
    let mut scheduler = second_life(&[(0, 3)]);
    scheduler.await_workers(Time(2 * SECOND));
    let outputs = rejoin(&mut scheduler, 1, vec![held(7, 4, &[(2, 5), (8, 9)])]);
    let [(claim, lease, attempt, kept)] = &adopted(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!((*claim, *attempt, kept), (7, 4, &tasks(&[(3, 5), (8, 9)])), "2 was committed before");
    assert_eq!(granted(&outputs), [], "others may come back with the rest");
    // Another worker says that it has some of the same.
    let outputs = rejoin(&mut scheduler, 2, vec![held(1, 1, &[(4, 6)])]);
    assert_eq!(adopted(&outputs)[0].3, tasks(&[(5, 6)]));
    // Results count under the new lease, and only what is part of it.
    let done = |lease, start, end| Input::Done {
        worker: WorkerId(1),
        lease,
        range: IndexRange::new(start, end),
        bytes: 0,
        busy: Span(1),
    };
    scheduler.handle(Time::ZERO, done(*lease, 2, 5));
    let outputs = said(&mut scheduler);
    let commits: Vec<IndexRange> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Commit { range, .. } => Some(*range),
            _ => None,
        })
        .collect();
    assert_eq!(commits, [IndexRange::new(3, 5)]);
    assert!(outputs.iter().any(|output| matches!(output, Output::Dropped { .. })), "{outputs:?}");
}

#[test]
fn recovered_jobs_wait_for_their_workers_and_no_longer_than_told() {
    let mut scheduler = second_life(&[]);
    scheduler.await_workers(Time(2 * SECOND));
    assert_eq!(granted(&rejoin(&mut scheduler, 1, Vec::new())), []);
    let spec = JobSpec { tasks: 1, ..JobSpec::default() };
    scheduler.handle(Time::ZERO, Input::Submit { job: JobId(2), spec });
    assert_eq!(granted(&said(&mut scheduler)), [IndexRange::new(0, 1)], "new jobs do not wait");
    scheduler.handle_timeout(Time(2 * SECOND - 1));
    assert_eq!(granted(&said(&mut scheduler)), []);
    assert_eq!(scheduler.poll_timeout().unwrap().0, Time(2 * SECOND));
    scheduler.handle_timeout(Time(2 * SECOND));
    assert!(!granted(&said(&mut scheduler)).is_empty() && !scheduler.awaits_workers());

    let mut scheduler = second_life(&[]);
    scheduler.await_workers(Time(2 * SECOND));
    rejoin(&mut scheduler, 1, Vec::new());
    scheduler.await_no_workers();
    assert!(!granted(&said(&mut scheduler)).is_empty(), "all that were known are back");
}

/// A cut in one life: the worker's leases were put back, and some of their tasks were leased to others meanwhile.
#[test]
fn after_a_cut_attempts_rise_and_others_keep_what_they_got() {
    let mut scheduler = Scheduler::new(Config::default(), LogPos(1));
    let spec = JobSpec { tasks: 4, ..JobSpec::default() };
    scheduler.handle(Time::ZERO, Input::Joined { worker: WorkerId(1), slots: 4 });
    scheduler.handle(Time::ZERO, Input::Submit { job: JOB, spec });
    let before = granted(&said(&mut scheduler));
    scheduler.handle(Time::ZERO, Input::Left { worker: WorkerId(1), reason: Loss::Disconnected });
    scheduler.handle(Time::ZERO, Input::Joined { worker: WorkerId(2), slots: 1 });
    let elsewhere = granted(&said(&mut scheduler));
    let all: u64 = before.iter().map(|range| range.len()).sum();
    let taken: u64 = elsewhere.iter().map(|range| range.len()).sum();
    assert!(all == 4 && taken < 4, "{before:?} {elsewhere:?}");
    let outputs = rejoin(&mut scheduler, 3, vec![held(1, 1, &[(0, 4)])]);
    let [(_, lease, attempt, kept)] = &adopted(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!((kept.len(), *attempt), (4 - taken, 2));
    // A failure under the adopted lease is charged to its task.
    let index = kept.first().unwrap().start;
    let (worker, busy) = (WorkerId(3), Span(1));
    let class = FailureClass::Transient;
    scheduler.handle(Time::ZERO, Input::Failed { worker, lease: *lease, index, class, busy });
    let outputs = said(&mut scheduler);
    assert!(outputs.iter().any(|it| matches!(it, Output::Retry { charged: 1, .. })), "{outputs:?}");
}

#[test]
fn a_reduction_adopts_a_lease_as_a_whole_or_not_at_all() {
    for (committed, keeps) in [(&[][..], true), (&[(4, 5)][..], false)] {
        let mut scheduler = Scheduler::new(Config::default(), LogPos(1));
        let spec = JobSpec { tasks: 10, reduce: true, ..JobSpec::default() };
        scheduler.recover(recovered(spec, committed));
        let outputs = rejoin(&mut scheduler, 1, vec![held(1, 1, &[(4, 8)])]);
        assert_eq!(adopted(&outputs).len(), usize::from(keeps), "{outputs:?}");
    }
}

#[test]
fn what_makes_no_sense_is_not_adopted() {
    let mut scheduler = second_life(&[]);
    let of_other = Held { job: JobId(9), ..held(1, 1, &[(0, 4)]) };
    let beyond = held(2, 1, &[(10, 4_000)]);
    let outputs = rejoin(&mut scheduler, 1, vec![of_other, beyond, held(3, 1, &[])]);
    assert_eq!(adopted(&outputs), []);
    // An attempt that no worker can have had does not make those to come overflow.
    let mut scheduler = second_life(&[]);
    let outputs = rejoin(&mut scheduler, 1, vec![held(1, u32::MAX, &[(0, 10)])]);
    assert!(adopted(&outputs)[0].2 < u32::MAX / 2);
    scheduler.handle(Time::ZERO, Input::Left { worker: WorkerId(1), reason: Loss::Silent });
    said(&mut scheduler);
}
