//! The reference workload - W workers of one slot, N tasks of exp(1 s), one at a time, 1 ms for each message - takes the
//! time that was found without muster, through the real scheduler and the real agents: the numbers of inputs that each
//! of them handled leave nothing that went past them. SimPy and DSLab's engine find the same, see benches/simulators.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_sim::cluster::Cluster;
use muster_sim::outcome::Report;
use muster_sim::scenario::Scenario;
use std::path::Path;

fn run(file: &str) -> Report {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).join(file);
    let scenario = Scenario::read(&path, &[]).unwrap();
    let seed = scenario.seed;
    Cluster::new(scenario, seed).run(|| false)
}

#[track_caller]
fn check(report: &Report, workers: u64, tasks: u64, makespan_s: f64) {
    let found = report.makespan.as_secs_f64();
    assert!((found - makespan_s).abs() < 20e-6, "{found} s instead of {makespan_s} s");
    assert_eq!((report.committed(), report.repeated(), report.measures.lost), (tasks, 0, 0));
    // A worker that joined, the job, and a result for each task.
    assert_eq!(report.scheduler_inputs, workers + 1 + tasks);
    // For each task a lease, a page that ran empty and a result; for each worker the job and an executor that is ready.
    assert_eq!(report.agent_inputs, 3 * tasks + 2 * workers);
    // For each task a message there, its end, and a message back; the submission. The last closes are not waited for.
    assert_eq!(report.events, 3 * tasks + 1 + workers);
}

#[test]
fn a_hundred_workers() {
    check(&run("reference-100.toml"), 100, 100_000, 1_001.935_56);
}

#[test]
#[ignore = "takes half a minute in a debug build; .ci/run runs it in a release build"]
fn a_thousand_workers() {
    check(&run("reference-1000.toml"), 1_000, 1_000_000, 1_010.151_25);
}

#[test]
#[ignore = "takes minutes in a debug build; .ci/run runs it in a release build"]
fn ten_thousand_workers() {
    check(&run("reference-10000.toml"), 10_000, 10_000_000, 1_011.464_32);
}
