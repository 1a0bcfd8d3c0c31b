//! What the decisions themselves cost: a scheduler driven by workers that answer at once.
//!
//! `cargo bench -p muster-core`; the throughput is in tasks.

#![allow(missing_docs)]

use divan::Bencher;
use divan::counter::ItemsCount;
use muster_core::id::{JobId, LogPos, WorkerId};
use muster_core::page::{LeaseEntry, LeaseFacts};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::{Chunking, Config, Grant, Input, JobSpec, Output, PolicySpec, Scheduler};
use muster_core::time::{Span, Time};
use std::collections::VecDeque;

fn main() {
    divan::main();
}

/// Runs a job of `tasks` tasks of `task` each on `workers` workers of one slot, without any delay.
fn run(config: Config, workers: u64, tasks: u64, task: Span) {
    let mut scheduler = Scheduler::new(config, LogPos(1));
    let mut now = Time::ZERO;
    for worker in 1..=workers {
        scheduler.handle(now, Input::Joined { worker: WorkerId(worker), slots: 1 });
    }
    scheduler.handle(now, Input::Submit { job: JobId(1), spec: JobSpec { tasks, ..JobSpec::default() } });
    let mut granted: VecDeque<(WorkerId, Grant)> = VecDeque::new();
    loop {
        while let Some(output) = scheduler.poll_output() {
            match output {
                Output::Grant { worker, grant } => granted.push_back((worker, grant)),
                Output::Recall { worker, lease, .. } => {
                    let range = IndexRange::default();
                    scheduler.handle(now, Input::Returned { worker, lease, range });
                }
                Output::Ended { .. } => return,
                other => drop(divan::black_box(other)),
            }
        }
        let Some((worker, grant)) = granted.pop_front() else { return };
        now = now + task;
        let busy = Span(grant.range.len() * task.0);
        scheduler.handle(now, Input::Done { worker, lease: grant.lease, range: grant.range, bytes: 0, busy });
    }
}

/// One task per lease, as for long tasks: grant, result, commit.
#[divan::bench(args = [10, 1_000, 10_000], sample_count = 10)]
fn single_tasks(bencher: Bencher<'_, '_>, workers: u64) {
    let tasks = 100_000;
    let policy = PolicySpec { chunking: Chunking::Fixed(1), ..PolicySpec::default() };
    let config = Config { policy, credit_tasks: 1, credit: Span::ZERO, ..Config::default() };
    bencher
        .counter(ItemsCount::new(tasks))
        .bench(|| run(config.clone(), workers, tasks, Span::from_millis(1)));
}

/// A billion tasks of a nanosecond in adaptive leases.
#[divan::bench(sample_count = 10)]
fn ranges(bencher: Bencher<'_, '_>) {
    let tasks = 1_000_000_000u64;
    bencher.counter(ItemsCount::new(tasks)).bench(|| run(Config::default(), 2, tasks, Span(1)));
}

/// Claiming 64 tasks at a time from a page entry.
#[divan::bench]
fn claims(bencher: Bencher<'_, '_>) {
    let entry = LeaseEntry::default();
    bencher.counter(ItemsCount::new(1_000_000u64)).bench_local(|| {
        entry.publish(IndexRange::new(0, 1_000_000), LeaseFacts::default());
        while let Some(claim) = entry.claim(|_| 64, |_, range| _ = divan::black_box(range)) {
            divan::black_box(claim);
        }
    });
}

/// Taking single indexes out of a set from both ends.
#[divan::bench]
fn range_set(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(100_000u64)).bench_local(|| {
        let mut set = RangeSet::from(IndexRange::new(0, 100_000));
        for index in 0..50_000 {
            set.remove(IndexRange::from_count(index, 1));
            set.remove(IndexRange::from_count(99_999 - index, 1));
        }
        assert!(set.is_empty());
    });
}
