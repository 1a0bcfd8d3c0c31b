//! The execution models: which processes tasks run in, and what a lock that they take turns with does.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c, plugin};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// How many tasks each process ran.
fn processes(muster: &Muster, plugin: &str, tasks: u64, shape: &[&str]) -> BTreeMap<u64, u64> {
    let (out, tasks) = (muster.path("out"), tasks.to_string());
    let mut arguments = vec!["run", plugin, "-n", &tasks, "--out", out.to_str().unwrap()];
    arguments.extend(shape);
    muster.run(&arguments).ok();
    let mut found = BTreeMap::new();
    for line in std::fs::read_to_string(&out).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        *found.entry(line["output"].as_u64().unwrap()).or_default() += 1;
    }
    found
}

#[test]
fn spawn_gives_every_task_a_process_of_its_own() {
    let muster = Muster::new();
    let source = include_str!("fixtures/plugins/whoami.c");
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
    let whoami = compile_c(source, Path::new(&muster.path("plugin.so")), &flags);
    let whoami = whoami.to_str().unwrap();
    let spawned = processes(&muster, whoami, 60, &["--model", "spawn", "-p", "2", "--oversubscribe"]);
    assert!(spawned.values().all(|&tasks| tasks == 1) && spawned.len() == 60, "{spawned:?}");
    let kept = processes(&muster, whoami, 60, &["--model", "process", "-p", "2", "--oversubscribe"]);
    assert!(kept.len() <= 2, "{kept:?}");
    // What starting them costs is told.
    let run = ["run", whoami, "-n", "20", "--model", "spawn", "-p", "2", "--oversubscribe"];
    let report = muster.run(&[&run[..], &["--json"]].concat()).ok().json();
    assert_eq!(report["executors_started"], 20, "{report}");
    assert!((1e-4..10.0).contains(&report["start_s"]["mean"].as_f64().unwrap()), "{report}");
    let said = muster.run(&run).ok().stderr;
    assert!(said.contains("a start") && said.contains("of 20 processes"), "{said}");
    muster.assert_no_process_left();
}

/// Tasks that crash, and results that are combined, are as right as in every other model.
#[test]
fn spawned_tasks_may_crash_and_be_combined() {
    let muster = Muster::new();
    let source = include_str!("fixtures/plugins/crash.c");
    let crash = compile_c(source, Path::new(&muster.path("plugin.so")), &["-std=c11"]);
    let spawn = ["--model", "spawn", "-p", "2", "--oversubscribe", "--json"];
    let mut arguments = vec!["run", crash.to_str().unwrap(), "every=10", "-n", "30"];
    arguments.extend(spawn);
    let report = muster.run(&arguments).exits(1).json();
    assert_eq!(json!([report["ok"], report["failed"], report["retried"]]), json!([27, 3, 6]), "{report}");
    assert_eq!(report["model"], "spawn");
    let looped = plugin("loop");
    let mut arguments = vec!["run", &looped, "iters=10", "-n", "40", "--reduce", "--out", "-"];
    arguments.extend(&spawn[..5]);
    let total: u64 = (0..40).map(|n| n * 45).sum();
    assert_eq!(muster.run(&arguments).ok().text().trim(), total.to_string());
    muster.assert_no_process_left();
}

#[test]
fn a_lock_is_waited_for_while_computing_and_not_while_waiting() {
    let muster = Muster::new();
    let (computing, waiting) = (plugin("loop"), plugin("sleep"));
    let run = |arguments: &[&str]| muster.run(arguments).ok().json();
    let base = ["--model", "gil", "-t", "2", "--oversubscribe", "--json"];
    let with = |first: &[&'static str], more: &[&'static str]| [first, &base, more].concat();
    let gil = {
        let mut arguments = vec!["run", &computing];
        arguments.extend(with(&["iters=20000000", "-n", "8"], &["--gil-switch", "1ms"]));
        run(&arguments)
    };
    assert!(gil["gil_handovers"].as_u64().unwrap() >= 8, "{gil}");
    assert!(gil["gil_wait_s"]["mean"].as_f64().unwrap() > 1e-3, "{gil}");
    let sleeping = {
        let mut arguments = vec!["run", &waiting, "ms=50"];
        arguments.extend(with(&["-n", "20"], &[]));
        run(&arguments)
    };
    assert!(sleeping["gil_wait_s"]["mean"].as_f64().unwrap() < 12.5e-3, "{sleeping}");
    // Two threads wait side by side: one after the other they would need 1 s.
    assert!(sleeping["wall_s"].as_f64().unwrap() < 0.97, "{sleeping}");
    let free = {
        let mut arguments = vec!["run", &computing, "iters=1000000", "-n", "8"];
        arguments.extend(["-t", "2", "--oversubscribe", "--json"]);
        run(&arguments)
    };
    assert_eq!((&free["gil_wait_s"], &free["gil_handovers"]), (&Value::Null, &json!(0)));
}

