//! `io`: work that waits: for a time, for answers of a server, for a disk; by how much of it goes on at the same time.

use super::claim::{Claim, Evidence, Holds, times};
use super::workloads::Workloads;
use crate::cli::{Model, ShapeArgs};
use crate::compare::{Case, Configuration, Group};
use crate::exit::Outcome;
use serde_json::json;

/// Waits at the same time, and what each lasts in milliseconds.
const WAITS: [(u32, u32); 5] = [(1, 20), (10, 50), (100, 50), (1_000, 50), (10_000, 100)];
/// More processes than this are not what anybody would take for waiting.
const PROCESSES_MAX: u32 = 100;
/// The most slots that a worker has.
const THREADS_MAX: u32 = 4_000;
const ARTICLE: &str = "10 fetches of 0.1 s";
const FETCHES: &str = "200 fetches of 50 ms, 50 at the same time";
const DISK: &str = "16 files of 4 MiB, synced every 256 KiB";

fn name(waits: u32) -> String {
    match waits {
        1 => "1 wait at a time".to_owned(),
        waits => format!("{waits} waits at the same time"),
    }
}

fn in_flight(threads: u32, tasks: u32) -> Outcome<Configuration> {
    Configuration::with(Model::Async, threads, ShapeArgs { in_flight: Some(tasks), ..ShapeArgs::default() })
}

pub async fn groups(with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
    let mut groups = Vec::new();
    for (waits, ms) in WAITS {
        let subject = with.subject("sleep", json!({"ms": ms})).await?;
        // The first runs twice in each block, and thousands of threads take long.
        let mut shapes =
            vec![in_flight(1, waits)?, Configuration::on(Model::Thread, waits.min(THREADS_MAX))?];
        if waits > 1 && waits <= PROCESSES_MAX {
            shapes.push(Configuration::on(Model::Process, waits)?);
        }
        let cases = shapes.into_iter().map(|shape| Case::new(shape, &subject)).collect();
        groups.push(Group::of(&name(waits), cases, 2 * u64::from(waits)).factor("concurrency", waits));
    }
    let url = with.server("/delay/0.1")?;
    let article = with.subject("http-fetch", json!({"url": url})).await?;
    let shapes = [
        Configuration::shaped(1, 5)?,
        Configuration::shaped(1, 1)?,
        Configuration::shaped(5, 1)?,
        Configuration::shaped(2, 5)?,
        in_flight(1, 10)?,
    ];
    groups.push(Group::of(ARTICLE, shapes.map(|shape| Case::new(shape, &article)).into(), 10));
    let url = with.server("/delay/0.05")?;
    let fetches = with.subject("http-fetch", json!({"url": url})).await?;
    let shapes = [
        Configuration::shaped(1, 50)?,
        Configuration::shaped(50, 1)?,
        Configuration::shaped(2, 25)?,
        in_flight(1, 50)?,
    ];
    groups.push(Group::of(FETCHES, shapes.map(|shape| Case::new(shape, &fetches)).into(), 200));
    let disk = json!({"op": "fsync", "size": 4 << 20, "block": 256 << 10});
    let disk = with.subject("disk", disk).await?;
    let shapes = [Configuration::shaped(1, 4)?, Configuration::shaped(4, 1)?, Configuration::shaped(1, 16)?];
    groups.push(Group::of(DISK, shapes.map(|shape| Case::new(shape, &disk)).into(), 16));
    Ok(groups)
}

pub fn claims(evidence: Evidence<'_>) -> Vec<Claim> {
    let one = evidence.ratio(ARTICLE, "thread 1x1", "thread 1x5");
    let processes = evidence.ratio(ARTICLE, "process 5x1", "thread 1x5");
    let flight = evidence.ratio(&name(10_000), "thread 1x4000", "async 1x1/10000");
    vec![
        Claim {
            topic: "I/O-bound work",
            claim: "threads are enough for work that waits".to_owned(),
            measured: format!(
                "of 10 fetches of 0.1 s, one after the other takes {} times as long as 5 threads, and 5 processes {} times",
                times(one),
                times(processes)
            ),
            verdict: match (Holds::above(one, 3.0), processes) {
                (Holds::Yes, Some(ratio)) if ratio.is_above(0.9) => Holds::Yes,
                (Holds::Yes, Some(ratio)) if ratio.is_below(0.9) => Holds::No,
                (Holds::No, _) => Holds::No,
                _ => Holds::Unknown,
            },
            command: "muster compare io".to_owned(),
        },
        Claim {
            topic: "async",
            claim: "async is the future for I/O".to_owned(),
            measured: format!(
                "10,000 waits at the same time take 4,000 threads {} times as long as one thread that has all in flight",
                times(flight)
            ),
            verdict: Holds::above(flight, 1.1),
            command: "muster compare io".to_owned(),
        },
    ]
}
