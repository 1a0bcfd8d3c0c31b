//! Floating-point sums repeat bit for bit, whatever the shape of the cluster, however leases were cut and
//! whoever died on the way.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, Started, compile_c, wait_until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const SEEDS: u64 = 20;
/// Not a power of two, and more than a lease.
const TASKS: &str = "3001";

/// So many that a leaf of the tree has eight tasks.
const WIDE_TASKS: &str = "300000";
const WIDE_SEEDS: u64 = 4;
/// Of them fail for good in the plugin's modes "light" and "faulty",
const WIDE_FAILING: u64 = 21;
/// and end their process on their first attempt in the mode "faulty".
const WIDE_CRASHING: u64 = 5;
/// Executors that are killed in a run; one less than attempts that a task has.
const KILLS: usize = 2;

fn plugin(muster: &Muster) -> String {
    compiled(muster, include_str!("fixtures/plugins/float_sum.c"))
}

fn compiled(muster: &Muster, source: &str) -> String {
    let flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];
    let path = compile_c(source, Path::new(&muster.path("plugin.so")), &flags);
    path.to_str().unwrap().to_owned()
}

/// The bits of the sum as a run printed them.
fn sum(muster: &Muster, plugin: &str, seed: u64, shape: &[&str]) -> String {
    let seed = seed.to_string();
    let job = ["run", plugin, "-n", TASKS, "--seed", &seed, "--reduce", "--out", "-", "--oversubscribe"];
    muster.run(&[&job[..], shape].concat()).ok().text()
}

#[test]
fn a_sum_of_nothing_leaves_the_file_alone() {
    let muster = Muster::new();
    let plugin = plugin(&muster);
    let out = muster.write("out", "from the last run");
    muster.run(&["run", &plugin, "mode=broken", "-n", "3", "--reduce", "--out", &out]).exits(1);
    assert_eq!(muster.read("out"), b"from the last run");
    muster.run(&["run", &plugin, "-n", "3", "--reduce", "--out", &out]).ok();
    assert_eq!(muster.read("out").len(), 17);
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
        let run = Run::start(&muster, &plugin, TASKS, seed, "killed-worker", &["-w", "3", "-t", "1"]);
        run.kill_a_worker();
        let (sum, report) = run.finish(0);
        assert_eq!(sum, alone, "seed {seed}, with a killed worker");
        killed += report["lost_workers"].as_u64().unwrap();
        sums.push(alone);
    }
    assert_eq!(killed, SEEDS, "workers that were lost while their job ran");
    sums.sort();
    sums.dedup();
    assert_eq!(sums.len() as u64, SEEDS, "seeds do not differ");
    muster.assert_no_process_left();
}

/// A run that has been started. Some of its tasks wait until it is let go, so that it can be hurt in the middle.
struct Run<'a> {
    muster: &'a Muster,
    name: String,
    run: Started,
}

impl<'a> Run<'a> {
    fn start(
        muster: &'a Muster,
        plugin: &str,
        tasks: &str,
        seed: u64,
        name: &str,
        arguments: &[&str],
    ) -> Self {
        let name = format!("{name}-{seed}");
        let (seed, out) = (seed.to_string(), muster.path(&name));
        let out = out.to_str().unwrap();
        let job = ["run", plugin, "-n", tasks, "--seed", &seed, "--reduce", "--out", out, "--json"];
        let mut command = muster.command(&[&job[..], arguments, &["--oversubscribe"]].concat());
        let hold = muster.path(&format!("{name}.hold"));
        std::fs::create_dir(&hold).unwrap();
        std::fs::write(hold.join("hold"), "").unwrap();
        command.env("FLOAT_SUM_HOLD", hold);
        Self { muster, name, run: Started::new(command) }
    }

    /// Waits for an executor in the middle of a task that is none of these.
    fn executor(&self, but: &BTreeSet<u32>) -> u32 {
        let found = || {
            let files = std::fs::read_dir(self.folder()).unwrap();
            let pids = files.filter_map(|file| file.unwrap().file_name().to_str().unwrap().parse().ok());
            pids.filter(|pid| !but.contains(pid)).min()
        };
        assert!(wait_until(|| found().is_some()), "no executor runs tasks but {but:?}");
        found().unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.muster.path(&format!("{}.hold", self.name))
    }

    fn kill_executors(&self) {
        let mut gone = BTreeSet::new();
        while gone.len() < KILLS {
            let pid = self.executor(&gone);
            self.muster.signal(pid, libc::SIGKILL);
            gone.insert(pid);
        }
    }

