//! How fast a cancelled job stops, rung by rung, under each model: tasks that look at their flag every millisecond, tasks
//! that never look and end by SIGTERM, and tasks that take no notice of that either and are killed.
//!
//! `cargo test --release --test interrupt -- --nocapture` prints the table; `MUSTER_TRIALS` says how often each is tried,
//! and `MUSTER_MODELS`, a comma-separated list of first words of the table, which.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c, wait_until};
use std::time::{Duration, Instant};

/// Tasks that run at the same time, in every model.
const TASKS: u64 = 4;
const MODELS: [(&str, &[&str]); 5] = [
    ("thread 1x4", &["--model", "thread", "-t", "4"]),
    ("process 4x1", &["--model", "process", "-p", "4"]),
    ("hybrid 2x2", &["--model", "hybrid", "-p", "2", "-t", "2"]),
    ("spawn 4", &["--model", "spawn", "-p", "4"]),
    // The plugin has no async form: its tasks run on threads in its stead.
    ("async 1x1/4", &["--model", "async", "-t", "1", "--in-flight", "4"]),
];
/// What tasks do, how they come to a stop, and after which part of the grace.
const RUNGS: [(&str, &str, f64); 3] =
    [("check", "asked", 0.0), ("deaf", "terminated", 0.5), ("hang", "killed", 1.0)];
const GRACE: Duration = Duration::from_millis(200);