/// A thousand waits of 100 ms take a thousand places on one thread.
#[test]
fn async_keeps_many_tasks_going_on_one_thread() {
    let muster = Muster::new();
    let sleep = plugin("sleep");
    let shape = ["--model", "async", "-t", "1", "--in-flight", "1000", "--json"];
    let mut arguments = vec!["run", &sleep, "ms=100", "-n", "1000"];
    arguments.extend(shape);
    let report = muster.run(&arguments).ok().json();
    assert_eq!(json!([report["model"], report["ok"], report["in_flight"]]), json!(["async", 1_000, 1_000]));
    assert_eq!((&report["threads"], &report["stand_in_threads"]), (&json!(1), &json!(0)));
    // One after the other they would take 100 s.
    assert!(report["wall_s"].as_f64().unwrap() < 5.0, "{report}");
}

#[test]
fn tasks_without_an_async_form_run_on_a_bounded_set_of_threads() {
    let muster = Muster::new();
    let looped = plugin("loop");
    let shape = ["--model", "async", "-t", "1", "--in-flight", "100000", "--json"];
    let mut arguments = vec!["run", &looped, "iters=10", "-n", "2000"];
    arguments.extend(shape);
    let report = muster.run(&arguments).ok().json();
    assert_eq!(json!([report["ok"], report["stand_in_threads"]]), json!([2_000, 512]), "{report}");
    let mut combined = vec!["run", &looped, "iters=10", "-n", "50", "--reduce", "--out", "-"];
    combined.extend(&shape[..6]);
    let total: u64 = (0..50).map(|n| n * 45).sum();
    assert_eq!(muster.run(&combined).ok().text().trim(), total.to_string());
}

/// A task over its time is dropped where it waits; the others of its thread go on, and no thread stands in.
#[test]
fn tasks_in_flight_have_a_time_limit_each() {
    let muster = Muster::new();
    let sleep = plugin("sleep");
    let shape = ["--model", "async", "-t", "1", "--in-flight", "500", "--timeout", "1s", "--json"];
    let mut arguments =
        vec!["run", &sleep, "dist=pareto", "alpha=1.1", "ms=3000", "-n", "500", "--out", "out"];
    arguments.extend(shape);
    let report = muster.run(&arguments).exits(1).json();
    let (ok, failed) = (report["ok"].as_u64().unwrap(), report["failed"].as_u64().unwrap());
    assert!(ok > 0 && failed > 0 && ok + failed == 500, "{report}");
    assert_eq!(json!([report["stand_in_threads"], report["executor_exits"]]), json!([0, 0]), "{report}");
    assert!(report["wall_s"].as_f64().unwrap() < 10.0, "{report}");
    let text = String::from_utf8(muster.read("out")).unwrap();
    let error = text.lines().find(|line| line.contains("error")).unwrap();
    assert!(error.contains("stopped after its time limit of 1"), "{error}");
}

/// Who does not stop at the time limit is ended with the executor, and nobody else is charged: a task whose code runs for
/// ever, one that is not given up although it should be, and one whose thread asks for nothing any more.
#[test]
fn an_async_task_that_does_not_stop_is_ended() {
    let muster = Muster::new();
    let misuse = async_misuse(&muster);
    for (mode, tasks) in [("mode=stuck", 40), ("mode=deaf", 40), ("mode=away", 10)] {
        let count = tasks.to_string();
        let mut arguments = vec!["run", &misuse, mode, "-n", &count, "--out", "out"];
        arguments.extend(["--model", "async", "-t", "1", "--in-flight", "8", "--json"]);
        arguments.extend(["--timeout", "300ms", "--grace", "400ms"]);
        let report = muster.run(&arguments).exits(1).json();
        let failed = tasks / 10;
        assert_eq!(
            json!([report["ok"], report["failed"]]),
            json!([tasks - failed, failed]),
            "{mode}: {report}"
        );
        assert!(report["exits"]["timeout"].as_u64() >= Some(1), "{mode}: {report}");
        for failure in report["failures"].as_array().unwrap() {
            assert_eq!(failure["index"].as_u64().unwrap() % 10, 3, "{mode}: {report}");
            let message = failure["message"].as_str().unwrap();
            assert!(message.contains("did not stop at its time limit of 300"), "{mode}: {message}");
        }
    }
    muster.assert_no_process_left();
}

