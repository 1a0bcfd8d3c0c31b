//! A durable cluster of real processes on this machine whose processes may be killed at any time: each is started again
//! on what it left.

#![allow(dead_code, reason = "every test file uses its own part")]

use crate::daemons::{Daemon, SOON, until};
use crate::fixture::{Finished, Muster, Started};
use crate::ledger::{self, Faults, Ledger, Starts};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a job may take while its cluster is under attack.
const JOB_LIMIT: Duration = Duration::from_secs(120);
/// Slots of each worker.
const SLOTS: &str = "2";

/// The cluster.
pub struct Siege {
    // Ends first.
    pub workers: Vec<Daemon>,
    pub coordinator: Daemon,
    pub muster: Muster,
    pub ledger: Ledger,
    pub state: PathBuf,
    /// What is put before the coordinator's command: a tracer, for example.
    before: Vec<String>,
    extra: Vec<String>,
    lives: u32,
}

/// A job that was acknowledged.
#[derive(Clone, Debug)]
pub struct Job {
    pub number: u64,
    pub tasks: u64,
    file: PathBuf,
}

impl Siege {
    /// A coordinator and so many workers, all up.
    pub fn new(workers: usize) -> Self {
        Self::with_state(workers, None, &[])
    }

    /// The same, with the state in a folder that is there, and further flags of the coordinator.
    pub fn with_state(workers: usize, state: Option<PathBuf>, extra: &[&str]) -> Self {
        let muster = Muster::new();
        let state = state.unwrap_or_else(|| muster.path("durable"));
        let ledger = Ledger::new(&muster);
        let extra: Vec<String> = extra.iter().map(|&word| word.to_owned()).collect();
        let coordinator = coordinator(&muster, &state, &[], &extra, 0);
        let mut siege = Self {
            workers: Vec::new(),
            coordinator,
            muster,
            ledger,
            state,
            before: Vec::new(),
            extra,
            lives: 0,
        };
        siege.until_listening();
        for at in 0..workers {
            let worker = siege.worker(at);
            siege.workers.push(worker);
        }
        siege.until_workers(workers);
        siege
    }

    fn worker(&mut self, at: usize) -> Daemon {
        self.lives += 1;
        let name = format!("w{at}");
        let connect = format!("unix:{}", self.socket().display());
        let cache = self.muster.path(&format!("cache-{name}"));
        let arguments = ["worker", "start", "--slots", SLOTS, "--http", "none", "--name", &name, "--connect"];
        let mut command = self.muster.command(&arguments);
        command.arg(connect).arg("--cache").arg(cache);
        Daemon::start(&format!("{name}-{}", self.lives), &self.muster.path(""), command)
    }

    pub fn socket(&self) -> PathBuf {
        self.muster.path("c.sock")
    }

    /// `muster` as a client of this cluster.
    pub fn client<S: AsRef<str>>(&self, arguments: &[S]) -> Command {
        let mut command = self.muster.command(arguments);
        command.arg("--cluster").arg(format!("unix:{}", self.socket().display()));
        command
    }

    /// Runs a client to its end.
    pub fn ask<S: AsRef<str>>(&self, arguments: &[S]) -> Finished {
        Started::new(self.client(arguments)).finish()
    }

    /// Submits a job of the ledger; `None`: it was not acknowledged.
    pub fn try_submit(&mut self, us: u64, tasks: u64) -> Option<Job> {
        self.lives += 1;
        let file = self.muster.path(&format!("starts-{}", self.lives));
        let plugin = self.ledger.plugin.to_str().unwrap().to_owned();
        let mut words = vec!["submit".to_owned(), plugin];
        words.extend(ledger::job(&file, us, tasks));
        words.extend(["--max-attempts", "50"].map(str::to_owned));
        let finished = self.ask(&words);
        let number = (finished.code() == 0).then(|| finished.text().trim().parse().unwrap())?;
        Some(Job { number, tasks, file })
    }

    #[track_caller]
    pub fn submit(&mut self, us: u64, tasks: u64) -> Job {
        until("acknowledged job", SOON, || self.try_submit(us, tasks))
    }

