//! The tour: the claims of the article behind muster in its order, each held against a short measurement. What compares
//! times are a few groups of the experiments, all side by side; what does not are the experiments with little time.

use super::claim::{Claim, Evidence, keep_asked};
use super::name::Name;
use super::workloads::Workloads;
use super::{gil, python, stated};
use crate::compare::Group;
use crate::exit::Outcome;
use crate::experiment::Findings;

/// The experiments whose groups are run.
const OF_TIMES: [Name; 6] = [Name::Shared, Name::Exchange, Name::Gil, Name::Cpu, Name::Io, Name::Hybrid];
/// Those that CPython is asked in.
const OF_PYTHON: [Name; 3] = [Name::Shared, Name::Cpu, Name::Io];
/// The experiments that give tables, and of the time for them what each may take.
pub const OF_TABLES: [(Name, f64); 5] = [
    (Name::Lifecycle, 0.13),
    (Name::Switch, 0.13),
    (Name::Memory, 0.14),
    (Name::Isolate, 0.4),
    (Name::Interrupt, 0.2),
];
/// The article's order.
const TOPICS: [&str; 13] = [
    "data sharing",
    "a thread-safe counter",
    "communication",
    "the GIL",
    "CPU-bound work",
    "I/O-bound work",
    "the hybrid",
    "creation cost",
    "context switches",
    "memory",
    "error isolation",
    "interruptibility",
    "async",
];

/// What is compared side by side: the rows that the claims ask for, without looking closer. `python`: whether CPython is
/// asked, too.
pub async fn groups(slots: u32, python: bool, with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
    let mut groups = Vec::new();
    for name in OF_TIMES {
        groups.extend(name.own_groups(slots, with).await?);
    }
    // There is no time for waits beside computing.
    groups.retain(|group| group.name != gil::SWITCHING);
    for name in OF_PYTHON.into_iter().filter(|_| python) {
        groups.extend(python::groups(name, slots, with).await?);
    }
    keep_asked(&mut groups, |evidence| claims(slots, python, evidence, &[]));
    Ok(groups.into_iter().map(|group| group.with_probes(None)).collect())
}

/// All claims in the article's order.
pub fn claims(slots: u32, python: bool, evidence: Evidence<'_>, found: &[(Name, Findings)]) -> Vec<Claim> {
    let of_times = OF_TIMES.into_iter().flat_map(|name| name.own_claims(slots, evidence));
    let of_python = OF_PYTHON.into_iter().filter(|_| python);
    let of_python = of_python.flat_map(|name| python::claims(name, slots, evidence));
    let of_tables = found.iter().flat_map(|(name, findings)| stated(*name, findings));
    let mut claims: Vec<Claim> = of_times.chain(of_python).chain(of_tables).collect();
    let place = |claim: &Claim| TOPICS.iter().position(|topic| *topic == claim.topic).unwrap_or(TOPICS.len());
    claims.sort_by_key(place);
    claims
}
