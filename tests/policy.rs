//! The scheduler's policy, by name: on private clusters, and on clusters that are up.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin, wait_until};
use std::time::{Duration, Instant};

/// pi(200,000), as every table of primes has it.
const PRIMES: u64 = 17_984;

#[test]
fn a_job_comes_to_the_same_under_every_policy() {
    let muster = Muster::new();
    let primes = plugin("primes");
    for policy in [
        "fifo",
        "fair",
        "priority",
        "random",
        "fixed:3",
        "guided",
        "factoring",
        "adaptive:10ms",
        "speculation",
        "speculation+random+fixed:1",
    ] {
        let run = ["run", &primes, "limit=200000", "-n", "50", "--policy", policy, "--json", "-w", "2"];
        let job = [&run[..], &["-t", "2", "--oversubscribe"]].concat();
        let reduced = muster.run(&[&job[..], &["--reduce"]].concat()).ok().json();
        assert_eq!(reduced["output"], PRIMES.to_string(), "{policy}");
        let report = muster.run(&[&job[..], &["--out", "lines"]].concat()).ok().json();
        assert_eq!((&report["ok"], &report["failed"]), (&50.into(), &0.into()), "{policy}");
        let lines = String::from_utf8(muster.read("lines")).unwrap();
        let outputs = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        assert_eq!(outputs.map(|line| line["output"].as_u64().unwrap()).sum::<u64>(), PRIMES, "{policy}");
        if policy == "fixed:3" {
            assert_eq!(report["leases"], 17, "{report}");
        }
    }
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn explain_names_the_policy_with_its_defaults() {
    let muster = Muster::new();
    let null = plugin("null");
    for (given, shown) in [
        (&["--policy", "guided"][..], "fair+guided"),
        (&["--policy", "speculation+fifo"], "fifo+adaptive+speculation"),
        (&[], "fair+adaptive"),
    ] {
        let stderr = muster.run(&[&["run", &null, "-n", "10", "--explain"], given].concat()).ok().stderr;
        let line = stderr.lines().find(|line| line.starts_with("policy "));
        assert_eq!(line.and_then(|line| line.split_whitespace().nth(1)), Some(shown), "{stderr}");
    }
}

#[test]
fn a_cluster_that_is_up_keeps_its_policy() {
    let muster = Muster::new();
    let null = plugin("null");
    muster.run(&["up", "-w", "1", "-t", "1", "--policy", "priority+fixed:7"]).ok();
    let again = muster.run(&["up", "-w", "1", "-t", "1", "--policy", "fixed:7+priority"]).ok();
    assert!(!again.stderr.contains("policy"), "{}", again.stderr);
    let other = muster.run(&["up", "-w", "1", "-t", "1", "--policy", "fifo"]).ok();
    assert!(
        other.stderr.contains("its policy stays priority+fixed:7; for fifo+adaptive"),
        "{}",
        other.stderr
    );
    let run = ["run", &null, "-n", "70", "--json"];
    let refused = ["--policy is for a private cluster", "cluster default is in use", "hint: leave it out"];
    muster.run(&[&run[..], &["--policy", "fifo"]].concat()).fails(2, &refused);
    let report = muster.run(&[&run[..], &["--explain"]].concat()).ok();
    assert!(report.stderr.contains("priority+fixed:7"), "{}", report.stderr);
    assert_eq!(report.json()["leases"], 10);
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

/// The time after which a silent worker is given up, and what it had goes to others.
const LEASE: Duration = Duration::from_secs(10);

/// One of two workers stands still in the middle of a job. Its tasks get a second lease long before it is given up.
#[test]
fn second_leases_save_a_job_from_a_worker_that_stands_still() {
    let muster = Muster::new();
    let (sleep, began) = (plugin("sleep"), Instant::now());
    let run = ["run", &sleep, "ms=40", "-n", "60", "-w", "2", "-t", "1", "--oversubscribe", "--json"];
    let job = muster.start(&[&run[..], &["--policy", "fixed:1+speculation", "--out", "lines"]].concat());
    let is_worker = |line: &String| line.contains("worker start --private") && line.contains("worker-2");
    let worker = || muster.processes().into_iter().find(|(_, line)| is_worker(line)).map(|(pid, _)| pid);
    let lines = muster.path("lines");
    let has_begun = || std::fs::read(&lines).is_ok_and(|lines| lines.contains(&b'\n')) && worker().is_some();
    assert!(wait_until(has_begun), "{:?}", muster.processes());
    let worker = worker().unwrap();
    muster.signal(worker, libc::SIGSTOP);
    let report = job.finish().ok().json();
    assert_eq!((&report["ok"], &report["failed"]), (&60.into(), &0.into()), "{report}");
    assert!(began.elapsed() < LEASE, "it took {:?}", began.elapsed());
    let lines = String::from_utf8(muster.read("lines")).unwrap();
    assert_eq!(lines.lines().count(), 60, "each task has one result");
    muster.assert_no_process_left();
}
