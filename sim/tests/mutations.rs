//! The checkers notice when a guarantee is taken away. Each is taken away at the very place that gives it; the run
//! counts how often that made a difference.

#![allow(clippy::unwrap_used, missing_docs)]

use muster_sim::swarm::{Mutation, Options, Params, Report, checker_names, run, shrink};
use std::collections::BTreeSet;

/// A guarantee must be missed within so many seeds.
const SEEDS: u64 = 1_000;

/// Which checkers may be the one that notices, by the guarantee.
const EXPECTED: [(&str, &[&str]); 28] = [
    ("no-fencing", &["fencing"]),
    ("no-duplicate-check", &["commit_once", "fencing"]),
    ("no-heartbeat-timeout", &["silence"]),
    ("lost-callback", &["one_state", "accounting", "memory"]),
    ("attempts-charged-twice", &["budgets"]),
    ("attempts-stand-still", &["attempts"]),
    ("credit-leak", &["accounting"]),
    ("second-lease-stays", &["speculation"]),
    ("second-lease-at-once", &["speculation"]),
    ("second-lease-early", &["speculation"]),
    ("pair-remembered", &["invariants"]),
    ("place-given-twice", &["log"]),
    ("hold-unheard", &["no_lease_after_end"]),
    ("backoff-ignored", &["backoff"]),
    ("class-budget-ignored", &["budgets"]),
    ("crashes-uncounted", &["pauses"]),
    ("pause-unheard", &["pauses", "no_lease_after_end"]),
    ("unfit-unheard", &["fit"]),
    ("drain-unheard", &["no_lease_after_end"]),
    ("drained-early", &["drains"]),
    ("rank-ignored", &["order"]),
    ("credit-uncounted", &["credits"]),
    ("lease-place-lost", &["memory"]),
    ("nothing-refused", &["answers"]),
    ("lease-kept", &["memory", "invariants"]),
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

/// A checker that is new needs a mutation that upsets it.
#[test]
fn every_checker_is_upset_by_a_mutation() {
    let upset = |checker: &&str| EXPECTED.iter().any(|(_, checkers)| checkers.contains(checker));
    let calm: Vec<&str> = checker_names().into_iter().filter(|checker| !upset(checker)).collect();
    assert!(calm.is_empty(), "no mutation upsets {calm:?}");
}

/// docs/testing.md has a row for each checker, with mutations that upset it, and one for each mutation.
#[test]
fn the_document_says_what_upsets_what() {
    let document = include_str!("../../docs/testing.md");
    let rows = || document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let row = |name: &str| rows().find(|(first, _)| *first == name).map(|(_, rest)| rest);
    for (name, checkers) in EXPECTED {
        assert!(row(name).is_some(), "{name} has no row");
        let upset = |checker: &&str| row(checker).is_some_and(|rest| rest.contains(&format!("`{name}`")));
        assert!(checkers.iter().any(upset), "{name} is at none of {checkers:?}");
    }
    for checker in checker_names() {
        let cells = row(checker).unwrap_or_else(|| panic!("{checker} has no row")).split(" | ");
        let mutations = cells.last().unwrap().split('`').skip(1).step_by(2);
        for name in mutations {
            let expected = EXPECTED.iter().find(|(other, _)| *other == name);
            assert!(expected.is_some_and(|(_, checkers)| checkers.contains(&checker)), "{name} at {checker}");
        }
    }
}

#[test]
fn every_mutation_is_caught() {
    let mut upset = BTreeSet::new();
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
        upset.insert(violation.checker);
        // It is the mutation that was noticed.
        let sound = run(report.seed, &report.params, Options::default());
        assert_eq!(sound.violation, None, "{}", sound.command(None));
        assert_eq!(sound.mutated, 0);
    }
    // Where several may notice, it is not always the same one.
    let calm: Vec<&str> = checker_names().into_iter().filter(|checker| !upset.contains(checker)).collect();
    assert!(calm.is_empty(), "no mutation has upset {calm:?}");
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
