//! What a state folder holds after a run, for any coordinator that is started on it later: the job with its results, or
//! that somebody took them.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin};

#[test]
fn results_of_a_run_are_found_in_its_state_folder() {
    let muster = Muster::new();
    let state = muster.path("kept");
    let state = state.to_str().unwrap();
    let ran =
        muster.run(&["run", &plugin("loop"), "iters=10", "-n", "5", "--state", state, "--out", "-"]).ok();
    assert_eq!(ran.text().lines().count(), 5, "{}", ran.text());
    muster.assert_no_process_left();
    let arguments = ["coordinator", "start", "--listen", "127.0.0.1:0", "--http", "none", "--state", state];
    let mut coordinator = muster.start(&arguments);
    coordinator.wait_for_lines(1);
    let found = muster.run(&["job", "results", "last"]).ok();
    assert_eq!(found.text(), ran.text());
    coordinator.signal(libc::SIGTERM);
    coordinator.finish().ok();
}

#[test]
fn results_that_were_taken_are_named_also_after_a_restart() {
    let muster = Muster::new();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let out = muster.path("out");
    let out = out.to_str().unwrap();
    muster.run(&["run", &plugin("null"), "bytes_out=1000", "-n", "20000", "--out", out]).ok();
    for _ in 0..2 {
        muster.run(&["job", "results", "last"]).fails(3, &["were written by who ran it and are gone"]);
        muster.run(&["down"]).ok();
        muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    }
    muster.run(&["down"]).ok();
}
