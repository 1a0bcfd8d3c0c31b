//! How fast executors are. Not asserted tightly: `cargo test --release -p muster-worker --test speed -- --ignored
//! --nocapture` prints the numbers.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod fixture;

use fixture::executor::{Executor, Job};
use fixture::plugin::null;
use muster_worker::frame::{FromExecutor, ToExecutor};
use std::time::{Duration, Instant};

const LEASE: u64 = 16_000_000;

/// Runs leases of `null` tasks through one executor; gives tasks per second.
fn tasks_per_second(threads: u32, params: &str, tasks: u64) -> f64 {
    let job = Job::new(threads).params(params);
    let mut executor = Executor::with_job(&null(), &job);
    let leases = tasks.div_ceil(LEASE);
    let begun = Instant::now();
    for lease in 0..leases {
        job.publish(lease as usize, lease * LEASE, ((lease + 1) * LEASE).min(tasks));
    }
    let mut done = 0;
    while done < tasks {
        done += executor.batch().blocks.iter().map(|block| block.range.len()).sum::<u64>();
    }
    tasks as f64 / begun.elapsed().as_secs_f64()
}

#[test]
#[ignore = "measures"]
fn throughput() {
    for (threads, params) in [(1, "{}"), (2, "{}"), (1, r#"{"bytes_out":8}"#), (2, r#"{"bytes_out":8}"#)] {
        let speed = tasks_per_second(threads, params, 200_000_000);
        println!("{threads} threads, {params}: {:.1} M tasks/s", speed / 1e6);
        assert!(speed > 1e6);
    }
}

#[test]
#[ignore = "measures"]
fn one_task_there_and_back() {
    let job = Job::new(1);
    let mut executor = Executor::with_job(&null(), &job);
    let mut times: Vec<Duration> = (0..5_000u64)
        .map(|index| {
            let begun = Instant::now();
            job.publish((index % 64) as usize, index, index + 1);
            assert_eq!(executor.batch().blocks[0].range.start, index);
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!("one task: p50 {:?}, p99 {:?}", times[2_500], times[4_950]);
    assert!(times[2_500] < Duration::from_millis(5));
}

#[test]
#[ignore = "measures"]
fn start_and_open() {
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let job = Job::new(1);
            let begun = Instant::now();
            let mut executor = Executor::start(&null());
            executor.open(&job);
            assert_eq!(executor.receive(), FromExecutor::Loaded);
            assert_eq!(executor.receive(), FromExecutor::Opened { job: 1 });
            let time = begun.elapsed();
            executor.send(&ToExecutor::Stop, &[]);
            time
        })
        .collect();
    times.sort();
    println!("start, load, open: p50 {:?}, fastest {:?}", times[25], times[0]);
    assert!(times[25] < Duration::from_secs(1));
}
