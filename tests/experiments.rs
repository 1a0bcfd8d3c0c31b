//! `muster compare`: each gives its tables, and what must hold on any machine holds. What a fault costs is the business of
//! `isolation.rs`.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin, wait_until};
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// The folder of the plugins that they need.
fn plugins() -> String {
    let files = ["null", "loop", "sleep", "chaos", "exchange"].map(plugin);
    Path::new(&files[0]).parent().unwrap().display().to_string()
}

/// What an experiment found. On a machine that is busy it gets more time.
fn found(muster: &Muster, name: &str, seconds: u32) -> Value {
    let folder = plugins();
    for budget in [seconds, seconds * 2, seconds * 4] {
        let budget = format!("{budget}s");
        let line = ["compare", name, "--json", "--budget", &budget, "--plugins", &folder];
        let finished = muster.run(&line);
        muster.assert_no_process_left();
        muster.assert_no_temporary_left();
        if finished.code() != 7 {
            let found = finished.ok().json();
            assert_eq!(found["experiment"], name);
            assert!(found["machine"].is_object(), "{found}");
            assert!(!found["verdict"].as_array().unwrap().is_empty(), "{found}");
            assert!(!found["notes"].as_array().unwrap().is_empty(), "{found}");
            return found;
        }
    }
    panic!("{name}: {seconds} s, and four times as much, were too few");
}

fn cell<'a>(found: &'a Value, table: &str, row: &str, column: &str) -> &'a Value {
    let tables = found["tables"].as_array().unwrap();
    let has = |value: &Value, key: &str, begin: &str| value[key].as_str().unwrap().starts_with(begin);
    let table =
        tables.iter().find(|it| has(it, "title", table)).unwrap_or_else(|| panic!("{table}: {found}"));
    let columns = table["columns"].as_array().unwrap();
    let at =
        columns.iter().position(|it| it["name"] == column).unwrap_or_else(|| panic!("{column}: {table}"));
    let rows = table["rows"].as_array().unwrap();
    let row = rows.iter().find(|it| it["name"] == row).unwrap_or_else(|| panic!("{row}: {table}"));
    assert_eq!(row["cells"].as_array().unwrap().len(), columns.len(), "{row}");
    &row["cells"][at]
}

/// A median, or a number without an interval.
fn number(found: &Value, table: &str, row: &str, column: &str) -> f64 {
    let cell = cell(found, table, row, column);
    if let (Some(lo), Some(hi)) = (cell["lo"].as_f64(), cell["hi"].as_f64()) {
        let median = cell["median"].as_f64().unwrap();
        assert!(lo <= median && median <= hi, "{cell}");
    }
    let number = cell["median"].as_f64().or(cell["number"].as_f64());
    number.unwrap_or_else(|| panic!("{table}, {row}, {column}: {cell}"))
}

#[test]
fn a_thread_starts_before_a_process_and_fork_copies_what_its_parent_has() {
    let muster = Muster::new();
    let found = found(&muster, "lifecycle", 12);
    let bare = |row: &str, held: &str| number(&found, "Start and end", row, &format!("parent {held}"));
    let (none, much) = ("0 B", "512.0 MiB");
    let fork = "process, copied (fork)";
    assert!(bare("thread", none) < bare("program, by posix_spawn", none), "{found}");
    assert!(bare(fork, much) > 2.0 * bare(fork, none), "{found}");
    assert!(bare(fork, much) > 2.0 * bare("program, by posix_spawn", much), "{found}");
    for held in [none, much] {
        let muster = |row: &str| number(&found, "muster: starts", row, &format!("worker {held}"));
        for row in ["of it, its process", "job, executor warm"] {
            assert!(muster(row) > 0.0, "{row}: {found}");
        }
        // Differences of two jobs: beside other tests, one round can have either the other way round.
        for row in ["executor, cold", "spawned task"] {
            assert!(muster(row).is_finite(), "{row}: {found}");
        }
    }
    // Executors are started without a copy of the worker, whatever it holds.
    let spawned = |held: &str| number(&found, "muster: starts", "spawned task", &format!("worker {held}"));
    assert!(spawned(much) < 4.0 * spawned(none) + bare(fork, much) / 2.0, "{found}");
}

