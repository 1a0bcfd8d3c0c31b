//! `gil`: what an interpreter lock costs, by the share of the work that is made outside of it, and by how long a task waits
//! before it asks for the lock (CPython: `sys.setswitchinterval`, 5 ms).

use super::claim::{Claim, Evidence, Holds, times};
use super::workloads::Workloads;
use crate::cli::{Model, ShapeArgs};
use crate::compare::{Case, Configuration, Group, Reading, ReadingFrom};
use crate::exit::Outcome;
use crate::summary::seconds;
use serde_json::json;
use std::time::Duration;

/// Percent of the additions that are made outside of the lock.
const OUTSIDE: [u32; 5] = [0, 25, 50, 75, 100];
/// About 4 ms.
const ADDITIONS: u64 = 4_000_000;
const TASKS: u64 = 80;
const COMMAND: &str = "muster compare gil";
/// So many times as long as without a lock is late.
const LATE: f64 = 1.2;
/// Microseconds.
const SWITCHES: [u64; 3] = [500, 5_000, 50_000];
/// The group that takes longest.
pub const SWITCHING: &str = "short waits beside computing, by the switch interval";
/// Every so-manieth task only waits.
const WAITER_EVERY: u64 = 2;
const WAITER_US: u64 = 4_000;
/// What others compute at a time, more than CPython's switch interval: 6 to 8 ms on the machine of docs/experiments.md.
const BESIDE_ADDITIONS: u64 = 14_000_000;
/// So many that ten of those that wait are above their 90th percentile.
const WAITING_TASKS: u64 = 100 * WAITER_EVERY;
/// Service times of the tasks that only wait.
const WAITERS: [Reading; 2] = [waiters("WAITER P50", 0.5), waiters("WAITER P90", 0.9)];

const fn waiters(name: &'static str, quantile: f64) -> Reading {
    Reading { from: ReadingFrom::RunTimes { every: WAITER_EVERY, quantile }, name, unit: "s" }
}

fn at_interval(slots: u32, switch_us: u64) -> String {
    format!("gil 1x{slots}, {} ms", switch_us as f64 / 1e3)
}

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
    let params = json!({
        "additions": BESIDE_ADDITIONS, "wait_us": 0, "turns": 1, "waiter_every": WAITER_EVERY, "waiter_us": WAITER_US
    });
    let subject = with.read("mixed", params, &WAITERS).await?;
    let mut cases = Vec::new();
    for switch in SWITCHES {
        let shape = ShapeArgs { gil_switch: Some(Duration::from_micros(switch)), ..ShapeArgs::default() };
        let ms = switch as f64 / 1e3;
        let configuration = Configuration::with(Model::Gil, slots, shape)?.called(&format!("{ms} ms"));
        cases.push(Case::new(configuration, &subject).factor("switch_ms", ms));
    }
    cases.push(Case::new(Configuration::on(Model::Thread, slots)?, &subject));
    groups.push(Group::of(SWITCHING, cases, WAITING_TASKS));
    Ok(groups)
}

pub fn claims(slots: u32, evidence: Evidence<'_>) -> Vec<Claim> {
    let (thread, gil) = (format!("thread 1x{slots}"), format!("gil 1x{slots}"));
    let [all, none] = [0, 100].map(|outside| evidence.ratio(&name(outside), &gil, &thread));
    let lock = Claim {
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
        command: COMMAND.to_owned(),
    };
    // The tour has no time for it.
    let convoy = evidence.has(SWITCHING).then(|| convoy(slots, evidence));
    [lock].into_iter().chain(convoy).collect()
}

/// What a task that has waited 4 ms waits longer because the lock is not given up for 5 ms (the convoy effect: Beazley,
/// "Understanding the Python GIL", PyCon 2010).
fn convoy(slots: u32, evidence: Evidence<'_>) -> Claim {
    let (thread, gil) = (format!("thread 1x{slots}"), at_interval(slots, 5_000));
    let [p50, p90] = WAITERS.map(|waiters| evidence.reading_ratio(SWITCHING, &gil, &thread, waiters.name));
    let middle = |case: &str| {
        let found = evidence.reading(SWITCHING, case, WAITERS[0].name);
        found.map_or_else(|| "an unknown time".to_owned(), |(median, _)| seconds(median))
    };
    Claim {
        topic: "the GIL",
        claim: "CPython's switch interval of 5 ms makes short waits beside computing threads late".to_owned(),
        measured: format!(
            "a wait of 4 ms beside tasks that compute takes {} under a lock with an interval of 5 ms, with 0.5 ms {}, and {} \
             without a lock; with 5 ms {} times as long as without a lock, its 90th percentile {} times",
            middle(&gil),
            middle(&at_interval(slots, 500)),
            middle(&thread),
            times(p50),
            times(p90)
        ),
        verdict: Holds::above(p50, LATE),
        command: COMMAND.to_owned(),
    }
}
