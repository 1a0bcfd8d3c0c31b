//! A network that is cut again and again while jobs run, both ways and one way: nothing is lost, nothing is committed
//! twice, nothing is wrong. A worker behind a silent cut loses its tasks when its lease ends, and comes back.
//!
//! `MUSTER_ROUNDS=200 cargo test --test partitions -- --nocapture` cuts as often as told; the seed is printed.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod ledger;
mod network;
mod siege;

use daemons::{Daemon, SOON, skip_without, until, workers_up};
use fixture::{Finished, Muster, Started};
use ledger::{Faults, Ledger};
use network::Network;
use siege::Dice;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const COORDINATOR: u8 = 1;
const LEASE: Duration = Duration::from_secs(2);
const TASKS: u64 = 5_000;
const TASK_US: u64 = 2_000;
/// Cuts of a default run.
const ROUNDS: u64 = 12;
const JOB_LIMIT: Duration = Duration::from_secs(180);

/// A coordinator on the first machine, a worker on each other one, and TLS between them.
struct Site {
    // Processes end first: they keep a namespace alive.
    workers: Vec<Daemon>,
    coordinator: Daemon,
    network: Network,
    muster: Muster,
    ledger: Ledger,
    jobs: u64,
}

#[derive(Clone, Debug)]
struct Job {
    number: u64,
    file: PathBuf,
}

impl Site {
    fn new(machines: u8) -> Option<Self> {
        if skip_without(network::available(), "network namespaces (root, iproute2)") {
            return None;
        }
        let (network, muster) = (Network::new(machines), Muster::new());
        let ledger = Ledger::new(&muster);
        let mut command = on(&muster, &network, COORDINATOR);
        let lease = format!("{}s", LEASE.as_secs());
        let listen = format!("{}:0", network.address(COORDINATOR));
        command.args(["coordinator", "start", "--http", "none", "--lease", &lease, "--listen", &listen]);
        command.arg("--socket").arg(muster.path("c.sock")).arg("--state").arg(muster.path("durable"));
        let mut coordinator = Daemon::start("coordinator", &muster.path(""), command);
        let join = until("join string", SOON, || {
            coordinator.assert_runs();
            coordinator.output().lines().next().map(str::to_owned)
        });
        let workers = (2..=machines).map(|machine| worker(&muster, &network, machine, &join)).collect();
        let site = Self { workers, coordinator, network, muster, ledger, jobs: 0 };
        site.until_workers(usize::from(machines) - 1);
        Some(site)
    }

    fn client<S: AsRef<str>>(&self, arguments: &[S]) -> Command {
        let mut command = self.muster.command(arguments);
        command.arg("--cluster").arg(format!("unix:{}", self.muster.path("c.sock").display()));
        command
    }

    fn ask<S: AsRef<str>>(&self, arguments: &[S]) -> Finished {
        Started::new(self.client(arguments)).finish()
    }

    fn until_workers(&self, count: usize) {
        workers_up(count, || self.client(&["worker", "ls", "--json"]));
    }

    fn submit(&mut self, us: u64, tasks: u64) -> Job {
        self.jobs += 1;
        let file = self.muster.path(&format!("starts-{}", self.jobs));
        let mut words = vec!["submit".to_owned(), self.ledger.plugin.to_str().unwrap().to_owned()];
        words.extend(ledger::job(&file, us, tasks));
        let number = self.ask(&words).ok().text().trim().parse().unwrap();
        Job { number, file }
    }

    fn has_ended(&self, job: &Job) -> bool {
        self.ask(&["job", "wait", &job.number.to_string(), "--timeout", "1ms"]).code() == 0
    }

    fn wait(&self, job: &Job) {
        until("the job's end", JOB_LIMIT, || self.has_ended(job).then_some(()));
    }

    fn faults(&self, job: &Job, tasks: u64) -> Faults {
        let results = self.ask(&["job", "results", &job.number.to_string(), "--out", "-"]).ok();
        ledger::faults_in_results(&results.text(), tasks)
    }

    /// Ends the coordinator and looks into its store.
    fn faults_in_store(&mut self, jobs: &[Job], tasks: u64) -> Faults {
        self.coordinator.kill();
        let mut faults = Faults::default();
        for job in jobs {
            faults += ledger::faults_in_store(&self.muster.path("durable"), job.number, tasks);
        }
        faults
    }
}

fn on(muster: &Muster, network: &Network, machine: u8) -> Command {
    let before = network.on(machine);
    let mut command = muster.program(Path::new(&before[0]));
    command.args(&before[1..]).arg(env!("CARGO_BIN_EXE_muster"));
    command
}

fn worker(muster: &Muster, network: &Network, machine: u8, join: &str) -> Daemon {
    let name = format!("w{machine}");
    let cache = muster.path(&format!("cache-{name}"));
    let mut command = on(muster, network, machine);
    command.args([
        "worker", "start", "--trust", "any", "--slots", "2", "--http", "none", "--name", &name, "--join",
        join,
    ]);
    command.arg("--cache").arg(cache);
    Daemon::start(&name, &muster.path(""), command)
}