#[test]
fn turns_are_passed_by_all_means() {
    let muster = Muster::new();
    let found = found(&muster, "switch", 25);
    let [one, two] = ["One switch, both on one", "One switch, on two"];
    for table in [one, two] {
        for row in [
            "futex, threads",
            "futex, processes",
            "pipe, threads",
            "pipe, processes",
            "mpsc channel, threads",
        ] {
            if cell(&found, table, row, "p50")["text"] == "needs two processors" {
                continue;
            }
            let [p50, p95, p99] = ["p50", "p95", "p99"].map(|column| number(&found, table, row, column));
            assert!(0.0 < p50 && p95 <= p99, "{row}: {found}");
            assert!(number(&found, table, row, "trips") >= 2_000.0, "{row}: {found}");
        }
    }
    assert_eq!(cell(&found, one, "spinning, threads", "p50")["text"], "cannot");
    assert_eq!(cell(&found, one, "mpsc channel, processes", "p50")["text"], "threads only");
    let spins = cell(&found, two, "spinning, processes", "p50");
    if spins["text"] != "needs two processors" {
        let spins = number(&found, two, "spinning, processes", "p50");
        assert!(
            spins < number(&found, two, "pipe, processes", "p50"),
            "who spins does not wait to be woken: {found}"
        );
    }
    for row in
        ["queue, threads", "shared, threads", "shared, processes", "pipe, processes", "socket, processes"]
    {
        assert!(number(&found, "One switch between two tasks", row, "p50, 1 CPU") > 0.0, "{row}: {found}");
    }
    let crowd = |row: &str, column: &str| number(&found, "The same work", row, column);
    for row in ["1 thread", "64 threads", "1 process", "64 processes"] {
        assert!(crowd(row, "time") > 0.0, "{row}: {found}");
    }
    assert!(crowd("64 processes", "switches") > crowd("1 process", "switches"), "{found}");
}

/// Memory of the processes of this world that are, or are not, beside muster, as the kernel says it, in bytes.
fn pss(muster: &Muster, bare: bool) -> f64 {
    let processes = muster.processes().into_iter().filter(|(_, line)| line.contains("__bare") == bare);
    let pss = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?.trim();
        line.strip_suffix(" kB")?.parse::<f64>().ok()
    };
    processes.filter_map(|(pid, _)| pss(pid)).sum::<f64>() * 1024.0
}

#[test]
fn a_process_takes_more_memory_than_a_thread_and_a_copy_more_than_a_mapping() {
    let muster = Muster::new();
    let ended = AtomicBool::new(false);
    let (found, samples) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut samples = Vec::new();
            while !ended.load(SeqCst) {
                samples.push([pss(&muster, false), pss(&muster, true)]);
                std::thread::park_timeout(Duration::from_millis(10));
            }
            samples
        });
        let found = found(&muster, "memory", 15);
        ended.store(true, SeqCst);
        (found, watch.join().unwrap())
    });
    let models = |row: &str, column: &str| number(&found, "Memory (PSS) of all", row, column);
    let (thread, process) = (models("thread", "one more"), models("process", "one more"));
    assert!(process > 200_000.0 && process > 3.0 * thread, "{found}");
    assert!(models("async", "one more") < process, "{found}");
    let table = |row: &str, column: &str| number(&found, "Memory (PSS) of a table", row, column);
    let size = f64::from(64 << 20);
    let copy = table("processes, a copy each", "one more");
    assert!((copy / size - 1.0).abs() < 0.05, "{found}");
    for row in ["threads, one table", "processes, mapped", "processes, copy on write"] {
        assert!(table(row, "one more") < size / 8.0, "{row}: {found}");
    }
    // What the kernel said to somebody else meanwhile is the same.
    for (reported, at) in [(models("process", "16"), 0), (table("processes, a copy each", "4"), 1)] {
        let near = samples.iter().filter(|sample| (sample[at] / reported - 1.0).abs() < 0.05).count();
        assert!(near > 0, "none of {} looks saw about {reported} bytes", samples.len());
    }
    let most = samples.iter().map(|sample| sample[1]).fold(0.0, f64::max);
    assert!((most / table("processes, a copy each", "4") - 1.0).abs() < 0.05, "{most} at the most: {found}");
}

