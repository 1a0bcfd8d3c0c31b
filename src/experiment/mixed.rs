//! `mixed`: tasks that compute for a share of their time and wait for the rest. Which model wins depends on the share.

use super::claim::{Claim, Evidence, Holds, times};
use super::workloads::Workloads;
use crate::cli::Model;
use crate::compare::{Case, Configuration, Group};
use crate::exit::Outcome;
use serde_json::json;

/// Percent of a task's time that computes.
const COMPUTING: [u32; 5] = [0, 25, 50, 75, 100];
/// Of a task, when nothing else is on its processor.
const TASK_US: u64 = 4_000;
/// About.
const ADDITIONS_PER_US: u64 = 1_000;
const TASKS: u64 = 80;
const MODELS: [Model; 4] = [Model::Thread, Model::Process, Model::Async, Model::Gil];

fn name(computing: u32) -> String {
    format!("{computing} % computing")
}

pub async fn groups(slots: u32, with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
    let mut groups = Vec::new();
    for computing in COMPUTING {
        let computes_us = TASK_US * u64::from(computing) / 100;
        let (additions, wait_us) = (computes_us * ADDITIONS_PER_US, TASK_US - computes_us);
        let subject = with.subject("mixed", json!({"additions": additions, "wait_us": wait_us})).await?;
        let mut cases = Vec::new();
        for model in MODELS {
            cases.push(Case::new(Configuration::on(model, slots)?, &subject));
        }
        groups.push(
            Group::of(&name(computing), cases, TASKS).factor("computing", f64::from(computing) / 100.0),
        );
    }
    Ok(groups)
}

pub fn claims(slots: u32, evidence: Evidence<'_>) -> Vec<Claim> {
    let [gil, process] = [format!("gil 1x{slots}"), format!("process {slots}x1")];
    let [waiting, computing] = [0, 100].map(|share| evidence.ratio(&name(share), &gil, &process));
    vec![Claim {
        topic: "computing and waiting",
        claim: "threads are enough for work that waits, processes are needed for work that computes"
            .to_owned(),
        measured: format!(
            "under an interpreter lock, threads take {} times as long as processes when tasks only wait, and {} times when they only \
             compute",
            times(waiting),
            times(computing)
        ),
        verdict: match (Holds::above(waiting, 1.1), Holds::above(computing, 1.1)) {
            (Holds::No, Holds::Yes) => Holds::Yes,
            (Holds::Yes, _) | (_, Holds::No) => Holds::No,
            _ => Holds::Unknown,
        },
        command: "muster compare mixed".to_owned(),
    }]
}
