//! `exchange`: what a message between two tasks costs, by what carries it and by its size. The article says that processes
//! need queues, pipes or shared memory to exchange data, where threads just share it.

use super::claim::{Claim, Evidence, Holds, times};
use super::workloads::Workloads;
use crate::compare::{Case, Configuration, Group, Reading, ReadingFrom};
use crate::exit::Outcome;
use serde_json::json;

const COST: Reading =
    Reading { from: ReadingFrom::Reduced("ns_per_message"), name: "NS A MESSAGE", unit: "ns" };
const RATE: Reading =
    Reading { from: ReadingFrom::Reduced("megabytes_per_second"), name: "MB/S", unit: "MB/s" };
/// Bytes of a message, and how many there are: about a tenth of a second through a pipe.
const SIZES: [(u64, u64, &str); 6] = [
    (8, 100_000, "8 B"),
    (64, 100_000, "64 B"),
    (1 << 10, 60_000, "1 KiB"),
    (16 << 10, 12_000, "16 KiB"),
    (64 << 10, 4_000, "64 KiB"),
    (1 << 20, 250, "1 MiB"),
];
/// What may be under way at the same time.
const UNDER_WAY_BYTES: u64 = 4 << 20;
const CAPACITY_MAX: u64 = 64;

pub async fn groups(with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
    let mut groups = Vec::new();
    for (bytes, messages, size) in SIZES {
        let mut cases = Vec::new();
        // A queue joins threads of one process; the others join processes.
        for (kind, processes, threads) in
            [("queue", 1, 2), ("shared", 2, 1), ("pipe", 2, 1), ("socket", 2, 1)]
        {
            let capacity = CAPACITY_MAX.min(UNDER_WAY_BYTES / bytes / 2).max(1);
            let params = json!({"kind": kind, "bytes": bytes, "messages": messages, "capacity": capacity});
            let subject = with.read("exchange", params, &[COST, RATE]).await?;
            let configuration = Configuration::shaped(processes, threads)?.called(kind);
            cases.push(Case::new(configuration, &subject).factor("kind", kind));
        }
        groups.push(Group::of(&name(size), cases, 2).factor("bytes", bytes));
    }
    Ok(groups)
}

fn name(size: &str) -> String {
    format!("messages of {size}")
}

pub fn claims(evidence: Evidence<'_>) -> Vec<Claim> {
    let cost =
        |size: &str, case: &str| evidence.reading(&name(size), case, COST.name).map(|(median, _)| median);
    let [queue, shared, pipe] = ["thread 1x2, queue", "process 2x1, shared", "process 2x1, pipe"];
    let ns = |cost: Option<f64>| {
        cost.map_or_else(|| "an unknown number of".to_owned(), |cost| format!("{cost:.0}"))
    };
    let [small, large] = ["8 B", "1 MiB"].map(|size| evidence.ratio(&name(size), pipe, shared));
    let measured = |size: &str| {
        let [queue, shared, pipe] = [queue, shared, pipe].map(|case| ns(cost(size, case)));
        format!("{size}: queue of threads {queue} ns, shared memory of processes {shared} ns, pipe {pipe} ns")
    };
    // By message, beside the queue of threads.
    let dearer = |case: &str| evidence.reading_ratio(&name("8 B"), case, queue, COST.name);
    vec![Claim {
        topic: "communication",
        claim: "processes need communication, which costs more than what threads share".to_owned(),
        measured: format!(
            "{}; {}. A run with a pipe takes {} and {} times as long as one with shared memory",
            measured("8 B"),
            measured("1 MiB"),
            times(small),
            times(large)
        ),
        verdict: Holds::of_both(Holds::above(dearer(shared), 1.0), Holds::above(dearer(pipe), 1.0)),
        command: "muster compare exchange".to_owned(),
    }]
}
