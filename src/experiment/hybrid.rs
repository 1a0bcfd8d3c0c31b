//! `hybrid`: processes with threads in them. The article has two processes that each fetch ten URLs on five threads and then
//! add up the squares of a million numbers, and calls it the best of both.

use super::claim::{Claim, Evidence, Holds, times};
use super::workloads::Workloads;
use crate::compare::{CANCELS, Case, Configuration, Group};
use crate::exit::Outcome;
use serde_json::json;

const SIDES: [u32; 3] = [1, 2, 4];
const GRID: &str = "half computing, half waiting";
const ARTICLE: &str = "the article's script, its waits a tenth as long";
const TASKS: u64 = 64;

pub async fn groups(with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
    let subject = with.subject("mixed", json!({"additions": 2_000_000, "wait_us": 2_000})).await?;
    let mut cases = Vec::new();
    for processes in SIDES {
        for threads in SIDES {
            cases.push(Case::new(Configuration::shaped(processes, threads)?, &subject));
        }
    }
    let grid = Group::of(GRID, cases, TASKS).with_probes(Some(CANCELS));
    // The first process fetches what takes 1 s, the second what takes 2 s: here 0.1 and 0.2 s.
    let url = with.server("/delay/0.{number}")?;
    let script = json!({"url": url, "urls": 10, "threads": 5, "count": 1_000_000});
    let script = with.subject("fetch-then-sum", script).await?;
    let shapes = [Configuration::shaped(2, 1)?, Configuration::shaped(1, 2)?, Configuration::shaped(1, 1)?];
    Ok(vec![grid, Group::of(ARTICLE, shapes.map(|shape| Case::new(shape, &script)).into(), 2)])
}

pub fn claims(evidence: Evidence<'_>) -> Vec<Claim> {
    let script = evidence.ratio(ARTICLE, "thread 1x2", "process 2x1");
    let [threads, processes] =
        ["thread 1x4", "process 4x1"].map(|other| evidence.ratio(GRID, other, "hybrid 2x2"));
    vec![Claim {
        topic: "the hybrid",
        claim: "processes with threads in them are the best of both".to_owned(),
        measured: format!(
            "half computing and half waiting, 4 threads take {} times as long as 2 x 2, and 4 processes {} times; the article's \
             script in one process takes {} times as long as in two",
            times(threads),
            times(processes),
            times(script)
        ),
        verdict: Holds::of_both(Holds::above(threads, 1.1), Holds::above(processes, 1.1)),
        command: "muster compare hybrid".to_owned(),
    }]
}
