//! `muster compare --rate`: every run is an open loop, and what is compared is latency from the intended start of tasks.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// One task of a run: block, configuration, task, start, service time, latency.
struct Task {
    run: (String, String),
    index: u64,
    start_s: f64,
    run_s: f64,
    latency_s: Option<f64>,
}

fn tasks(muster: &Muster, found: &Value) -> Vec<Task> {
    let path = format!("{}/tasks.csv", found["run"].as_str().unwrap());
    let text = String::from_utf8(muster.read(&path)).unwrap();
    let mut lines = text.lines();
    assert_eq!(
        lines.next().unwrap(),
        "block,configuration,task,start_s,run_s,latency_s,group,worker,executor,thread,attempt,queued_s,lock_wait_s"
    );
    let task = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        Task {
            run: (fields[0].to_owned(), fields[1].to_owned()),
            index: fields[2].parse().unwrap(),
            start_s: fields[3].parse().unwrap(),
            run_s: fields[4].parse().unwrap(),
            latency_s: (!fields[5].is_empty()).then(|| fields[5].parse().unwrap()),
        }
    };
    lines.map(task).collect()
}

/// How many tasks of each run are there one by one.
fn counts(tasks: &[Task]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for task in tasks {
        *counts.entry(task.run.clone()).or_default() += 1;
    }
    counts
}

