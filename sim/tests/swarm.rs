//! Swarms of faults find nothing, strike with every kind, and go the same way each time, also in another process.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_sim::swarm::{Fault, Options, Params, Struck, run};
use std::process::Command;

/// Debug builds check more and are slower; `.ci/run` runs many more seeds in a release build.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 1_500 };

#[test]
fn nothing_is_violated_and_every_kind_of_fault_strikes() {
    let (mut struck, mut jobs, mut second_leases) = (Struck::default(), 0, 0);
    for seed in 0..SEEDS {
        let report = run(seed, &Params::draw(seed), Options::default());
        if let Some(violation) = &report.violation {
            panic!("{violation}\n{}", report.command(None));
        }
        struck.add(&report.struck);
        jobs += report.jobs;
        second_leases += report.second_leases;
    }
    for &fault in Fault::ALL {
        assert!(struck.of(fault) > 0, "{} never struck in {SEEDS} seeds", fault.name());
    }
    assert!(jobs >= SEEDS, "only {jobs} jobs ended");
    assert!(second_leases >= SEEDS / 10, "only {second_leases} second leases");
}

/// Seeds that find what was wrong when the fix is taken out. A change of what seeds draw makes other runs of them: what
/// keeps the fixes are their tests in `core/tests/cluster`.
#[test]
fn seeds_that_once_found_something_find_nothing() {
    // A worker's credit was upset by a task time that no clock can show.
    let credit = "workers=1 jobs=4 tasks=60 faults=pause+crash-executor+crash-unseen+lose-page+forget-claim+lie from_ms=77 until_ms=4408";
    // A worker that was lost while it drained was said to have drained.
    let drained = "workers=1 jobs=2 tasks=189 faults=cut-up+drain+join from_ms=8 until_ms=4568";
    // A task that always failed had a second lease again each time one of two failed, and was never given up.
    let forever = "workers=1 jobs=2 tasks=180 faults=poison from_ms=8 until_ms=4568";
    // A task that nobody had started under one lease came back with the number of its try under the other.
    let tried = "workers=2 jobs=4 tasks=235 faults=crash-worker+cut-up+cut-down+crash-executor+lose-page+fail-task+trouble+lie+made-up from_ms=129 until_ms=1791";
    // Tasks that were said to take centuries looked short.
    let centuries = "workers=6 jobs=4 tasks=203 faults=crash-worker+pause+cut-up+cut-down+lose-page+crash-coordinator+poison+fail-task+drain+join+lie from_ms=119 until_ms=4714";
    // A slot was kept for a task that was lost in the page, and no job had it.
    let kept = "workers=7 jobs=3 tasks=161 faults=reorder+reset+partition+crash-executor+forget-claim+trouble+made-up from_ms=19 until_ms=559";
    let found =
        [(29_579, credit), (10, drained), (10, forever), (1_423, tried), (58_862, centuries), (39_752, kept)];
    for (seed, params) in found {
        for params in [Params::draw(seed), params.parse().unwrap()] {
            let report = run(seed, &params, Options::default());
            assert_eq!(report.violation, None, "{}", report.command(None));
        }
    }
}

#[test]
fn the_same_seed_goes_the_same_way() {
    let mut digests = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let params = Params::draw(seed);
        let [one, two] = [(); 2].map(|()| run(seed, &params, Options::default()));
        assert_eq!((one.digest, one.events, one.struck), (two.digest, two.events, two.struck), "seed {seed}");
        digests.insert(one.digest);
    }
    assert_eq!(digests.len(), 40, "digests tell runs apart");
}

fn swarm(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_swarm")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn another_process_goes_the_same_way() {
    let seed = 7;
    let report = run(seed, &Params::draw(seed), Options::default());
    let digest = format!("digest {:016x}", report.digest);
    let params = Params::draw(seed).to_string();
    for arguments in [vec!["--seed", "7"], vec!["--seed", "7", "--params", &params]] {
        let (code, out, _) = swarm(&arguments);
        assert_eq!(code, Some(0), "{out}");
        assert!(out.contains(&digest), "{digest} is not in {out}");
    }
    // Threads share the seeds out as they come; what they find does not depend on it.
    let digest_of = |threads| {
        let (code, out, _) = swarm(&["--seeds", "0..60", "--threads", threads, "--json"]);
        assert_eq!(code, Some(0), "{out}");
        let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((summary["seeds"].as_u64(), summary["violations"].as_u64()), (Some(60), Some(0)));
        assert!(summary["faults_total"].as_u64() > Some(0));
        summary["digest"].as_str().unwrap().to_owned()
    };
    assert_eq!(digest_of("1"), digest_of("3"));
}

#[test]
fn wrong_usage_is_said() {
    for arguments in [
        &["--seeds", "9..3"][..],
        &["--seed", "x"],
        &["--params", "speed=1"],
        &["--sneeds", "1"],
        &["--seed"],
        &[],
    ] {
        let (code, ..) = swarm(arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
    }
    #[cfg(not(feature = "mutations"))]
    {
        let (code, _, said) = swarm(&["--seed", "1", "--mutation", "no-fencing"]);
        assert_eq!(code, Some(2));
        assert!(said.contains("this build keeps every guarantee"), "{said}");
    }
}