    /// Waits for the end of a job, which must be a good one.
    #[track_caller]
    pub fn wait(&self, job: &Job) {
        let number = job.number.to_string();
        until(&format!("end of job {number}"), JOB_LIMIT, || {
            let finished = self.ask(&["job", "wait", &number]);
            assert!([0, 5].contains(&finished.code()), "{}: {}", finished.text(), finished.stderr);
            (finished.code() == 0).then_some(())
        });
    }

    pub fn has_ended(&self, job: &Job) -> bool {
        let finished = self.ask(&["job", "wait", &job.number.to_string(), "--timeout", "1ms"]);
        finished.code() == 0
    }

    pub fn starts(&self, job: &Job) -> Starts {
        ledger::starts(&job.file)
    }

    /// Where the tasks of a job write down that they begin.
    pub fn file<'a>(&self, job: &'a Job) -> &'a std::path::Path {
        &job.file
    }

    /// What is wrong with the results of a job, as a client sees them.
    pub fn faults(&self, job: &Job) -> Faults {
        let results = self.ask(&["job", "results", &job.number.to_string(), "--out", "-"]).ok();
        ledger::faults_in_results(&results.text(), job.tasks)
    }

    /// Stops the coordinator and looks into its store.
    pub fn faults_in_store(&mut self, jobs: &[Job]) -> Faults {
        self.kill_coordinator();
        let mut faults = Faults::default();
        for job in jobs {
            faults += ledger::faults_in_store(&self.state, job.number, job.tasks);
        }
        faults
    }

    pub fn kill_coordinator(&mut self) {
        self.coordinator.kill();
    }

    /// Starts it again on its state.
    pub fn start_coordinator(&mut self) {
        self.lives += 1;
        self.coordinator = coordinator(&self.muster, &self.state, &self.before, &self.extra, self.lives);
    }

    /// What is put before the next coordinator.
    pub fn put_before(&mut self, before: &[&str]) {
        self.before = before.iter().map(|&word| word.to_owned()).collect();
    }

    /// Waits until a client is answered; says how long that took.
    #[track_caller]
    pub fn until_listening(&mut self) -> Duration {
        let begun = Instant::now();
        until("coordinator that answers", SOON, || {
            self.coordinator.assert_runs();
            std::os::unix::net::UnixStream::connect(self.socket()).ok().map(drop)
        });
        begun.elapsed()
    }

    #[track_caller]
    pub fn until_workers(&self, count: usize) {
        crate::daemons::workers_up(count, || self.client(&["worker", "ls", "--json"]));
    }

    /// Kills a worker with everything below it left to itself, and starts another in its place.
    pub fn replace_worker(&mut self, at: usize) {
        self.workers[at].kill();
        self.workers[at] = self.worker(at);
    }

    /// The executors of a worker.
    pub fn executors(&self, at: usize) -> Vec<u32> {
        children(self.workers[at].id())
    }
}

fn coordinator(
    muster: &Muster,
    state: &std::path::Path,
    before: &[String],
    extra: &[String],
    life: u32,
) -> Daemon {
    let program = env!("CARGO_BIN_EXE_muster");
    let mut command = match before {
        [] => muster.program(std::path::Path::new(program)),
        [first, rest @ ..] => {
            let mut command = muster.program(std::path::Path::new(first));
            command.args(rest).arg(program);
            command
        }
    };
    command.args(["coordinator", "start", "--listen", "none", "--http", "none", "--socket"]);
    command.arg(muster.path("c.sock")).arg("--state").arg(state).args(extra);
    Daemon::start(&format!("coordinator-{life}"), &muster.path(""), command)
}

fn children(of: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect()
}

/// Numbers that follow from a seed.
pub struct Dice(u64);

impl Dice {
    /// Seeded by `MUSTER_SEED`, else by the clock; the seed is printed.
    pub fn new() -> Self {
        let now =
            || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = std::env::var("MUSTER_SEED").map_or_else(|_| now(), |text| text.parse().unwrap());
        eprintln!("MUSTER_SEED={seed}");
        Self(seed | 1)
    }

    /// From 0 to below `end` (SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    pub fn sleep(&mut self, from_ms: u64, to_ms: u64) {
        std::thread::sleep(Duration::from_millis(from_ms + self.below(to_ms - from_ms)));
    }
}
