//! `muster up` and `muster down`: a cluster on this machine in the background.

use super::worker::{policy, up_workers, workers};
use crate::cli::{DownArgs, UpArgs};
use crate::cluster::{Child, Record, Start, clients, gone, is_alive, private_folder, signal, socket_path};
use crate::compare::RUNS;
use crate::exit::{Exit, Failure, Outcome};
use crate::job::{subject, unfinished, worker_slots};
use crate::summary::{counted, workers_of_slots};
use crate::terminal::{self, note};
use muster_proto::link::{AccessFolder, FileError, Link, Process, Target, connect};
use muster_proto::v1;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How long the coordinator and the workers may take to come up.
const START_LIMIT: Duration = Duration::from_secs(15);
/// How often it is asked whether they are.
const START_POLL: Duration = Duration::from_millis(5);
/// How long a process may take to end before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Starts a cluster; one that it started before is left as it is.
pub async fn up(args: &UpArgs) -> Outcome {
    let folder = AccessFolder::of_user()?;
    match folder.read(&args.name) {
        Ok(access) if is_alive(&access) && connect(&access.target).await.is_ok() => {
            check_started_by_up(&args.name, access.process, "take another name: --name NAME")?;
            let link = connect(&access.target).await?;
            return already_up(args, &link, access.process.pid).await;
        }
        Ok(_) => {
            note(format_args!("note: cluster {:?} ended without saying so; cleaning up after it", args.name));
            clean_up(&args.name).await?;
        }
        Err(FileError::NoCluster { .. }) => clean_up(&args.name).await?,
        Err(error) => return Err(error.into()),
    }
    let usable = muster_worker::usable_cpus();
    let cpus = (usable / args.workers).max(1);
    let slots = worker_slots(args.processes, args.threads, cpus, usable, args.oversubscribe)?;
    let state = state_folder(args)?;
    let mut started = Started::coordinator(args, &state).await?;
    started.workers(args, slots).await?;
    started.record(&state)?;
    started.kept = true;
    note(format_args!(
        "cluster {} is up: {}; state and logs in {}",
        args.name,
        workers_of_slots(args.workers, slots),
        state.display()
    ));
    let jobs = unfinished(&started.link).await?;
    if !jobs.is_empty() {
        let jobs = subject(&jobs, "was not finished and goes on", "were not finished and go on");
        note(format_args!("note: {jobs}"));
    }
    describe(args, args.workers, args.workers * slots, started.coordinator.id(), true)
}

/// A coordinator that somebody started by hand or as a service is theirs.
fn check_started_by_up(name: &str, coordinator: Process, hint: &str) -> Result<(), Failure> {
    if Record::read(name)?.is_some_and(|record| record.coordinator == coordinator) {
        return Ok(());
    }
    let theirs = format_args!(
        "the coordinator of cluster {name} (process {}) was not started by muster up",
        coordinator.pid
    );
    Err(Failure::new(Exit::Job, theirs).hint(hint))
}

async fn already_up(args: &UpArgs, link: &Link, pid: u32) -> Outcome {
    let (count, slots) = up_workers(link).await?;
    let (workers, all_slots) = (counted(count, "worker", "workers"), counted(slots, "slot", "slots"));
    note(format_args!("cluster {} is up already: {workers}, {all_slots}", args.name));
    if count != args.workers {
        note(format_args!(
            "note: it stays as it is; for {} stop it first: muster down",
            counted(args.workers, "worker", "workers")
        ));
    }
    if let Some(asked) = &args.policy {
        let there = policy(link).await?;
        if there != asked.to_string() {
            note(format_args!("note: its policy stays {there}; for {asked} stop it first: muster down"));
        }
    }
    if args.sandbox.is_some() || !args.allow.is_empty() {
        note(
            "note: what its workers keep from plugins stays as it is (muster worker ls); for other flags stop it first: muster down",
        );
    }
    describe(args, count, slots, pid, false)
}

fn describe(args: &UpArgs, workers: u32, slots: u32, pid: u32, started: bool) -> Outcome {
    let http = AccessFolder::of_user()?.read(&args.name)?.http;
    if !args.json {
        // Elsewhere there is none, for want of a token.
        let is_on_loopback =
            |http: &&String| http.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
        if let Some(http) = http.as_ref().filter(is_on_loopback) {
            note(format_args!("live page: http://{http}/"));
        }
        return Ok(Exit::Ok);
    }
    let object = serde_json::json!({
        "name": args.name, "workers": workers, "slots": slots, "coordinator_pid": pid, "http": http, "started": started,
    });
    super::printed(terminal::print_json(&object))
}

