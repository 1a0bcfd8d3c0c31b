//! Jobs whose tasks mostly crash are paused, and go on when they are told to; failed tasks are tried again, also of jobs that
//! have ended.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c, wait_until};
use serde_json::{Value, json};
use std::path::Path;

/// A plugin whose tasks crash for as long as a file exists, and the parameters that say so.
struct Breaks {
    muster: Muster,
    plugin: String,
    file: String,
}

impl Breaks {
    fn new() -> Self {
        let muster = Muster::new();
        let source = include_str!("fixtures/plugins/breaks.c");
        let flags = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror"];
        let plugin = compile_c(source, Path::new(&muster.path("breaks.so")), &flags);
        let plugin = plugin.to_str().unwrap().to_owned();
        let file = muster.write("broken", "");
        Self { muster, plugin, file }
    }

    /// `run` or `submit` of so many tasks, of which every so many crash.
    fn job<'a>(&self, command: &'a str, tasks: u64, every: u64, flags: &[&'a str]) -> Vec<String> {
        let start = [command, &self.plugin].map(str::to_owned);
        let rest = [format!("every={every}"), format!("file={}", self.file), "-n".into(), tasks.to_string()];
        start.into_iter().chain(rest).chain(flags.iter().map(|&flag| flag.to_owned())).collect()
    }

    fn mend(&self) {
        std::fs::remove_file(&self.file).unwrap();
    }

    /// Waits until no worker has a task: what was begun when a job was paused still counts.
    fn until_idle(&self) {
        let leased = || {
            let list = self.muster.run(&["worker", "ls", "--json"]).ok().json();
            let workers = list["workers"].as_array().unwrap();
            workers.iter().map(|worker| worker["leased"].as_u64().unwrap()).sum::<u64>()
        };
        assert!(wait_until(|| leased() == 0), "{} tasks are still leased", leased());
    }

    fn info(&self, job: &str) -> Value {
        self.muster.run(&["job", "info", job, "--json"]).ok().json()
    }
}

#[test]
fn run_ends_a_job_that_is_paused_in_a_cluster_of_its_own() {
    let breaks = Breaks::new();
    let Breaks { muster, .. } = &breaks;
    let job = breaks.job("run", 100_000, 1, &["--json", "--out", "out", "--backoff", "20ms"]);
    let words = ["is paused", "of its tasks ended their executor and", "SIGSEGV"];
    let finished = muster.run(&job).fails(1, &words);
    let report = finished.json();
    assert_eq!((&report["state"], &report["ok"]), (&json!("cancelled"), &json!(0)), "{report}");
    let [crashes, attempts] = ["lost_executors", "attempts"].map(|name| report[name].as_u64().unwrap());
    assert!((60..500).contains(&crashes), "{report}");
    assert!(attempts >= 60, "{report}");
    assert_eq!(report["exits"]["signal"], report["lost_executors"], "{report}");
    assert_eq!(report["quarantined"], report["failed"], "{report}");
    muster.assert_no_process_left();
}

#[test]
fn a_paused_job_stays_so_through_a_restart_and_goes_on_when_it_is_told_to() {
    let breaks = Breaks::new();
    let Breaks { muster, .. } = &breaks;
    muster.run(&["up", "-w", "1", "-t", "2", "--oversubscribe"]).ok();
    muster.run(&breaks.job("submit", 1_000, 1, &["--backoff", "5ms"])).ok();
    let reason =
        ["is paused", "of its tasks ended their executor and", "`muster job retry 1`", "`muster job why 1`"];
    muster.run(&["job", "wait", "1"]).fails(1, &reason);
    breaks.until_idle();
    let paused = breaks.info("1");
    assert_eq!(paused["state"], "paused", "{paused}");
    muster.run(&["down"]).ok();
    muster.run(&["up", "-w", "1", "-t", "2", "--oversubscribe"]).ok();
    let again = breaks.info("1");
    let same = |name: &str| assert_eq!(again[name], paused[name], "{name}: {again}");
    ["state", "reason", "failed", "quarantined", "ok"].into_iter().for_each(same);
    // Others go on meanwhile, and one that is good there is not harmed.
    muster.run(&breaks.job("run", 50, 100, &[])).ok();
    breaks.mend();
    let retried = muster.run(&["job", "retry", "1"]).ok();
    assert!(retried.text().starts_with("job 1 goes on: "), "{}", retried.text());
    muster.run(&["job", "wait", "1"]).ok();
    let lines = muster.run(&["job", "results", "1"]).ok().json_lines();
    assert_eq!(lines.len(), 1_000);
    for (index, line) in (0..).zip(lines) {
        assert_eq!(line, json!({"index": index, "output": index}));
    }
    let ended = breaks.info("1");
    assert_eq!((&ended["failed"], &ended["quarantined"]), (&json!(0), &json!(0)), "{ended}");
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

#[test]
fn run_leaves_a_paused_job_on_a_cluster_that_goes_on() {
    let breaks = Breaks::new();
    let Breaks { muster, .. } = &breaks;
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let job = breaks.job("run", 1_000, 1, &["--retry", "crash=1", "--out", "out"]);
    muster.run(&job).fails(1, &["job 1 is paused", "`muster job retry 1`", "`muster job cancel 1`"]);
    assert_eq!(breaks.info("1")["state"], "paused");
    let cancelled = muster.run(&["job", "cancel", "1"]).ok();
    assert_eq!(cancelled.text().trim(), "cancelled job 1: no task was running");
    muster.run(&["job", "retry", "1"]).fails(2, &["job 1 cannot be retried", "cancelled"]);
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

/// What a retried job had stays, and a crash costs no innocent anything.
#[test]
fn a_job_that_has_ended_is_retried_in_parts() {
    let breaks = Breaks::new();
    let Breaks { muster, .. } = &breaks;
    muster.run(&["up", "-w", "1", "-t", "2", "--oversubscribe"]).ok();
    let submit = breaks.job("submit", 300, 100, &["--retry", "crash=2,panic=1", "--backoff", "5ms"]);
    muster.run(&submit).ok();
    muster.run(&["job", "wait", "1"]).exits(1);
    let first = breaks.info("1");
    let found = json!([first["ok"], first["failed"], first["quarantined"]]);
    assert_eq!(found, json!([297, 3, 3]), "{first}");
    assert!(first["attempts"].as_u64().unwrap() >= 297 + 3 * 2, "{first}");
    muster.run(&["job", "retry", "1", "--index", "98"]).fails(2, &["task 98 of job 1 has not failed"]);
    breaks.mend();
    let some = muster.run(&["job", "retry", "1", "--index", "99,299", "--json"]).ok().json();
    assert_eq!(some["tasks"], 300);
    muster.run(&["job", "wait", "1"]).exits(1);
    let second = breaks.info("1");
    assert_eq!(json!([second["ok"], second["failed"], second["state"]]), json!([299, 1, "done"]), "{second}");
    assert_eq!(second["failures"][0]["index"], 199);
    muster.run(&["job", "retry", "last"]).ok();
    muster.run(&["job", "wait", "1"]).ok();
    let lines = muster.run(&["job", "results", "1"]).ok().json_lines();
    let expected: Vec<Value> = (0..300).map(|index| json!({"index": index, "output": index})).collect();
    assert_eq!(lines, expected);
    muster.run(&["job", "retry", "1"]).fails(2, &["none of its tasks has failed"]);
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}
