//! `cpu`: work that only computes. The article adds `i * n` for ten million numbers i and n from 0 to 3, in four threads and
//! in four processes of CPython, and finds processes faster by about the number of cores.

use super::claim::{Claim, Evidence, Holds, times};
use super::workloads::Workloads;
use crate::cli::Model;
use crate::compare::{CANCELS, Case, Configuration, Group};
use crate::exit::Outcome;
use serde_json::json;

const ARTICLE: &str = "4 sums of 10,000,000 products";
const LONG: &str = "the same, 10 times as long";
const PRIMES: &str = "primes up to 20,000,000";
const MODELS: [Model; 4] = [Model::Thread, Model::Process, Model::Hybrid, Model::Gil];

pub async fn groups(slots: u32, with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
    let mut groups = Vec::new();
    for (name, plugin, params, tasks) in [
        (ARTICLE, "loop", json!({"iters": 10_000_000}), 4),
        (LONG, "loop", json!({"iters": 100_000_000}), 4),
        (PRIMES, "primes", json!({"limit": 20_000_000}), 64),
    ] {
        let subject = with.subject(plugin, params).await?;
        let mut cases = Vec::new();
        for model in MODELS {
            cases.push(Case::new(Configuration::on(model, slots)?, &subject));
        }
        groups.push(Group::of(name, cases, tasks).with_probes((name == LONG).then_some(CANCELS)));
    }
    Ok(groups)
}

pub fn claims(slots: u32, evidence: Evidence<'_>) -> Vec<Claim> {
    let [thread, process, gil] =
        [format!("thread 1x{slots}"), format!("process {slots}x1"), format!("gil 1x{slots}")];
    let cpus = f64::from(muster_worker::usable_cpus().min(slots));
    let locked = evidence.ratio(LONG, &gil, &process);
    let free = evidence.ratio(LONG, &thread, &process);
    vec![Claim {
        topic: "CPU-bound work",
        claim: "for work that only computes, processes beat threads by about the number of cores".to_owned(),
        measured: format!(
            "under a lock as CPython's, threads take {} times as long as processes on {cpus} CPUs; without a lock {} times",
            times(locked),
            times(free)
        ),
        verdict: match (Holds::about(locked, cpus), Holds::about(free, cpus)) {
            // It is the lock that makes the difference.
            (Holds::Yes, Holds::No) => Holds::Depends,
            (locked, Holds::Yes) => locked,
            (Holds::No, _) => Holds::No,
            _ => Holds::Unknown,
        },
        command: "muster compare cpu".to_owned(),
    }]
}
