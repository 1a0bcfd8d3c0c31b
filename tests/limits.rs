//! Limits: each is kept, the one task that is over it is charged, and the user is told how it is kept.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c};
use serde_json::Value;
use std::time::{Duration, Instant};

fn unruly(muster: &Muster) -> String {
    let flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"];
    let path = compile_c(include_str!("fixture/unruly.c"), &muster.path("unruly.so"), &flags);
    path.to_str().unwrap().to_owned()
}

/// Runs a job of which task 1 misbehaves; gives its report and how long it took.
fn run(muster: &Muster, mode: &str, flags: &[&str], code: i32) -> (Value, Duration) {
    let plugin = unruly(muster);
    let mode = format!("mode={mode}");
    let begun = Instant::now();
    let run = ["run", &plugin, &mode, "at=1", "--json", "--max-attempts", "1"];
    let report = muster.run(&[&run[..], flags].concat()).exits(code).json();
    let took = begun.elapsed();
    muster.assert_no_process_left();
    (report, took)
}

/// The one failure: its index, class and words.
fn failure(report: &Value) -> (u64, &str, &str) {
    let failures = report["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{report}");
    let text = |key: &str| failures[0][key].as_str().unwrap();
    (failures[0]["index"].as_u64().unwrap(), text("class"), text("message"))
}

const SHAPES: [&[&str]; 3] = [
    &["--model", "thread", "-t", "4", "--oversubscribe"],
    &["--model", "process", "-p", "4", "--oversubscribe"],
    &["--model", "hybrid", "-p", "2", "-t", "2", "--oversubscribe"],
];

#[test]
fn a_task_that_looks_stops_at_its_time_limit_and_costs_nothing_else() {
    let muster = Muster::new();
    for shape in SHAPES {
        let flags = [&["-n", "8", "--timeout", "200ms"], shape].concat();
        let (report, took) = run(&muster, "check", &flags, 1);
        let (index, class, words) = failure(&report);
        assert_eq!((index, class), (1, "timeout"), "{report}");
        assert_eq!(words, "stopped after its time limit of 200.0 ms");
        assert_eq!(report["ok"], 7, "{report}");
        assert_eq!((&report["executor_exits"], &report["lost_tasks"]), (&0.into(), &0.into()), "{report}");
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

#[test]
fn a_task_that_never_looks_is_charged_when_its_executor_is_ended() {
    let muster = Muster::new();
    for (mode, shape) in [("deaf", SHAPES[0]), ("hang", SHAPES[1]), ("hang", SHAPES[2])] {
        let flags = [&["-n", "8", "--timeout", "200ms", "--grace", "200ms"], shape].concat();
        let (report, _) = run(&muster, mode, &flags, 1);
        let (index, class, words) = failure(&report);
        assert_eq!((index, class), (1, "timeout"), "{mode} {report}");
        assert!(words.contains("did not stop at its time limit of 200.0 ms"), "{words}");
        assert_eq!((&report["ok"], &report["executor_exits"]), (&7.into(), &1.into()), "{mode} {report}");
    }
}

#[test]
fn a_task_that_stops_its_process_is_charged_and_those_beside_it_are_not() {
    let muster = Muster::new();
    let flags = [&["-n", "8", "--timeout", "200ms", "--grace", "200ms"], SHAPES[0]].concat();
    let (report, _) = run(&muster, "stopped", &flags, 1);
    let (index, class, _) = failure(&report);
    assert_eq!((index, class, &report["ok"]), (1, "timeout", &7.into()), "{report}");
    // The first end shows several that seem to be over their time; the second one is that of the culprit alone.
    assert_eq!(report["executor_exits"], 2, "{report}");
}

#[test]
fn tasks_see_when_their_time_ends() {
    let muster = Muster::new();
    let out = muster.path("out");
    let flags = ["-n", "2", "--timeout", "30s", "--out", out.to_str().unwrap()];
    run(&muster, "deadline", &flags, 0);
    let line: Value =
        serde_json::from_str(std::fs::read_to_string(&out).unwrap().lines().nth(1).unwrap()).unwrap();
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, line["output"].as_str().unwrap());
    let left = Duration::from_nanos(u64::from_le_bytes(bytes.unwrap().try_into().unwrap()));
    assert!(left <= Duration::from_secs(30) && left > Duration::from_secs(20), "{left:?}");
}

#[test]
fn a_memory_limit_is_kept_by_what_there_is_and_that_is_said() {
    let muster = Muster::new();
    for shape in [SHAPES[0], SHAPES[1]] {
        let flags = [&["-n", "4", "--mem", "100MiB"], shape].concat();
        let (report, _) = run(&muster, "eat", &flags, 1);
        let notices = report["notices"].as_array().unwrap();
        assert_eq!(notices.len(), 1, "{report}");
        let notice = notices[0].as_str().unwrap();
        let (index, class, words) = failure(&report);
        assert_eq!((index, &report["ok"]), (1, &3.into()), "{report}");
        if notice.contains("by rlimit") {
            assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "{notice}");
            eprintln!("SKIPPED: no memory cgroup: {notice}");
            continue;
        }
        assert!(notice.starts_with("memory limit 100 MiB per executor: by cgroup v"), "{notice}");
        assert_eq!(class, "memory", "{report}");
        assert!(words.contains("over its memory limit of 100 MiB"), "{words}");
    }
}

