//! Processes of a durable cluster are killed again and again while jobs run: nothing is lost, nothing is committed twice,
//! nothing is wrong, and a restart of the coordinator starts no running task anew.
//!
//! `MUSTER_ROUNDS=200 cargo test --test storm -- --nocapture` kills as often as told; the seed is printed.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod ledger;
mod siege;

use ledger::Faults;
use siege::{Dice, Job, Siege};
use std::time::Duration;

const TASKS: u64 = 5_000;
/// Time of one task: with four slots a job takes five seconds at the least.
const TASK_US: u64 = 4_000;
/// Kills of a default run.
const ROUNDS: u64 = 25;

/// How often which process was killed.
#[derive(Debug, Default)]
struct Kills {
    coordinator: u64,
    worker: u64,
    executor: u64,
}

impl Kills {
    const fn all(&self) -> u64 {
        self.coordinator + self.worker + self.executor
    }
}

#[test]
fn kills_at_random_lose_nothing_and_repeat_nothing() {
    let rounds = std::env::var("MUSTER_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let mut dice = Dice::new();
    let mut siege = Siege::new(2);
    let mut kills = Kills::default();
    let (mut jobs, mut faults): (Vec<Job>, Faults) = (Vec::new(), Faults::default());
    let (mut starts, mut again) = (0, 0);
    while kills.all() < rounds {
        let job = siege.submit(TASK_US, TASKS);
        while kills.all() < rounds && !siege.has_ended(&job) {
            strike(&mut siege, &mut dice, &mut kills);
            dice.sleep(10, 500);
        }
        siege.wait(&job);
        faults += siege.faults(&job);
        let counted = siege.starts(&job);
        starts += counted.tasks;
        again += counted.again;
        jobs.push(job);
    }
    faults += siege.faults_in_store(&jobs);
    eprintln!(
        "{} kills ({kills:?}), {} jobs of {TASKS} tasks: {faults:?}; {again} starts beyond the first of {starts} tasks",
        kills.all(),
        jobs.len()
    );
    assert_eq!(faults, Faults::default());
    assert_eq!(starts, TASKS * jobs.len() as u64, "each task has begun");
    // A worker or executor takes with it what its threads ran and what waited to be sent.
    assert!(again < TASKS * jobs.len() as u64, "tasks ran twice on the whole");
}

fn strike(siege: &mut Siege, dice: &mut Dice, kills: &mut Kills) {
    match dice.below(4) {
        0 | 1 => {
            siege.kill_coordinator();
            dice.sleep(0, 300);
            siege.start_coordinator();
            kills.coordinator += 1;
        }
        2 => {
            siege.replace_worker(dice.below(2) as usize);
            kills.worker += 1;
        }
        _ => {
            let mut executors = siege.executors(0);
            executors.extend(siege.executors(1));
            if executors.is_empty() {
                return;
            }
            let pid = executors[dice.below(executors.len() as u64) as usize];
            // SAFETY: kill takes numbers only.
            kills.executor += u64::from(unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) } == 0);
        }
    }
}

#[test]
fn running_tasks_go_on_through_restarts_of_the_coordinator() {
    let mut dice = Dice::new();
    let mut siege = Siege::new(2);
    let job = siege.submit(20_000, 1_000);
    let mut restarts = 0;
    while !siege.has_ended(&job) {
        dice.sleep(100, 500);
        siege.kill_coordinator();
        dice.sleep(0, 500);
        siege.start_coordinator();
        siege.until_listening();
        siege.until_workers(2);
        restarts += 1;
    }
    let (starts, faults) = (siege.starts(&job), siege.faults(&job));
    eprintln!("{restarts} restarts: {starts:?}, {faults:?}");
    assert!(restarts >= 3, "only {restarts} restarts while the job ran");
    assert_eq!((starts.tasks, starts.again), (1_000, 0), "each task began once");
    assert_eq!(faults, Faults::default());
    siege.workers.iter_mut().for_each(|worker| worker.assert_runs());
    let faults = siege.faults_in_store(&[job]);
    assert_eq!(faults, Faults::default());
}

/// The coordinator dies at its first sync, in its next life at the second, and so on.
#[test]
fn a_coordinator_that_dies_at_any_sync_keeps_what_it_acknowledged() {
    if !fixture::has_tool("strace") {
        return;
    }
    let lives = std::env::var("MUSTER_ROUNDS").map_or(12, |text| text.parse::<u64>().unwrap().min(60));
    let mut siege = Siege::new(2);
    let main = siege.submit(5_000, 2_000);
    let mut acknowledged = vec![main];
    siege.kill_coordinator();
    for sync in 1..=lives {
        let inject = format!("inject=fsync,fdatasync:signal=KILL:when={sync}");
        siege.put_before(&["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", &inject]);
        siege.start_coordinator();
        // Clients ask for more all the while, so that there is something to sync also when the first job is over.
        let ended = daemons::until("death at a sync", Duration::from_secs(30), || {
            acknowledged.extend(siege.try_submit(0, 3));
            siege.coordinator.ended()
        });
        use std::os::unix::process::ExitStatusExt as _;
        assert_eq!(ended.signal(), Some(libc::SIGKILL), "sync {sync}: the injection ended it: {ended}");
    }
    siege.put_before(&[]);
    siege.start_coordinator();
    siege.until_listening();
    let mut faults = Faults::default();
    for job in &acknowledged {
        siege.wait(job);
        faults += siege.faults(job);
    }
    let starts = siege.starts(&acknowledged[0]);
    eprintln!("died at syncs 1 to {lives}; {} acknowledged jobs: {faults:?}, {starts:?}", acknowledged.len());
    assert_eq!(faults, Faults::default());
    assert_eq!((starts.tasks, starts.again), (2_000, 0), "each task of the long job began once");
    assert_eq!(siege.faults_in_store(&acknowledged), Faults::default());
}
