//! Results that stay until somebody asks for them have a limit where there is no disk to put them on.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin};

#[test]
fn a_job_with_more_results_than_memory_takes_fails_with_a_limit() {
    let muster = Muster::new();
    let mut coordinator = muster.start(&[
        "coordinator",
        "start",
        "--listen",
        "none",
        "--http",
        "none",
        "--results-memory",
        "1MiB",
    ]);
    let socket = coordinator.wait_for_lines(1).remove(0);
    let worker = muster.start(&["worker", "start", "--connect", &socket, "--http", "none", "--slots", "1"]);
    let null = plugin("null");
    muster.run(&["submit", &null, "-n", "1000", "bytes_out=100000"]).ok();
    let words = ["1048576 bytes", "--state DIR", "--results-memory"];
    muster.run(&["job", "wait"]).fails(7, &words);
    assert!(muster.run(&["job", "results"]).ok().json_lines().len() >= 10, "the results so far are there");
    // `run` takes its results as they come: they need no room.
    let report = muster.run(&["run", &null, "-n", "100", "bytes_out=100000", "--out", "out", "--json"]).ok();
    assert_eq!(report.json()["ok"], 100);
    muster.run(&["coordinator", "start", "--results-memory", "5"]).fails(2, &["no unit", "5MiB"]);
    for started in [worker, coordinator] {
        started.signal(libc::SIGTERM);
        started.finish().ok();
    }
}