/// How often the network was cut in which way.
#[derive(Debug, Default)]
struct Cuts {
    both_ways: u64,
    to_coordinator: u64,
    from_coordinator: u64,
}

impl Cuts {
    const fn all(&self) -> u64 {
        self.both_ways + self.to_coordinator + self.from_coordinator
    }

    /// Cuts one worker off for a time, on both sides of a lease's length.
    fn strike(&mut self, network: &Network, dice: &mut Dice) {
        let machine = 2 + dice.below(2) as u8;
        match dice.below(3) {
            0 => {
                network.cut(machine);
                dice.sleep(50, 3_000);
                network.join(machine);
                self.both_ways += 1;
            }
            1 => {
                network.mute(machine, COORDINATOR);
                dice.sleep(50, 3_000);
                network.unmute(machine, COORDINATOR);
                self.to_coordinator += 1;
            }
            _ => {
                network.mute(COORDINATOR, machine);
                dice.sleep(50, 3_000);
                network.unmute(COORDINATOR, machine);
                self.from_coordinator += 1;
            }
        }
    }
}

#[test]
fn cuts_at_random_lose_nothing_and_repeat_nothing() {
    let rounds = std::env::var("MUSTER_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let mut dice = Dice::new();
    let Some(mut site) = Site::new(3) else { return };
    let (mut cuts, mut faults) = (Cuts::default(), Faults::default());
    let (mut jobs, mut again) = (Vec::new(), 0);
    while cuts.all() < rounds {
        let job = site.submit(TASK_US, TASKS);
        while cuts.all() < rounds && !site.has_ended(&job) {
            cuts.strike(&site.network, &mut dice);
            dice.sleep(10, 700);
        }
        site.wait(&job);
        faults += site.faults(&job, TASKS);
        let starts = ledger::starts(&job.file);
        assert_eq!(starts.tasks, TASKS);
        again += starts.again;
        jobs.push(job);
    }
    site.until_workers(2);
    site.workers.iter_mut().for_each(Daemon::assert_runs);
    faults += site.faults_in_store(&jobs, TASKS);
    eprintln!(
        "{} cuts ({cuts:?}), {} jobs of {TASKS} tasks: {faults:?}; {again} starts beyond the first",
        cuts.all(),
        jobs.len()
    );
    assert_eq!(faults, Faults::default());
}

/// What the tasks wrote: index and process, in the order of their starts.
fn lines(job: &Job) -> Vec<u64> {
    let text = std::fs::read_to_string(&job.file).unwrap_or_default();
    text.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn tasks_behind_a_silent_cut_run_elsewhere_when_the_lease_ends() {
    let Some(mut site) = Site::new(4) else { return };
    let job = site.submit(6_000_000, 3);
    until("tasks that run", SOON, || (lines(&job).len() == 3).then_some(()));
    let listed = site.ask(&["worker", "ls", "--json"]).ok().json();
    let leased = |worker: &&serde_json::Value| worker["leased"].as_u64().unwrap() > 0;
    let victim = listed["workers"].as_array().unwrap().iter().find(leased).unwrap();
    let lost = victim["leased"].as_u64().unwrap() as usize;
    let machine: u8 = victim["name"].as_str().unwrap()[1..].parse().unwrap();
    site.network.cut(machine);
    let cut = Instant::now();
    until("second start", SOON, || (lines(&job).len() == 3 + lost).then_some(()));
    let took = cut.elapsed();
    eprintln!("{lost} tasks behind the cut run elsewhere after {took:.2?}");
    assert!(took > LEASE / 2 && took <= LEASE + Duration::from_secs(1), "{took:?}");
    // It comes back, and drops what others have.
    site.network.join(machine);
    site.until_workers(3);
    site.wait(&job);
    assert_eq!(site.faults(&job, 3), Faults::default());
    let again: BTreeSet<u64> = lines(&job)[3..].iter().copied().collect();
    assert_eq!((lines(&job).len(), again.len()), (3 + lost, lost), "nothing ran a third time");
    site.workers.iter_mut().for_each(Daemon::assert_runs);
    assert_eq!(site.faults_in_store(&[job], 3), Faults::default());
}

#[test]
fn a_slow_link_costs_time_and_nothing_else() {
    let Some(mut site) = Site::new(3) else { return };
    if skip_without(fixture::has_tool("tc"), "tc (iproute2)") {
        return;
    }
    [COORDINATOR, 2].into_iter().for_each(|machine| site.network.slow(machine, "256kbit"));
    let job = site.submit(1_000, 2_000);
    site.wait(&job);
    let (faults, starts) = (site.faults(&job, 2_000), ledger::starts(&job.file));
    eprintln!("{faults:?}, {starts:?}");
    assert_eq!((faults, starts.tasks, starts.again), (Faults::default(), 2_000, 0));
    site.workers.iter_mut().for_each(Daemon::assert_runs);
    assert_eq!(site.faults_in_store(&[job], 2_000), Faults::default());
}
