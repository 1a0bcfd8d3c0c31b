//! `muster plugin test PLUGIN`: a plugin that keeps its promises passes, and each broken promise fails its own check.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c, plugin, repository};
use serde_json::Value;
use std::path::Path;

fn unkept(muster: &Muster) -> String {
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pthread"];
    let source = include_str!("fixtures/plugins/unkept.c");
    compile_c(source, Path::new(&muster.path("unkept.so")), &flags).to_str().unwrap().to_owned()
}

/// The result of a check, what was measured and what to change.
#[track_caller]
fn check<'a>(report: &'a Value, name: &str) -> [&'a str; 3] {
    let checks = report["checks"].as_array().unwrap();
    let check =
        checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("{name}: {report}"));
    ["result", "measured", "advice"].map(|field| check[field].as_str().unwrap())
}

fn failed(report: &Value) -> Vec<&str> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["result"] == "fail").map(|check| check["check"].as_str().unwrap()).collect()
}

#[test]
fn a_plugin_that_keeps_its_promises_passes() {
    let muster = Muster::new();
    let loop_ = plugin("loop");
    let report = muster.run(&["plugin", "test", &loop_, "iters=10000", "-n", "8", "--json"]).ok().json();
    assert_eq!((&report["plugin"], &report["passed"]), (&"loop".into(), &true.into()), "{report}");
    for model in ["thread", "process", "hybrid", "spawn", "async", "gil"] {
        let [result, measured, _] = check(&report, &format!("model {model}"));
        assert!(result == "pass" && measured.starts_with("8 tasks in "), "{model}: {measured}");
    }
    for (name, words) in [
        ("same outputs", "the same under 6 models"),
        ("same reduction", "the same under 4 shapes"),
        ("wrong parameters", "each refused in a line that names it"),
        ("1,000 jobs", "threads by 0, descriptors by 0"),
        ("panics are caught", "in 10 functions: load, create, run, acc_new"),
    ] {
        let [result, measured, _] = check(&report, name);
        assert!(result == "pass" && measured.contains(words), "{name}: {measured}");
    }
    let [result, _, advice] = check(&report, "stops when asked");
    assert!(result == "not checked" && advice.contains("take 150 ms or more"), "{advice}");
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn each_broken_promise_fails_its_own_check() {
    let muster = Muster::new();
    let unkept = unkept(&muster);
    for (broken, name, measured_words, advice_words) in [
        ("memory", "1,000 jobs", "memory grew by 3.", "free"),
        ("threads", "1,000 jobs", "threads by 900", "threads"),
        ("descriptors", "1,000 jobs", "descriptors by 900", "close"),
        ("second", "1,000 jobs", "after 1 job: create returned", "again and again"),
        ("outputs", "same outputs", "than under thread", "parameters, seed, index"),
        ("reduction", "same reduction", "another under", "associative"),
        ("cancel", "stops when asked", "went on for", "every 10 ms"),
        ("terminate", "stops when asked", "SIGTERM", "every 10 ms"),
        ("abort", "panics are caught", "a panic in run: the process ended by signal 6", "MUSTER_E_PANIC"),
        ("swallow", "panics are caught", "run returned \"OK\"", "MUSTER_E_PANIC"),
        ("fail", "model thread", "1 of 8 tasks failed; task 3", "input and parameters"),
    ] {
        let broken_pair = format!("break={broken}");
        let tested = muster.run(&["plugin", "test", &unkept, &broken_pair, "--json"]).exits(4);
        let report = tested.json();
        assert_eq!(report["passed"], false);
        let [result, measured, advice] = check(&report, name);
        assert!(result == "fail" && measured.contains(measured_words), "{broken}: {result} {measured}");
        assert!(advice.contains(advice_words), "{broken}: {advice}");
        // Outputs that differ are combined to outputs that do, and a job that does not open again opens nowhere twice.
        let alone = !["outputs", "fail", "second"].contains(&broken);
        assert!(!alone || failed(&report) == [name], "{broken}: {report}");
    }
    muster.assert_no_process_left();
}

#[test]
fn a_task_that_looks_is_seen_to_stop() {
    let muster = Muster::new();
    let unkept = unkept(&muster);
    let kept = muster.run(&["plugin", "test", &unkept, "break=nothing", "--json"]).ok().json();
    let [result, measured, _] = check(&kept, "stops when asked");
    assert!(result == "pass" && measured.contains("stopped by themselves within"), "{measured}");
    assert_eq!(check(&kept, "panics are caught")[0], "pass");
    muster.assert_no_process_left();
}

#[test]
fn the_table_fits_the_screen() {
    let muster = Muster::new();
    let sleep = plugin("sleep");
    for columns in ["80", "120"] {
        let mut command = muster.command(&["plugin", "test", &sleep, "ms=1", "-n", "3"]);
        let output = command.env("COLUMNS", columns).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        let heads: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(heads, ["CHECK", "RESULT", "MEASURED", "WHAT", "TO", "CHANGE"]);
        let width: usize = columns.parse().unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.ends_with("0 failed, 2 not checked\n"), "{said}");
    }
}

#[test]
fn the_examples_pass() {
    let muster = Muster::new();
    for language in ["c", "cpp"] {
        let folder = repository().join("plugins/examples").join(language);
        let report = muster.run(&["plugin", "test", folder.to_str().unwrap(), "--json"]).ok().json();
        let [result, measured, _] = check(&report, "panics are caught");
        let expected = if language == "c" { "not checked" } else { "pass" };
        assert_eq!(result, expected, "{language}: {measured}");
    }
}

#[test]
fn tests_need_what_tasks_need() {
    let muster = Muster::new();
    let wordcount = plugin("wordcount");
    muster.run(&["plugin", "test", &wordcount]).fails(2, &["needs an input", "--lines FILE"]);
    let lines = muster.write("lines", "a b\nb c\n");
    let report = muster.run(&["plugin", "test", &wordcount, "--lines", &lines, "--json"]).ok().json();
    assert!(check(&report, "model spawn")[1].starts_with("2 tasks in"), "{report}");
    let unkept = unkept(&muster);
    muster
        .run(&["plugin", "test", &unkept, "break=nothing", "--lines", &lines])
        .fails(2, &["take no input", "-n N"]);
    muster.run(&["plugin", "test", &unkept, "a=1"]).fails(2, &["no parameter a"]);
    muster.run(&["plugin", "test", &unkept]).fails(2, &["needs the parameter break"]);
    muster.run(&["plugin", "test", "no-such-plugin"]).fails(4, &["no plugin \"no-such-plugin\""]);
    let broken = muster.write("broken.so", "no ELF");
    muster.run(&["plugin", "test", &broken]).fails(4, &["broken.so"]);
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}
