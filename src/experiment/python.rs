//! The same questions to a real CPython, with `--with-python`: the workload `python` beside muster's own.

use super::claim::{Claim, Evidence, Holds, times};
use super::name::Name;
use super::workloads::Workloads;
use crate::cli::Model;
use crate::compare::{Case, Configuration, Group, Reading, ReadingFrom, Subject};
use crate::exit::{Failure, Outcome};
use crate::summary::number;
use serde_json::json;
use std::rc::Rc;

const SUMS: &str = "CPython: 4 sums of 5,000,000 products";
const PURE: &str = "CPython: everything under its lock";
const OUTSIDE: &str = "CPython: hashes, which release its lock";
const WAITS: &str = "CPython: 10 waits of 0.1 s";
const COUNTER: &str = "CPython: a counter without a lock";
const LOCKED: &str = "CPython: a counter with a lock";
const GRID: &str = "CPython: half computing, half waiting";
/// Additions of each task that counts.
const INCREMENTS: u32 = 500_000;

/// Half of what the article adds up: so long that the start of an interpreter is little beside it.
const LONG_SUM: &str = "sum(i * index for i in range(5_000_000))";
const SUM: &str = "sum(i * index for i in range(2_000_000))";
const HASH: &str = "import hashlib\ndata = bytes(1 << 20)\nhash = hashlib.sha256()\nfor _ in range(48):\n    hash.update(data)\nhash.hexdigest()";
const WAIT: &str = "import time\ntime.sleep(0.1)";
const HALF: &str = "import time\ntime.sleep(0.01)\nsum(i * i for i in range(150_000))";

/// What is compared beside the groups of an experiment.
pub async fn groups(name: Name, slots: u32, with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
    match name {
        Name::Cpu => Ok(vec![two(SUMS, LONG_SUM, slots, with).await?]),
        Name::Gil => Ok(vec![two(PURE, SUM, slots, with).await?, two(OUTSIDE, HASH, slots, with).await?]),
        Name::Io => Ok(vec![waits(with).await?]),
        Name::Shared => counters(slots, with).await,
        Name::Hybrid => Ok(vec![grid(with).await?]),
        _ => {
            let name = name.word();
            Err(Failure::usage(format_args!("experiment {name} has nothing to ask CPython"))
                .hint("--with-python goes with cpu, gil, io, shared and hybrid"))
        }
    }
}

async fn subject(code: &str, with: &mut Workloads<'_>) -> Outcome<Rc<Subject>> {
    let params = json!({"code": code, "python": with.python()?});
    with.subject("python", params).await
}

/// Threads of one interpreter against as many interpreters.
async fn two(name: &str, code: &str, slots: u32, with: &mut Workloads<'_>) -> Outcome<Group> {
    let subject = subject(code, with).await?;
    // The first runs twice in each block: the faster one.
    let shapes = [Configuration::on(Model::Process, slots)?, Configuration::on(Model::Thread, slots)?];
    Ok(Group::of(name, shapes.map(|shape| Case::new(shape, &subject)).into(), 4))
}

async fn waits(with: &mut Workloads<'_>) -> Outcome<Group> {
    let subject = subject(WAIT, with).await?;
    let shapes = [
        Configuration::shaped(1, 5)?,
        Configuration::shaped(1, 1)?,
        Configuration::shaped(5, 1)?,
        Configuration::shaped(2, 5)?,
    ];
    Ok(Group::of(WAITS, shapes.map(|shape| Case::new(shape, &subject)).into(), 10))
}

async fn grid(with: &mut Workloads<'_>) -> Outcome<Group> {
    let subject = subject(HALF, with).await?;
    let mut cases = Vec::new();
    for (processes, threads) in [(1, 4), (1, 1), (2, 1), (2, 2), (4, 1), (2, 4)] {
        cases.push(Case::new(Configuration::shaped(processes, threads)?, &subject));
    }
    Ok(Group::of(GRID, cases, 16))
}

