//! What a fault costs under each model: every mode of the plugin `chaos` strikes the first attempt of one of forty tasks, in threads,
//! processes, both, and a process for each task. `cargo test --test isolation -- --nocapture` prints the table.
//!
//! All cells run on one cluster, one after the other, so that what one leaves behind is in the way of the next.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod fixture;

use fixture::{Event, Muster, Trace, plugin};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

const TASKS: u64 = 40;
/// The one that is struck, in its first attempt.
const STRUCK: u64 = 17;

/// A column of the table.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    flags: &'static [&'static str],
    /// How many tasks a process runs at the same time.
    threads: u32,
    /// A process ends with its task.
    is_spawn: bool,
}

const fn shape(name: &'static str, flags: &'static [&'static str], threads: u32) -> Shape {
    Shape { name, flags, threads, is_spawn: false }
}

const SHAPES: [Shape; 4] = [
    shape("thread 1x4", &["--model", "thread", "-t", "4"], 4),
    shape("process 4x1", &["--model", "process", "-p", "4"], 1),
    shape("hybrid 2x2", &["--model", "hybrid", "-p", "2", "-t", "2"], 2),
    Shape { is_spawn: true, ..shape("spawn 4", &["--model", "spawn", "-p", "4"], 1) },
];

/// What a fault does to the process that it strikes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    Lives,
    Dies,
}

/// A row of the table for each shape.
struct Mode {
    name: &'static str,
    /// Of the plugin.
    parameters: &'static [&'static str],
    /// Of `muster run`.
    flags: &'static [&'static str],
    process: Process,
    /// The task fails for good at the first strike.
    is_final: bool,
    /// The kernel ends the process without a word: nobody can say which of its threads is to blame.
    is_silent: bool,
}

const fn mode(name: &'static str, process: Process, is_final: bool) -> Mode {
    Mode { name, parameters: &["ms=10"], flags: &[], process, is_final, is_silent: false }
}

/// What never ends by itself: others have work for as long as that takes.
const fn endless(name: &'static str) -> Mode {
    let flags = &["--timeout", "300ms", "--grace", "200ms"];
    Mode { parameters: &["ms=80"], flags, ..mode(name, Process::Dies, true) }
}

/// Needs control groups.
const OOM: &str = "oom";

const MODES: &[Mode] = &[
    mode("error", Process::Lives, true),
    mode("transient", Process::Lives, false),
    mode("panic", Process::Lives, true),
    mode("panic-in-drop", Process::Dies, false),
    mode("abort", Process::Dies, false),
    mode("segv", Process::Dies, false),
    mode("stack", Process::Dies, false),
    mode("exit", Process::Dies, false),
    Mode { flags: &["--mem", "64MiB"], is_silent: true, ..mode(OOM, Process::Dies, true) },
    endless("hang"),
    endless("deadlock"),
    Mode { parameters: &["ms=10", "bytes=16777216"], ..mode("leak", Process::Lives, false) },
    mode("fd-leak", Process::Lives, false),
    mode("fork-children", Process::Lives, false),
    mode("corrupt-output", Process::Lives, true),
    mode("slow", Process::Lives, false),
];

/// One job of the table, and what became of it.
struct Cell<'a> {
    mode: &'a Mode,
    shape: Shape,
    report: Value,
    lines: Vec<Value>,
    trace: Trace,
    /// What the worker logged meanwhile.
    log: String,
}

/// The cluster of all cells.
struct Site {
    muster: Muster,
    chaos: String,
    worker: u32,
}

impl Site {
    fn new() -> Self {
        let muster = Muster::new();
        muster.run(&["up", "-w", "1", "-t", "4", "--oversubscribe", "--allow-chaos"]).ok();
        let worker = worker_of(&muster);
        Self { chaos: plugin("chaos"), muster, worker }
    }

    fn log(&self) -> PathBuf {
        self.muster.path(".local/state/muster/up/default/logs/worker-1.log")
    }

    /// Whether memory limits are kept by control groups here, as the kernel must say who was over them.
    fn has_memory_groups(&self) -> bool {
        let run = ["run", &plugin("null"), "-n", "1", "--mem", "64MiB", "--json"];
        let report = self.muster.run(&run).ok().json();
        let by_group = report["notices"][0].as_str().unwrap().contains("by cgroup");
        assert!(by_group || std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "no memory cgroups: {report}");
        by_group
    }

