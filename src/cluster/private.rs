//! A cluster for one command: the coordinator in this process, on a runtime of its own, and workers that are
//! this binary again. They die with us, whatever ends us; the temporary folder goes when it is dropped.

use super::choose::Session;
use super::folder::TempFolder;
use super::orphans::Orphans;
use super::process::{Child, Start};
use crate::exit::{Exit, Failure};
use crate::job::ShapePlan;
use crate::service::InProcess;
use muster_proto::link::{Target, connect};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// How long a worker may take to end before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// A running private cluster. Must be started on the main thread: its workers die with the thread that
/// started them.
pub struct Private {
    session: Session,
    slots: u32,
    processes: Processes,
}

/// What runs, and is ended when this is dropped.
struct Processes {
    workers: Vec<Child>,
    coordinator: Option<InProcess>,
    folder: TempFolder,
    grace: Duration,
}

/// The slots of each worker of a private cluster.
pub fn private_slots(shape: &ShapePlan, workers: u32) -> Result<u32, Failure> {
    let usable = muster_worker::usable_cpus();
    shape.slots((usable / workers).max(1), usable)
}

impl Private {
    /// Starts a coordinator and `workers` workers of `slots` slots. With `state` its jobs and results outlive it.
    pub async fn start(workers: u32, slots: u32, state: Option<&Path>) -> Result<Self, Failure> {
        let folder = TempFolder::new()?;
        let socket = folder.path().join("coordinator.sock");
        let coordinator = InProcess::start(&socket, state).await?;
        let mut children = Vec::new();
        for number in 1..=workers {
            let mut connect = OsString::from("unix:");
            connect.push(&socket);
            let mut arguments: Vec<OsString> =
                ["worker", "start", "--private", "--connect"].map(OsString::from).to_vec();
            arguments.push(connect);
            arguments.extend(["--slots".into(), slots.to_string().into()]);
            arguments.extend(["--name".into(), format!("worker-{number}").into()]);
            children.push(Child::start(&arguments, Start::Bound, None)?);
        }
        let link = connect(&Target::Unix(socket)).await?;
        let session = Session { link, name: "private".to_owned() };
        let grace = STOP_GRACE;
        let processes = Processes { workers: children, coordinator: Some(coordinator), folder, grace };
        Ok(Self { session, slots, processes })
    }

    /// The link to it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// How many workers it was started with.
    pub fn workers(&self) -> u32 {
        u32::try_from(self.processes.workers.len()).unwrap_or(u32::MAX)
    }

    /// The slots of each.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// The process ids of its workers.
    pub fn worker_ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.processes.workers.iter().map(Child::id)
    }

    /// What it is, in a few words.
    pub fn describe(&self) -> String {
        let plural = |count: u32, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        format!("{} of {}", plural(self.workers(), "worker"), plural(self.slots, "slot"))
    }

    /// From now on its end is not a gentle one: workers are killed.
    pub fn abandon(&mut self) {
        self.processes.grace = Duration::ZERO;
    }

    /// Comes back when all workers have ended, so that nothing would ever run.
    pub async fn lost(&self) -> Failure {
        let workers = &self.processes.workers;
        for worker in workers {
            has_ended(worker).await;
        }
        Failure::new(
            Exit::Connection,
            format_args!("all {} workers of the private cluster ended", workers.len()),
        )
        .hint("their last words are above")
    }

    /// Ends it: first our own link, so that nobody waits for it, then the workers, then the coordinator.
    pub async fn stop(self) {
        let Self { session, mut processes, .. } = self;
        drop(session);
        let orphans = Orphans::adopt();
        processes.signal_workers();
        for worker in &processes.workers {
            // What takes longer is killed below.
            let _ = tokio::time::timeout(processes.grace, has_ended(worker)).await;
        }
        processes.end_workers();
        orphans.end();
        if let Some(coordinator) = processes.coordinator.take() {
            coordinator.stop().await;
        }
    }
}

/// Comes back when a worker has ended. One whose descriptor cannot be watched is not waited for.
async fn has_ended(worker: &Child) {
    let Ok(descriptor) = worker.descriptor() else { return };
    // SAFETY: an OwnedFd keeps naming the same open descriptor for as long as it lives.
    if let Ok(process) = unsafe { AsyncFd::<OwnedFd>::register(descriptor) } {
        let _ = process.readable().await;
    }
}

impl Processes {
    fn signal_workers(&mut self) {
        let signal = if self.grace.is_zero() { libc::SIGKILL } else { libc::SIGTERM };
        self.workers.iter_mut().for_each(|worker| worker.signal(signal));
    }

    fn end_workers(&mut self) {
        self.workers.drain(..).for_each(|mut worker| worker.end(self.grace));
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        if !self.workers.is_empty() {
            let orphans = Orphans::adopt();
            self.signal_workers();
            self.end_workers();
            orphans.end();
        }
        if let Some(coordinator) = self.coordinator.take() {
            coordinator.abandon();
        }
        debug_assert!(self.folder.path().exists(), "the folder goes last");
    }
}
