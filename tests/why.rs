//! `muster job why`: on a cluster that is up, after its coordinator's restart, and after a private cluster is gone.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c};
use serde_json::Value;
use std::path::Path;

fn chatty(muster: &Muster) -> String {
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
    let source = include_str!("fixtures/plugins/chatty.c");
    compile_c(source, Path::new(&muster.path("chatty.so")), &flags).to_str().unwrap().to_owned()
}

/// What must be known of the tasks 5, which crashed three times, and 9, which said that it failed.
#[track_caller]
fn check(objects: &[Value]) {
    let tasks: Vec<u64> = objects.iter().map(|object| object["task"].as_u64().unwrap()).collect();
    assert_eq!(tasks, [5, 9], "{objects:?}");
    let [crashed, wrong] = objects else { panic!("{objects:?}") };
    assert!(["signal", "crashed"].contains(&crashed["cause"].as_str().unwrap()), "{crashed}");
    assert!(crashed["message"].as_str().unwrap().contains("SIGSEGV"), "{crashed}");
    let attempts = crashed["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3, "{crashed}");
    assert!(attempts.iter().all(|attempt| attempt["worker"] == "worker-1"), "{crashed}");
    assert_eq!((&wrong["cause"], wrong["attempts"].as_array().unwrap().len()), (&"failed".into(), 1));
    assert!(objects.iter().all(|object| object["final"] == true));
    let replay = crashed["replay"].as_str().unwrap();
    assert!(replay.starts_with("muster plugin test ") && replay.ends_with(".5"), "{replay}");
}

const TASKS: [&str; 6] = ["-n", "20", "-t", "1", "bad=5", "wrong=9"];

#[test]
fn a_cluster_that_is_up_knows_and_remembers() {
    let muster = Muster::new();
    let plugin = chatty(&muster);
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let job = muster.run(&[&["submit", plugin.as_str()], &TASKS[..]].concat()).ok().text().trim().to_owned();
    muster.run(&["job", "wait", &job]).exits(1);
    let known = muster.run(&["job", "why", &job, "--json"]).ok().json();
    check(known.as_array().unwrap());
    let lines = known[0]["last_lines"].as_array().unwrap();
    assert!(lines.iter().any(|line| line == "printed by 5"), "{lines:?}");
    let text = muster.run(&["job", "why", &format!("{job}.5")]).ok().text();
    for words in ["5 of job", "attempt", "3 on worker-1", "printed by 5", "--debugger gdb"] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let text = muster.run(&["job", "why"]).ok().text();
    assert!(text.contains("2 of 20 tasks failed") && text.contains("failed: 1 task (9)"), "{text}");
    muster.run(&["job", "why", &format!("{job}.6")]).fails(3, &["task 6"]);
    muster.run(&["job", "why", &format!("{job}.20")]).fails(3, &["no task 20"]);
    let fine = muster.run(&["submit", &plugin, "-n", "3"]).ok().text().trim().to_owned();
    muster.run(&["job", "wait", &fine]).ok();
    assert!(muster.run(&["job", "why", &fine]).ok().text().contains("ran fine"));
    assert_eq!(muster.run(&["job", "why", &fine, "--json"]).ok().json(), Value::Array(vec![]));
    // The state folder remembers; the workers' part of the log is gone.
    muster.run(&["down"]).ok();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    check(muster.run(&["job", "why", &job, "--json"]).ok().json().as_array().unwrap());
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

#[test]
fn a_failed_run_leaves_its_post_mortems() {
    let muster = Muster::new();
    let plugin = chatty(&muster);
    muster.run(&["job", "why"]).fails(5, &["no failed run"]);
    let run = muster.run(&[&["run", plugin.as_str()], &TASKS[..]].concat()).exits(1);
    assert!(run.stderr.contains("why: muster job why"), "{}", run.stderr);
    assert!(run.stderr.contains("[task 5 warn] warned by 5"), "{}", run.stderr);
    for job in ["last", "1"] {
        let known = muster.run(&["job", "why", job, "--json"]).ok().json();
        check(known.as_array().unwrap());
        let lines = known[0]["last_lines"].as_array().unwrap();
        assert!(lines.iter().any(|line| line == "printed by 5"), "{lines:?}");
    }
    let told = muster.run(&["job", "why", "last.9"]).ok();
    assert!(told.stderr.contains("the last failed run: muster run"), "{}", told.stderr);
    assert!(told.text().contains("9 of job 1 failed"), "{}", told.text());
    muster.run(&["job", "why", "7"]).fails(5, &["job 7"]);
    // One that goes well leaves nothing, and of many the last are kept.
    muster.run(&["run", &plugin, "-n", "3"]).ok();
    assert_eq!(std::fs::read_dir(muster.path(".local/state/muster/runs")).unwrap().count(), 1);
    muster.assert_no_process_left();
    muster.assert_no_temporary_left();
}