/// New tasks wake a thread that waits; when it does not come for them either, the time of those it has still counts.
#[test]
fn a_thread_that_is_away_is_found_although_tasks_came_meanwhile() {
    let muster = Muster::new();
    let misuse = async_misuse(&muster);
    let line = ["run", &misuse, "mode=away", "--lines", "-", "--out", "-", "--model", "async", "-t", "1"];
    let mut run = muster
        .start(&[&line[..], &["--timeout", "800ms", "--grace", "200ms", "--max-attempts", "1"]].concat());
    run.write(b"0\n1\n2\n3\n");
    // The fourth task keeps the thread.
    assert_eq!(run.wait_for_lines(3).len(), 3);
    run.write(b"4\n5\n");
    let done = run.finish().exits(1);
    let lines = done.json_lines();
    assert_eq!(lines.iter().filter(|line| line.get("error").is_some()).count(), 1, "{lines:?}");
    assert_eq!((lines.len(), &lines[3]["index"]), (6, &json!(3)), "{lines:?}");
    assert!(lines[3]["error"].to_string().contains("did not stop at its time limit of 800"), "{lines:?}");
    muster.assert_no_process_left();
}

/// An async form that breaks its rules in the way that `mode` says.
fn async_misuse(muster: &Muster) -> String {
    let source = include_str!("fixtures/plugins/async_misuse.c");
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pthread"];
    compile_c(source, &muster.path("plugin.so"), &flags).to_str().unwrap().to_owned()
}

/// Each way of breaking the rules fails the tasks that it happened to, by name, and no other.
#[test]
fn an_async_form_that_breaks_its_rules_is_named() {
    let muster = Muster::new();
    let misuse = async_misuse(&muster);
    let run = |mode: &str| {
        let (out, mode) = (muster.path("out"), format!("mode={mode}"));
        let mut arguments = vec!["run", &misuse, &mode, "-n", "40", "--out", out.to_str().unwrap()];
        arguments.extend(["--model", "async", "-t", "1", "--in-flight", "8", "--json"]);
        let finished = muster.run(&arguments);
        let report = finished.json();
        let lines = std::fs::read_to_string(&out).unwrap();
        let mut failed = BTreeMap::new();
        for (index, line) in (0..).zip(lines.lines()) {
            let line: Value = serde_json::from_str(line).unwrap();
            match line["error"].as_str() {
                Some(error) => drop(failed.insert(index, error.to_owned())),
                None => assert_eq!(line, json!({"index": index, "output": index}), "{mode}"),
            }
        }
        assert_eq!(lines.lines().count(), 40, "{mode}");
        (report, failed)
    };
    for mode in ["none", "thread", "unknown", "early"] {
        let (report, failed) = run(mode);
        assert!(failed.is_empty() && report["ok"] == 40, "{mode}: {failed:?}");
    }
    let one_in_ten = [3, 13, 23, 33];
    for (mode, words) in [
        ("twice", "complete() was called twice"),
        ("short", "the result has 3 bytes; the manifest says u64"),
        ("never", "drive() returned without having completed the task"),
    ] {
        let (_, failed) = run(mode);
        assert!(failed.keys().eq(&one_in_ten), "{mode}: {failed:?}");
        assert!(failed.values().all(|error| error.contains(words)), "{mode}: {failed:?}");
    }
    // The second time may come before the first was taken over: then the task fails; or after: then it is dropped.
    let (_, failed) = run("late");
    assert!(failed.values().all(|error| error.contains("complete() was called twice")), "{failed:?}");
    muster.assert_no_process_left();
}

/// A task that crashes among others in flight is the only one that is charged; what was in flight beside it runs again.
#[test]
fn a_crash_among_tasks_in_flight_is_charged_to_the_one_whose_code_ran() {
    let muster = Muster::new();
    let misuse = async_misuse(&muster);
    let out = muster.path("out");
    let mut arguments = vec!["run", &misuse, "mode=crash", "-n", "40", "--out", out.to_str().unwrap()];
    arguments.extend(["--model", "async", "-t", "2", "--oversubscribe", "--in-flight", "8", "--json"]);
    arguments.extend(["--max-attempts", "2", "--backoff", "1ms"]);
    let report = muster.run(&arguments).exits(1).json();
    assert_eq!(
        json!([report["ok"], report["failed"], report["exits"]]),
        json!([36, 4, {"signal": 8}]),
        "{report}"
    );
    let failures = report["failures"].as_array().unwrap();
    let indexes: Vec<_> = failures.iter().map(|failure| failure["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [3, 13, 23, 33], "{report}");
    muster.assert_no_process_left();
}