fn trials() -> usize {
    std::env::var("MUSTER_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// The models that are tried.
fn models() -> Vec<(&'static str, &'static [&'static str])> {
    let wanted = std::env::var("MUSTER_MODELS").unwrap_or_default();
    let is_wanted = |model: &str| {
        wanted.is_empty() || wanted.split(',').any(|word| model.split(' ').next() == Some(word))
    };
    let models: Vec<_> = MODELS.into_iter().filter(|(model, _)| is_wanted(model)).collect();
    assert!(!models.is_empty(), "MUSTER_MODELS={wanted} names none of {MODELS:?}");
    models
}

/// Submits a job, waits until its tasks run, and cancels it; gives how long its tasks took to stop by the worker's
/// clock, and the command as a whole.
fn trial(
    muster: &Muster,
    plugin: &str,
    mode: &str,
    rung: &str,
    shape: &[&str],
    number: usize,
) -> [Duration; 2] {
    let started = muster.path(&format!("started-{number}"));
    let (mode, file) = (format!("mode={mode}"), format!("file={}", started.display()));
    let (count, grace) = (TASKS.to_string(), format!("{}ms", GRACE.as_millis()));
    let submit = ["submit", plugin, &mode, &file, "-n", &count, "--grace", &grace, "--oversubscribe"];
    let job = muster.run(&[&submit[..], shape].concat()).ok().text();
    let lines = || std::fs::read_to_string(&started).unwrap_or_default().lines().count() as u64;
    assert!(wait_until(|| lines() == TASKS), "{} tasks began", lines());
    let begun = Instant::now();
    let report = muster.run(&["job", "cancel", job.trim(), "--json"]).ok().json();
    let took = begun.elapsed();
    std::fs::remove_file(&started).unwrap();
    assert_eq!(report["state"], "cancelled");
    // Each cancel hit tasks that ran, and all of them stopped in this way.
    let stopped = &report["stopped"];
    assert_eq!(stopped[rung], TASKS, "{stopped}");
    [Duration::from_secs_f64(stopped["longest_s"].as_f64().unwrap()), took]
}

/// The value that this share of the sorted times is not above; `None`: there are not ten above it.
fn percentile(times: &[Duration], share: f64) -> Option<Duration> {
    let above = times.len() as f64 * (1.0 - share);
    (above >= 10.0).then(|| times[(times.len() as f64 * share) as usize])
}

fn text(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.1}", time.as_secs_f64() * 1e3))
}

#[test]
fn cancelled_tasks_stop_rung_by_rung() {
    let muster = Muster::new();
    let flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"];
    let plugin = compile_c(include_str!("fixture/unruly.c"), &muster.path("unruly.so"), &flags);
    let plugin = plugin.to_str().unwrap();
    muster.run(&["up", "-w", "1", "-t", "4", "--oversubscribe"]).ok();
    println!("{} trials each, {TASKS} tasks, grace {} ms; times in ms", trials(), GRACE.as_millis());
    println!(
        "{:12} {:11} {:>7} {:>7} {:>7} {:>7} {:>12}",
        "model", "rung", "p50", "p95", "p99", "max", "command p50"
    );
    let mut number = 0;
    let models = models();
    for &(model, shape) in &models {
        for (mode, rung, share) in RUNGS {
            let mut times = Vec::new();
            let mut commands = Vec::new();
            for _ in 0..trials() {
                number += 1;
                let [stop, command] = trial(&muster, plugin, mode, rung, shape, number);
                times.push(stop);
                commands.push(command);
            }
            times.sort();
            commands.sort();
            let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| percentile(&times, share));
            let max = times.last().copied();
            let command = percentile(&commands, 0.5);
            println!(
                "{model:12} {rung:11} {:>7} {:>7} {:>7} {:>7} {:>12}",
                text(p50),
                text(p95),
                text(p99),
                text(max),
                text(command)
            );
            let least = GRACE.mul_f64(share);
            assert!(times[0] >= least, "{model} {rung}: {:?} is before its time", times[0]);
            if let Some(p99) = p99 {
                let most = least + Duration::from_millis(if share == 0.0 { 20 } else { 50 });
                assert!(p99 < most, "{model} {rung}: p99 {p99:?}");
            }
        }
    }
    assert_eq!(number, trials() * models.len() * RUNGS.len());
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

/// One that never looks costs those beside it their executor; the words say how it went.
#[test]
fn cancel_says_how_tasks_stopped_or_returns_at_once() {
    let muster = Muster::new();
    let flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"];
    let plugin = compile_c(include_str!("fixture/unruly.c"), &muster.path("unruly.so"), &flags);
    let plugin = plugin.to_str().unwrap();
    muster.run(&["up", "-w", "1", "-t", "2"]).ok();
    let submit = |mode: &str, started: &str, grace: &str| {
        let (mode, file) = (format!("mode={mode}"), format!("file={started}"));
        let shape = ["-n", "2", "--model", "process", "-p", "2", "--oversubscribe", "--grace", grace];
        let job = muster.run(&[&["submit", plugin, &mode, &file][..], &shape].concat()).ok().text();
        let lines = || std::fs::read_to_string(started).unwrap_or_default().lines().count();
        assert!(wait_until(|| lines() == 2));
        job.trim().to_owned()
    };
    let path = |name: &str| muster.path(name).to_str().unwrap().to_owned();
    let job = submit("check", &path("a"), "300ms");
    let said = muster.run(&["job", "cancel", &job]).ok().text();
    assert_eq!(said.trim(), format!("cancelled job {job}: 2 tasks stopped when asked"));
    let job = submit("hang", &path("b"), "3s");
    let said = muster.run(&["job", "cancel", &job, "--no-wait"]).ok().text();
    assert!(said.contains(&format!("cancelled job {job}: 1 worker still running tasks of it")), "{said}");
    let said = muster.run(&["job", "cancel", &job]).ok().text();
    assert!(said.contains(&format!("cancelled job {job}: 2 tasks killed after ")), "{said}");
    // One whose process does not run is let go on, so that it hears SIGTERM.
    let job = submit("stopped", &path("c"), "300ms");
    let said = muster.run(&["job", "cancel", &job]).ok().text();
    assert!(said.contains("2 tasks ended by SIGTERM after up to "), "{said}");
    // A worker that is lost runs nothing any more.
    let job = submit("hang", &path("d"), "3s");
    let said = muster.run(&["job", "cancel", &job, "--no-wait"]).ok().text();
    assert!(said.contains("still running"), "{said}");
    let worker = muster.processes().into_iter().find(|(_, line)| line.contains("worker start")).unwrap().0;
    muster.signal(worker, libc::SIGKILL);
    // Perhaps it is known to be lost already.
    assert!([0, 2].contains(&muster.run(&["job", "cancel", &job]).code()));
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}