    fn run<'a>(&self, mode: &'a Mode, shape: Shape) -> Cell<'a> {
        let before = std::fs::read_to_string(self.log()).unwrap().len();
        let (out, trace) = (self.muster.path("out"), self.muster.path("trace"));
        let (to, traced) = (out.to_str().unwrap(), format!("trace={}", trace.display()));
        let mode_is = format!("mode={}", mode.name);
        let mut arguments =
            vec!["run", &self.chaos, &mode_is, &traced, "after=17", "every=1000000", "times=1"];
        arguments.extend(["-n", "40", "--json", "--out", to]);
        arguments.extend(mode.parameters.iter().chain(mode.flags).chain(shape.flags));
        let finished = self.muster.run(&arguments).exits(i32::from(mode.is_final));
        let text = std::fs::read_to_string(&out).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let cell = Cell {
            mode,
            shape,
            report: finished.json(),
            lines,
            trace: Trace::read(&trace),
            log: std::fs::read_to_string(self.log()).unwrap().split_off(before),
        };
        std::fs::remove_file(trace).unwrap();
        std::fs::remove_file(out).unwrap();
        assert_eq!(worker_of(&self.muster), self.worker, "{}: the worker is another one", cell.name());
        cell
    }
}

/// The process of the one worker.
fn worker_of(muster: &Muster) -> u32 {
    let is_worker = |line: &str| line.contains("worker start --connect");
    let workers: Vec<u32> =
        muster.processes().into_iter().filter(|(_, line)| is_worker(line)).map(|(pid, _)| pid).collect();
    assert_eq!(workers.len(), 1, "{:?}", muster.processes());
    workers[0]
}

impl Cell<'_> {
    fn name(&self) -> String {
        format!("{} under {}", self.mode.name, self.shape.name)
    }

    fn strike(&self) -> &Event {
        self.trace.of("strike").next().unwrap()
    }

    /// How often tasks that were not struck ran again.
    fn rerun(&self) -> usize {
        self.trace.rerun_beside(STRUCK)
    }

    /// From the strike until the worker said that the executor had ended.
    fn detected_ms(&self) -> Option<f64> {
        let line = self.log.lines().find(|line| line.contains("an executor ended"))?;
        let at = unix_ns(line.split_whitespace().next()?)?;
        Some((at as f64 - self.strike().unix_ns as f64) / 1e6)
    }

    /// From the strike until a task began in its place: in a process that took the place of the one that died, else
    /// on the same thread. None: nothing was left to do there.
    fn works_again_ms(&self) -> Option<f64> {
        let strike = self.strike();
        let before: BTreeSet<u64> = self
            .trace
            .events
            .iter()
            .filter(|event| event.unix_ns <= strike.unix_ns)
            .map(|event| event.pid)
            .collect();
        let takes_over = |event: &&Event| match self.mode.process {
            Process::Lives if self.shape.is_spawn => !before.contains(&event.pid),
            Process::Dies => !before.contains(&event.pid),
            Process::Lives => event.pid == strike.pid && event.slot == strike.slot,
        };
        let next = self.trace.of("begin").filter(|event| event.unix_ns > strike.unix_ns).find(takes_over)?;
        Some((next.unix_ns - strike.unix_ns) as f64 / 1e6)
    }

    fn check(&self) {
        let (name, failed) = (self.name(), u64::from(self.mode.is_final));
        let counted = json!([self.report["ok"], self.report["failed"], self.report["lost_workers"]]);
        assert_eq!(counted, json!([TASKS - failed, failed, 0]), "{name}: {}", self.report);
        assert_eq!((self.strike().index, self.strike().attempt), (STRUCK, 1), "{name}");
        self.check_results();
        self.check_attempts();
        // Every strike ends one executor. Where threads share a process and nobody can say whose fault it was, each of
        // them runs alone for once, is not charged for what was before, and the struck task is struck again; unless the
        // others had just done their work.
        let exits = self.report["executor_exits"].as_u64().unwrap();
        let (dies, strikes) = (self.mode.process == Process::Dies, self.trace.strikes() as u64);
        assert_eq!(exits, if dies { strikes } else { 0 }, "{name}: {}", self.report);
        let most = if self.mode.is_silent && self.shape.threads > 1 { 2 } else { 1 };
        assert!((1..=most).contains(&strikes), "{name}: {strikes} strikes: {}", self.report);
        // What had ended is safe, whatever becomes of its process.
        let beside = self.shape.threads as usize - 1;
        assert!(self.rerun() <= beside, "{name}: {} ran again: {}", self.rerun(), self.report);
    }

    /// Each result is there once and right, but that of the struck task when it failed for good.
    fn check_results(&self) {
        assert_eq!(self.lines.len() as u64, TASKS, "{}", self.name());
        for (index, line) in (0..).zip(&self.lines) {
            if index == STRUCK && self.mode.is_final {
                assert_eq!(
                    (&line["index"], line["error"].is_string()),
                    (&json!(index), true),
                    "{}",
                    self.name()
                );
            } else {
                assert_eq!(*line, json!({"index": index, "output": index}), "{}", self.name());
            }
        }
    }

    /// The struck task is tried once more, unless it failed for good or survived; others run again only when their
    /// process died.
    fn check_attempts(&self) {
        let name = self.name();
        let attempts = self.trace.of("begin").filter(|event| event.index == STRUCK).count();
        let survives = self.trace.of("end").any(|event| event.index == STRUCK && event.attempt == 1);
        let again = !survives && !self.mode.is_final;
        assert_eq!(attempts, self.trace.strikes() + usize::from(again), "{name}");
        if self.mode.process == Process::Lives {
            assert_eq!(self.rerun(), 0, "{name}");
        }
        let dead: BTreeSet<u64> = self.trace.of("strike").map(|event| event.pid).collect();
        let mut begun = BTreeSet::new();
        for event in self.trace.of("begin").filter(|event| event.index != STRUCK) {
            let had =
                self.trace.of("begin").any(|first| first.index == event.index && dead.contains(&first.pid));
            assert!(begun.insert(event.index) || had, "{name}: task {} ran twice without need", event.index);
        }
    }

    fn row(&self) -> String {
        let ms = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"));
        format!(
            "{:<15}{:<13}{:<10}{:>7}{:>7}{:>7}{:>7}{:>12}{:>12}{:>9}\n",
            self.mode.name,
            self.shape.name,
            self.report["state"].as_str().unwrap(),
            self.report["failed"].to_string(),
            self.trace.strikes(),
            self.report["executor_exits"].to_string(),
            self.rerun(),
            ms(self.detected_ms()),
            ms(self.works_again_ms()),
            self.report["workers"].to_string(),
        )
    }
}

