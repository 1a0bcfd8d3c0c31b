//! Folders of runs as comparisons write them, with all that they may have, and numbers that are known.

#![allow(dead_code, reason = "every test file uses its own part")]

use crate::fixture::Muster;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Where latency curves have their points.
const QUANTILES: [f64; 9] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999];
const BLOCKS: usize = 8;

/// A run.
pub struct Kept {
    number: u64,
    comparison: Value,
    /// Name and median of each row, in seconds.
    rows: Vec<(String, f64)>,
    /// Lines of tasks.csv.
    pub tasks: usize,
}

/// A name that would become part of the page if it were not escaped.
pub fn hostile(name: &str) -> String {
    format!("{name}</title><script>alert(\"1\")</script><img src=x>&amp;'")
}

impl Kept {
    /// Four shapes and one that does not count, with latencies, values and a table.
    pub fn grid(number: u64, plugin: &str) -> Self {
        let shapes = [
            ("thread", 1, 1, 4.0, 10, 1),
            ("thread", 1, 2, 2.2, 11, 2),
            ("process", 2, 1, 2.1, 20, 1),
            ("hybrid", 2, 2, 1.9, 21, 2),
            ("gil", 1, 2, 4.4, 11, 2),
        ];
        let rows: Vec<Value> = shapes
            .into_iter()
            .map(|(model, processes, threads, median, mib, lost)| {
                let mut row = row(model, processes, threads, median);
                row["pss_base_bytes"] = json!(mib << 19);
                row["pss_peak_bytes"] = json!(mib << 20);
                row["lost_by_one_crash"] = json!(lost);
                row["gil"] = json!(model == "gil");
                row["claim"] = json!(if model == "hybrid" { "best" } else { "slower" });
                row["values"] = json!([
                    {"name": "lost updates", "unit": "", "median": 3, "lo": 1, "hi": 9},
                    {"name": "message", "unit": "ns", "median": 812.3, "lo": 800.1, "hi": 840.9},
                ]);
                row["latency_s"] = json!({"p50": 0.01, "p95": 0.05, "p99": null, "max": 0.2, "samples": 400,
                    "kind": "from intended start"});
                row["latency"] = QUANTILES.map(|it| [it, median / 100.0 / (1.01 - it)]).into_iter().collect();
                if model == "gil" {
                    row["valid"] = json!(false);
                    row["invalid_because"] = json!(["invalid, because a test says so"]);
                }
                row
            })
            .collect();
        let tables = json!([{"title": "Creation", "of": "what",
            "columns": [{"name": "start", "unit": "s"}, {"name": "stopping", "unit": ""}],
            "rows": [
                {"name": "thread", "cells": [{"median": 2e-5, "lo": 1e-5, "hi": 3e-5, "samples": 100}, {"number": 3}]},
                {"name": "process", "cells": [null, {"text": "cannot"}]},
            ],
            "notes": ["Started and joined."]}]);
        let more = json!({"tables": tables, "stopped_by": "interrupted"});
        Self::new(number, plugin, rows, more)
    }

    /// Two models over the share of time that tasks wait: 1 + 3 x and 2 + x seconds.
    pub fn sweep(number: u64) -> Self {
        let (mut rows, mut groups) = (Vec::new(), Vec::new());
        for share in [0.0, 0.25, 0.75, 1.0] {
            let group = format!("share {share}");
            groups.push(
                json!({"name": group, "factors": {"share": share}, "plugin": null, "tasks": 16, "noise_floor": 0.01, "enough": true,
                "verdict": [format!("At {share} this is the answer.")]}),
            );
            for mut row in [row("thread", 1, 4, 1.0 + 3.0 * share), row("process", 4, 1, 2.0 + share)] {
                // The factor of the group is a factor of its rows.
                row["group"] = json!(group);
                rows.push(row);
            }
        }
        let mut kept = Self::new(number, "mixed, \"quoted\"", rows, json!({"groups": groups}));
        kept.comparison["experiment"] = json!("mixed");
        kept.comparison["cluster"] = json!({"name": "lab", "workers": 3, "slots": 12});
        kept.comparison["overhead"] = json!({"name": "thread 1x4", "tasks": 16,
            "time_s": {"median": 0.004, "lo": 0.003, "hi": 0.005}, "cpu_s": null});
        kept.comparison["claims"] = json!([{"claim": hostile("threads win"), "measured": "they take 2 times as long",
            "verdict": "no", "command": "muster compare mixed"}]);
        kept
    }

