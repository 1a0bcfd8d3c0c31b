//! A cluster over a network: a coordinator and workers with addresses of their own, joined by the printed string over TLS,
//! with nothing but the network between them. A worker that is refused, one that is killed, one that comes late.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod network;
mod threads;

use daemons::{Daemon, SOON, skip_without, until, workers_up};
use fixture::{Finished, Muster, Started, plugin};
use network::Network;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const COORDINATOR: u8 = 1;
/// Additions of one task: one to two milliseconds.
const ITERS: u64 = 2_000_000;
const TASKS: u64 = 4_000;
/// For the whole job on a busy machine.
const JOB_LIMIT: Duration = Duration::from_secs(180);

/// Machine 1 has the coordinator; the others have nothing yet. Every machine has a user with folders of its own.
struct Site {
    // Ends first: processes keep a namespace alive.
    _coordinator: Daemon,
    network: Network,
    users: Vec<Muster>,
    /// What workers must not see: the coordinator's folder, and the plugin where it was built.
    hidden: Vec<PathBuf>,
    cluster: String,
    join: String,
}

impl Site {
    fn new(machines: u8) -> Option<Self> {
        if skip_without(network::available(), "network namespaces (root, iproute2)") {
            return None;
        }
        let network = Network::new(machines);
        let users: Vec<Muster> = (0..machines).map(|_| Muster::new()).collect();
        let home = &users[0];
        let socket = home.path("c.sock");
        let listen = format!("{}:0", network.address(COORDINATOR));
        let mut command = muster(home, &network.on(COORDINATOR));
        command.args(["coordinator", "start", "--http", "none", "--listen", &listen, "--socket"]);
        command.arg(&socket).arg("--state").arg(home.path("durable"));
        let mut coordinator = Daemon::start("coordinator", &home.path(""), command);
        let join = until("join string", SOON, || {
            coordinator.assert_runs();
            coordinator.output().lines().next().map(str::to_owned)
        });
        assert!(join.starts_with(&format!("muster1:{}:", network.address(COORDINATOR))), "{join}");
        let cluster = format!("unix:{}", socket.display());
        let hidden = vec![home.path("")];
        Some(Self { _coordinator: coordinator, network, users, hidden, cluster, join })
    }

    fn user(&self, machine: u8) -> &Muster {
        &self.users[usize::from(machine) - 1]
    }

    /// `muster` on the coordinator's machine, told which cluster is meant.
    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = muster(self.user(COORDINATOR), &self.network.on(COORDINATOR));
        command.args(arguments).args(["--cluster", &self.cluster]);
        command
    }

    /// A worker of one slot on a machine that sees nothing of the coordinator's files.
    fn worker(&self, machine: u8, join: &str) -> Daemon {
        let name = format!("w{machine}");
        let user = self.user(machine);
        let mut command = muster(user, &self.network.on_without(machine, &self.hidden));
        command.args(["worker", "start", "--trust", "any", "--slots", "1", "--http", "none"]);
        command.args(["--name", &name, "--join", join]);
        Daemon::start(&name, &user.path(""), command)
    }

    fn until_up(&self, count: usize) {
        workers_up(count, || self.client(&["worker", "ls", "--json"]));
    }

    /// Registers a plugin with the coordinator; no worker can see its file afterwards.
    fn push(&mut self, built: &Path) {
        let machine = 2;
        assert!(!self.read_on(machine, built).is_empty());
        // Cargo keeps a second name of the file in `deps`.
        self.hidden.extend([built.to_owned(), built.with_file_name("deps")]);
        assert!(self.read_on(machine, built).is_empty());
        let file = self.user(COORDINATOR).path("pushed.so");
        std::fs::copy(built, &file).unwrap();
        run(self.client(&["plugin", "push", file.to_str().unwrap()])).ok();
        std::fs::remove_file(&file).unwrap();
    }

    /// What a worker's machine has as the content of a file.
    fn read_on(&self, machine: u8, path: &Path) -> Vec<u8> {
        let before = self.network.on_without(machine, &self.hidden);
        let mut command = self.user(machine).program(Path::new(&before[0]));
        command.args(&before[1..]).arg("cat").arg(path);
        run(command).ok().stdout
    }

    fn start_job(&self, output: &Path) -> Daemon {
        let (tasks, iters) = (TASKS.to_string(), format!("iters={ITERS}"));
        let output = output.to_str().unwrap();
        let command = self.client(&["run", "loop", &iters, "-n", &tasks, "--json", "--out", output]);
        Daemon::start("run", &self.user(COORDINATOR).path(""), command)
    }

    /// How many tasks a worker committed; also one that is gone.
    fn committed(&self, name: &str) -> u64 {
        let listed = run(self.client(&["worker", "ls", "--all", "--json"])).ok().json();
        let workers = listed["workers"].as_array().unwrap();
        let found = workers.iter().find(|worker| worker["name"] == name);
        found.map_or(0, |worker| worker["committed"].as_u64().unwrap())
    }

    fn until_committed(&self, name: &str, tasks: u64) {
        until(&format!("{tasks} tasks committed by {name}"), JOB_LIMIT, || {
            (self.committed(name) >= tasks).then_some(())
        });
    }
}

/// `muster` of a user behind other words.
fn muster(user: &Muster, before: &[String]) -> Command {
    let mut command = user.program(Path::new(&before[0]));
    command.args(&before[1..]).arg(env!("CARGO_BIN_EXE_muster"));
    command
}

fn run(command: Command) -> Finished {
    Started::new(command).finish()
}

