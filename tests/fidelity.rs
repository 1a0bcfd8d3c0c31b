//! How far simulated makespans are from emulated ones: sleep tasks of 10 and 100 ms on 4 and 16 workers of one slot,
//! with 0, 1 and 20 ms of latency, without and with one worker that is killed in the middle. 24 cells, five runs each:
//! about six minutes, on a machine that does nothing else. Prints the table of docs/emulation.md.
//!
//! ```text
//! cargo test --release --test fidelity -- --ignored --nocapture
//! ```

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin};
use serde_json::Value;
use std::fmt::Write as _;

const RUNS: &str = "5";
/// What a run without losses takes at the least.
const IDEAL_MS: u64 = 2_000;
const KILLED_AT_MS: u64 = IDEAL_MS / 2;
/// Promised of the median over all cells.
const ERROR_MEDIAN_MAX_PERCENT: f64 = 5.0;

#[derive(Clone, Copy)]
struct Cell {
    task_ms: u64,
    workers: u64,
    latency_ms: u64,
    is_killed: bool,
}

impl Cell {
    fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for task_ms in [10, 100] {
            for workers in [4, 16] {
                for latency_ms in [0, 1, 20] {
                    for is_killed in [false, true] {
                        cells.push(Self { task_ms, workers, latency_ms, is_killed });
                    }
                }
            }
        }
        cells
    }

    fn scenario(self) -> String {
        let Self { task_ms, workers, latency_ms, is_killed } = self;
        let tasks = workers * IDEAL_MS / task_ms;
        let plugin = plugin("sleep");
        let mut text = format!(
            "[[links]]\nlatency = \"{latency_ms}ms\"\n\n[[workers]]\ncount = {workers}\n\n[[jobs]]\ntasks = {tasks}\n\
             io = 1.0\ntime = {{ const = \"{task_ms}ms\" }}\nplugin = {plugin:?}\nparams = {{ ms = {task_ms} }}\n"
        );
        if is_killed {
            let _ =
                write!(text, "\n[[faults]]\nkind = \"worker_crash\"\nat = \"{KILLED_AT_MS}ms\"\ncount = 1\n");
        }
        text
    }

    fn measure(self, muster: &Muster) -> Value {
        let path = muster.write("cell.toml", self.scenario());
        let words = ["emulate", &path, "--repeats", RUNS, "--simulate", "--json"];
        muster.run(&words).ok().json()
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let half = numbers.len() / 2;
    if numbers.len() % 2 == 1 { numbers[half] } else { (numbers[half - 1] + numbers[half]) / 2.0 }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
#[ignore = "takes minutes, and a machine that does nothing else"]
fn simulated_makespans_are_near_emulated_ones() {
    let muster = Muster::new();
    eprintln!(
        "| task | workers | latency | killed | simulated | emulated | error | spread | leased again, sim | leased again, emu |"
    );
    eprintln!("|---|---|---|---|---|---|---|---|---|---|");
    let mut errors = Vec::new();
    for cell in Cell::all() {
        let found = cell.measure(&muster);
        let makespans = numbers(&found["makespan_s"]);
        let ok = numbers(&found["ok"]);
        assert!(ok.iter().all(|&ok| ok == found["tasks"].as_f64().unwrap()), "{found}");
        let lost = numbers(&found["lost_workers"]);
        assert!(lost.iter().all(|&lost| lost == f64::from(u8::from(cell.is_killed))), "{found}");
        let error = found["error_percent"].as_f64().unwrap();
        eprintln!(
            "| {} ms | {} | {} ms | {} | {:.1} ms | {:.1} ms | {error:+.1} % | {:.1} % | {} | {} |",
            cell.task_ms,
            cell.workers,
            cell.latency_ms,
            if cell.is_killed { "one" } else { "none" },
            found["simulated"]["makespan_s"].as_f64().unwrap() * 1e3,
            median(makespans) * 1e3,
            found["spread_percent"].as_f64().unwrap(),
            found["simulated"]["leased_again"],
            median(numbers(&found["leased_again"])),
        );
        errors.push(error.abs());
    }
    let largest = errors.iter().copied().fold(0.0, f64::max);
    let median = median(errors);
    eprintln!("\nabsolute error: median {median:.1} %, largest {largest:.1} %");
    assert!(median <= ERROR_MEDIAN_MAX_PERCENT, "{median}");
}
