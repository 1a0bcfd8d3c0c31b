//! `muster bench overhead` measures everything it promises. How fast muster is, is the business of `speed.rs`.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin};
use std::path::Path;

#[test]
fn every_number_is_measured() {
    let muster = Muster::new();
    let folder = Path::new(&plugin("null")).parent().unwrap().display().to_string();
    plugin("loop");
    let arguments = ["bench", "overhead", "--json", "-w", "1", "-n", "1000000", "--plugins", &folder];
    let numbers = muster.run(&arguments).ok().json();
    for key in ["empty_tasks_per_s", "with_output_tasks_per_s", "start_s", "idle_pss_bytes"] {
        assert!(numbers[key].as_f64().unwrap() > 0.0, "{key} in {numbers}");
    }
    for key in ["p50", "p99"] {
        assert!(numbers["one_task_s"][key].as_f64().unwrap() > 0.0, "{numbers}");
    }
    assert!(numbers["metg"].as_array().unwrap().len() > 3, "{numbers}");
    assert!(numbers.get("metg50_s").is_some());
}

#[test]
fn the_plugins_it_needs_are_named() {
    let muster = Muster::new();
    muster.run(&["bench", "overhead"]).fails(4, &["\"null\"", "--plugins"]);
}
