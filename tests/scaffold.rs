//! `plugin new` outside any checkout: what it writes builds, is fine, and runs.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, has_tool};

#[track_caller]
fn builds_and_runs(language: &str) {
    let muster = Muster::new();
    muster.run(&["plugin", "new", "darts", "--lang", language]).ok();
    assert!(muster.run(&["plugin", "check", "darts"]).ok().text().starts_with("OK "));
    let report = muster.run(&["run", "darts", "darts=100000", "-n", "20", "--reduce", "--json"]).ok().json();
    let pi: f64 = report["output"].as_str().unwrap().parse().unwrap();
    assert!((pi - std::f64::consts::PI).abs() < 0.01, "{pi}");
    let lines = muster.run(&["run", "darts", "darts=1000", "-n", "3", "--out", "-"]).ok().json_lines();
    assert!(lines.iter().all(|line| line["output"].is_f64()), "{lines:?}");
    muster.run(&["plugin", "new", "darts"]).fails(2, &["exists already"]);
}

#[test]
fn a_new_rust_plugin_runs() {
    builds_and_runs("rust");
}

#[test]
fn a_new_c_plugin_runs() {
    if has_tool("cc") {
        builds_and_runs("c");
    }
}

#[test]
fn a_new_cpp_plugin_runs() {
    if has_tool("c++") {
        builds_and_runs("cpp");
    }
}

#[test]
fn what_the_compiler_says_is_shown_when_it_fails() {
    let muster = Muster::new();
    muster.run(&["plugin", "new", "broken"]).ok();
    let source = muster.path("broken/src/lib.rs");
    std::fs::write(&source, std::fs::read_to_string(&source).unwrap() + "\nfn broken() -> u8 { \"text\" }\n")
        .unwrap();
    let failed = muster.run(&["run", "broken"]).exits(4).stderr;
    assert!(failed.contains("mismatched types"), "{failed}");
    let last = failed.lines().last().unwrap();
    assert!(last.starts_with("error: building ") && last.ends_with("broken failed"), "{failed}");
    muster.run(&["plugin", "new", "Bad-Name"]).fails(2, &["Bad-Name"]);
    muster.run(&["plugin", "build", "nothing"]).fails(4, &["nothing"]);
}