/// The nanoseconds since 1970 of a time as logs have it: `2026-01-31T23:59:59.123456Z`.
fn unix_ns(text: &str) -> Option<u64> {
    let numbers: Vec<u64> = text
        .trim_end_matches('Z')
        .split(['-', 'T', ':', '.'])
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [year, month, day, hour, minute, second, fraction] = numbers[..] else { return None };
    // Years begin in March, so that the odd day is at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469;
    let digits = text.trim_end_matches('Z').rsplit_once('.')?.1.len();
    Some(
        (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000
            + fraction * 10_u64.pow(9 - digits as u32),
    )
}

#[test]
fn times_of_logs_are_read() {
    assert_eq!(unix_ns("1970-01-01T00:00:00.000001Z"), Some(1_000));
    assert_eq!(unix_ns("2024-02-29T12:00:00.5Z"), Some(1_709_208_000_500_000_000));
    assert_eq!(unix_ns("nothing"), None);
}

#[test]
fn a_fault_costs_its_task_and_what_shares_its_process() {
    let site = Site::new();
    let mut table = format!(
        "{:<15}{:<13}{:<10}{:>7}{:>7}{:>7}{:>7}{:>12}{:>12}{:>9}\n",
        "mode", "shape", "job", "failed", "faults", "exits", "rerun", "detected ms", "again ms", "workers"
    );
    let has_memory_groups = site.has_memory_groups();
    for mode in MODES {
        if mode.name == OOM && !has_memory_groups {
            eprintln!("SKIPPED: {OOM}: there are no memory cgroups");
            continue;
        }
        for shape in SHAPES {
            let cell = site.run(mode, shape);
            cell.check();
            table += &cell.row();
        }
    }
    writeln!(
        table,
        "rerun: how often tasks that were not struck ran again. detected: until the worker said that the executor had ended.\n\
         again: until a task began where the fault had struck."
    )
    .unwrap();
    println!("{table}");
    site.muster.run(&["down"]).ok();
    site.muster.assert_no_process_left();
}