#[test]
fn latency_counts_from_the_intended_start_and_shows_what_cannot_keep_up() {
    const TASKS: u64 = 200;
    let muster = Muster::new();
    let sleep = plugin("sleep");
    // A task of 20 ms every 10 ms: too fast for one slot, half of what four can do.
    let line = ["compare", &sleep, "ms=20", "-n", "200", "--rate", "100/s", "--grid", "t=1,4", "p=1"];
    let finished = muster.run(&[&line[..], &["--blocks", "5", "--no-probes", "--json"]].concat()).ok();
    let found = finished.json();
    assert_eq!(found["measure"], "latency_p95");
    assert_eq!(found["open_loop"], json!({"rate_per_s": 100.0, "arrivals": "constant"}));
    let (one, four) = (&found["rows"][0], &found["rows"][1]);
    assert_eq!((&one["name"], &four["name"]), (&"thread 1x1".into(), &"thread 1x4".into()));
    for row in [one, four] {
        assert_eq!(row["latency_s"]["kind"], "from intended start");
        assert_eq!(row["latency_s"]["samples"], TASKS * 5, "{row}");
        let curve = row["latency"].as_array().unwrap();
        assert!(curve.len() >= 12 && curve.windows(2).all(|two| number(&two[0][1]) <= number(&two[1][1])));
        assert!(number(&row["latency_s"]["p50"]) <= number(&row["latency_s"]["p95"]), "{row}");
        assert!(row["latency_s"]["p99"].is_f64() && number(&row["latency_p95_s"]["median"]) > 0.019, "{row}");
    }
    // The last task is due after N gaps of 10 ms and ends after N times 20 ms, so 95 % of them are below 0.95 N times 10 ms.
    let grown_s = 0.95 * TASKS as f64 * 0.010;
    assert!(number(&one["latency_p95_s"]["lo"]) > 0.98 * grown_s, "{one}");
    assert!(number(&one["time_s"]["median"]) >= TASKS as f64 * 0.020 && one["overload"] == true, "{one}");
    assert!(one["ratio_to_best"].is_null() && one["ratio_to_baseline"].is_null(), "{one}");
    // The time of a run that keeps up is that of its arrivals.
    assert!(number(&four["time_s"]["lo"]) >= 1.99 && four["overload"] == false, "{four}");
    let notes = found["notes"].to_string();
    assert!(notes.contains("overload: thread 1x1: tasks arrived faster than they were run"), "{notes}");

    let tasks = tasks(&muster, &found);
    let counts = counts(&tasks);
    assert_eq!(counts.len(), 5 * 3, "both rows and the baseline again, five times: {counts:?}");
    assert!(counts.values().all(|&count| count == 100), "{counts:?}");
    for task in &tasks {
        let due_s = task.index as f64 * 0.010;
        let latency_s = task.latency_s.unwrap();
        assert!((task.start_s + task.run_s - due_s - latency_s).abs() < 1e-6, "{}", task.index);
        assert!(task.index < TASKS && task.start_s >= due_s && task.run_s >= 0.0199);
    }
    // Half of all tasks of the row that keeps up waited for next to nothing, whatever else the machine did.
    let mut waits: Vec<f64> = tasks.iter().filter(|task| task.run.1 == "thread 1x4").map(wait_s).collect();
    waits.sort_by(f64::total_cmp);
    assert!(waits[waits.len() / 2] < 0.020, "{waits:?}");

    // Both files are read again: the page has a curve and the file, the export has its lines.
    muster.run(&["report", "last", "--output", "report.html"]).ok();
    let page = String::from_utf8(muster.read("report.html")).unwrap();
    for words in ["Latency of tasks by percentile", "from intended start", "run-1-tasks.csv"] {
        assert!(page.contains(words), "{words} is not in the report");
    }
    let exported = muster.run(&["export", "last", "--tasks"]).ok().text();
    assert_eq!(exported.lines().count(), tasks.len() + 1, "{exported}");
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

fn wait_s(task: &Task) -> f64 {
    task.latency_s.unwrap() - task.run_s
}

#[test]
fn a_closed_loop_has_service_times() {
    let muster = Muster::new();
    let line =
        ["compare", &plugin("sleep"), "ms=5", "-n", "64", "--models", "thread,process", "--blocks", "5"];
    let found = muster.run(&[&line[..], &["--no-probes", "--json"]].concat()).ok().json();
    assert_eq!((&found["measure"], &found["open_loop"]), (&"time".into(), &Value::Null));
    for row in found["rows"].as_array().unwrap() {
        assert_eq!((&row["latency_s"]["kind"], &row["overload"]), (&"service time".into(), &false.into()));
        assert!(number(&row["latency_s"]["max"]) >= 0.005 && row["latency_p95_s"].is_null(), "{row}");
        let samples = row["latency_s"]["samples"].as_u64().unwrap();
        assert!(samples >= 5 && row["latency_s"]["p95"].is_f64() == (samples >= 200), "{row}");
    }
    let tasks = tasks(&muster, &found);
    let counts = counts(&tasks);
    assert!(counts.values().all(|&count| count == 64), "all of them, there are fewer than 100: {counts:?}");
    assert!(
        counts.len() == 4 * 3 && counts.keys().all(|run| run.0 != "1"),
        "not in the first block: {counts:?}"
    );
    assert!(tasks.iter().all(|task| task.latency_s.is_none() && task.run_s >= 0.005));
    // A call of its own for some of them would be seen in the time of a run of tasks that do nothing.
    let line = ["compare", &plugin("null"), "-n", "200000", "--models", "thread,process", "--blocks", "3"];
    let found = muster.run(&[&line[..], &["--no-probes", "--json"]].concat()).ok().json();
    let path = format!("{}/tasks.csv", found["run"].as_str().unwrap());
    assert!(!muster.path(&path).exists(), "{found}");
}

#[test]
fn a_file_says_how_tasks_arrive_and_how_late_they_may_be() {
    let muster = Muster::new();
    let text = |more: &str| {
        let sleep = plugin("sleep");
        format!(
            "plugin = \"{sleep}\"\ntasks = 200\nblocks = 5\nslots = 2\nmodels = [\"thread\", \"process\"]\n{more}\n[params]\nms = 4\n"
        )
    };
    let fast = "rate = \"400/s\"\narrivals = \"poisson\"\nfail = [{ p95_above = \"1ms\" }]";
    let file = muster.write("c.toml", text(fast));
    let finished = muster.run(&["compare", &file, "--no-probes", "--json"]);
    let found = finished.json();
    assert_eq!(found["open_loop"], json!({"rate_per_s": 400.0, "arrivals": "poisson"}), "{found}");
    match finished.code() {
        // On a machine that does other things the rows are invalid, and that is said instead.
        10 => drop(finished.fails(10, &["not known of"])),
        _ => drop(finished.fails(11, &["thread 1x2 has a p95 latency of"])),
    }
    // Two that compared different things have nothing in common, and one is like itself.
    let plain = muster.write("plain.toml", text(""));
    muster.run(&["compare", &plain, "--no-probes"]).ok();
    muster.run(&["diff", "1", "2"]).fails(3, &["run 1 compared the p95 latency, run 2 the time"]);
    let same = muster.run(&["diff", "1", "1", "--json"]).ok().json();
    assert_eq!((&same["measure"], &same["rows"][0]["ratio"]["median"]), (&"latency_p95".into(), &1.0.into()));
    for (more, words) in [
        ("rate = \"200\"", vec!["rate \"200\"", "as in 200/s"]),
        ("arrivals = \"poisson\"", vec!["arrivals without a rate"]),
        ("rate = \"200/s\"\narrivals = \"often\"", vec!["arrivals \"often\"", "not constant or poisson"]),
        ("fail = [{ p95_above = \"1ms\" }]", vec!["p95_above", "rate ="]),
    ] {
        let file = muster.write("wrong.toml", text(more));
        muster.run(&["compare", &file]).fails(3, &words);
    }
    muster.run(&["compare", &plain, "--rate", "5/s"]).fails(2, &["--rate is for a plugin", "rate"]);
    muster.assert_no_process_left();
}

#[test]
fn rates_that_are_none_and_runs_that_are_too_short_are_refused() {
    let muster = Muster::new();
    let sleep = plugin("sleep");
    let lines = muster.write("lines", "a\n".repeat(50));
    let words_plugin = plugin("wordcount");
    for (arguments, code, words) in [
        (vec![sleep.as_str(), "--rate", "200"], 2, vec!["not a rate, as in 200/s"]),
        (vec![&sleep, "--rate", "0/s"], 2, vec!["above 0"]),
        (vec![&sleep, "--rate", "9/s", "--arrivals", "now"], 2, vec!["constant, poisson"]),
        (vec![&sleep, "--arrivals", "poisson"], 2, vec!["--rate"]),
        (vec![&sleep, "--rate", "9/s", "-n", "199"], 2, vec!["-n 199 is too few", "200 tasks"]),
        (vec!["gil", "--rate", "9/s"], 2, vec!["experiment gil", "--rate is for a plugin"]),
        (
            vec![&words_plugin, "--lines", &lines, "--rate", "500/s", "--models", "thread,process"],
            3,
            vec!["of 50 tasks there is no 95th percentile", "200 tasks"],
        ),
    ] {
        muster.run(&[&["compare"][..], &arguments].concat()).fails(code, &words);
    }
    muster.assert_no_process_left();
}

#[test]
fn a_cluster_of_one_worker_can_be_loaded_and_one_of_two_cannot() {
    let muster = Muster::new();
    let sleep = plugin("sleep");
    let line = ["compare", &sleep, "ms=2", "--rate", "500/s", "-n", "200", "--models", "thread,process"];
    let line = [&line[..], &["--slots", "2", "--blocks", "1", "--json"]].concat();
    for (workers, code) in [("1", 0), ("2", 2)] {
        muster.run(&["up", "-w", workers, "-t", "2", "--oversubscribe", "--name", "it"]).ok();
        let finished = muster.run(&[&line[..], &["--cluster", "it"]].concat());
        match code {
            0 => {
                let found = finished.ok().json();
                assert_eq!(found["rows"][0]["latency_s"]["samples"], 200, "{found}");
                assert_eq!(counts(&tasks(&muster, &found)).len(), 3, "{found}");
            }
            _ => drop(finished.fails(2, &["--rate is for one worker", "it has 2"])),
        }
        muster.run(&["down", "--name", "it"]).ok();
    }
    muster.assert_no_process_left();
}