/// Threads add to a global of their interpreter, processes to memory that they share.
async fn counters(slots: u32, with: &mut Workloads<'_>) -> Outcome<Vec<Group>> {
    let memory = with.file("counter", &[0; 8])?;
    let memory = memory.to_str().unwrap_or_default();
    let shared = format!(
        "import ctypes, mmap\nwith open({memory:?}, 'r+b') as file:\n    memory = mmap.mmap(file.fileno(), 8)\n\
         counter = ctypes.c_int64.from_buffer(memory)\nbefore = counter.value\n\
         for _ in range({INCREMENTS}):\n    counter.value += 1\n{{'from': before, 'to': counter.value}}"
    );
    let global = format!(
        "global counter\nbefore = globals().setdefault('counter', 0)\nfor _ in range({INCREMENTS}):\n    counter += 1\n\
         {{'from': before, 'to': counter}}"
    );
    let locked = format!(
        "global counter\nimport threading\nlock = globals().setdefault('lock', threading.Lock())\n\
         before = globals().setdefault('counter', 0)\nfor _ in range({INCREMENTS}):\n    with lock:\n        counter += 1\n\
         {{'from': before, 'to': counter}}"
    );
    let all = f64::from(INCREMENTS) * f64::from(slots);
    let lost = Reading { from: ReadingFrom::Missing(all, "from", "to"), name: "LOST UPDATES", unit: "" };
    let counted = Reading { from: ReadingFrom::Advance("from", "to"), name: "COUNTED", unit: "" };
    let readings = [counted, lost];
    let (threads, processes) =
        (Configuration::on(Model::Thread, slots)?, Configuration::on(Model::Process, slots)?);
    let mut of = async |code: String| -> Outcome<Rc<Subject>> {
        let params = json!({"code": code, "python": with.python()?});
        with.read("python", params, &readings).await
    };
    let (global, shared, locked) = (of(global).await?, of(shared).await?, of(locked).await?);
    let free = vec![Case::new(threads.clone(), &global), Case::new(processes, &shared)];
    let few = Configuration::shaped(1, 1)?;
    let safe = vec![Case::new(threads, &locked), Case::new(few, &locked)];
    Ok(vec![Group::of(COUNTER, free, slots.into()), Group::of(LOCKED, safe, slots.into())])
}

/// What became of the claims.
pub fn claims(name: Name, slots: u32, evidence: Evidence<'_>) -> Vec<Claim> {
    let [thread, process] = [format!("thread 1x{slots}"), format!("process {slots}x1")];
    let command = format!("muster compare {} --with-python", name.word());
    let claim = |topic: &'static str, claim: &str, measured: String, verdict: Holds| {
        vec![Claim { topic, claim: claim.to_owned(), measured, verdict, command: command.clone() }]
    };
    match name {
        Name::Cpu => {
            let ratio = evidence.ratio(SUMS, &thread, &process);
            let cpus = f64::from(muster_worker::usable_cpus().min(slots));
            claim(
                "CPU-bound work",
                "in CPython, processes beat threads at computing by about the number of cores",
                format!("threads take {} times as long as processes on {cpus} CPUs", times(ratio)),
                Holds::about(ratio, cpus),
            )
        }
        Name::Gil => {
            let [pure, outside] = [PURE, OUTSIDE].map(|group| evidence.ratio(group, &thread, &process));
            claim(
                "the GIL",
                "in CPython, threads do not compute at the same time",
                format!(
                    "threads take {} times as long as processes in Python itself, and {} times where the lock is released",
                    times(pure),
                    times(outside)
                ),
                match (Holds::above(pure, 1.2), Holds::above(outside, 1.2)) {
                    (Holds::Yes, Holds::No) => Holds::Depends,
                    (pure, _) => pure,
                },
            )
        }
        Name::Io => {
            let one = evidence.ratio(WAITS, "thread 1x1", "thread 1x5");
            let processes = evidence.ratio(WAITS, "process 5x1", "thread 1x5");
            claim(
                "I/O-bound work",
                "in CPython, threads are enough for work that waits",
                format!(
                    "one after the other takes {} times as long as 5 threads, 5 processes {} times",
                    times(one),
                    times(processes)
                ),
                match (Holds::above(one, 3.0), Holds::above(processes, 0.9)) {
                    (Holds::Yes, Holds::Yes) => Holds::Yes,
                    (Holds::No, _) | (_, Holds::No) => Holds::No,
                    _ => Holds::Unknown,
                },
            )
        }
        Name::Shared => lost_updates(&thread, &process, claim, evidence),
        Name::Hybrid => {
            let ratio = evidence.ratio(GRID, "thread 1x4", "hybrid 2x2");
            claim(
                "the hybrid",
                "in CPython, processes with threads in them are the best of both",
                format!("4 threads take {} times as long as 2 x 2", times(ratio)),
                Holds::above(ratio, 1.1),
            )
        }
        _ => Vec::new(),
    }
}

fn lost_updates(
    thread: &str,
    process: &str,
    claim: impl Fn(&'static str, &str, String, Holds) -> Vec<Claim>,
    evidence: Evidence<'_>,
) -> Vec<Claim> {
    let most = |case: &str| evidence.reading(COUNTER, case, "LOST UPDATES").map(|(_, most)| most);
    let (threads, processes) = (most(thread), most(process));
    let words =
        |lost: Option<f64>| lost.map_or_else(|| "unknown".to_owned(), |lost| number(lost.max(0.0) as u64));
    claim(
        "data sharing",
        "in CPython, threads without a lock lose updates",
        format!(
            "threads lost up to {}, processes on shared memory up to {}",
            words(threads),
            words(processes)
        ),
        match (threads, processes) {
            (Some(threads), _) if threads > 0.0 => Holds::Yes,
            (Some(_), Some(_)) => Holds::No,
            _ => Holds::Unknown,
        },
    )
}
