//! Plugins that break rules while they run: each way is a failure with a name or without effect, the slots beside it keep
//! running another job, the worker lives, and its metrics stay what Prometheus reads.
//!
//! Other ways to break them are in `tests/bad_plugins.rs` (files), `tests/models.rs` (the async form), `tests/limits.rs`
//! (limits, fork bombs) and `tests/isolation.rs` (crashes).

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;

use daemons::{Daemon, SOON, skip_without, until, workers_up};
use fixture::page::{assert_clean, get};
use fixture::{Muster, compile_c, plugin};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const TASKS: u64 = 8;
/// The one that breaks a rule.
const AT: u64 = 1;

/// A coordinator, a worker, and a job that runs beside all others.
struct Site {
    // They end before the world that they live in.
    daemons: Vec<Daemon>,
    muster: Muster,
    address: String,
    worker_http: String,
    rude: String,
    beside: String,
}

impl Site {
    fn new() -> Self {
        let muster = Muster::new();
        let flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pthread"];
        let source = include_str!("fixtures/plugins/rude.c");
        let rude = compile_c(source, &muster.path("rude.so"), &flags).to_str().unwrap().to_owned();
        let (folder, socket) = (muster.path(""), muster.path("c.sock"));
        let address = format!("unix:{}", socket.display());
        let mut coordinator =
            muster.command(&["coordinator", "start", "--listen", "none", "--http", "none", "--name", "rude"]);
        coordinator.arg("--socket").arg(&socket);
        let mut daemons = vec![Daemon::start("coordinator", &folder, coordinator)];
        until("socket of the coordinator", SOON, || {
            daemons[0].assert_runs();
            socket.exists().then_some(())
        });
        let worker = ["worker", "start", "--slots", "4", "--http", "127.0.0.1:0", "--connect", &address];
        daemons.push(Daemon::start("worker", &folder, muster.command(&worker)));
        let workers = workers_up(1, || muster.command(&["worker", "ls", "--json", "--cluster", &address]));
        let worker_http = workers[0]["metrics_address"].as_str().unwrap().to_owned();
        let endless = ["submit", &plugin("sleep"), "ms=2", "-n", "10000000", "--json", "--cluster", &address];
        let beside = muster.run(&endless).ok().json()["job"].to_string();
        Self { daemons, muster, address, worker_http, rude, beside }
    }

    /// How many tasks of the other job have ended.
    fn ended_beside(&self) -> u64 {
        let info = ["job", "info", &self.beside, "--json", "--cluster", &self.address];
        self.muster.run(&info).ok().json()["ok"].as_u64().unwrap()
    }

    /// Runs eight tasks of which one breaks a rule; gives the report and the line of that one.
    fn run(&self, mode: &str, shape: &[&str], limits: &[&str]) -> (Value, Value) {
        let out = self.muster.path("out");
        let mode_is = format!("mode={mode}");
        let before = self.ended_beside();
        let mut arguments =
            vec!["run", &self.rude, &mode_is, "-n", "8", "--json", "--cluster", &self.address];
        arguments.extend(["--out", out.to_str().unwrap()]);
        arguments.extend(shape.iter().chain(limits));
        let finished = self.muster.run(&arguments);
        let report = finished.json();
        assert_eq!(finished.code(), i32::from(report["failed"] != 0), "{mode}: {}", finished.stderr);
        let text = std::fs::read_to_string(&out).unwrap();
        std::fs::remove_file(&out).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len() as u64, TASKS, "{mode}: {text}");
        for index in (0..TASKS).filter(|&index| index != AT) {
            assert_eq!(lines[index as usize], json!({"index": index, "output": index}), "{mode}");
        }
        until("tasks of the other job", SOON, || (self.ended_beside() > before).then_some(()));
        (report, lines[AT as usize].clone())
    }

    /// The worker lives and says what Prometheus can read; gives that.
    fn assert_well(&mut self, mode: &str) -> String {
        self.daemons.iter_mut().for_each(Daemon::assert_runs);
        let page = get(&self.worker_http, "/metrics");
        assert!(page.contains("muster_plugin_rude_seen"), "{mode}: {page}");
        if !skip_without(Command::new("promtool").arg("--version").output().is_ok(), "promtool") {
            assert_clean(mode, &page);
        }
        page
    }
}

const SHAPES: [&[&str]; 3] = [
    &["--model", "thread", "-t", "2"],
    &["--model", "process", "-p", "2"],
    &["--model", "async", "-t", "1", "--in-flight", "2"],
];

#[test]
fn each_broken_rule_is_a_named_failure_of_its_task() {
    let mut site = Site::new();
    let limits: &[&str] = &["--open-files", "500", "--procs", "300"];
    for (mode, words) in [
        ("unknown-status", "run returned the unknown status 77"),
        ("unknown-failure", "run returned -77 without a message"),
        ("not-utf8", "before \u{fffd}\u{fffd}\u{fffd} after"),
        ("lying-length", "a short text"),
        ("huge-result", "a result of 9223372036854775808 bytes is over the limit"),
        ("result-twice", "run called result_alloc twice"),
        ("threads", "of 100000: Resource temporarily unavailable"),
        ("files", "of 1000000: Too many open files"),
    ] {
        for shape in SHAPES {
            let used: &[&str] = if ["threads", "files"].contains(&mode) { limits } else { &[] };
            let (report, line) = site.run(mode, shape, used);
            let error = line["error"].as_str().unwrap_or_else(|| panic!("{mode} {shape:?}: {line}"));
            assert!(error.contains(words), "{mode} {shape:?}: {error}");
            assert!(error.len() < 3_000, "{mode} {shape:?}: {} bytes", error.len());
            assert_eq!(
                (&report["failed"], &report["lost_executors"]),
                (&json!(1), &json!(0)),
                "{mode} {shape:?}: {report}"
            );
            site.assert_well(mode);
        }
    }
}

#[test]
fn what_breaks_no_task_has_no_effect_on_anything_else() {
    let mut site = Site::new();
    for mode in ["metric-undeclared", "metric-odd", "metric-names", "progress-backwards"] {
        let (report, line) = site.run(mode, SHAPES[0], &[]);
        assert_eq!(line, json!({"index": AT, "output": AT}), "{mode}");
        assert_eq!((&report["ok"], &report["lost_executors"]), (&json!(TASKS), &json!(0)), "{mode}");
        let page = site.assert_well(mode);
        assert!(page.len() < 200_000, "{mode}: {} bytes of metrics", page.len());
        assert!(!page.contains("unheard_of") && !page.contains("metric_1"), "{mode}: {page}");
        let seen = page.lines().find(|line| line.starts_with("muster_plugin_rude_seen")).unwrap();
        let value: f64 = seen.rsplit_once(' ').unwrap().1.parse().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{mode}: {seen}");
    }
    let (report, _) = site.run("stderr", SHAPES[0], &[]);
    let task = format!("{}.{AT}", report["job"]);
    let logs = ["job", "logs", &task, "--cluster", &site.address];
    let kept = site.muster.run(&logs).ok().stdout.len();
    assert!((10_000..200_000).contains(&kept), "{kept} bytes of a gigabyte are kept");
}

/// A plugin that never comes back from destroy() holds up nobody: not its job, and not the next one.
#[test]
fn a_destroy_that_hangs_holds_up_nobody() {
    let mut site = Site::new();
    for shape in SHAPES {
        let begun = std::time::Instant::now();
        let (report, _) = site.run("destroy-hangs", shape, &[]);
        assert_eq!(report["ok"], TASKS);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        site.assert_well("destroy-hangs");
    }
}