fn state_folder(args: &UpArgs) -> Result<PathBuf, Failure> {
    let path = match &args.state {
        Some(path) => {
            std::path::absolute(path).map_err(|error| Failure::io(Exit::Storage, "find", path, &error))?
        }
        None => AccessFolder::state_home()?.join("up").join(&args.name),
    };
    for folder in [&path, &path.join("logs")] {
        private_folder(folder).map_err(|error| Failure::io(Exit::Storage, "make folder", folder, &error))?;
    }
    Ok(path)
}

/// Processes that are being started; when that fails, they are ended again.
struct Started {
    name: String,
    coordinator: Child,
    workers: Vec<Child>,
    logs: PathBuf,
    socket: PathBuf,
    link: Link,
    kept: bool,
}

impl Started {
    async fn coordinator(args: &UpArgs, state: &Path) -> Result<Self, Failure> {
        let socket = socket_path(state, &args.name)?;
        let logs = state.join("logs");
        let mut arguments: Vec<OsString> = ["coordinator", "start", "--name"].map(OsString::from).to_vec();
        arguments.push(args.name.clone().into());
        for (flag, value) in [("--socket", socket.as_path()), ("--state", state)] {
            arguments.extend([flag.into(), value.into()]);
        }
        for folder in &args.plugins {
            arguments.extend(["--plugins".into(), folder.into()]);
        }
        if let Some(policy) = &args.policy {
            arguments.extend(["--policy".into(), policy.to_string().into()]);
        }
        if args.allow_chaos {
            arguments.push("--allow-chaos".into());
        }
        // Below the folder that commands are called in, as `compare` keeps them.
        if let Ok(here) = std::env::current_dir() {
            arguments.extend(["--runs".into(), here.join(RUNS).into()]);
        }
        arguments.extend(["--listen".into(), "none".into(), "--http".into(), args.http.clone().into()]);
        let log = logs.join("coordinator.log");
        let _ = std::fs::remove_file(&log);
        let mut coordinator = Child::start(&arguments, Start::Detached, Some(&log))?;
        let folder = AccessFolder::of_user()?;
        let pid = coordinator.id();
        let deadline = Instant::now() + START_LIMIT;
        // Its access file is the last thing that it makes: then commands find it.
        while !folder.read(&args.name).is_ok_and(|access| access.process.pid == pid) {
            if let Some(status) = coordinator.ended() {
                return Err(ended("the coordinator", status, &log));
            }
            if Instant::now() >= deadline {
                coordinator.signal(libc::SIGKILL);
                return Err(Failure::new(Exit::Connection, "the coordinator did not come up in time")
                    .hint(format_args!("see the log {}", log.display())));
            }
            tokio::time::sleep(START_POLL).await;
        }
        let link = connect(&Target::Unix(socket.clone()))
            .await
            .inspect_err(|_| coordinator.signal(libc::SIGKILL))?;
        let workers = Vec::new();
        let started = Self { name: args.name.clone(), coordinator, workers, logs, socket, link, kept: false };
        // From here on it is found by its name: what `down` then sees must be known as ours.
        started.record(state)?;
        Ok(started)
    }

    /// Starts the workers and waits until the coordinator sees all of them.
    async fn workers(&mut self, args: &UpArgs, slots: u32) -> Result<(), Failure> {
        let count = args.workers;
        for number in 1..=count {
            let mut connect = OsString::from("unix:");
            connect.push(&self.socket);
            let mut arguments: Vec<OsString> = ["worker", "start", "--connect"].map(OsString::from).to_vec();
            arguments.push(connect);
            let name = format!("worker-{number}");
            arguments.extend([
                "--slots".into(),
                slots.to_string().into(),
                "--name".into(),
                name.clone().into(),
            ]);
            if let Some(level) = args.sandbox {
                arguments.extend(["--sandbox".into(), level.to_string().into()]);
            }
            for grant in &args.allow {
                arguments.extend(["--allow".into(), grant.to_string().into()]);
            }
            let log = self.logs.join(format!("{name}.log"));
            let _ = std::fs::remove_file(&log);
            self.workers.push(Child::start(&arguments, Start::Detached, Some(&log))?);
        }
        let deadline = Instant::now() + START_LIMIT;
        while up_workers(&self.link).await?.0 < count {
            for (at, worker) in self.workers.iter_mut().enumerate() {
                if let Some(status) = worker.ended() {
                    return Err(ended("a worker", status, &self.logs.join(format!("worker-{}.log", at + 1))));
                }
            }
            if Instant::now() >= deadline {
                return Err(Failure::new(Exit::Connection, "not all workers came up in time")
                    .hint(format_args!("see the logs in {}", self.logs.display())));
            }
            tokio::time::sleep(START_POLL).await;
        }
        Ok(())
    }

