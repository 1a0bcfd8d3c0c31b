//! Workers that leave: told to by `worker drain`, with a deadline or without, or asked to by SIGTERM.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod ledger;
mod siege;

use daemons::{Daemon, SOON, until};
use ledger::Faults;
use siege::Siege;
use std::time::{Duration, Instant};

fn terminate(worker: &Daemon) {
    // SAFETY: kill takes numbers only.
    unsafe { libc::kill(worker.id().cast_signed(), libc::SIGTERM) };
}

#[test]
fn a_worker_that_is_asked_to_end_finishes_what_it_has_begun() {
    let mut siege = Siege::new(2);
    let job = siege.submit(300_000, 40);
    until("tasks that run", SOON, || (siege.starts(&job).tasks >= 4).then_some(()));
    terminate(&siege.workers[0]);
    let status = siege.workers[0].wait(SOON);
    assert!(status.success(), "{status}: {}", siege.workers[0].log());
    siege.wait(&job);
    let starts = siege.starts(&job);
    assert_eq!((starts.tasks, starts.again), (40, 0), "nothing that had begun began again");
    assert_eq!(siege.faults(&job), Faults::default());
}

#[test]
fn a_drain_with_a_deadline_gives_what_still_runs_to_others() {
    let deadline = Duration::from_secs(1);
    let mut siege = Siege::new(2);
    // Of four slots two are busy, for longer than all of this takes.
    let job = siege.submit(20_000_000, 2);
    until("tasks that run", SOON, || (siege.starts(&job).tasks == 2).then_some(()));
    let listed = siege.ask(&["worker", "ls", "--json"]).ok().json();
    let leased = |worker: &&serde_json::Value| worker["leased"].as_u64().unwrap() > 0;
    let busy = listed["workers"].as_array().unwrap().iter().find(leased).unwrap();
    let (name, lost) = (busy["name"].as_str().unwrap(), busy["leased"].as_u64().unwrap());
    let at: usize = name[1..].parse().unwrap();
    let begun = Instant::now();
    siege.ask(&["worker", "drain", name, "--deadline", "1s"]).ok();
    until("second start", SOON, || (siege.starts(&job).again == lost).then_some(()));
    let took = begun.elapsed();
    assert!(took >= deadline && took < deadline + SOON / 10, "{took:?}");
    let status = siege.workers[at].wait(SOON);
    assert!(status.success(), "{status}: {}", siege.workers[at].log());
    siege.ask(&["job", "cancel", &job.number.to_string()]).ok();
}

#[test]
fn a_worker_that_is_asked_twice_ends_at_once() {
    let mut siege = Siege::new(2);
    let job = siege.submit(20_000_000, 4);
    until("tasks that run", SOON, || (siege.starts(&job).tasks == 4).then_some(()));
    terminate(&siege.workers[0]);
    until("worker that leaves", SOON, || siege.workers[0].log().contains("leaving").then_some(()));
    terminate(&siege.workers[0]);
    let status = siege.workers[0].wait(SOON / 3);
    assert!(status.success(), "{status}: {}", siege.workers[0].log());
    siege.ask(&["job", "cancel", &job.number.to_string()]).ok();
}
