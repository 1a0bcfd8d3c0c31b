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
    // The way to it leads to the cluster that was named, whatever else is up then.
    let run = [&["run", plugin.as_str(), "--cluster", "default"], &TASKS[..]].concat();
    let ran = muster.run(&run).exits(1);
    assert!(ran.stderr.contains("why: muster job why 2 --cluster default\n"), "{}", ran.stderr);
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

/// chaos with lines for its functions.
fn chaos() -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = std::process::Command::new(cargo)
        .args(["build", "-q", "-p", "muster-chaos"])
        .current_dir(fixture::repository())
        .env_remove("CARGO_BUILD_TARGET")
        .output()
        .unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let binary = Path::new(env!("CARGO_BIN_EXE_muster"));
    let target = binary.parent().and_then(Path::parent).unwrap();
    target.join("debug/libmuster_chaos.so").to_str().unwrap().to_owned()
}

struct Fault {
    mode: &'static str,
    flags: &'static [&'static str],
    cause: &'static str,
    /// What the sentence has.
    words: &'static [&'static str],
    signal: Option<i64>,
    /// A function of the plugin has its place in the sentence and among the frames.
    has_place: bool,
}

const FAULTS: [Fault; 7] = [
    Fault {
        mode: "segv",
        flags: &[],
        cause: "signal",
        words: &["segmentation fault at address 0x40: a null pointer was written to; in"],
        signal: Some(11),
        has_place: true,
    },
    Fault {
        mode: "stack",
        flags: &[],
        cause: "signal",
        words: &["segmentation fault at address 0x", "a stack overflow"],
        signal: Some(11),
        has_place: true,
    },
    Fault {
        mode: "oom",
        flags: &["--mem", "200MiB"],
        cause: "memory",
        words: &["out of memory", "200 MiB"],
        signal: Some(9),
        has_place: false,
    },
    Fault {
        mode: "abort",
        flags: &[],
        cause: "aborted",
        words: &["SIGABRT"],
        signal: Some(6),
        has_place: true,
    },
    Fault {
        mode: "exit",
        flags: &[],
        cause: "exited",
        words: &["exit code 0"],
        signal: None,
        has_place: true,
    },
    Fault {
        mode: "hang",
        flags: &["--timeout", "200ms", "--grace", "200ms"],
        cause: "timeout",
        words: &["time limit of 200"],
        signal: Some(15),
        has_place: false,
    },
    Fault {
        mode: "panic",
        flags: &[],
        cause: "panicked",
        words: &["panicked at"],
        signal: None,
        has_place: true,
    },
];

/// The object and the text of task 1 of a job say what happened.
#[track_caller]
fn check_fault(fault: &Fault, object: &Value, text: &str, job: &str) {
    let mode = fault.mode;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in fault.words {
        assert!(words.contains(expected), "{mode}: {expected:?} is not in {text}");
    }
    assert_eq!(object["cause"], fault.cause, "{mode}: {object}");
    assert_eq!(object["signal"].as_i64(), fault.signal, "{mode}: {object}");
    let code = if mode == "exit" { Value::from(0) } else { Value::Null };
    assert_eq!(object["exit_code"], code, "{mode}: {object}");
    assert_eq!(
        (&object["task"], &object["attempt"], &object["worker"]),
        (&1.into(), &1.into(), &"worker-1".into())
    );
    assert_eq!(object["job"].to_string(), job);
    let replay = object["replay"].as_str().unwrap();
    assert!(
        replay.starts_with("muster plugin test ") && replay.contains(&format!(" --case {job}.1")),
        "{replay}"
    );
    assert!(text.lines().any(|line| line.trim() == replay), "{text}");
    if mode == "oom" {
        let (peak, limit) = (&object["memory_peak_bytes"], &object["memory_limit_bytes"]);
        assert_eq!(limit.as_u64(), Some(200 << 20));
        assert!(peak.as_u64().is_some_and(|peak| peak > 100 << 20), "{peak}");
        assert!(words.contains("the executor reached the 200.0 MiB that --mem allows"), "{text}");
    } else {
        assert_eq!(object["memory_limit_bytes"], Value::Null);
    }
    if mode == "hang" {
        assert!(words.contains("15 SIGTERM, which muster sent after the time limit"), "{text}");
    }
    let is_own = |frame: &&Value| {
        frame["file"].as_str().is_some_and(|file| file.ends_with("chaos/src/strike.rs"))
            && frame["line"].is_u64()
    };
    let own = object["frames"].as_array().unwrap().iter().find(is_own);
    assert_eq!(own.is_some(), fault.has_place, "{mode}: {object}");
    if let Some(own) = own {
        let function = own["function"].as_str().unwrap();
        assert!(words.contains(&format!("in {function} (strike.rs:")), "{mode}: {text}");
    }
    assert!(text.lines().count() < 60, "{mode}: {text}");
    let advice = object["suggestion"].as_str().unwrap();
    assert!(!advice.is_empty() && !advice.contains("RUST_BACKTRACE"), "{mode}: {advice}");
}

/// Where no cgroup can keep a limit there is no evidence of memory.
fn applies(fault: &Fault) -> bool {
    let has_cgroup =
        Path::new("/sys/fs/cgroup/memory").is_dir() || Path::new("/sys/fs/cgroup/cgroup.procs").is_file();
    if fault.mode != "oom" || (has_cgroup && is_root()) {
        return true;
    }
    assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "no cgroup can keep a memory limit");
    eprintln!("SKIPPED: oom, because no cgroup can keep a memory limit");
    false
}

fn is_root() -> bool {
    // SAFETY: it takes nothing.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn each_fault_is_named_with_function_and_line_after_a_private_run() {
    let (muster, chaos) = (Muster::new(), chaos());
    for fault in FAULTS.iter().filter(|fault| applies(fault)) {
        let mode = format!("mode={}", fault.mode);
        let run = ["run", &chaos, &mode, "after=1", "-n", "2", "-t", "1", "--max-attempts", "1"];
        muster.run(&[&run[..], fault.flags].concat()).exits(1);
        let object = muster.run(&["job", "why", "last.1", "--json"]).ok().json();
        let text = muster.run(&["job", "why", "last.1"]).ok().text();
        check_fault(fault, &object, &text, "1");
    }
}

#[test]
fn each_fault_is_named_with_function_and_line_by_a_cluster() {
    let (muster, chaos) = (Muster::new(), chaos());
    muster.run(&["up", "-w", "1", "-t", "1", "--allow-chaos"]).ok();
    for fault in FAULTS.iter().filter(|fault| applies(fault)) {
        let mode = format!("mode={}", fault.mode);
        let submit = ["submit", &chaos, &mode, "after=1", "-n", "2", "--max-attempts", "1"];
        let job = muster.run(&[&submit[..], fault.flags].concat()).ok().text().trim().to_owned();
        muster.run(&["job", "wait", &job]).exits(1);
        let task = format!("{job}.1");
        let object = muster.run(&["job", "why", &task, "--json"]).ok().json();
        let text = muster.run(&["job", "why", &task]).ok().text();
        check_fault(fault, &object, &text, &job);
    }
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}
