//! Emulated clusters: real processes on this machine that seem to be farther away, slower, cut off, or that die.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin};
use muster::emulation::{
    Direction, Event, Experiment, Fault, Job, LinkModel, Repeated, Run, Speed, Worker, run,
};
use muster::exit::{Exit, Failure};
use muster::interrupt::Interrupt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// One emulation at a time: each takes all processes below this one for its own, and the times of two would mix.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs an experiment with the built `muster`, and checks that nothing is left of it.
fn outcome(muster: &Muster, experiment: Experiment) -> Result<Repeated, Failure> {
    let program = Some(env!("CARGO_BIN_EXE_muster").into());
    let (logs, limit) = (Some(muster.path("logs")), Duration::from_secs(60));
    let experiment = Experiment { program, logs, limit, ..experiment };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let mut interrupt = Interrupt::listen().unwrap();
        Box::pin(run(&experiment, &mut interrupt)).await
    });
    assert!(children().is_empty(), "processes were left behind: {:?}", children());
    outcome
}

fn emulate(muster: &Muster, experiment: Experiment) -> Repeated {
    outcome(muster, experiment).unwrap_or_else(|failure| {
        for log in std::fs::read_dir(muster.path("logs")).into_iter().flatten().flatten() {
            eprintln!("--- {:?}\n{}", log.file_name(), std::fs::read_to_string(log.path()).unwrap());
        }
        panic!("{failure}")
    })
}

fn once(muster: &Muster, experiment: Experiment) -> Run {
    emulate(muster, experiment).runs.pop().unwrap()
}

/// The processes whose parent this one is.
fn children() -> Vec<String> {
    let us = std::process::id().to_string();
    let stats = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&us)))
        .collect()
}

fn link(latency: Duration) -> LinkModel {
    LinkModel { latency, ..LinkModel::default() }
}

fn workers(count: usize, latency: Duration) -> Vec<Worker> {
    (0..count).map(|number| Worker { link: link(latency), ..Worker::new(format!("w{number}"), 1) }).collect()
}

fn sleeps(muster: &Muster, tasks: u64, ms: u64) -> Job {
    let params = vec![("ms".to_owned(), ms.to_string())];
    Job { plugin: plugin("sleep"), params, tasks, out: Some(muster.path("out")), ..Job::default() }
}

/// Every task has its line, once.
fn assert_each_result_once(muster: &Muster, run: &Run, tasks: u64) {
    assert_eq!((run.committed, run.failed), (tasks, 0), "{:?}", run.jobs);
    let text = String::from_utf8(muster.read("out")).unwrap();
    let indexes: Vec<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["index"].as_u64().unwrap())
        .collect();
    assert!(indexes.iter().copied().eq(0..tasks), "{indexes:?}");
}

/// A coordinator that takes a silent worker for lost after a second.
fn impatient() -> muster_coordinator::Config {
    muster_coordinator::Config { lease: Duration::from_secs(1), ..Default::default() }
}

fn event(at: Duration, worker: usize, fault: Fault) -> Event {
    Event { at, worker, fault }
}

#[test]
fn a_job_behind_slow_links_takes_what_a_formula_says() {
    let _alone = alone();
    let muster = Muster::new();
    let (latency, work) = (0.02, 10.0 * 0.02);
    let behind = |latency| {
        let experiment = Experiment {
            workers: workers(4, latency),
            jobs: vec![Job { has_plugin: true, ..sleeps(&muster, 40, 20) }],
            repeats: 3,
            ..Experiment::default()
        };
        let repeated = emulate(&muster, experiment);
        repeated.runs.iter().for_each(|run| assert_each_result_once(&muster, run, 40));
        repeated.makespan()
    };
    // The fastest run was the least disturbed. Ten tasks of each worker, and what starting executors takes on this machine.
    let near = behind(Duration::ZERO);
    assert!((work..1.5 * work).contains(&near.min), "{near:?}");
    // There and back once; in between the links are hidden by the leases that workers have ahead.
    let far = behind(20 * MS);
    let expected = near.min + 2.0 * latency;
    assert!((far.min / expected - 1.0).abs() < 0.1, "{expected} s expected: {far:?}");
    assert!(far.min > work + 2.0 * latency, "no faster than that: {far:?}");
}