/// What `loop` gives for a task: it can only come from running this very index.
fn expected(index: u64) -> u64 {
    index.wrapping_mul(ITERS * (ITERS - 1) / 2)
}

/// What the system gave the threads of a worker that run tasks.
#[derive(Clone, Copy, Debug, Default)]
struct CpuTime {
    ran: Duration,
    /// Ready to run, while others ran.
    waited: Duration,
}

impl CpuTime {
    fn of(worker: &Daemon) -> Self {
        let threads = threads::below(worker.id());
        let sum = |time: fn(&threads::Thread) -> u64| {
            Duration::from_nanos(threads.values().filter(|thread| thread.runs_tasks()).map(time).sum())
        };
        Self { ran: sum(|thread| thread.ran_ns), waited: sum(|thread| thread.waited_ns) }
    }

    /// The later of two readings: after the job no thread is left to ask.
    fn later(self, next: Self) -> Self {
        if next.ran >= self.ran { next } else { self }
    }
}

#[track_caller]
fn assert_every_index_once(output: &Path) {
    let text = std::fs::read_to_string(output).unwrap();
    assert_eq!(text.lines().count() as u64, TASKS);
    for (index, line) in (0..).zip(text.lines()) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line, serde_json::json!({"index": index, "output": expected(index)}));
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_job_survives_a_killed_worker_and_a_late_one_takes_its_share() {
    let Some(mut site) = Site::new(4) else { return };
    let built = PathBuf::from(plugin("loop"));
    site.push(&built);
    let mut killed = site.worker(2, &site.join);
    let mut stays = site.worker(3, &site.join);
    site.until_up(2);
    let output = site.user(COORDINATOR).path("out.jsonl");
    let mut job = site.start_job(&output);

    site.until_committed("w2", TASKS / 10);
    killed.kill();
    let before = site.committed("w2");
    assert!(before < TASKS, "the job was over before its worker was killed");
    let mut late = site.worker(4, &site.join);
    site.until_up(2);
    let missed = site.committed("w2") + site.committed("w3");
    let came = Instant::now();

    let (before, mut old, mut new) = (CpuTime::of(&stays), CpuTime::default(), CpuTime::default());
    let status = until("the job's end", JOB_LIMIT, || {
        (old, new) = (old.later(CpuTime::of(&stays)), new.later(CpuTime::of(&late)));
        job.ended()
    });
    let lasted = came.elapsed();
    assert!(status.success(), "{status}: {}", job.log());
    stays.assert_runs();
    late.assert_runs();
    assert_every_index_once(&output);
    let report: Value = serde_json::from_str(&job.output()).unwrap();
    assert_eq!(
        (&report["ok"], &report["failed"], &report["lost_workers"]),
        (&TASKS.into(), &0.into(), &1.into()),
        "{report}"
    );

    let by_late = site.committed("w4");
    assert_eq!(site.committed("w2") + site.committed("w3") + by_late, TASKS, "each task is committed once");
    // A fair share of what was left when it came is half; on a machine where the system gives one worker's threads
    // less time than the other's, it is as much less. And the late worker must not have been left without work.
    let (rest, ran_old) = (TASKS - missed, old.ran - before.ran);
    let given = new.ran.as_secs_f64() / (new.ran + ran_old).as_secs_f64();
    let share = rest as f64 * given.min(0.5);
    let occupied = (new.ran + new.waited).as_secs_f64() / lasted.as_secs_f64();
    eprintln!(
        "the late worker committed {by_late} of the {rest} tasks left; the system gave it {:.0} % of the two workers' \
         time; it had work for {:.0} % of its time",
        given * 100.0,
        occupied * 100.0,
    );
    assert!(by_late as f64 >= 0.8 * share, "{by_late} of {share}");
    assert!(occupied >= 0.8, "the late worker had work for only {occupied} of its time");

    // The plugin came to the workers through the coordinator, each into its own cache.
    for machine in [3, 4] {
        let cached = files_below(&site.user(machine).path(".cache/muster"));
        let same = |path: &PathBuf| std::fs::read(path).unwrap() == std::fs::read(&built).unwrap();
        assert_eq!(cached.iter().filter(|path| same(path)).count(), 1, "{cached:?}");
    }
}

#[test]
fn a_worker_without_the_right_token_is_refused_in_words() {
    let Some(site) = Site::new(2) else { return };
    let (known, token) = site.join.rsplit_once(':').unwrap();
    let (address, pin) = known.rsplit_once(':').unwrap();
    let other = "A".repeat(token.len());
    let (pin_of_other, bare) = (format!("{address}:{other}:{token}"), address.trim_start_matches("muster1:"));
    assert_ne!((token, pin), (other.as_str(), other.as_str()));
    for (join, code, words) in [
        (format!("{known}:{other}"), 6, "refused"),
        (pin_of_other, 5, "not the one the join string was made for"),
        (known.to_owned(), 2, "join string"),
        (bare.to_owned(), 2, "join string"),
    ] {
        let mut worker = site.worker(2, &join);
        let status = worker.wait(SOON);
        let log = worker.log();
        assert_eq!(status.code(), Some(code), "{join}: {log}");
        let errors: Vec<&str> = log.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(words), "{join}: {log}");
        assert!(!log.contains(token), "the token is in the log: {log}");
    }
    let listed = run(site.client(&["worker", "ls", "--all", "--json"])).ok().json();
    assert_eq!(listed["workers"], serde_json::json!([]), "none of them was let in");
}