    fn record(&self, state: &Path) -> Result<(), Failure> {
        let gone = || Failure::new(Exit::Connection, "a process ended right after its start");
        let process = |child: &Child| Process::of(child.id()).ok_or_else(gone);
        let workers = self.workers.iter().map(process).collect::<Result<_, _>>()?;
        let coordinator = process(&self.coordinator)?;
        Record { name: self.name.clone(), state: state.to_owned(), coordinator, workers }.write()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.kept {
            for child in self.workers.iter_mut().chain([&mut self.coordinator]) {
                child.signal(libc::SIGTERM);
            }
            for child in self.workers.iter_mut().chain([&mut self.coordinator]) {
                child.end(STOP_GRACE);
            }
            let _ = Record::remove(&self.name);
        }
    }
}

/// A process that ended at its start, with its exit code and the last line it wrote.
pub fn ended(what: &str, status: ExitStatus, log: &Path) -> Failure {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("hint:"));
    let last = last.map_or("it wrote nothing", |line| line.strip_prefix("error: ").unwrap_or(line));
    let exit = Exit::of_failed(status).unwrap_or(Exit::Connection);
    Failure::new(exit, format_args!("{what} ended at its start: {last}"))
        .hint(format_args!("its log: {}", log.display()))
}

/// Stops a cluster that `up` started.
pub async fn down(args: &DownArgs) -> Outcome {
    let folder = AccessFolder::of_user()?;
    let access = match folder.read(&args.name) {
        Ok(access) => Some(access).filter(is_alive),
        Err(FileError::NoCluster { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(access) = &access {
        let hint = "end it where it was started: Ctrl-C, or systemctl stop for a service";
        check_started_by_up(&args.name, access.process, hint)?;
    }
    let record =
        Record::read(&args.name)?.filter(|record| record.coordinator.is_alive() || any_alive(record));
    let Some(record) = record else {
        clean_up(&args.name).await?;
        return Err(Failure::new(Exit::Connection, format_args!("no cluster {:?} is up", args.name)));
    };
    let (mut others, mut jobs) = (0, None);
    if let Some(access) = &access
        && let Ok(link) = connect(&access.target).await
    {
        others = workers(&link, false).await.map_or(0, |all| all.len());
        jobs = what_becomes_of_jobs(&link).await;
        // Workers go first and say so: the next coordinator on this state waits for those that do not.
        end(&record.workers).await;
        // An end that the coordinator announces is better than one that its workers find out about.
        let _ = clients::cluster(&link).shutdown(v1::ShutdownRequest {}).await;
    }
    let ours = record.workers.len();
    stop(&record).await;
    clean_up(&args.name).await?;
    folder.remove(&args.name)?;
    note(format_args!("cluster {} is down", args.name));
    if let Some(jobs) = jobs {
        note(format_args!("note: {jobs}"));
    }
    if others > ours {
        let others = u32::try_from(others - ours).unwrap_or(u32::MAX);
        note(format_args!(
            "note: started elsewhere, and looking for it on and on: {}",
            counted(others, "worker", "workers")
        ));
    }
    if args.json {
        let object = serde_json::json!({"name": args.name, "stopped_workers": ours});
        return super::printed(terminal::print_json(&object));
    }
    Ok(Exit::Ok)
}

/// What is to be said of the jobs that are left unfinished; a coordinator that `up` started keeps them.
async fn what_becomes_of_jobs(link: &Link) -> Option<String> {
    let jobs = unfinished(link).await.ok().filter(|jobs| !jobs.is_empty())?;
    Some(subject(&jobs, "is not finished and goes on", "are not finished and go on") + " when it is up again")
}

fn any_alive(record: &Record) -> bool {
    record.workers.iter().any(|worker| worker.is_alive())
}

/// Ends the processes of a record, kills those that do not, and waits until all are gone.
async fn stop(record: &Record) {
    let all: Vec<Process> = record.workers.iter().chain([&record.coordinator]).copied().collect();
    end(&all).await;
}

async fn end(processes: &[Process]) {
    // Not SIGTERM: workers would finish what they have begun.
    processes.iter().for_each(|&process| signal(process, libc::SIGINT));
    for &process in processes {
        if process.is_alive() && !gone(process.pid, STOP_GRACE).await {
            signal(process, libc::SIGKILL);
            gone(process.pid, STOP_GRACE).await;
        }
    }
}

/// Ends what is left of a cluster whose coordinator is gone, and forgets it.
async fn clean_up(name: &str) -> Result<(), Failure> {
    if let Some(record) = Record::read(name)? {
        stop(&record).await;
    }
    Record::remove(name)?;
    AccessFolder::of_user()?.remove(name)?;
    Ok(())
}
