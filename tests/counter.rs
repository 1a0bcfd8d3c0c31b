//! Data that tasks share: what a race loses, what each kind of lock keeps, under every model, and locks whose holder is
//! killed.

#![allow(clippy::print_stderr, clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin, wait_until};
use serde_json::{Value, json};

const SAFE: [&str; 5] = ["mutex", "rwlock", "semaphore", "atomic", "sharded"];
const THREADS: &[&str] = &["--model", "thread", "-t", "2"];
const PROCESSES: &[&str] = &["--model", "process", "-p", "2"];
const SHAPES: [&[&str]; 7] = [
    THREADS,
    PROCESSES,
    &["--model", "hybrid", "-p", "2", "-t", "2"],
    &["--model", "spawn", "-p", "2"],
    // Four tasks at a time on threads, because the workload has no async form.
    &["--model", "async", "-t", "1", "--in-flight", "4"],
    &["--model", "thread", "-t", "2", "--gil"],
    &["--model", "process", "-p", "2", "--gil"],
];

/// Runs tasks that add; gives the total.
fn count(muster: &Muster, parameters: &[&str], shape: &[&str]) -> Value {
    let run = ["run", &plugin("counter"), "--reduce", "--out", "-", "--oversubscribe"];
    let text = muster.run(&[&run[..], parameters, shape].concat()).ok().stdout;
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn a_race_loses_additions_between_threads_and_between_processes() {
    let muster = Muster::new();
    for (scope, shape) in
        [("scope=executor", THREADS), ("scope=worker", THREADS), ("scope=worker", PROCESSES)]
    {
        let total = count(&muster, &["mode=racy", scope, "increments=20000000", "-n", "4"], shape);
        eprintln!("{scope} {shape:?}: {total}");
        assert_eq!((&total["expected"], &total["unfinished"]), (&json!(80_000_000), &json!(0)), "{total}");
        assert!(total["lost"].as_u64().unwrap() > 0, "{scope} {shape:?}: {total}");
        let sum = total["lost"].as_u64().unwrap() + total["counted"].as_u64().unwrap();
        assert_eq!(total["expected"], sum);
    }
    // Processes that share nothing lose nothing.
    let apart = count(&muster, &["mode=racy", "scope=executor", "increments=1000000", "-n", "4"], PROCESSES);
    assert_eq!((&apart["lost"], &apart["counted"]), (&json!(0), &json!(4_000_000)), "{apart}");
}

#[test]
fn locks_and_atomics_lose_nothing_under_any_model() {
    let muster = Muster::new();
    for mode in SAFE {
        for scope in ["scope=executor", "scope=worker"] {
            for shape in SHAPES {
                let total =
                    count(&muster, &[&format!("mode={mode}"), scope, "increments=5000", "-n", "6"], shape);
                let kept = [&total["expected"], &total["counted"], &total["lost"], &total["unfinished"]];
                let wanted = [30_000, 30_000, 0, 0].map(|number| json!(number));
                assert_eq!(kept, wanted.each_ref(), "{mode} {scope} {shape:?}: {total}");
            }
        }
    }
}

/// The lock of an executor is handed over at checkpoints and waits alone: additions without one are not torn apart.
#[test]
fn where_tasks_take_turns_a_race_needs_a_checkpoint() {
    let muster = Muster::new();
    let turns: &[&str] = &["--model", "thread", "-t", "2", "--gil", "--gil-switch", "1ms"];
    let racy = |more: &[&str], shape: &[&str]| {
        let parameters = ["mode=racy", "scope=worker", "increments=3000000", "-n", "4"];
        count(&muster, &[&parameters[..], more].concat(), shape)
    };
    let whole = racy(&[], turns);
    assert_eq!((&whole["lost"], &whole["counted"]), (&json!(0), &json!(12_000_000)), "{whole}");
    let torn = racy(&["checkpoint=true"], turns);
    assert!(torn["lost"].as_u64().unwrap() > 0, "{torn}");
    // Each executor has a lock of its own.
    let apart = racy(&[], &["--model", "process", "-p", "2", "--gil"]);
    assert!(apart["lost"].as_u64().unwrap() > 0, "{apart}");
}

/// Executors are killed while others wait for their locks, until one of them had a lock.
#[test]
fn a_lock_whose_holder_is_killed_is_taken_over() {
    let muster = Muster::new();
    for mode in ["mode=mutex", "mode=rwlock", "mode=semaphore"] {
        let run = ["run", &plugin("counter"), mode, "increments=500", "hold_us=2000", "-n", "6", "--reduce"];
        let more = ["--out", "-", "--max-attempts", "100", "--backoff", "1ms", "--oversubscribe"];
        let job = muster.start(&[&run[..], &more, PROCESSES].concat());
        let executors = || {
            let is_executor = |line: &str| line.contains("__executor");
            let all = muster.processes().into_iter().filter(|(_, line)| is_executor(line));
            all.map(|(pid, _)| pid).filter(|pid| runs_tasks(*pid)).collect::<Vec<u32>>()
        };
        let mut killed = Vec::new();
        // All of them together need six seconds, one addition after the other.
        for _ in 0..5 {
            let fresh = || executors().into_iter().find(|pid| !killed.contains(pid));
            if !wait_until(|| fresh().is_some()) {
                break;
            }
            let pid = fresh().unwrap();
            muster.signal(pid, libc::SIGKILL);
            killed.push(pid);
        }
        assert_eq!(killed.len(), 5, "{mode}");
        let total: Value = serde_json::from_slice(&job.finish().ok().stdout).unwrap();
        eprintln!("{mode}: {total}");
        assert_eq!((&total["expected"], &total["lost"]), (&json!(3_000), &json!(0)), "{mode}: {total}");
        assert!(total["abandoned"].as_u64().unwrap() > 0, "{mode}: nobody had the lock: {total}");
    }
}

/// Whether an executor has its job open: three that die before are taken for a job that cannot run there.
fn runs_tasks(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok())
        .any(|name| name.starts_with("task-"))
}

#[test]
fn what_makes_no_sense_is_refused() {
    let muster = Muster::new();
    let run = |parameter: &str| muster.run(&["run", &plugin("counter"), parameter, "-n", "1"]);
    run("mode=careless").fails(2, &["mode", "careless", "racy"]);
    run("permits=0").fails(2, &["permits", "1"]);
    run("increments=0").fails(2, &["increments"]);
}
