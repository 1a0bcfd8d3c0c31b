//! The folders that tasks have for themselves: empty, their own, and gone afterwards, whatever happened.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, Started, compile_c, plugin, wait_until};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

const SHAPES: [&[&str]; 3] = [
    &["-t", "4", "--oversubscribe"],
    &["--model", "process", "-p", "2", "--oversubscribe"],
    &["--model", "async", "-t", "1", "--in-flight", "20"],
];

fn scratch_plugin(muster: &Muster) -> String {
    let source = include_str!("fixtures/plugins/scratch.c");
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
    compile_c(source, &muster.path("plugin.so"), &flags).to_str().unwrap().to_owned()
}

/// `muster` with a place for folders, which is made.
fn command(muster: &Muster, arguments: &[&str]) -> (Command, PathBuf) {
    let place = muster.path("place");
    std::fs::create_dir_all(&place).unwrap();
    let mut command = muster.command(arguments);
    command.env("MUSTER_SCRATCH", &place);
    (command, place)
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn each_task_has_an_empty_folder_and_none_is_left() {
    let muster = Muster::new();
    let scratch = scratch_plugin(&muster);
    for shape in SHAPES {
        for (mode, retried) in [("mode=plain", 0), ("mode=crash", 6)] {
            let arguments = [&["run", &scratch, mode, "-n", "60", "--json"], shape].concat();
            let (command, place) = command(&muster, &arguments);
            let report = Started::new(command).finish().ok().json();
            let found = json!([report["ok"], report["retried"], report["executor_exits"]]);
            assert_eq!(found, json!([60, retried, retried]), "{shape:?} {mode}: {report}");
            assert_eq!(entries(&place), 0, "{shape:?} {mode}");
        }
    }
    muster.assert_no_process_left();
}

/// Nobody is left who could remove what killed workers had: the next worker does.
#[test]
fn what_a_killed_worker_left_goes_with_the_next_one() {
    let muster = Muster::new();
    let (disk, scratch) = (plugin("disk"), scratch_plugin(&muster));
    let (long, place) =
        command(&muster, &["run", &disk, "op=fsync", "size=1073741824", "block=512", "-n", "2"]);
    let run = Started::new(long);
    let lives = place.join("muster-scratch");
    let has_folder = || {
        let lives = std::fs::read_dir(&lives).into_iter().flatten().flatten();
        lives.filter_map(|life| std::fs::read_dir(life.path()).ok()).any(|life| life.count() > 1)
    };
    assert!(wait_until(has_folder), "no task has asked for a folder");
    muster.kill_all();
    run.finish();
    assert!(wait_until(|| muster.processes().is_empty()));
    assert_eq!(entries(&lives), 1);
    let (next, _) = command(&muster, &["run", &scratch, "mode=plain", "-n", "1"]);
    Started::new(next).finish().ok();
    assert_eq!(entries(&place), 0);
}

/// A place of one megabyte, seen by this run only.
#[test]
fn a_full_place_fails_the_task_that_filled_it_and_no_other() {
    let muster = Muster::new();
    let mount = "mount -t tmpfs -o size=1m none place && exec \"$@\"";
    let inside = |arguments: &[&str]| {
        let mut command = muster.program("unshare".as_ref());
        command.args(["-r", "-m", "sh", "-c", mount, "sh"]).args(arguments);
        command.env("MUSTER_SCRATCH", "place");
        command
    };
    std::fs::create_dir(muster.path("place")).unwrap();
    if !inside(&["true"]).status().is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("MUSTER_REQUIRE_ALL").is_none(),
            "mounts in a namespace are not allowed here"
        );
        eprintln!("SKIPPED: mounts in a namespace are not allowed here");
        return;
    }
    let (disk, scratch) = (plugin("disk"), scratch_plugin(&muster));
    let muster_in = |arguments: &[&str]| {
        Started::new(inside(&[&[env!("CARGO_BIN_EXE_muster")], arguments].concat())).finish().exits(1).json()
    };
    for shape in SHAPES {
        // What others cannot make while the place is full passes when it has room again.
        let job = ["run", &scratch, "mode=full", "-n", "60", "--max-attempts", "20", "--json"];
        let report = muster_in(&[&job[..], shape].concat());
        let found = json!([report["ok"], report["failed"], report["executor_exits"]]);
        assert_eq!(found, json!([54, 6, 0]), "{shape:?}: {report}");
        for failure in report["failures"].as_array().unwrap() {
            assert_eq!(failure["index"].as_u64().unwrap() % 10, 3, "{shape:?}: {report}");
            let message = failure["message"].as_str().unwrap();
            assert!(message.contains("No space left on device"), "{shape:?}: {message}");
        }
    }
    let report = muster_in(&["run", &disk, "size=4194304", "-n", "1", "-t", "1", "--json"]);
    let message = report["failures"][0]["message"].as_str().unwrap();
    assert!(message.contains("the disk is full") && message.contains("muster-scratch"), "{message}");
}

#[test]
fn a_place_that_is_none_is_refused() {
    let muster = Muster::new();
    let file = muster.write("file", "");
    for (place, word) in [(file.as_str(), "it is no folder"), ("/nowhere/at/all", "No such file")] {
        let arguments = ["worker", "start", "--connect", "unix:/nowhere.sock", "--scratch", place];
        muster.run(&arguments).fails(2, &["--scratch", place, word, "name a folder"]);
    }
}
