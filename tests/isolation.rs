//! What a fault costs under each model: every mode of the plugin `chaos` strikes the first attempt of one of forty tasks, in threads,
//! processes, both, and a process for each task. `cargo test --test isolation -- --nocapture` prints the table.
//!
//! `muster compare isolate` measures it: all jobs on one cluster, one after the other, so that what one leaves behind is in
//! the way of the next.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod fixture;

use fixture::{Muster, plugin};
use serde_json::Value;
use std::path::Path;

/// The models, and how many tasks a process runs at the same time.
const MODELS: [(&str, u64); 4] = [("thread 1x4", 4), ("process 4x1", 1), ("hybrid 2x2", 2), ("spawn 4", 1)];

/// What a fault does.
struct Fault {
    name: &'static str,
    /// Its process ends.
    is_deadly: bool,
    /// The task fails for good at the first strike.
    is_final: bool,
    /// The task has done its work in spite of it.
    is_survived: bool,
    /// The kernel ends the process without a word: nobody can say which of its threads is to blame.
    is_silent: bool,
}

const fn fault(name: &'static str, is_deadly: bool, is_final: bool) -> Fault {
    Fault { name, is_deadly, is_final, is_survived: false, is_silent: false }
}

const fn survived(name: &'static str) -> Fault {
    Fault { is_survived: true, ..fault(name, false, false) }
}

/// Needs control groups.
const OOM: &str = "oom";

const FAULTS: [Fault; 17] = [
    fault("error", false, true),
    fault("transient", false, false),
    fault("panic", false, true),
    fault("panic-in-drop", true, false),
    fault("abort", true, false),
    fault("segv", true, false),
    fault("stack", true, false),
    fault("exit", true, false),
    Fault { is_silent: true, ..fault("kill", true, false) },
    Fault { is_silent: true, ..fault(OOM, true, true) },
    fault("hang", true, true),
    fault("deadlock", true, true),
    survived("leak"),
    survived("fd-leak"),
    survived("fork-children"),
    fault("corrupt-output", false, true),
    survived("slow"),
];

/// The cell of a table whose title begins so.
fn cell<'a>(found: &'a Value, title: &str, fault: &str, model: &str) -> &'a Value {
    let tables = found["tables"].as_array().unwrap();
    let table = tables.iter().find(|table| table["title"].as_str().unwrap().starts_with(title)).unwrap();
    let named = |list: &'a Value, name: &str| {
        let at = list.as_array().unwrap().iter().position(|one| one["name"] == name);
        at.unwrap_or_else(|| panic!("{name} is not in {list}"))
    };
    let (row, column) = (named(&table["rows"], fault), named(&table["columns"], model));
    &table["rows"][row]["cells"][column]
}

fn count(found: &Value, title: &str, fault: &str, model: &str) -> u64 {
    let cell = cell(found, title, fault, model);
    cell["number"].as_f64().unwrap_or_else(|| panic!("{title}, {fault}, {model}: {cell}")) as u64
}

/// Whether a time was measured, and it is one.
fn is_time(cell: &Value) -> bool {
    let time = cell["number"].as_f64().or(cell["median"].as_f64());
    time.inspect(|time| assert!(*time > 0.0, "{cell}")).is_some()
}

fn check(found: &Value, fault: &Fault, model: &str, threads: u64) {
    let name = format!("{} under {model}", fault.name);
    let count = |title: &str| count(found, title, fault.name, model);
    assert_eq!(count("Tasks that failed"), u64::from(fault.is_final), "{name}");
    // Every strike ends one executor. Where threads share a process and nobody can say whose fault it was, each of them runs
    // alone for once, is not charged for what was before, and the struck task is struck again; unless the others had just
    // done their work.
    let (exits, most) = (count("Executors"), if fault.is_silent && threads > 1 { 2 } else { 1 });
    if fault.is_deadly {
        assert!((1..=most).contains(&exits), "{name}: {exits} executors ended");
        let noticed = cell(found, "From the fault until the worker", fault.name, model);
        assert!(is_time(noticed), "{name}: {noticed}");
    } else {
        assert_eq!(exits, 0, "{name}");
    }
    // The struck task is tried once more, unless it failed for good or survived.
    let strikes = if fault.is_deadly { exits } else { 1 };
    let again = u64::from(!fault.is_final && !fault.is_survived);
    assert_eq!(count("Attempts"), strikes + again, "{name}");
    // What had ended is safe, whatever becomes of its process; and others run again only when theirs ended.
    let others = if fault.is_deadly { threads - 1 } else { 0 };
    let rerun = count("Other tasks");
    assert!(rerun <= others, "{name}: {rerun} ran again");
}

#[test]
fn a_fault_costs_its_task_and_what_shares_its_process() {
    let muster = Muster::new();
    let folder = Path::new(&plugin("chaos")).parent().unwrap().display().to_string();
    let run = |budget: &&str| {
        let line = ["compare", "isolate", "--json", "--budget", budget, "--plugins", &folder];
        muster.run(&line)
    };
    // A busy machine gets more time for the one round that there must be.
    let found = ["25s", "50s", "100s"].iter().map(run).find(|ended| ended.code() != 7).unwrap().ok().json();
    let mut struck = 0;
    for fault in &FAULTS {
        let first = cell(&found, "Tasks that failed", fault.name, MODELS[0].0);
        if first["text"] == "no cgroups" {
            assert_eq!(fault.name, OOM);
            assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "no memory cgroups");
            eprintln!("SKIPPED: {OOM}: there are no memory cgroups");
            continue;
        }
        for (model, threads) in MODELS {
            check(&found, fault, model, threads);
            struck += 1;
        }
    }
    assert!(struck >= 64, "{struck} cells");
    // No result of a task that was not struck is missing or wrong, and no worker was lost.
    let verdict = found["verdict"][1].as_str().unwrap();
    assert!(verdict.starts_with("All ") && verdict.contains("the worker lived"), "{verdict}");
    for table in found["tables"].as_array().unwrap() {
        println!("{}", table["title"].as_str().unwrap());
        for row in table["rows"].as_array().unwrap() {
            println!("  {:<15} {}", row["name"].as_str().unwrap(), row["cells"]);
        }
    }
    muster.assert_no_process_left();
}