#[test]
fn a_fork_bomb_stays_within_its_limit_and_leaves_nothing() {
    let muster = Muster::new();
    let plugin = unruly(&muster);
    let run = ["run", &plugin, "mode=bomb", "at=1", "-n", "4", "--max-attempts", "1", "--procs", "50"];
    let limits = ["--timeout", "500ms", "--grace", "100ms", "--json"];
    let done = muster.run(&[&run[..], &limits].concat());
    if done.code() == 3 && done.stderr.contains("--procs 50 cannot be kept by this worker") {
        assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "{}", done.stderr);
        eprintln!("SKIPPED: no pids cgroup: {}", done.stderr);
        return;
    }
    let report = done.exits(1).json();
    assert_eq!((failure(&report).0, failure(&report).1), (1, "timeout"), "{report}");
    assert_eq!(report["ok"], 3, "{report}");
    muster.assert_no_process_left();
}

#[test]
fn too_few_processes_for_the_executor_itself_are_refused() {
    let muster = Muster::new();
    let plugin = unruly(&muster);
    let run = ["run", &plugin, "mode=check", "-n", "4", "--procs", "2"];
    let words = ["--procs 2 leaves no room for the executor itself", "2 task threads"];
    muster.run(&[&run[..], &["-t", "2", "--oversubscribe"]].concat()).fails(2, &words).says_no_more();
    // How many threads its executors have, a worker of a cluster that is up knows by itself.
    muster.run(&["up", "-w", "1", "-t", "2", "--oversubscribe"]).ok();
    muster.run(&run).fails(3, &words);
    muster.run(&["down"]).ok();
}

#[test]
fn open_files_are_limited() {
    let muster = Muster::new();
    let out = muster.path("out");
    let flags = ["-n", "2", "--open-files", "64", "--out", out.to_str().unwrap()];
    run(&muster, "files", &flags, 0);
    let line: Value =
        serde_json::from_str(std::fs::read_to_string(&out).unwrap().lines().nth(1).unwrap()).unwrap();
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, line["output"].as_str().unwrap());
    let opened = u64::from_le_bytes(bytes.unwrap().try_into().unwrap());
    assert!((20..64).contains(&opened), "{opened}");
}

#[test]
fn results_over_the_limit_are_a_failure() {
    let muster = Muster::new();
    let (report, _) = run(&muster, "none", &["-n", "2", "--output-max", "4B"], 1);
    let failures = report["failures"].as_array().unwrap();
    assert!(failures.iter().all(|it| it["class"] == "limit") && failures.len() == 2, "{report}");
}
