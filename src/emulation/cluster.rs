//! The cluster of one run.

use super::experiment::{Experiment, Worker};
use super::schedule::{Action, Schedule, Step};
use crate::cluster::family;
use crate::cluster::{Child, Orphans, Processes, Start, TempFolder, clients};
use crate::exit::{Exit, Failure};
use crate::service::InProcess;
use muster_coordinator::Config;
use muster_proto::link::{Link, Target, connect};
use muster_proto::v1;
use muster_worker::emulation::{self, Emulation};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::Code;

/// A coordinator in this process, and workers that are processes of this machine.
pub(super) struct Cluster {
    pub link: Link,
    processes: Processes,
    program: PathBuf,
    socket: PathBuf,
    logs: PathBuf,
    members: Vec<Member>,
}

/// A worker and how it is started.
struct Member {
    name: String,
    arguments: Vec<OsString>,
    /// Where it keeps plugins.
    cache: PathBuf,
    /// Its place among the processes, once it was started.
    process: Option<usize>,
    /// It was to leave while the coordinator did not know it.
    is_to_leave: bool,
}

impl Cluster {
    /// Starts the coordinator and the workers that are there from the start; `repeat` is the run's number.
    pub async fn start(experiment: &Experiment, schedule: &Schedule, repeat: u64) -> Result<Self, Failure> {
        let folder = TempFolder::new()?;
        let socket = folder.path().join("coordinator.sock");
        let config = Config {
            name: "emulated".to_owned(),
            unix: Some(socket.clone()),
            listen: None,
            http: None,
            state: None,
            keys: None,
            plugins: Vec::new(),
            // It is as private as that of `run`.
            allow_chaos: true,
            // Executors are killed on purpose, and nobody is there who could let a paused job go on.
            pauses: false,
            ..experiment.coordinator.clone()
        };
        let logs = experiment.logs.clone().unwrap_or_else(|| folder.path().join("logs"));
        std::fs::create_dir_all(&logs)
            .map_err(|error| Failure::io(Exit::Storage, "make folder", &logs, &error))?;
        let orphans = Orphans::adopt();
        let coordinator = Some(InProcess::start(config).await?);
        // Nobody waits for what a worker would still do.
        let processes =
            Processes { workers: Vec::new(), coordinator, orphans, folder, grace: Duration::ZERO };
        let start = emulation::Start::File(processes.folder.path().join("start"));
        // Workers have a folder of plugins in common unless there is something to fetch.
        let shared = experiment.jobs.iter().all(|job| job.has_plugin);
        let members = experiment.workers.iter().enumerate().map(|(number, worker)| {
            let emulation = Emulation {
                link: worker.link,
                cuts: schedule.cuts(number).to_vec(),
                start: Some(start.clone()),
                seed: experiment.seed.wrapping_add(repeat << 32).wrapping_add(number as u64),
                speed: worker.speed,
            };
            let place = if shared { "plugins".to_owned() } else { format!("plugins-{number}") };
            let cache = processes.folder.path().join(place);
            Member {
                name: worker.name.clone(),
                arguments: arguments(worker, &cache, &emulation),
                cache,
                process: None,
                is_to_leave: false,
            }
        });
        let members = members.collect();
        let link = connect(&Target::Unix(socket.clone())).await?;
        let program = experiment.program.clone().unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        let mut cluster = Self { link, processes, program, socket, logs, members };
        for (number, worker) in experiment.workers.iter().enumerate() {
            if worker.is_present {
                cluster.start_worker(number)?;
            }
        }
        Ok(cluster)
    }

    /// The folders in which workers keep plugins, each once.
    pub fn plugin_folders(&self) -> BTreeSet<&Path> {
        self.members.iter().map(|member| member.cache.as_path()).collect()
    }

    /// The file that holds the instant from which cuts count.
    pub fn start_file(&self) -> PathBuf {
        self.processes.folder.path().join("start")
    }