#[test]
fn tasks_stop_when_their_turn_comes_and_a_thread_not_alone() {
    let muster = Muster::new();
    let found = found(&muster, "interrupt", 15);
    for model in ["thread 1x4", "process 4x1", "hybrid 2x2", "spawn 4"] {
        for (way, turn) in [("asked", 0.0), ("SIGTERM", 0.1), ("SIGKILL", 0.2)] {
            let (row, table) = (format!("{model}, {way}"), "From cancelling");
            assert!(number(&found, table, &row, "p50") >= turn, "{row}: {found}");
            assert!(number(&found, table, &row, "after its turn") < 1.0, "{row}: {found}");
            assert!(number(&found, table, &row, "jobs") >= 1.0, "{row}: {found}");
        }
        let asked = number(&found, "From cancelling", &format!("{model}, asked"), "p50");
        assert!(asked < number(&found, "From cancelling", &format!("{model}, SIGKILL"), "p50"), "{found}");
        let (shares, others) =
            (model.starts_with("thread") || model.starts_with("hybrid"), "Others that ran");
        let can = cell(&found, others, model, "by a signal")["text"].as_str().unwrap();
        assert_eq!(can.starts_with("cannot"), shares, "{model}: {found}");
        assert_eq!(number(&found, others, model, "asked"), 0.0, "{model}: {found}");
        for way in ["SIGTERM", "SIGKILL"] {
            let again = number(&found, others, model, way);
            let most = if model.starts_with("thread") { 3.0 } else { f64::from(u8::from(shares)) };
            assert!(again <= most, "{model}, {way}: {found}");
        }
    }
    assert!(number(&found, "Others that ran", "thread 1x4", "SIGKILL") > 0.0, "{found}");
}

#[test]
fn large_tasks_are_worth_their_overhead_and_small_ones_are_not() {
    let muster = Muster::new();
    let found = found(&muster, "overhead", 12);
    let rows = found["tables"][1]["rows"].as_array().unwrap();
    let models: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let empty = |model: &str| number(&found, "The smallest task", model, "empty tasks");
    for &model in models.iter().filter(|model| !model.starts_with("spawn")) {
        let share = |size: &str| number(&found, "Useful work", size, model);
        assert!(share("1.00 ms") > 2.0 * share("10.0 ns"), "{model}: {found}");
        assert!(empty(model) > 100.0 * empty(models[models.len() - 1]), "{model}: {found}");
    }
    let spawn = |size: &str| number(&found, "Useful work", size, models[models.len() - 1]);
    assert!(spawn("10.0 ms") > spawn("1.00 ms"), "{found}");
}

#[test]
fn people_read_tables_and_a_verdict() {
    let muster = Muster::new();
    let folder = plugins();
    let line = ["compare", "overhead", "--budget", "15s", "--slots", "1", "--plugins", &folder];
    let text = muster.run(&line).ok().text();
    for words in ["Useful work", "TASK", "METG(50 %)", "thread 1x1", "spawn 1", "in random order"] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn nothing_is_left_of_one_that_is_interrupted() {
    let muster = Muster::new();
    let folder = plugins();
    for (name, process) in
        [("switch", "__bare"), ("memory", "muster-executor"), ("isolate", "muster-executor")]
    {
        let started = muster.start(&["compare", name, "--plugins", &folder]);
        let runs = || muster.processes().iter().any(|(_, line)| line.contains(process));
        assert!(wait_until(runs), "{name}: {:?}", muster.processes());
        started.signal(libc::SIGINT);
        started.finish().fails(130, &["cancelled by Ctrl-C"]);
        muster.assert_no_process_left();
        muster.assert_no_temporary_left();
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let muster = Muster::new();
    let folder = plugins();
    muster.run(&["compare", "lifecycel"]).fails(4, &["\"lifecycel\"", "lifecycle"]);
    muster.run(&["compare", "memory"]).fails(4, &["\"sleep\"", "--plugins"]);
    for name in ["lifecycle", "switch", "memory", "isolate", "interrupt", "overhead"] {
        let line = ["compare", name, "--budget", "1ms", "--plugins", &folder];
        muster.run(&line).fails(7, &["budget is too small", name]);
    }
    muster.assert_no_process_left();
}