    fn kill_a_worker(&self) {
        let executor = self.executor(&BTreeSet::new());
        let status = std::fs::read_to_string(format!("/proc/{executor}/status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
        self.muster.signal(parent.trim().parse().unwrap(), libc::SIGKILL);
    }

    /// Lets it go: the bits of the sum, and the report.
    fn finish(self, failing: u64) -> (String, Value) {
        std::fs::remove_file(self.folder().join("hold")).unwrap();
        let report = self.run.finish().exits(i32::from(failing > 0)).json();
        assert_eq!(report["failed"], failing, "{}: {report}", self.name);
        (String::from_utf8(self.muster.read(&self.name)).unwrap(), report)
    }
}

#[test]
fn sums_of_wide_leaves_are_equal_whoever_dies_inside_them() {
    let muster = Muster::new();
    let plugin = plugin(&muster);
    let (mut sums, mut killed, mut lost) = (BTreeSet::new(), 0, 0);
    for seed in 0..WIDE_SEEDS {
        let start =
            |name: &str, arguments: &[&str]| Run::start(&muster, &plugin, WIDE_TASKS, seed, name, arguments);
        let (alone, report) = start("alone", &["mode=light", "-w", "1", "-t", "1"]).finish(WIDE_FAILING);
        assert_eq!(report["executor_exits"], 0);

        let shapes: [(&str, &[&str]); 3] = [
            ("threads", &["mode=faulty", "-w", "2", "-t", "2"]),
            ("processes", &["mode=faulty", "-w", "1", "-p", "3"]),
            ("alone-faulty", &["mode=faulty", "-w", "1", "-t", "1"]),
        ];
        for (name, arguments) in shapes {
            let (sum, report) = start(name, arguments).finish(WIDE_FAILING);
            assert!(report["executor_exits"].as_u64() >= Some(WIDE_CRASHING), "{name}: {report}");
            assert_eq!(sum, alone, "seed {seed}, {name}");
        }

        let run = start("killed-executors", &["mode=light", "-w", "1", "-p", "2", "-t", "1"]);
        run.kill_executors();
        let (sum, report) = run.finish(WIDE_FAILING);
        assert_eq!(sum, alone, "seed {seed}, executors killed");
        killed += report["executor_exits"].as_u64().unwrap();

        let run = start("killed-worker", &["mode=faulty", "-w", "3", "-t", "1"]);
        run.kill_a_worker();
        let (sum, report) = run.finish(WIDE_FAILING);
        assert_eq!(sum, alone, "seed {seed}, a worker killed");
        lost += report["lost_workers"].as_u64().unwrap();
        sums.insert(alone);
    }
    assert_eq!((killed, lost), (WIDE_SEEDS * KILLS as u64, WIDE_SEEDS));
    assert_eq!(sums.len() as u64, WIDE_SEEDS, "seeds do not differ");
    muster.assert_no_process_left();
}

/// Attempts inside wide leaves follow --max-attempts and are counted, as anywhere else.
#[test]
fn attempts_inside_wide_leaves_have_the_budget_of_the_job() {
    let muster = Muster::new();
    let plugin = plugin(&muster);
    let out = muster.path("out");
    let out = out.to_str().unwrap();
    // Ten of the tasks succeed at their fifth attempt.
    for (max_attempts, failed, retried) in [("5", 0, 40), ("3", 10, 20)] {
        let job = ["run", &plugin, "mode=shy", "-n", WIDE_TASKS, "--reduce", "--out", out, "--json"];
        let shape = ["--max-attempts", max_attempts, "-t", "2", "--oversubscribe"];
        let report = muster.run(&[&job[..], &shape].concat()).exits(i32::from(failed > 0)).json();
        assert_eq!((&report["failed"], &report["retried"]), (&failed.into(), &retried.into()), "{report}");
        std::fs::remove_file(out).unwrap();
    }
    muster.assert_no_process_left();
}

/// Tasks that fail at once are as short as others: their leases grow as theirs do.
#[test]
fn leases_of_failing_tasks_follow_their_time() {
    let muster = Muster::new();
    let plugin = plugin(&muster);
    let job = ["run", &plugin, "mode=broken", "-n", "100000", "--json", "-t", "1"];
    let report = muster.run(&job).exits(1).json();
    assert_eq!((&report["ok"], &report["failed"]), (&0.into(), &100_000.into()));
    assert!(report["lease_tasks"]["max"].as_u64().unwrap() > 5_000, "{report}");
    assert!(report["leases"].as_u64().unwrap() < 1_000, "{report}");
}

/// What a plugin says when it cannot combine reaches the user, with the step, also later.
#[test]
fn a_reduction_that_fails_says_why() {
    let muster = Muster::new();
    let bad_total = compiled(&muster, include_str!("fixtures/plugins/bad_total.c"));
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    for (at, cause) in [
        ("merge", "reading a partial result: the parts are of two kinds"),
        ("finish", "making the output: no total without a weight"),
        ("panic", "panic: making the output: out_of_range: stoi"),
        ("bytes", "making the output: the output is not UTF-8, and the manifest says text: byte 4 of 5"),
        ("crash", "to an output: SIGSEGV ended the executor"),
    ] {
        let at = format!("at={at}");
        // Two leases: several partial results.
        let job = ["run", &bad_total, &at, "-n", "3000", "--reduce"];
        muster.run(&job).fails(3, &["could not be combined", cause]);
        let results =
            muster.run(&["job", "results", "--out", "out"]).fails(3, &["could not be combined", cause]);
        assert!(results.stdout.is_empty() && !muster.path("out").exists(), "{at}");
    }
    muster.run(&["run", &bad_total, "-n", "3", "--reduce"]).ok();
    assert_eq!(muster.run(&["job", "results"]).ok().text(), "3\n");
    for flag in ["--from", "--tail"] {
        let refused =
            muster.run(&["job", "results", "last", flag, "1"]).fails(2, &[flag, "one combined output"]);
        assert!(refused.says_no_more().stdout.is_empty());
    }
    muster.run(&["run", &plugin(&muster), "mode=broken", "-n", "3", "--reduce"]).exits(1);
    muster.run(&["job", "results"]).fails(1, &["no output: all of its 3 tasks failed"]);
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

/// All partial results together do not fit into a message: they are combined a few at a time. One that is too large
/// by itself is named.
#[test]
fn large_partial_results_are_combined_in_steps() {
    let muster = Muster::new();
    let total = compiled(&muster, include_str!("fixtures/plugins/bad_total.c"));
    let job = ["run", &total, "-w", "2", "-t", "1", "-n", "12", "--reduce", "--out", "-"];
    let done = muster.run(&[&job[..], &["pad=20000000"]].concat()).ok();
    assert_eq!(done.text(), "66\n");
    let failed = muster.run(&[&job[..], &["pad=32000000"]].concat()).exits(1);
    let said = failed.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("limit: a partial result has 32000008 bytes, and it may have"), "{said}");
    muster.assert_no_process_left();
}
