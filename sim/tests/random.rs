//! Random scenarios: whatever is combined, every job ends, every task ends once, the records of scheduler and agents
//! agree after each event, and a second run goes the same way.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_core::random::Stream;
use muster_sim::cluster::Cluster;
use muster_sim::scenario::Scenario;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Draws from a stream, one number after the other.
struct Dice(Stream, u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.1 += 1;
        self.0.bits(self.1) % limit
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// A scenario in which somebody is always there to work: group "stays" is never hit.
fn draw(seed: u64) -> String {
    let mut dice = Dice(Stream::new(seed).split(77), 0);
    let mut text = String::new();
    let order = dice.one_of(&["fifo", "fair", "priority", "random"]);
    let chunking = dice.one_of(&["fixed:1", "fixed:7", "guided", "factoring", "adaptive", "adaptive:20ms"]);
    let speculation = dice.one_of(&["", "+speculation"]);
    let _ = writeln!(text, "policy = \"{order}+{chunking}{speculation}\"");
    let _ = writeln!(text, "lease = \"{}\"", dice.one_of(&["500ms", "2s", "10s"]));
    let _ = writeln!(text, "credit_tasks = {}\ncredit = \"{}ms\"", 1 + dice.below(3), dice.below(300));
    let _ = writeln!(
        text,
        "[coordinator]\ncommit = \"{}us\"\nper_message = \"{}us\"",
        dice.below(2_000),
        dice.below(200)
    );
    if dice.below(3) == 0 {
        text.push_str("bandwidth = \"2MB/s\"\n");
    }
    let _ = writeln!(
        text,
        "[[links]]\nname = \"lan\"\nlatency = \"{}us\"\njitter = \"{}us\"",
        dice.below(20_000),
        dice.below(5_000)
    );
    if dice.below(2) == 0 {
        text.push_str("bandwidth = \"1MB/s\"\nworker_bandwidth = \"500kB/s\"\n");
    }
    if dice.below(2) == 0 {
        text.push_str("drop = 0.01\nduplicate = 0.02\nreorder = 0.05\n");
    }
    for (name, link) in [("stays", "none"), ("comes", "lan")] {
        let slots = 1 + dice.below(4);
        let _ = writeln!(
            text,
            "[[workers]]\nname = \"{name}\"\nlink = \"{link}\"\ncount = {}\nslots = {slots}\ncores = {}\nspeed = {}",
            1 + dice.below(6),
            1 + dice.below(slots),
            dice.one_of(&["0.5", "1.0", "3.0"])
        );
        let _ =
            writeln!(text, "executor_start = \"{}ms\"\nplugin_load = \"{}ms\"", dice.below(5), dice.below(5));
    }
    for number in 0..1 + dice.below(3) {
        let time = dice.one_of(&[
            "{ const = \"5ms\" }",
            "{ exp = \"10ms\" }",
            "{ uniform = [\"1us\", \"20ms\"] }",
            "{ bimodal = { short = \"1ms\", long = \"200ms\", share = 0.05 } }",
            "{ pareto = { min = \"2ms\", shape = 1.5 } }",
            "{ lognormal = { median = \"4ms\", sigma = 1.0 } }",
        ]);
        let model = dice.one_of(&["thread", "process", "hybrid"]);
        let _ = writeln!(
            text,
            "[[jobs]]\nname = \"job{number}\"\ntasks = {}\nsubmit_at = \"{}ms\"\ntime = {time}\nmodel = \"{model}\"\nio = {}\n\
             weight = {}\npriority = {}\ninput_bytes = \"{}B\"\nresult_bytes = \"{}B\"\nplugin_bytes = \"{}kB\"",
            1 + dice.below(600),
            dice.below(1_000),
            dice.one_of(&["0.0", "0.5", "1.0"]),
            1 + dice.below(4),
            dice.below(3),
            dice.below(2_000),
            dice.below(2_000),
            dice.below(100)
        );
    }
    let faults = [
        "kind = \"worker_crash\"\nevery = \"2s\"\nrestart = \"300ms\"\nworkers = \"comes\"",
        "kind = \"worker_crash\"\nat = \"500ms\"\nworkers = \"comes\"\ncount = 1",
        "kind = \"executor_crash\"\nevery = \"1s\"",
        "kind = \"coordinator_crash\"\nat = \"400ms\"\nrestart = \"200ms\"",
        "kind = \"pause\"\nat = \"300ms\"\nlength = \"3s\"\nworkers = \"comes\"",
        "kind = \"pause\"\nevery = \"3s\"\nlength = \"400ms\"",
        "kind = \"partition\"\nat = \"200ms\"\nlength = \"4s\"\nworkers = \"comes\"\ndirection = \"to_workers\"",
        "kind = \"partition\"\nat = \"250ms\"\nlength = \"1s\"\nworkers = \"comes\"\ndirection = \"to_coordinator\"",
        "kind = \"straggler\"\nfactor = 20.0\nworkers = \"comes\"\ncount = 1",
        "kind = \"poison\"\njob = \"job0\"\nshare = 0.01",
        "kind = \"join\"\nat = \"600ms\"\ncount = 2\nworkers = \"comes\"",
        "kind = \"leave\"\nat = \"700ms\"\ncount = 1\nworkers = \"comes\"",
        "kind = \"clock_drift\"\nppm = 5000",
    ];
    for fault in faults {
        if dice.below(3) == 0 {
            let _ = writeln!(text, "[[faults]]\n{fault}");
        }
    }
    text
}

#[test]
fn every_task_ends_once() {
    let seeds: u64 = std::env::var("MUSTER_SEEDS").map_or(100, |seeds| seeds.parse().unwrap());
    let mut struck: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in std::env::var("MUSTER_FIRST").map_or(0, |first| first.parse().unwrap())..seeds {
        let text = draw(seed);
        let scenario = Scenario::parse(&text, "random.toml", Path::new(""), &[]).unwrap();
        let run = || {
            // An hour is for ever here, and a run that does nothing but events is stuck, too.
            let mut looks = 0;
            Cluster::new(scenario.clone(), seed).checked().run(|| {
                looks += 1;
                looks > 3
            })
        };
        let report = run();
        assert!(
            !report.stopped && report.unfinished() == 0,
            "seed {seed} did not end in {}: {:?}\n{:?}\n{text}",
            report.makespan,
            report.jobs,
            report.measures.faults
        );
        for job in &report.jobs {
            assert_eq!(job.committed + job.failed, job.tasks, "seed {seed}: {job:?}\n{text}");
        }
        report.measures.faults.iter().for_each(|(&kind, &count)| *struck.entry(kind).or_default() += count);
        if seed % 10 == 0 {
            assert_eq!(run().digest, report.digest, "seed {seed} went another way");
        }
    }
    eprintln!("{seeds} scenarios; faults that struck: {struck:?}");
    assert!(struck.len() >= 13, "some fault never struck: {struck:?}");
}
