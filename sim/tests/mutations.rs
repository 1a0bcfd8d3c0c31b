//! The checkers notice when a guarantee is taken away. Each is taken away at the very place that gives it; the run
//! counts how often that made a difference.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_sim::swarm::{Mutation, Options, Params, Report, checker_names, run, shrink};

/// A guarantee must be missed within so many seeds.
const SEEDS: u64 = 1_000;

/// Which checkers may be the one that notices, by the guarantee.
const EXPECTED: [(&str, &[&str]); 11] = [
    ("no-fencing", &["fencing"]),
    ("no-duplicate-check", &["commit_once", "fencing"]),
    ("no-heartbeat-timeout", &["silence"]),
    ("lost-callback", &["one_state", "accounting", "memory"]),
    ("attempts-charged-twice", &["budgets"]),
    ("attempts-stand-still", &["attempts"]),
    ("credit-leak", &["accounting"]),
    ("second-lease-stays", &["speculation"]),
    ("commit-before-store", &["durability"]),
    ("no-quiet", &["liveness"]),
    ("parts-swapped", &["reduction"]),
];

/// The first seed that notices, and how often the guarantee was missing until then.
fn caught(mutation: Mutation) -> Option<(Report, u64)> {
    let options = Options { mutation: Some(mutation), ..Options::default() };
    let mut mutated = 0;
    (0..SEEDS).find_map(|seed| {
        let report = run(seed, &Params::draw(seed), options);
        mutated += report.mutated;
        report.violation.is_some().then_some((report, mutated))
    })
}

#[test]
fn every_mutation_is_caught() {
    assert_eq!(EXPECTED.map(|(name, _)| name), Mutation::ALL.map(|(name, _)| name));
    for (name, checkers) in EXPECTED {
        assert!(checkers.iter().all(|checker| checker_names().contains(checker)));
        let mutation: Mutation = name.parse().unwrap();
        let Some((report, mutated)) = caught(mutation) else {
            panic!("{name} is not noticed in {SEEDS} seeds");
        };
        let violation = report.violation.clone().unwrap();
        eprintln!("{name}: seed {}, {mutated} times, {violation}", report.seed);
        assert!(mutated > 0, "{name} is noticed before it made a difference");
        assert!(checkers.contains(&violation.checker), "{name} is noticed by {violation}");
        // It is the mutation that was noticed.
        let sound = run(report.seed, &report.params, Options::default());
        assert_eq!(sound.violation, None, "{}", sound.command(None));
        assert_eq!(sound.mutated, 0);
    }
}

/// A shrunk run is no larger, goes wrong in the same way, and its command says all that is needed to make it again.
#[test]
fn a_shrunk_run_goes_wrong_in_the_same_way() {
    let mutation: Mutation = "commit-before-store".parse().unwrap();
    let options = Options { mutation: Some(mutation), ..Options::default() };
    let (report, _) = caught(mutation).unwrap();
    let small = shrink(&report, options);
    let (large, params) = (report.params, small.params);
    assert!(params.workers <= large.workers && params.jobs <= large.jobs && params.tasks <= large.tasks);
    assert!(params.faults.iter().count() < large.faults.iter().count(), "{params}");
    let again = run(small.seed, &params.to_string().parse().unwrap(), options);
    assert_eq!(again.violation, small.violation);
    assert_eq!(again.violation.unwrap().checker, report.violation.unwrap().checker);
    let command = small.command(Some(mutation.name()));
    assert!(command.contains("--features mutations") && command.ends_with("--mutation commit-before-store"));
    assert!(command.contains(&format!("--seed {} --params '{params}'", small.seed)), "{command}");
}