    /// Does to a process what the schedule says.
    pub async fn apply(&mut self, step: &Step) -> Result<(), Failure> {
        match step.action {
            Action::Start => return self.start_worker(step.worker),
            Action::Leave => return self.drain(step.worker).await,
            Action::Kill | Action::Stop | Action::Continue => {}
        }
        let place = self.members[step.worker].process;
        let Some(child) = place.and_then(|place| self.processes.workers.get_mut(place)) else {
            return Ok(());
        };
        // One that ended by itself keeps its number until it is waited for: nobody else is hit.
        match step.action {
            Action::Kill => child.signal(libc::SIGKILL),
            Action::Stop if child.ended().is_none() => family::stop(child.id()),
            Action::Continue if child.ended().is_none() => family::go_on(child.id()),
            Action::Stop | Action::Continue | Action::Start | Action::Leave => {}
        }
        Ok(())
    }

    /// Has a worker finish what it has and go. One that the coordinator does not know now is told when it does.
    async fn drain(&mut self, number: usize) -> Result<(), Failure> {
        let request = v1::DrainRequest { worker: self.members[number].name.clone(), deadline_ms: 0 };
        let (known, answer) = match clients::cluster(&self.link).drain(request).await {
            Ok(_) => (true, Ok(())),
            Err(status) if matches!(status.code(), Code::NotFound | Code::FailedPrecondition) => {
                (false, Ok(()))
            }
            Err(status) => (true, Err(Failure::from_status("draining a worker", &status))),
        };
        self.members[number].is_to_leave = !known;
        answer
    }

    /// Whether some worker was to leave that the coordinator did not know.
    pub fn has_strays(&self) -> bool {
        self.members.iter().any(|member| member.is_to_leave)
    }

    /// Tells workers again that were to leave while the coordinator did not know them. Those that ended are gone.
    pub async fn tell_strays(&mut self) -> Result<(), Failure> {
        for number in 0..self.members.len() {
            if !self.members[number].is_to_leave {
                continue;
            }
            let place = self.members[number].process;
            let child = place.and_then(|place| self.processes.workers.get_mut(place));
            if child.is_some_and(|child| child.ended().is_none()) {
                self.drain(number).await?;
            } else {
                self.members[number].is_to_leave = false;
            }
        }
        Ok(())
    }

    /// How many workers run or stand still.
    pub fn running(&mut self) -> usize {
        self.processes.workers.iter_mut().map(Child::ended).filter(Option::is_none).count()
    }

    /// The first worker that has ended, with the last line of its log.
    pub fn ended(&mut self) -> Option<Failure> {
        let workers = &mut self.processes.workers;
        let member = self.members.iter().find(|member| {
            member
                .process
                .and_then(|place| workers.get_mut(place))
                .is_some_and(|child| child.ended().is_some())
        })?;
        let text = std::fs::read_to_string(self.log(&member.name)).unwrap_or_default();
        let failure = Failure::new(Exit::Connection, format_args!("worker {} ended", member.name));
        Some(match text.lines().rfind(|line| !line.trim().is_empty()) {
            Some(line) => failure.hint(format_args!("its last words: {line}")),
            None => failure,
        })
    }

    /// Frees what has ended.
    pub fn reap(&self) {
        self.processes.orphans.reap(|pid| self.processes.worker_ids().any(|worker| worker == pid));
    }

    /// Ends everything.
    pub async fn stop(self) {
        let Self { link, processes, .. } = self;
        drop(link);
        processes.stop().await;
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    fn start_worker(&mut self, number: usize) -> Result<(), Failure> {
        let member = &self.members[number];
        let mut connect = OsString::from("unix:");
        connect.push(&self.socket);
        let mut arguments: Vec<OsString> = ["worker", "start", "--connect"].map(OsString::from).to_vec();
        arguments.push(connect);
        arguments.extend(member.arguments.iter().cloned());
        let log = self.log(&member.name);
        let child = Child::start_program(&self.program, &arguments, Start::Bound, Some(&log))?;
        match member.process {
            Some(place) => {
                let mut before = std::mem::replace(&mut self.processes.workers[place], child);
                before.end(Duration::ZERO);
            }
            None => {
                self.members[number].process = Some(self.processes.workers.len());
                self.processes.workers.push(child);
            }
        }
        Ok(())
    }
}

/// What a worker is told beside where the coordinator is.
fn arguments(worker: &Worker, cache: &Path, emulation: &Emulation) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["--http", "none", "--slots"].map(OsString::from).to_vec();
    arguments.extend([worker.slots.to_string().into(), "--name".into(), OsString::from(&worker.name)]);
    arguments.extend(["--cache".into(), cache.into()]);
    arguments.extend(emulation.to_arguments().into_iter().map(OsString::from));
    arguments
}