#[test]
fn a_killed_worker_costs_no_result_and_may_come_back() {
    let _alone = alone();
    let muster = Muster::new();
    let events = vec![event(150 * MS, 1, Fault::Kill), event(250 * MS, 1, Fault::Start)];
    let experiment = Experiment {
        workers: workers(3, 2 * MS),
        jobs: vec![sleeps(&muster, 90, 20)],
        events,
        ..Experiment::default()
    };
    let run = once(&muster, experiment);
    assert_each_result_once(&muster, &run, 90);
    assert_eq!(run.lost_workers, 1);
    assert_eq!(run.by_worker.iter().sum::<u64>(), 90, "{:?}", run.by_worker);
    // It was killed after at most 7 of its 30 tasks; more than that only fit into its second life.
    assert!(run.by_worker[1] > 7, "{:?}", run.by_worker);
    eprintln!("late by {} s", run.late_s);
    assert!(run.late_s < 0.05, "{}", run.late_s);
}

#[test]
fn what_a_cut_off_worker_did_counts_once() {
    let _alone = alone();
    let muster = Muster::new();
    for direction in [Direction::Both, Direction::ToCoordinator, Direction::ToWorker] {
        // Longer than the lease: the worker is lost, and its tasks go to the other one.
        let events = vec![event(100 * MS, 0, Fault::Cut { length: 1_800 * MS, direction })];
        let experiment = Experiment {
            coordinator: impatient(),
            workers: workers(2, MS),
            jobs: vec![sleeps(&muster, 150, 20)],
            events,
            ..Experiment::default()
        };
        let run = once(&muster, experiment);
        assert_each_result_once(&muster, &run, 150);
        assert!(run.makespan_s > 150.0 * 0.02 / 2.0, "{direction:?}: {}", run.makespan_s);
        // What is sent one way is held, whatever goes the other way; the coordinator hears from a worker that does not
        // hear it.
        let is_lost = direction != Direction::ToWorker;
        assert_eq!(run.lost_workers, u64::from(is_lost), "{direction:?}");
    }
}

#[test]
fn a_short_cut_is_only_a_delay() {
    let _alone = alone();
    let muster = Muster::new();
    let cut = Fault::Cut { length: 400 * MS, direction: Direction::Both };
    let experiment = Experiment {
        workers: workers(1, MS),
        jobs: vec![Job { has_plugin: true, ..sleeps(&muster, 20, 20) }],
        events: vec![event(10 * MS, 0, cut)],
        ..Experiment::default()
    };
    let run = once(&muster, experiment);
    assert_each_result_once(&muster, &run, 20);
    assert_eq!(run.lost_workers, 0);
    // Up to eight tasks are there from the start and run meanwhile, and no others.
    assert!((0.64..1.0).contains(&run.makespan_s), "{}", run.makespan_s);
}

#[test]
fn a_worker_that_stood_still_for_too_long_comes_back() {
    let _alone = alone();
    let muster = Muster::new();
    let events = vec![event(100 * MS, 0, Fault::Stop), event(1_900 * MS, 0, Fault::Continue)];
    let experiment = Experiment {
        coordinator: impatient(),
        workers: workers(2, MS),
        jobs: vec![sleeps(&muster, 180, 20)],
        events,
        ..Experiment::default()
    };
    let run = once(&muster, experiment);
    assert_each_result_once(&muster, &run, 180);
    assert_eq!(run.lost_workers, 1);
    // 5 tasks before it was stopped.
    assert!(run.by_worker[0] > 10, "{:?}", run.by_worker);
    eprintln!("late by {} s", run.late_s);
    assert!(run.late_s < 0.05, "{}", run.late_s);
}

#[test]
fn a_worker_of_half_speed_does_half_as_much() {
    let _alone = alone();
    let muster = Muster::new();
    let mut workers = workers(2, MS);
    workers[1].speed = Speed::new(0.5).unwrap();
    let job = sleeps(&muster, 150, 10);
    let run = once(&muster, Experiment { workers, jobs: vec![job], ..Experiment::default() });
    assert_each_result_once(&muster, &run, 150);
    let [full, half] = run.by_worker[..] else { panic!("two workers") };
    assert!((0.4..0.6).contains(&(half as f64 / full as f64)), "{full} and {half}");
}

