//! Tasks that arrive, in a real executor: none is begun or even claimed before its time.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::executor::{Executor, Job, until};
use fixture::plugin::null;
use muster_core::arrivals::{Arrivals, Pattern, Timetable};
use muster_core::page::SlotRecord;
use muster_core::range::IndexRange;
use muster_proto::convert::TaskSample;
use muster_worker::frame::{Batch, FromExecutor, ToExecutor};
use muster_worker::os::monotonic_ns;
use std::sync::atomic::Ordering::SeqCst;

const HOUR: f64 = 1.0 / 3_600.0;

fn job(threads: u32, rate_per_s: f64, pattern: Pattern) -> Job {
    let mut job = Job::new(threads);
    job.open.arrivals = Arrivals::try_new(rate_per_s, pattern);
    job.open.task_samples = 10_000;
    job
}

/// Frames until so many tasks have come back.
fn batches(executor: &mut Executor, tasks: u64) -> Vec<Batch> {
    let (mut batches, mut come) = (Vec::new(), 0);
    while come < tasks {
        let batch = executor.batch();
        come += batch.blocks.iter().map(|block| block.range.len()).sum::<u64>();
        batches.push(batch);
    }
    batches
}

#[test]
fn tasks_begin_when_they_are_due_in_order_and_all_are_told_of() {
    const TASKS: u64 = 300;
    for threads in [1, 3] {
        let job = job(threads, 2_000.0, Pattern::Poisson);
        let mut executor = Executor::with_job(&null(), &job);
        // Two leases, the later one first in the page.
        job.publish(0, 200, TASKS);
        job.publish(1, 0, 200);
        assert!(
            job.page.unclaimed(1).into_iter().map(IndexRange::len).eq([200, 100]),
            "nothing is claimed yet"
        );
        job.page.set_zero(monotonic_ns());
        let batches = batches(&mut executor, TASKS);
        let mut samples: Vec<TaskSample> =
            batches.iter().flat_map(|batch| batch.timings.samples.clone()).collect();
        samples.sort_by_key(|sample| sample.index);
        assert!(samples.iter().map(|sample| sample.index).eq(0..TASKS));
        let mut times = Timetable::new(job.open.arrivals.unwrap(), job.open.seed);
        for sample in &samples {
            let due = times.due(sample.index);
            assert!(sample.start >= due && !sample.failed, "{sample:?} is due at {due}");
            assert_eq!(sample.latency.unwrap().0, sample.start.0 + sample.run.0 - due.0, "{sample:?}");
        }
        if threads == 1 {
            assert!(samples.is_sorted_by_key(|sample| sample.start), "first come, first served");
        }
        let latencies: u64 = batches.iter().map(|batch| batch.timings.latency.sum().0).sum();
        assert_eq!(latencies, samples.iter().map(|sample| sample.latency.unwrap().0).sum::<u64>());
        assert_eq!(batches.iter().map(|batch| batch.timings.start_lag.count()).sum::<u64>(), TASKS);
    }
}

#[test]
fn a_thread_that_waits_holds_nothing_and_closes_at_once() {
    let job = job(3, HOUR, Pattern::Constant);
    let mut executor = Executor::with_job(&null(), &job);
    let place = job.publish(5, 0, 100);
    job.page.set_zero(monotonic_ns());
    assert_eq!(batches(&mut executor, 1)[0].blocks[0].range, IndexRange::new(0, 1));
    // Each awaits a task of its own, and all of them can be called back.
    let awaited = || {
        let mut all: Vec<u64> =
            job.page.slot_records().iter().map(|record| record.awaited.load(SeqCst)).collect();
        all.sort_unstable();
        all
    };
    until("all threads sleep for a task", || awaited() == [1, 2, 3]);
    assert_eq!(job.page.busy_slots(), 0);
    let entry = &job.page.entries()[5];
    assert_eq!(entry.call_back(place.generation, 1_000), IndexRange::new(1, 100));
    assert!(job.page.slot_records().iter().all(|record| record.current.load(SeqCst) == SlotRecord::IDLE));
    executor.send(&ToExecutor::Close { job: 1 }, &[]);
    assert_eq!(executor.receive_other(), FromExecutor::Closed { job: 1 });
}

#[test]
fn without_arrivals_some_tasks_are_looked_at_alone_and_nothing_begins_before_the_zero() {
    const TASKS: u64 = 200_000;
    let mut job = Job::new(2);
    (job.open.task_samples, job.open.tasks) = (100, TASKS);
    let mut executor = Executor::with_job(&null(), &job);
    job.publish(0, 0, TASKS);
    assert!(job.page.unclaimed(1).into_iter().map(IndexRange::len).eq([TASKS]));
    job.page.set_zero(monotonic_ns());
    let batches = batches(&mut executor, TASKS);
    let mut indexes: Vec<u64> =
        batches.iter().flat_map(|batch| &batch.timings.samples).map(|sample| sample.index).collect();
    indexes.sort_unstable();
    let sampling = muster_core::sampling::Sampling::new(100, TASKS, job.open.seed).unwrap();
    assert!(indexes.into_iter().eq((0..TASKS).filter(|&index| sampling.has(index))));
    let timings = batches.iter().map(|batch| &batch.timings);
    assert!(timings.clone().flat_map(|it| &it.samples).all(|sample| sample.latency.is_none()));
    assert!(timings.clone().all(|it| it.latency.count() + it.start_lag.count() == 0));
}
