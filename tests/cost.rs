//! What `muster compare` says that runs cost, against what others say of the same runs: `/usr/bin/time` counts processor time
//! and context switches of all of it, and the test reads memory from `smaps_rollup` itself.

#![allow(clippy::print_stderr, clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c, has_tool, plugin};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How far two ways to count the same may be apart.
const WITHIN: f64 = 0.05;

fn assert_close(ours: f64, theirs: f64, what: &str) {
    let apart = (ours - theirs).abs() / theirs;
    eprintln!("{what}: muster {ours}, others {theirs}: {:.1} % apart", apart * 100.0);
    assert!(apart <= WITHIN, "{what}: muster says {ours}, others {theirs}");
}

/// The sum of a column of the samples.
fn sum(muster: &Muster, run: &str, column: usize) -> f64 {
    let text = String::from_utf8(muster.read(&format!("{run}/samples.csv"))).unwrap();
    text.lines().skip(1).map(|line| line.split(',').nth(column).unwrap().parse::<f64>().unwrap()).sum()
}

/// `Name: value` in what `time -v` writes.
fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[test]
fn processor_time_and_context_switches_are_those_of_usr_bin_time() {
    if !has_tool("time") {
        return;
    }
    let muster = Muster::new();
    let mut timed = muster.program(Path::new("/usr/bin/time"));
    timed.args(["-v", "-o", "time.txt", env!("CARGO_BIN_EXE_muster"), "compare", &plugin("mixed")]);
    // Long enough runs for the start of muster itself to be little beside them.
    timed.args(["additions=20000000", "wait_us=20000", "turns=40", "-n", "24", "--no-probes", "--json"]);
    timed.args(["--models", "thread,process,gil", "--slots", "4", "--blocks", "6", "--plugins", "none"]);
    let output = timed.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = found["run"].as_str().unwrap();
    let theirs = String::from_utf8(muster.read("time.txt")).unwrap();
    let cpu = field(&theirs, "User time (seconds)") + field(&theirs, "System time (seconds)");
    // Beside the runs there are clusters without a job, three of them.
    let ours = sum(&muster, run, 3) + 3.0 * found["cluster_cpu_s"].as_f64().unwrap();
    assert_close(ours, cpu, "processor seconds");
    let switches =
        field(&theirs, "Voluntary context switches") + field(&theirs, "Involuntary context switches");
    assert_close(sum(&muster, run, 4), switches, "context switches");
}

/// Memory of all processes of a world, by `smaps_rollup`.
fn pss_bytes(muster: &Muster) -> u64 {
    let of = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    muster.processes().into_iter().filter_map(|(pid, _)| of(pid)).sum::<u64>() * 1024
}

#[test]
fn the_peak_of_memory_is_that_of_smaps_rollup() {
    let muster = Muster::new();
    // Each task holds 256 MiB for a while, so that whoever looks now and then sees the peak.
    let source = include_str!("fixtures/plugins/holds.c");
    let holds = compile_c(source, &muster.path("holds.so"), &["-std=gnu11", "-Wall", "-Wextra", "-Werror"]);
    let line = [
        "compare",
        holds.to_str().unwrap(),
        "--models",
        "thread,process",
        "--slots",
        "3",
        "-n",
        "3",
        "--blocks",
        "1",
        "--json",
    ];
    let mut started = muster.start(&line);
    let mut peak = 0;
    while !started.has_ended() {
        peak = peak.max(pss_bytes(&muster));
        std::thread::sleep(Duration::from_millis(2));
    }
    let found = started.finish().ok().json();
    let rows = found["rows"].as_array().unwrap();
    let ours = rows.iter().map(|row| row["pss_peak_bytes"].as_u64().unwrap()).max().unwrap();
    assert!(ours > 768 << 20, "three tasks hold 256 MiB each: {ours}");
    assert_close(ours as f64, peak as f64, "bytes of memory");
}