#[test]
fn batches_of_tiny_tasks_take_longer_in_proportion() {
    let _alone = alone();
    let muster = Muster::new();
    let fastest_at = |speed| {
        let params = vec![("iters".to_owned(), "20000".to_owned())];
        let job = Job { plugin: plugin("loop"), has_plugin: true, params, tasks: 10_000, ..Job::default() };
        let workers = vec![Worker { speed: Speed::new(speed).unwrap(), ..Worker::new("w", 1) }];
        let experiment = Experiment { workers, jobs: vec![job], repeats: 3, ..Experiment::default() };
        // The fastest was the least disturbed.
        let runs = emulate(&muster, experiment).runs.into_iter();
        runs.min_by(|one, other| one.makespan_s.total_cmp(&other.makespan_s)).unwrap()
    };
    let (full, slow) = (fastest_at(1.0), fastest_at(0.1));
    // The wait counts as busy. Ten times, if a thread that has just slept were as fast as one that has not: 11 to 17 on
    // a quiet machine, 26 seen on a busy one. Batches that do not wait make it 1, waits that count twice 100.
    let busy = slow.jobs[0].status.busy_ns as f64 / full.jobs[0].status.busy_ns as f64;
    let factor = slow.makespan_s / full.makespan_s;
    assert!((3.0..60.0).contains(&busy), "busy {busy}, in all {factor}");
    // Not all of a run is work.
    assert!((2.5..1.5 * busy).contains(&factor), "busy {busy}, in all {factor}");
    eprintln!("busy {busy}, in all {factor}");
}

#[test]
fn a_plugin_comes_through_the_link() {
    let _alone = alone();
    let muster = Muster::new();
    let job = sleeps(&muster, 2, 1);
    let bytes = std::fs::metadata(&job.plugin).unwrap().len();
    // Half a second for the plugin.
    let link = LinkModel { bandwidth: Some(bytes * 2), ..LinkModel::default() };
    let workers = vec![Worker { link, ..Worker::new("w", 1) }];
    // Another plugin is there already.
    let params = vec![("iters".to_owned(), "1000".to_owned())];
    let other = Job { plugin: plugin("loop"), has_plugin: true, params, tasks: 1, ..Job::default() };
    let run = once(&muster, Experiment { workers, jobs: vec![job, other], ..Experiment::default() });
    let fetching = run.jobs[0].makespan_s;
    assert!((0.5..1.0).contains(&fetching), "{fetching}");
    assert_eq!(run.jobs[1].status.ok, 1, "{:?}", run.jobs[1]);
    let lines = String::from_utf8(muster.read("out")).unwrap().lines().count();
    assert_eq!((run.committed, lines), (3, 2), "{:?}", run.jobs);
}

#[test]
fn without_a_worker_the_run_ends() {
    let _alone = alone();
    let muster = Muster::new();
    let experiment = Experiment {
        workers: workers(1, MS),
        jobs: vec![sleeps(&muster, 100, 20)],
        events: vec![event(100 * MS, 0, Fault::Kill)],
        ..Experiment::default()
    };
    let failure = outcome(&muster, experiment).unwrap_err();
    assert_eq!(failure.exit, Exit::Connection);
    assert!(failure.to_string().contains("no worker is left"), "{failure}");
}

#[test]
fn a_signal_ends_everything() {
    let _alone = alone();
    let muster = Muster::new();
    // A worker that stands still, so that it cannot hear anything.
    let experiment = Experiment {
        workers: workers(2, MS),
        jobs: vec![sleeps(&muster, 1_000, 60_000)],
        events: vec![event(Duration::ZERO, 1, Fault::Stop)],
        ..Experiment::default()
    };
    let watching = std::thread::spawn(|| {
        let stands = || children().iter().any(|stat| stat.rsplit_once(") ").unwrap().1.starts_with('T'));
        assert!(fixture::wait_until(stands), "no worker was stopped");
        // SAFETY: kill takes numbers only; the signal is listened for.
        unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
    });
    let failure = outcome(&muster, experiment).unwrap_err();
    watching.join().unwrap();
    assert_eq!(failure.exit, Exit::Interrupted, "{failure}");
}
