//! How soon things go on: a coordinator with much in its store, workers that come back to it, tasks of a worker that was
//! killed.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod ledger;
mod siege;

use daemons::{SOON, until};
use ledger::Faults;
use muster_coordinator::store::{Record, SqliteStore, Store};
use muster_core::id::{JobId, LogPos};
use siege::Siege;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

const JOBS: u64 = 10_000;
const TASKS_EACH: u64 = 100;
/// From the start of the process until it answers.
const ACCEPTING_MAX: Duration = Duration::from_secs(5);
/// The default lease has ten of them.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// From the death of a worker until its tasks run elsewhere.
const ELSEWHERE_MAX: Duration = Duration::from_secs(1);

/// Writes the records of a finished job again and again, as other jobs.
fn multiply(state: &Path, of: u64) {
    let mut store = SqliteStore::open(state).unwrap();
    let mut records = Vec::new();
    let keep = |record: Record| {
        if record.job() == Some(JobId(of)) {
            records.push(record);
        }
        Ok(())
    };
    store.replay(&mut { keep }).unwrap();
    let epoch = store.begin_epoch().unwrap();
    let mut pos = 0;
    for jobs in (of + 1..of + JOBS).collect::<Vec<_>>().chunks(500) {
        let batch: Vec<(LogPos, Record)> = jobs
            .iter()
            .flat_map(|&job| records.iter().map(move |record| renamed(record.clone(), JobId(job))))
            .map(|record| {
                pos += 1;
                (LogPos(pos), record)
            })
            .collect();
        store.append(epoch, &batch).unwrap();
    }
}

fn renamed(mut record: Record, to: JobId) -> Record {
    match &mut record {
        Record::Submitted { job, request_id, .. } => {
            *job = to;
            *request_id = format!("copy-{}", to.0);
        }
        Record::Extended { job, .. }
        | Record::Sealed { job }
        | Record::Committed { job, .. }
        | Record::Ended { job, .. } => *job = to,
        other => panic!("a good job has no such record: {other:?}"),
    }
    record
}

#[test]
fn a_coordinator_with_a_million_committed_tasks_is_back_in_time() {
    let mut siege = Siege::new(2);
    let first = siege.submit(0, TASKS_EACH);
    siege.wait(&first);
    siege.kill_coordinator();
    multiply(&siege.state, first.number);
    siege.start_coordinator();
    siege.until_listening();
    let job = siege.submit(20_000, 1_000);
    until("tasks that run", SOON, || (siege.starts(&job).tasks > 10).then_some(()));
    siege.kill_coordinator();
    let begun = Instant::now();
    siege.start_coordinator();
    siege.until_listening();
    siege.ask(&["worker", "ls"]).ok();
    let accepting = begun.elapsed();
    let answered = Instant::now();
    siege.until_workers(2);
    let attached = answered.elapsed();
    siege.wait(&job);
    let starts = siege.starts(&job);
    eprintln!(
        "{JOBS} jobs, {} committed tasks: accepting after {accepting:.2?}, workers back {attached:.2?} later; {starts:?}",
        JOBS * TASKS_EACH
    );
    assert!(accepting <= ACCEPTING_MAX, "{accepting:?}");
    assert!(attached <= 2 * HEARTBEAT, "{attached:?}");
    assert_eq!((starts.tasks, starts.again), (1_000, 0));
    assert_eq!(siege.faults(&job), Faults::default());
}

/// What the tasks wrote: index and process, in the order of their starts.
fn lines(siege: &Siege, job: &siege::Job) -> Vec<(u64, u32)> {
    let text = std::fs::read_to_string(siege.file(job)).unwrap_or_default();
    let each = text.lines().map(|line| {
        let mut words = line.split(' ');
        (words.next().unwrap().parse().unwrap(), words.nth(1).unwrap().parse().unwrap())
    });
    each.collect()
}

#[test]
fn tasks_of_a_killed_worker_run_elsewhere_within_a_second() {
    let mut siege = Siege::new(3);
    // Of six slots three are busy, for longer than all of this takes.
    let job = siege.submit(15_000_000, 3);
    until("tasks that run", SOON, || (lines(&siege, &job).len() == 3).then_some(()));
    let (victim, lost): (usize, BTreeSet<u64>) = (0..3)
        .find_map(|at| {
            let of = siege.executors(at);
            let has = lines(&siege, &job).into_iter().filter(|(_, pid)| of.contains(pid));
            let has: BTreeSet<u64> = has.map(|(index, _)| index).collect();
            (!has.is_empty()).then_some((at, has))
        })
        .unwrap();
    let killed = Instant::now();
    siege.workers[victim].kill();
    until("second start", SOON, || {
        let again: BTreeSet<u64> = lines(&siege, &job)[3..].iter().map(|&(index, _)| index).collect();
        again.is_superset(&lost).then_some(())
    });
    let took = killed.elapsed();
    eprintln!("{} tasks of the killed worker run elsewhere after {took:.2?}", lost.len());
    assert!(took <= ELSEWHERE_MAX, "{took:?}");
    siege.ask(&["job", "cancel", &job.number.to_string()]).ok();
}
