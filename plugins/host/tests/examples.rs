//! The examples in C and C++, and the plugin kept from ABI 1.0, end to end through the loader.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Words, load, params, run};
use muster_plugin_host::{ErrorKind, Job, JobParams, Slot, Take, from_pairs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds one source file as strictly as the compiler can.
fn build(folder: &Path, compiler: &str, standard: &str, source: &str) -> PathBuf {
    let output = folder.join("example.so");
    let mut command = Command::new(compiler);
    command.args([standard, "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fPIC", "-shared", "-I"]);
    command.arg(repository().join("plugins/abi/include")).arg("-o").arg(&output);
    let status = command.arg(repository().join("plugins/examples").join(source)).status();
    assert!(status.expect("a compiler is needed").success(), "{compiler} refused {source}");
    output
}

/// A job of the plugin with these parameters and all defaults, and seed 42.
fn job(path: &Path, pairs: &[(&str, &str)]) -> Job {
    let (plugin, _) = load(path);
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let given = from_pairs(&plugin.inspection().manifest, &pairs).unwrap();
    plugin.create(JobParams { seed: 42, ..params(&given.to_string()) }).unwrap()
}

/// The output of the job from tasks 0 to 3, whose results come from two partials.
fn combined(job: &Job, slot: &mut Slot<'_>) -> String {
    let mut halves = [0, 2].map(|start| {
        let mut half = job.accumulator(slot).unwrap();
        for (index, result) in (start..).zip(run(job, slot, start, 2).1) {
            half.add(slot, index, &result).unwrap();
        }
        half
    });
    let partial = {
        let right = std::mem::replace(&mut halves[1], job.accumulator(slot).unwrap());
        right.take(slot, Take::Partial).unwrap()
    };
    let [mut left, empty] = halves;
    left.merge(slot, &partial).unwrap();
    left.join(slot, empty).unwrap();
    String::from_utf8(left.take(slot, Take::Output).unwrap()).unwrap()
}

fn check_pi(path: &Path) {
    let job = job(path, &[("points", "1000")]);
    let words = Words::default();
    let mut slot = words.slot();
    let (outcome, results) = run(&job, &mut slot, 0, 4);
    assert_eq!((outcome.done, outcome.failure), (4, None));
    let hits: Vec<_> =
        results.into_iter().map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(hits, [775, 794, 806, 791]);
    assert_eq!(combined(&job, &mut slot), "3.166000000\n");
}

#[test]
fn the_c_example_counts_and_combines() {
    let folder = tempfile::tempdir().unwrap();
    let path = build(folder.path(), "cc", "-std=c11", "c/pi.c");
    check_pi(&path);
    let job = job(&path, &[("points", "1000000000000")]);
    let words = Words::default();
    words.cancel.store(1, Ordering::Relaxed);
    let (outcome, _) = run(&job, &mut words.slot(), 0, 2);
    assert_eq!((outcome.done, outcome.failure.unwrap().kind), (0, ErrorKind::Cancelled));
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_plugin_of_abi_1_0_still_runs() {
    check_pi(&repository().join("tests/fixtures/abi-1.0/pi.so"));
}

#[test]
fn the_cpp_example_keeps_energy_and_its_exceptions_become_failures() {
    let folder = tempfile::tempdir().unwrap();
    if Command::new("c++").arg("--version").output().is_err() {
        assert!(std::env::var_os("MUSTER_REQUIRE_ALL").is_none(), "there is no C++ compiler named c++");
        eprintln!("SKIPPED: there is no C++ compiler named c++");
        return;
    }
    let path = build(folder.path(), "c++", "-std=c++17", "cpp/nbody.cpp");
    let words = Words::default();
    let good = job(&path, &[("steps", "200")]);
    let (outcome, results) = run(&good, &mut words.slot(), 0, 3);
    assert_eq!((outcome.done, outcome.failure), (3, None));
    for bytes in results {
        assert!(f64::from_le_bytes(bytes.try_into().unwrap()) < 0.01);
    }
    assert!(combined(&good, &mut words.slot()).starts_with("mean "));
    let (plugin, _) = load(&path);
    let error = plugin.create(params(r#"{"stars":1000,"steps":1000000000}"#)).unwrap_err();
    assert!(error.kind == ErrorKind::Params && error.message.contains("1000 stars"), "{error}");
}
