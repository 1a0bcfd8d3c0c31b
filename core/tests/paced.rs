//! Jobs whose tasks arrive one after the other are served by one worker.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_core::id::{JobId, LogPos, WorkerId};
use muster_core::range::IndexRange;
use muster_core::scheduler::{Config, Grant, GrantKind, Input, JobSpec, Loss, Output, Scheduler};
use muster_core::time::{Span, Time};

const JOB: JobId = JobId(1);

/// A scheduler with workers 1 and 2 of four slots, and a paced job.
fn scheduler(spec: JobSpec) -> Scheduler {
    let mut scheduler = Scheduler::new(Config::default(), LogPos(0));
    for worker in [1, 2] {
        scheduler.handle(Time::ZERO, Input::Joined { worker: WorkerId(worker), slots: 4 });
    }
    scheduler.handle(Time::ZERO, Input::Submit { job: JOB, spec: JobSpec { paced: true, ..spec } });
    scheduler
}

/// The leases that were given since the last call, and how wide the leaves of a reduction are.
fn take_grants(scheduler: &mut Scheduler) -> (Vec<(WorkerId, Grant)>, Option<u64>) {
    scheduler.check_invariants();
    let (mut grants, mut width) = (Vec::new(), None);
    while let Some(output) = scheduler.poll_output() {
        match output {
            Output::Grant { worker, grant } => grants.push((worker, grant)),
            Output::Open { leaf, .. } => width = leaf,
            _ => {}
        }
    }
    (grants, width)
}

fn done(worker: WorkerId, grant: &Grant) -> Input {
    let busy = Span::from_millis(10 * grant.range.len());
    Input::Done { worker, lease: grant.lease, range: grant.range, bytes: 0, busy }
}

#[test]
fn one_worker_gets_all_tasks_until_it_is_lost() {
    let mut scheduler = scheduler(JobSpec { tasks: 1_000, ..JobSpec::default() });
    let (mut grants, _) = take_grants(&mut scheduler);
    let first = grants[0].0;
    for round in 0..5 {
        assert!(!grants.is_empty(), "nothing was given in round {round}");
        assert!(grants.iter().all(|(worker, _)| *worker == first), "{grants:?}");
        for (worker, grant) in std::mem::take(&mut grants) {
            scheduler.handle(Time(round), done(worker, &grant));
            let (more, _) = take_grants(&mut scheduler);
            grants.extend(more);
        }
    }
    let view = scheduler.job(JOB).unwrap();
    assert!(view.committed > 0 && view.fitting == 1, "{view:?}");
    scheduler.handle(Time(9), Input::Left { worker: first, reason: Loss::Disconnected });
    let (grants, _) = take_grants(&mut scheduler);
    assert!(!grants.is_empty() && grants.iter().all(|(worker, _)| *worker != first), "{grants:?}");
}

#[test]
fn a_worker_that_is_to_leave_hands_the_queue_over() {
    let mut scheduler = scheduler(JobSpec { tasks: 1_000, ..JobSpec::default() });
    let (grants, _) = take_grants(&mut scheduler);
    let first = grants[0].0;
    scheduler.handle(Time(1), Input::Drain { worker: first });
    for (worker, grant) in &grants {
        scheduler.handle(Time(2), done(*worker, grant));
    }
    let (grants, _) = take_grants(&mut scheduler);
    assert!(!grants.is_empty() && grants.iter().all(|(worker, _)| *worker != first), "{grants:?}");
}

#[test]
fn tasks_of_a_reduction_are_leaves_of_their_own() {
    let tasks = 1 << 20;
    let mut scheduler = scheduler(JobSpec { tasks, reduce: true, ..JobSpec::default() });
    let (grants, leaf) = take_grants(&mut scheduler);
    assert_eq!((leaf, grants[0].1.kind.clone()), (Some(1), GrantKind::Run));
    assert!(grants.iter().all(|(_, grant)| grant.range.len() < tasks), "{grants:?}");
    assert_eq!(grants[0].1.range.start, IndexRange::default().start);
}
