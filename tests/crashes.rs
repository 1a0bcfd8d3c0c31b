//! Tasks that end their process cost themselves and nothing else, also when there are many of them, when they crash
//! before their executor has said a word, and when nothing else is in the job.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c};
use serde_json::{Value, json};
use std::path::Path;

fn crash(muster: &Muster) -> String {
    compiled(muster, include_str!("fixtures/plugins/crash.c"))
}

fn compiled(muster: &Muster, source: &str) -> String {
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
    compile_c(source, Path::new(&muster.path("plugin.so")), &flags).to_str().unwrap().to_owned()
}

/// Runs so many tasks of which every so many crash, and looks at each.
fn check(muster: &Muster, plugin: &str, tasks: u64, every: u64, shape: &[&str]) {
    let (out, count, every_so_many) = (muster.path("out"), tasks.to_string(), format!("every={every}"));
    let (out, crashes) = (out.to_str().unwrap(), tasks / every);
    let mut arguments = vec!["run", plugin, &every_so_many, "-n", &count, "--json", "--out", out];
    arguments.extend(shape);
    let report = muster.run(&arguments).exits(1).json();
    let found = json!([report["ok"], report["failed"], report["retried"]]);
    assert_eq!(found, json!([tasks - crashes, crashes, 2 * crashes]), "{shape:?}: {report}");
    // Each crash took a process with it.
    assert!(report["executor_exits"].as_u64().unwrap() >= 3 * crashes, "{shape:?}: {report}");
    let text = std::fs::read_to_string(out).unwrap();
    assert_eq!(text.lines().count() as u64, tasks, "{shape:?}");
    for (index, line) in (0..).zip(text.lines()) {
        let line: Value = serde_json::from_str(line).unwrap();
        if index % every == every - 1 {
            assert_eq!(line["index"], index);
            assert!(line["error"].as_str().unwrap().contains("SIGSEGV"), "{line}");
        } else {
            assert_eq!(line, json!({"index": index, "output": index}), "{shape:?}");
        }
    }
    muster.assert_no_process_left();
}

#[test]
fn every_tenth_task_crashes_and_the_others_are_done() {
    let muster = Muster::new();
    let plugin = crash(&muster);
    let shapes: [&[&str]; 4] = [
        &["-t", "1"],
        &["-t", "2", "--oversubscribe"],
        &["--model", "process", "-p", "2", "--oversubscribe"],
        &["-w", "2", "-t", "1"],
    ];
    shapes.into_iter().for_each(|shape| check(&muster, &plugin, 200, 10, shape));
}

/// One with more tasks is paused: see `tests/retry.rs`.
#[test]
fn a_small_job_in_which_everything_crashes_ends() {
    let muster = Muster::new();
    let plugin = crash(&muster);
    check(&muster, &plugin, 19, 1, &["-t", "1"]);
    check(&muster, &plugin, 19, 1, &["-t", "2", "--oversubscribe"]);
}

#[test]
fn more_tasks_crash_than_a_page_has_entries() {
    let muster = Muster::new();
    let plugin = crash(&muster);
    // What crashes never says that its entry is empty.
    check(&muster, &plugin, 400, 4, &["-t", "1"]);
    check(&muster, &plugin, 400, 4, &["-t", "2", "--oversubscribe"]);
}

/// Bytes of the page that a task may overwrite, and with what. Nothing else is known of them here.
const SCRIBBLES: [[&str; 3]; 8] = [
    ["from=0", "len=1000000", "byte=0"],
    ["from=0", "len=1000000", "byte=255"],
    ["from=0", "len=24", "byte=0"],
    ["from=16", "len=4", "byte=1"],
    ["from=640", "len=512", "byte=7"],
    ["from=1152", "len=64", "byte=255"],
    ["from=5248", "len=8", "byte=255"],
    ["from=5288", "len=4", "byte=1"],
];

#[test]
fn a_task_that_overwrites_shared_memory_costs_itself_and_no_other() {
    let muster = Muster::new();
    let plugin = compiled(&muster, include_str!("fixtures/plugins/scribble.c"));
    muster.run(&["up", "-w", "1", "-t", "2", "--oversubscribe"]).ok();
    let shapes: [&[&str]; 3] = [&["-t", "1"], &["-t", "2"], &["--model", "process", "-p", "2"]];
    for (number, scribble) in SCRIBBLES.iter().enumerate() {
        for crash in ["crash=0", "crash=1"] {
            let job =
                ["run", &plugin, "-n", "2000", "at=617", crash, "--json", "--out", "out", "--oversubscribe"];
            let finished = muster.run(&[&job[..], scribble, shapes[number % 3]].concat());
            let report = finished.json();
            let (ok, failed) = (report["ok"].as_u64().unwrap(), report["failed"].as_u64().unwrap());
            assert_eq!(
                (ok + failed, &report["lost_workers"]),
                (2_000, &0.into()),
                "{scribble:?} {crash}: {report}"
            );
            // Some of it nobody needs: then the task has done no harm.
            assert!(failed == 1 || (failed == 0 && crash == "crash=0"), "{scribble:?} {crash}: {report}");
            let text = String::from_utf8(muster.read("out")).unwrap();
            for (index, line) in (0..).zip(text.lines()) {
                let line: Value = serde_json::from_str(line).unwrap();
                match line["error"].as_str() {
                    None => assert_eq!(line, json!({"index": index, "output": index})),
                    Some(error) => {
                        assert_eq!(index, 617, "{scribble:?} {crash}");
                        let said = error.contains("overwrote memory that its process shares with muster");
                        assert!(said || (crash == "crash=1" && error.contains("SIGSEGV")), "{error}");
                    }
                }
            }
        }
    }
    muster.run(&["run", &plugin, "-n", "2000", "at=2000"]).ok();
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

/// A child that a task forked and forgot to end is no second executor: it claims no tasks and sends no results.
#[test]
fn a_forked_child_that_returns_does_no_harm() {
    let muster = Muster::new();
    let plugin = compiled(&muster, include_str!("fixtures/plugins/fork.c"));
    let shapes: [&[&str]; 3] =
        [&["-t", "2"], &["--model", "process"], &["-p", "2", "-t", "2", "--oversubscribe"]];
    for shape in shapes {
        let done =
            muster.run(&[&["run", &plugin, "every=20", "-n", "2000", "--out", "-"], shape].concat()).ok();
        for (index, line) in (0..2_000).zip(done.json_lines()) {
            assert_eq!(line, json!({"index": index, "output": index}), "{shape:?}");
        }
        assert_eq!(done.json_lines().len(), 2_000, "{shape:?}");
    }
    muster.assert_no_process_left();
}
