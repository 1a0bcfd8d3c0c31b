//! The plugin `disk`: every operation moves what it says, and leaves nothing behind, also when there is no room.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, plugin};
use serde_json::json;
use std::process::Command;

#[test]
fn every_operation_moves_its_bytes_and_leaves_nothing() {
    let muster = Muster::new();
    let disk = plugin("disk");
    std::fs::create_dir(muster.path("data")).unwrap();
    for op in ["op=write", "op=read", "op=fsync"] {
        for pattern in ["pattern=sequential", "pattern=random"] {
            let arguments = [
                "run",
                &disk,
                op,
                pattern,
                "size=1048576",
                "block=65536",
                "path=data",
                "-n",
                "6",
                "--out",
                "-",
            ];
            let lines =
                muster.run(&[&arguments[..], &["-t", "2", "--oversubscribe"]].concat()).ok().json_lines();
            assert_eq!(lines.len(), 6, "{op} {pattern}");
            for (index, line) in lines.iter().enumerate() {
                assert_eq!(*line, json!({"index": index, "output": 1_048_576}), "{op} {pattern}");
            }
            assert_eq!(std::fs::read_dir(muster.path("data")).unwrap().count(), 0, "{op} {pattern}");
        }
    }
    muster.assert_no_temporary_left();
}

#[test]
fn bad_parameters_are_refused() {
    let muster = Muster::new();
    let disk = plugin("disk");
    for (parameters, words) in [
        (["size=1000", "block=512"], "take size=512"),
        (["size=65536", "path=/nowhere/at/all"], "/nowhere/at/all is no folder"),
        (["block=1024", "direct=true"], "multiple of 4096"),
    ] {
        let finished = muster.run(&[&["run", &disk, "-n", "1"], &parameters[..]].concat());
        assert!(
            finished.code() != 0 && finished.stderr.contains(words),
            "{parameters:?}: {}",
            finished.stderr
        );
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    }
}

/// A disk of one megabyte, seen by this run only.
#[test]
fn a_full_disk_is_named() {
    let muster = Muster::new();
    let mount = "mount -t tmpfs -o size=1m none data && exec \"$@\"";
    let inside = |arguments: &[&str]| {
        let mut command = muster.program("unshare".as_ref());
        command.args(["-r", "-m", "sh", "-c", mount, "sh"]).args(arguments);
        command
    };
    std::fs::create_dir(muster.path("data")).unwrap();
    let can: bool = Command::status(&mut inside(&["true"])).is_ok_and(|status| status.success());
    if !can {
        assert!(
            std::env::var_os("MUSTER_REQUIRE_ALL").is_none(),
            "mounts in a namespace are not allowed here"
        );
        eprintln!("SKIPPED: mounts in a namespace are not allowed here");
        return;
    }
    let disk = plugin("disk");
    let job = ["run", &disk, "size=4194304", "path=data", "-n", "1", "-t", "1", "--json"];
    let finished =
        fixture::Started::new(inside(&[&[env!("CARGO_BIN_EXE_muster")], &job[..]].concat())).finish();
    let report = finished.exits(1).json();
    assert_eq!(report["retried"], 2, "it may pass: {report}");
    let message = report["failures"][0]["message"].as_str().unwrap();
    assert!(message.contains("the disk is full") && message.contains("path="), "{message}");
}
