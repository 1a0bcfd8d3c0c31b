//! Floating-point sums repeat bit for bit, whatever the shape of the cluster, however leases were cut and
//! whoever died on the way.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c, wait_until};
use std::path::Path;

const SEEDS: u64 = 20;
/// Not a power of two, and more than a lease.
const TASKS: &str = "3001";

fn plugin(muster: &Muster) -> String {
    let source = include_str!("fixtures/plugins/float_sum.c");
    let flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];
    let path = compile_c(source, Path::new(&muster.path("float_sum.so")), &flags);
    path.to_str().unwrap().to_owned()
}

/// The bits of the sum as a run printed them.
fn sum(muster: &Muster, plugin: &str, seed: u64, shape: &[&str]) -> String {
    let seed = seed.to_string();
    let job = ["run", plugin, "-n", TASKS, "--seed", &seed, "--reduce", "--out", "-", "--oversubscribe"];
    muster.run(&[&job[..], shape].concat()).ok().text()
}

/// The same run, in which a worker is killed as soon as it has executors.
fn sum_with_a_killed_worker(muster: &Muster, plugin: &str, seed: u64) -> (String, u64) {
    let seed = seed.to_string();
    let before = muster.processes().len();
    let out = muster.path(&format!("killed-{seed}"));
    let run = muster.start(&[
        "run",
        plugin,
        "-n",
        TASKS,
        "--seed",
        &seed,
        "--reduce",
        "--out",
        out.to_str().unwrap(),
        "-w",
        "3",
        "-t",
        "1",
        "--oversubscribe",
        "--json",
    ]);
    let workers = || -> Vec<u32> {
        let found = muster.processes();
        let workers = found.iter().filter(|(_, line)| line.contains("worker") && line.contains("start"));
        workers.map(|(pid, _)| *pid).collect()
    };
    let executors = || muster.processes().iter().filter(|(_, line)| line.contains("__executor")).count();
    assert!(wait_until(|| executors() >= 3), "executors never came: {:?}", muster.processes());
    muster.signal(workers()[0], libc::SIGKILL);
    let report = run.finish().ok().json();
    assert!(muster.processes().len() <= before, "processes were left behind");
    assert_eq!(report["failed"], 0);
    (String::from_utf8(std::fs::read(out).unwrap()).unwrap(), report["lost_workers"].as_u64().unwrap_or(0))
}

#[test]
fn sums_are_equal_bit_for_bit() {
    let muster = Muster::new();
    let plugin = plugin(&muster);
    let mut sums = Vec::new();
    let mut killed = 0;
    for seed in 0..SEEDS {
        let alone = sum(&muster, &plugin, seed, &["-w", "1", "-t", "1"]);
        assert_eq!(alone.len(), 17, "{alone}");
        for shape in [&["-w", "3", "-t", "2"][..], &["-w", "1", "-p", "3", "-t", "2"]] {
            assert_eq!(sum(&muster, &plugin, seed, shape), alone, "seed {seed}, {shape:?}");
        }
        let (sum, lost) = sum_with_a_killed_worker(&muster, &plugin, seed);
        assert_eq!(sum, alone, "seed {seed}, with a killed worker");
        killed += lost;
        sums.push(alone);
    }
    assert!(killed >= SEEDS / 2, "only {killed} workers were lost while their job ran");
    sums.sort();
    sums.dedup();
    assert_eq!(sums.len() as u64, SEEDS, "seeds do not differ");
    muster.assert_no_process_left();
}
