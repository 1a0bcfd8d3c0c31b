//! What each policy costs per lease: a scheduler driven by workers that answer at once.
//!
//! `cargo bench -p muster-core --bench policies`; the throughput is in leases.

#![allow(missing_docs)]

use divan::Bencher;
use divan::counter::ItemsCount;
use muster_core::id::{JobId, LogPos, WorkerId};
use muster_core::range::IndexRange;
use muster_core::scheduler::{Config, Grant, Input, JobSpec, Output, Scheduler};
use muster_core::time::{Span, Time};
use std::collections::VecDeque;

const WORKERS: u64 = 100;
const TASK: Span = Span::from_micros(100);

fn main() {
    divan::main();
}

/// Runs `jobs` jobs of `tasks` tasks each on workers of one slot, without any delay; says how many leases that took.
fn run(policy: &str, jobs: u64, tasks: u64) -> u64 {
    let policy = policy.parse().expect("the policies of a bench are spelled well");
    let config = Config { policy, credit_tasks: 1, credit: Span::ZERO, ..Config::default() };
    let mut scheduler = Scheduler::new(config, LogPos(1));
    let (mut now, mut leases, mut ended) = (Time::ZERO, 0, 0);
    for worker in 1..=WORKERS {
        scheduler.handle(now, Input::Joined { worker: WorkerId(worker), slots: 1 });
    }
    for job in 1..=jobs {
        scheduler
            .handle(now, Input::Submit { job: JobId(job), spec: JobSpec { tasks, ..JobSpec::default() } });
    }
    let mut granted: VecDeque<(WorkerId, Grant)> = VecDeque::new();
    loop {
        while let Some(output) = scheduler.poll_output() {
            match output {
                Output::Grant { worker, grant } => granted.push_back((worker, grant)),
                Output::Recall { worker, lease, .. } => {
                    let range = IndexRange::default();
                    scheduler.handle(now, Input::Returned { worker, lease, range });
                }
                Output::Ended { .. } => ended += 1,
                other => drop(divan::black_box(other)),
            }
        }
        let Some((worker, grant)) = granted.pop_front() else { break };
        leases += 1;
        now = now + TASK;
        let busy = Span(grant.range.len() * TASK.0);
        scheduler.handle(now, Input::Done { worker, lease: grant.lease, range: grant.range, bytes: 0, busy });
    }
    assert_eq!(ended, jobs);
    leases
}

fn measure(bencher: Bencher<'_, '_>, policy: &str, jobs: u64, tasks: u64) {
    let leases = run(policy, jobs, tasks);
    bencher.counter(ItemsCount::new(leases)).bench(|| run(policy, jobs, tasks));
}

/// Many jobs are ready all the time.
#[divan::bench(args = ["fifo", "fair", "priority", "random"], sample_count = 10)]
fn orders(bencher: Bencher<'_, '_>, order: &str) {
    measure(bencher, &format!("{order}+fixed:1"), 100, 200);
}

/// One job, all of whose leases are as long as the policy says.
#[divan::bench(args = ["fixed:100", "fixed:100+speculation", "guided", "factoring", "adaptive"], sample_count = 10)]
fn chunkings(bencher: Bencher<'_, '_>, chunking: &str) {
    measure(bencher, chunking, 1, 1_000_000);
}
