//! `gil`: what an interpreter lock costs, by the share of the work that is made outside of it, and by how long a task waits
//! before it asks for the lock (CPython: `sys.setswitchinterval`, 5 ms).

use super::claim::{Claim, Evidence, Holds, times};
use super::workloads::Workloads;
use crate::cli::{Model, ShapeArgs};
use crate::compare::{Case, Configuration, Group};
use crate::exit::Outcome;
use serde_json::json;
use std::time::Duration;

/// Percent of the additions that are made outside of the lock.
const OUTSIDE: [u32; 5] = [0, 25, 50, 75, 100];
/// About 4 ms.
const ADDITIONS: u64 = 4_000_000;
const TASKS: u64 = 80;
/// Microseconds.
const SWITCHES: [u64; 3] = [500, 5_000, 50_000];
const SWITCHING: &str = "short waits beside computing, by the switch interval";

fn name(outside: u32) -> String {
    format!("{outside} % outside of the lock")
}

pub async fn groups(slots: u32, with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
    let mut groups = Vec::new();
    for outside in OUTSIDE {
        let params = json!({"additions": ADDITIONS, "outside": f64::from(outside) / 100.0, "wait_us": 0});
        let subject = with.subject("mixed", params).await?;
        let mut cases = Vec::new();
        for model in [Model::Gil, Model::Thread, Model::Process] {
            cases.push(Case::new(Configuration::on(model, slots)?, &subject));
        }
        groups.push(Group::of(&name(outside), cases, TASKS).factor("outside", f64::from(outside) / 100.0));
    }
    // A task that has waited wants the lock back from one that computes.
    let params =
        json!({"additions": 1_000_000, "wait_us": 1_000, "turns": 4, "waiter_every": 2, "waiter_us": 4_000});
    let subject = with.subject("mixed", params).await?;
    let mut cases = Vec::new();
    for switch in SWITCHES {
        let shape = ShapeArgs { gil_switch: Some(Duration::from_micros(switch)), ..ShapeArgs::default() };
        let ms = switch as f64 / 1e3;
        let configuration = Configuration::with(Model::Gil, slots, shape)?.called(&format!("{ms} ms"));
        cases.push(Case::new(configuration, &subject).factor("switch_ms", ms));
    }
    groups.push(Group::of(SWITCHING, cases, 2 * TASKS));
    Ok(groups)
}

pub fn claims(slots: u32, evidence: Evidence<'_>) -> Vec<Claim> {
    let (thread, gil) = (format!("thread 1x{slots}"), format!("gil 1x{slots}"));
    let [all, none] = [0, 100].map(|outside| evidence.ratio(&name(outside), &gil, &thread));
    vec![Claim {
        topic: "the GIL",
        claim: "one lock lets one thread compute at a time: no speed-up for threads that compute".to_owned(),
        measured: format!(
            "with everything under the lock, threads take {} times as long as without one; with everything outside of it {} times",
            times(all),
            times(none)
        ),
        verdict: match (Holds::above(all, 1.3), Holds::above(none, 1.3)) {
            (Holds::Yes, Holds::No) => Holds::Depends,
            (Holds::Yes, Holds::Yes) => Holds::Yes,
            (Holds::No, _) => Holds::No,
            _ => Holds::Unknown,
        },
        command: "muster compare gil".to_owned(),
    }]
}
