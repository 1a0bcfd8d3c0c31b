//! `muster compare`: what it prints and keeps, and what it refuses. What its statistics are worth is the business of
//! `statistics.rs`.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c, plugin, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;

const FEW: [&str; 4] = ["--blocks", "5", "-n", "16"];

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The times of each configuration in a run's folder.
fn times(muster: &Muster, run: &str) -> BTreeMap<String, Vec<f64>> {
    let text = String::from_utf8(muster.read(&format!("{run}/samples.csv"))).unwrap();
    let mut lines = text.lines();
    assert_eq!(
        lines.next().unwrap(),
        "block,configuration,time_s,cpu_s,ctx_switches,stolen,throttled,others,group,latency_p95_s"
    );
    let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        times.entry(fields[1].to_owned()).or_default().push(fields[2].parse().unwrap());
    }
    times
}

#[test]
fn every_row_has_its_numbers_and_the_run_is_kept() {
    let muster = Muster::new();
    let spin = plugin("loop");
    let models = "thread,process,gil,async";
    let line = ["compare", &spin, "iters=2000000", "--models", models, "--slots", "2", "--json"];
    let found = muster.run(&[&line[..], &FEW].concat()).ok().json();
    assert_eq!((&found["blocks"], &found["tasks"]), (&5.into(), &16.into()), "{found}");
    assert_eq!(found["stopped_by"], "blocks");
    assert!(number(&found["noise_floor"]) > 0.0, "{found}");
    let rows = found["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["thread 1x2", "process 2x1", "gil 1x2", "async 1x2/64"]);
    let run = found["run"].as_str().unwrap();
    let kept = times(&muster, run);
    for row in rows {
        let (median, cpu) = (number(&row["time_s"]["median"]), number(&row["cpu_s"]));
        assert!(number(&row["time_s"]["lo"]) <= median && median <= number(&row["time_s"]["hi"]), "{row}");
        assert!(cpu > 0.0 && number(&row["cores"]) > 0.0, "{row}");
        assert!(number(&row["ctx_switches_per_task"]) > 0.0, "{row}");
        assert!(number(&row["pss_peak_bytes"]) >= number(&row["pss_base_bytes"]), "{row}");
        assert_eq!(row["checksum"], rows[0]["checksum"], "the same outputs everywhere");
        assert_eq!(row["gil_wait_share"].is_null(), row["gil"] == false, "{row}");
        let mut times = kept[row["name"].as_str().unwrap()].clone();
        times.sort_by(f64::total_cmp);
        assert!((times[2] - median).abs() < 1e-9, "the median of {times:?} is not {median}");
    }
    assert_eq!(rows.iter().filter(|row| row["claim"] == "best").count(), 1, "{found}");
    assert_eq!(kept["thread 1x2 (again)"].len(), 5, "the baseline runs twice");
    // Two threads that take turns take about twice as long on two processors; 5 blocks of 6 comparisons claim nothing.
    assert!(found["verdict"][0].as_str().unwrap().starts_with("Not enough: 5 blocks"), "{found}");
    let saved: Value = serde_json::from_slice(&muster.read(&format!("{run}/comparison.json"))).unwrap();
    assert_eq!(saved, found, "--json and the kept file are the same");
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn people_read_tables_rules_and_a_verdict() {
    let muster = Muster::new();
    let spin = plugin("loop");
    let line = ["compare", &spin, "--models", "thread,process", "--slots", "2", "--blocks", "6", "-n", "8"];
    let finished = muster.run(&line).ok();
    let text = finished.text();
    for words in [
        "CONFIGURATION",
        "thread 1x2",
        "process 2x1",
        "TIMES THE BEST",
        "PEAK",
        "6 blocks in random order",
        "noise floor",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    assert!(["Use ", "No answer: "].iter().any(|words| text.contains(words)), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(finished.stderr.contains("saved: .muster/runs/1"), "{}", finished.stderr);
}

/// A budget may have room for three blocks only: those show something all the same, but for no verdict.
#[test]
fn few_blocks_have_medians_without_intervals() {
    let muster = Muster::new();
    let line = ["compare", &plugin("loop"), "--models", "thread,process", "--slots", "2", "--no-probes"];
    let text = muster.run(&[&line[..], &["--blocks", "3", "-n", "8"]].concat()).ok().text();
    let saved: Value = serde_json::from_slice(&muster.read(".muster/runs/1/comparison.json")).unwrap();
    let kept = times(&muster, ".muster/runs/1");
    muster.run(&["report"]).ok();
    let page = String::from_utf8(muster.read("report.html")).unwrap();
    for row in saved["rows"].as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        let mut times = kept[name].clone();
        times.sort_by(f64::total_cmp);
        let median = number(&row["median_s"]);
        assert!((times[1] - median).abs() < 1e-9, "the median of {times:?} is not {median}");
        assert!(row["time_s"].is_null() && row["ratio_to_best"].is_null(), "{row}");
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<&str> = line[name.len()..].split_whitespace().collect();
        assert!(words.len() >= 3 && words[0].parse::<f64>().is_ok() && words[2] == "-", "{text}");
        let cells = format!("<th scope=\"row\">{name}</th><td class=\"n\">{} {}</td>", words[0], words[1]);
        assert!(page.contains(&cells), "{cells} is not in {page}");
    }
    assert!(text.contains("Not enough: 3 blocks say nothing for sure"), "{text}");
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_is_measured() {
    let muster = Muster::new();
    let (spin, words) = (plugin("loop"), plugin("wordcount"));
    for (arguments, code, words) in [
        (vec![spin.as_str(), "--models", "threads"], 2, vec!["threads", "there are all, thread"]),
        (vec![&spin, "--models", "thread"], 2, vec!["thread 1x4 alone", "several --models"]),
        (vec![&spin, "--grid", "p=1"], 2, vec!["thread 1x1 alone"]),
        (vec![&spin, "--grid", "p=0"], 2, vec!["p=0", "at least 1"]),
        (vec![&spin, "--grid", "p=1,2", "p=3"], 2, vec!["p= twice"]),
        (vec![&spin, "--grid", "p=1,2,3,4,5,6,7", "t=1,2,3,4,5,6,7"], 2, vec!["at most 40"]),
        (vec![&spin, "--target", "3"], 2, vec!["% is missing", "3%"]),
        (vec![&spin, "--target", "three"], 2, vec!["as in 3%"]),
        (vec![&spin, "--in-flight", "8", "--models", "thread,process"], 2, vec!["--in-flight", "async"]),
        (vec![&spin, "itres=5"], 2, vec!["itres", "iters"]),
        (vec![&spin, "iters=-1"], 2, vec!["iters"]),
        (vec![&words], 2, vec!["needs an input"]),
        (vec!["no-such-plugin"], 4, vec!["no-such-plugin"]),
        (vec!["gill"], 4, vec!["gill", "did you mean the experiment gil?"]),
        (vec![&spin, "iters=2000000000", "-n", "8", "--budget", "300ms"], 7, vec!["budget", "one block"]),
    ] {
        muster.run(&[&["compare"][..], &arguments].concat()).fails(code, &words);
    }
    let runs = std::fs::read_dir(muster.path(".muster/runs")).map_or(0, Iterator::count);
    assert_eq!(runs, 0, "nothing was measured, so nothing is kept");
    muster.assert_no_process_left();
}

#[test]
fn outputs_that_differ_between_models_are_wrong() {
    let muster = Muster::new();
    // Its outputs depend on the process that made them, and it says that they do not.
    let source = include_str!("fixtures/plugins/whoami.c")
        .replace("\\\"multi_job\\\"]", "\\\"multi_job\\\",\\\"deterministic\\\"]")
        .replace("| MUSTER_F_MULTI_JOB", "| MUSTER_F_MULTI_JOB | MUSTER_F_DETERMINISTIC");
    let flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"];
    let path = compile_c(&source, &muster.path("whoami.so"), &flags);
    let line = [
        "compare",
        path.to_str().unwrap(),
        "--models",
        "thread,process",
        "--slots",
        "2",
        "--json",
        "--strict",
    ];
    let finished = muster.run(&[&line[..], &["--blocks", "6", "-n", "8"]].concat());
    let found = finished.exits(10).json();
    assert!(found["verdict"][0].as_str().unwrap().starts_with("No answer: the outputs of "), "{found}");
    assert_eq!(found["rows"][1]["is_wrong"], true, "{found}");
    assert_eq!(found["rows"][1]["valid"], false, "{found}");
}

#[test]
fn an_interrupt_keeps_the_blocks_that_are_complete() {
    let muster = Muster::new();
    let spin = plugin("loop");
    let line = [
        "compare",
        &spin,
        "-n",
        "8",
        "--models",
        "thread,process",
        "--slots",
        "2",
        "--blocks",
        "1000",
        "--json",
    ];
    let started = muster.start(&line);
    let lines =
        || String::from_utf8(muster.read(".muster/runs/1/samples.csv")).unwrap_or_default().lines().count();
    // Two configurations and the baseline again, five times.
    let has_blocks = || muster.path(".muster/runs/1/samples.csv").exists() && lines() > 15;
    assert!(wait_until(has_blocks));
    started.signal(libc::SIGINT);
    let finished = started.finish();
    assert_eq!(finished.code(), 130, "{}", finished.stderr);
    assert!(
        finished.stderr.contains("cancelled by Ctrl-C: the numbers are those of the blocks"),
        "{}",
        finished.stderr
    );
    let found = finished.json();
    assert_eq!(found["stopped_by"], "interrupted");
    assert_eq!(found["blocks"].as_u64().unwrap() * 3 + 1, lines() as u64);
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn a_run_that_cannot_be_kept_is_said_before_it_is_measured() {
    let muster = Muster::new();
    muster.write(".muster", "not a folder");
    let line = ["compare", &plugin("loop"), "--models", "thread,process", "--blocks", "5"];
    muster.run(&line).fails(9, &[".muster/runs"]);
}

/// A job that is paused does not go on, and a task that hangs does not end.
#[test]
fn workloads_that_never_end_are_given_up() {
    let muster = Muster::new();
    let chaos = plugin("chaos");
    let line = ["compare", &chaos, "--models", "thread,process", "--slots", "2"];
    let crashes = ["mode=abort", "-n", "50", "--budget", "100s"];
    muster
        .run(&[&line[..], &crashes].concat())
        .fails(3, &["thread 1x2: the job did not come to its end", "muster run"]);
    for hangs in [&["mode=hang", "-n", "4"][..], &["mode=hang"]] {
        let line = [&line[..], hangs, &["--budget", "1s"]].concat();
        muster.run(&line).fails(7, &["the budget is too small", "had not ended its first run", "muster run"]);
    }
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}

#[test]
fn tasks_that_fail_are_not_compared() {
    let muster = Muster::new();
    let chaos = plugin("chaos");
    let line = [
        "compare",
        &chaos,
        "mode=error",
        "every=3",
        "--models",
        "thread,process",
        "--blocks",
        "5",
        "-n",
        "6",
    ];
    muster.run(&line).fails(1, &["of 6 tasks failed", "muster run"]);
}

/// A run beside run 1 that is the same without one of its configurations, on another machine.
fn assert_that_what_is_gone_is_said(muster: &Muster) {
    let mut kept: Value = serde_json::from_slice(&muster.read(".muster/runs/1/comparison.json")).unwrap();
    let samples = muster.read(".muster/runs/1/samples.csv");
    let rows = kept["rows"].as_array_mut().unwrap();
    for row in rows.iter_mut() {
        row["valid"] = true.into();
    }
    let folder = |number: u64, kept: &Value| {
        std::fs::create_dir_all(muster.path(&format!(".muster/runs/{number}"))).unwrap();
        muster.write(&format!(".muster/runs/{number}/comparison.json"), kept.to_string());
        muster.write(&format!(".muster/runs/{number}/samples.csv"), &samples);
    };
    folder(20, &kept);
    kept["rows"].as_array_mut().unwrap().pop();
    kept["machine"]["cpu"] = "Another".into();
    folder(21, &kept);
    let diff = muster.run(&["diff", "20", "21", "--json"]).ok().json();
    assert_eq!(diff["only_first"], serde_json::json!(["process 2x1"]), "{diff}");
    assert_eq!(diff["only_second"], serde_json::json!([]), "{diff}");
    let differences = diff["differences"].as_array().unwrap();
    assert!(differences[0].as_str().unwrap().starts_with("machine, cpu: "), "{diff}");
    assert!(differences[0].as_str().unwrap().ends_with(" and Another"), "{diff}");
    // A configuration that is not measured any more is no proof that it has not become slower; a new one needs none.
    let judged = muster.run(&["diff", "20", "21", "--fail-if", "slower:7%"]);
    judged.fails(10, &["not known of process 2x1", "only in run 20: process 2x1"]);
    muster.run(&["diff", "21", "20", "--fail-if", "slower:7%"]).ok();
    muster.run(&["runs", "rm", "20", "21"]).ok();
}

#[test]
fn kept_runs_are_listed_compared_and_deleted() {
    let muster = Muster::new();
    assert_eq!(muster.run(&["runs", "ls", "--json"]).ok().json(), serde_json::json!([]));
    muster.run(&["diff", "1", "2"]).fails(3, &["no run 1", "muster compare"]);
    let sleep = plugin("sleep");
    for ms in ["ms=10", "ms=40"] {
        let line =
            ["compare", &sleep, ms, "--models", "thread,process", "--slots", "2", "-n", "8", "--blocks", "6"];
        muster.run(&line).ok();
    }
    let listed = muster.run(&["runs", "ls", "--json"]).ok().json();
    assert_eq!((&listed[0]["run"], &listed[1]["run"]), (&2.into(), &1.into()), "{listed}");
    assert_eq!((&listed[0]["plugin"], &listed[0]["blocks"]), (&"sleep".into(), &6.into()), "{listed}");
    let same = muster.run(&["diff", "last", "2", "--json"]).ok().json();
    assert_eq!(same["rows"][0]["ratio"]["median"], 1.0, "{same}");
    let diff = muster.run(&["diff", "1", "2", "--json"]).ok().json();
    for row in diff["rows"].as_array().unwrap() {
        // Four waits each, of 10 and of 40 ms, and the start of an executor.
        let (lo, hi) = (number(&row["ratio"]["lo"]), number(&row["ratio"]["hi"]));
        assert!(lo > 1.05 && hi < 20.0, "{row}");
    }
    assert!(diff["differences"][0].as_str().unwrap().starts_with("parameters: "), "{diff}");
    let judged = muster.run(&["diff", "1", "2", "--fail-if", "slower:5%"]);
    // On a machine that does other things the rows are invalid, and that is said instead.
    match judged.code() {
        10 => drop(judged.fails(10, &["not known of"])),
        _ => drop(judged.fails(11, &["slower by more than 5 %", "thread 1x2"])),
    }
    muster.run(&["diff", "1", "2", "--fail-if", "5%"]).fails(2, &["slower:5%"]);
    assert_that_what_is_gone_is_said(&muster);
    muster.run(&["diff", "0", "2"]).fails(2, &["its number, or `last`"]);
    // One that was not finished, one that somebody else wrote, and one with times that are none.
    for (number, file, text, words) in [
        ("3", "samples.csv", "block,configuration\n", "it was not finished"),
        ("4", "comparison.json", "{\"hello\":1}", "is not what muster writes"),
    ] {
        std::fs::create_dir_all(muster.path(&format!(".muster/runs/{number}"))).unwrap();
        muster.write(&format!(".muster/runs/{number}/{file}"), text);
        muster.run(&["diff", "1", number]).fails(3, &[&format!("run {number}: "), words]);
    }
    let listed = muster.run(&["runs", "ls", "--json"]).ok().json();
    assert!(listed[0]["problem"].as_str().unwrap().contains("is not what muster writes"), "{listed}");
    for (time, words) in [("", "has no time"), ("soon", "has time_s that is no number: \"soon\"")] {
        let samples = format!("block,configuration,time_s\n1,thread 1x2,{time}\n");
        muster.write(".muster/runs/1/samples.csv", samples);
        let words = format!("run 1: line 2 of samples.csv {words}");
        muster.run(&["diff", "1", "2"]).fails(3, &[&words]).says_no_more();
    }
    muster.run(&["runs", "rm", "3", "9"]).fails(3, &["no run 9"]);
    muster.write(".muster/runs/8", "not a folder");
    muster.run(&["diff", "2", "8"]).fails(3, &["run 8: ", "is no folder"]);
    muster.run(&["runs", "rm", "3", "8"]).fails(3, &["runs/8 is no folder", "nothing was deleted"]);
    std::fs::remove_file(muster.path(".muster/runs/8")).unwrap();
    muster.run(&["runs", "rm", "3", "4", "4"]).ok();
    assert_eq!(muster.run(&["runs", "ls", "--json"]).ok().json().as_array().unwrap().len(), 2);
}

#[test]
fn the_doctor_says_what_was_found_and_what_to_do() {
    let muster = Muster::new();
    let found = muster.run(&["doctor", "--json"]).ok().json();
    let checks = found["checks"].as_array().unwrap();
    let result = |name: &str| {
        let check = checks.iter().find(|check| check["check"] == name);
        check.unwrap_or_else(|| panic!("{name} is not in {found}"))["result"].as_str().unwrap().to_owned()
    };
    assert_eq!(result("private cluster"), "pass", "{found}");
    assert_eq!(result("cluster"), "not checked", "{found}");
    for name in ["other processes", "steady speed", "processors", "clock", "memory", "open files"] {
        assert!(["pass", "fail"].contains(&result(name).as_str()), "{found}");
    }
    for check in checks.iter().filter(|check| check["result"] == "fail") {
        assert_ne!(check["advice"], "", "{check}");
    }
    let fails = checks.iter().any(|check| check["result"] == "fail");
    assert_eq!(found["fit"], !fails, "{found}");
    // A cluster that cannot be reached is a finding, and with --strict the end says so.
    let line = ["doctor", "--cluster", "nowhere", "--strict"];
    let text = muster.run(&line).exits(10).text();
    assert!(text.contains("nowhere") && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    muster.assert_no_process_left();
}
