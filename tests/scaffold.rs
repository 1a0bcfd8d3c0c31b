//! `plugin new` outside any checkout: what it writes builds, is fine, and runs.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, Started, has_tool, wait_until};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

#[track_caller]
fn builds_and_runs(language: &str) {
    let muster = Muster::new();
    muster.run(&["plugin", "new", "darts", "--lang", language]).ok();
    let checked = muster.run(&["plugin", "check", "darts"]).ok().text();
    assert!(checked.starts_with("OK ") && checked.contains("no task was run"), "{checked}");
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

/// Its hundred tasks wait at the same time on one thread; one after the other they would take six seconds.
#[test]
fn a_new_async_plugin_runs() {
    let muster = Muster::new();
    muster
        .run(&["plugin", "new", "waits", "--async", "--lang", "c"])
        .fails(2, &["--async", "--lang"])
        .says_no_more();
    let said = muster.run(&["plugin", "new", "waits", "--async"]).ok().stderr;
    assert!(said.contains("muster run waits --model async"), "{said}");
    let facts = muster.run(&["plugin", "info", "waits", "--json"]).ok().json();
    assert_eq!(facts["async"], true, "{facts}");
    let run = ["run", "waits", "--json", "-t", "1", "--model"];
    let report = muster.run(&[&run[..], &["async", "--in-flight", "100"]].concat()).ok().json();
    assert_eq!((&report["stand_in_threads"], &report["ok"]), (&0.into(), &100.into()), "{report}");
    assert!(report["wall_s"].as_f64().unwrap() < 4.0, "{report}");
    let other = muster.run(&[&run[..], &["thread", "ms=1"]].concat()).ok().json();
    assert_eq!(other["ok"], 100, "{other}");
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

/// A signal to `muster` alone, as `kill` and supervisors send it, ends cargo and what cargo started, also when they
/// do not listen.
#[test]
fn a_signal_ends_the_build() {
    for (arguments, signal, script) in [
        (&["run", "slow", "-n", "1"][..], libc::SIGINT, "sleep 1000 & touch started; wait"),
        (&["plugin", "build", "slow"], libc::SIGTERM, "trap '' TERM; sleep 1000 & touch started; wait"),
        (&["plugin", "push", "slow"], libc::SIGHUP, "(sleep 1000; true) & touch started; wait"),
    ] {
        let muster = Muster::new();
        muster.write("slow/Cargo.toml", "");
        let cargo = muster.write("cargo", format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(Path::new(&cargo), std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = muster.command(arguments);
        command.env("CARGO", cargo);
        let running = Started::new(command);
        assert!(wait_until(|| muster.path("slow/started").exists()));
        running.signal(signal);
        running.finish().fails(130, &["building", "was interrupted"]);
        muster.assert_no_process_left();
    }
}