    fn new(number: u64, plugin: &str, rows: Vec<Value>, more: Value) -> Self {
        let names = rows
            .iter()
            .map(|row| (row["name"].as_str().unwrap().to_owned(), row["time_s"]["median"].as_f64().unwrap()));
        let names = names.collect();
        let mut comparison = json!({
            "experiment": "compare",
            "plugin": {"name": plugin, "version": "1.2.3", "digest": "ab".repeat(32), "params": {"x": hostile("y")},
                "deterministic": true},
            "machine": {"cpu": "A processor", "cpus": 2, "memory_bytes": 8_u64 << 30, "kernel": "6.1.0", "governor": null,
                "cpu_limit": null, "memory_limit_bytes": 1 << 30, "muster": "0.1.0", "also_new": [1, 2]},
            "tasks": 64, "seed": 7, "blocks": BLOCKS, "stopped_by": "target", "noise_floor": 0.02, "enough": true,
            "verdict": [format!("Use {}: it is fine.", hostile("this")), "The answer changes when tasks wait."],
            "notes": [hostile("a note")], "rows": rows, "run": format!(".muster/runs/{number}"),
            "not_known_yet": {"a": 1},
        });
        for (name, value) in more.as_object().unwrap() {
            comparison[name] = value.clone();
        }
        Self { number, comparison, rows: names, tasks: 12 }
    }

    /// The first sentence.
    pub fn verdict(&self) -> String {
        self.comparison["verdict"][0].as_str().unwrap().to_owned()
    }

    /// Lines of samples.csv without its header.
    pub fn samples(&self) -> usize {
        BLOCKS * (self.rows.len() + 1)
    }

    /// Writes its three files.
    pub fn write(&self, muster: &Muster) {
        let folder = format!(".muster/runs/{}", self.number);
        let mut samples =
            "block,configuration,group,time_s,cpu_s,ctx_switches,stolen,throttled,others\n".to_owned();
        let rows = self.comparison["rows"].as_array().unwrap();
        for block in 1..=BLOCKS {
            // Every block is a little slower than the one before.
            let slower = 1.0 + 0.001 * block as f64;
            for (row, (name, median)) in rows.iter().zip(&self.rows) {
                let (time, group) = (median * slower, row["group"].as_str().unwrap_or_default());
                let _ = writeln!(samples, "{block},{name},{group},{time},1.5,10,0,0,0.01");
            }
            let (name, median) = &self.rows[0];
            let group = rows[0]["group"].as_str().unwrap_or_default();
            let _ = writeln!(samples, "{block},{name} (again),{group},{},1.5,10,0,0,0.01", median * slower);
        }
        let mut tasks = "block,configuration,task,start_s,run_s,latency_s\n".to_owned();
        for task in 0..self.tasks {
            let _ = writeln!(tasks, "1,{},{task},{:.6},0.010000,", self.rows[0].0, task as f64 * 0.01);
        }
        muster.write(&format!("{folder}/samples.csv"), samples);
        muster.write(&format!("{folder}/tasks.csv"), tasks);
        muster.write(&format!("{folder}/comparison.json"), self.comparison.to_string());
    }
}

fn row(model: &str, processes: u32, threads: u32, median: f64) -> Value {
    json!({
        "name": format!("{model} {processes}x{threads}"), "model": model, "processes": processes, "threads": threads,
        "in_flight": 1, "gil": false, "valid": true, "is_wrong": false, "invalid_because": [],
        "time_s": {"median": median, "lo": median * 0.98, "hi": median * 1.02}, "ratio_to_best": null, "claim": "unclear",
        "cpu_s": 1.5, "cores": 1.2, "pss_base_bytes": null, "pss_peak_bytes": null, "ctx_switches_per_task": 0.4,
        "gil_wait_share": null, "lost_by_one_crash": null, "cancel_p95_s": null, "cancel_max_s": 0.012,
        "stand_in_threads": 0, "warm_up_blocks": 0, "outliers": [], "checksum": "0123456789abcdef",
        "interference": {"stolen": 0.0, "throttled": 0.0, "others": 0.01},
    })
}
