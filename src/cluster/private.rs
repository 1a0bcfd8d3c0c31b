//! A cluster for one command: the coordinator in this process, on a runtime of its own, and workers that are
//! this binary again. They die with us, whatever ends us; the temporary folder goes when it is dropped.

use super::choose::Session;
use super::folder::TempFolder;
use super::orphans::Orphans;
use super::process::{Child, Start};
use super::processes::{Processes, has_ended};
use crate::exit::{Exit, Failure};
use crate::job::ShapePlan;
use crate::service::InProcess;
use crate::summary::workers_of_slots;
use muster_coordinator::Config;
use muster_core::sandbox::Need;
use muster_core::scheduler::PolicySpec;
use muster_proto::link::{Target, connect};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// How long a worker may take to end before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// The argument, with a number of bytes, before all others that makes a process of ours hold memory for nothing.
pub const HOLD_ARGUMENT: &str = "__hold";

/// A running private cluster. Must be started on the main thread: its workers die with the thread that
/// started them.
pub struct Private {
    session: Session,
    slots: u32,
    processes: Processes,
}

/// The slots of each worker of a private cluster.
pub fn private_slots(shape: &ShapePlan, workers: u32) -> Result<u32, Failure> {
    let usable = muster_worker::usable_cpus();
    shape.slots((usable / workers).max(1), usable)
}

/// What becomes of the words of workers.
#[derive(Clone, Copy, Debug)]
enum Log<'a> {
    Shown,
    Dropped,
    To(&'a Path),
}

/// What else its workers are told.
#[derive(Clone, Debug, Default)]
struct Extra {
    /// Memory that they hold for nothing.
    held_bytes: u64,
    /// Further arguments.
    more: Vec<OsString>,
}

impl<'a> Log<'a> {
    fn file(self) -> Option<&'a Path> {
        match self {
            Self::Shown => None,
            Self::Dropped => Some(Path::new("/dev/null")),
            Self::To(path) => Some(path),
        }
    }
}

impl Private {
    /// Starts a coordinator and `workers` workers of `slots` slots. With `state` its jobs and results outlive it.
    pub async fn start(
        workers: u32,
        slots: u32,
        state: Option<&Path>,
        policy: PolicySpec,
    ) -> Result<Self, Failure> {
        Self::start_granting(workers, slots, state, policy, &[]).await
    }

    /// The same, with what its workers grant to plugins in a sandbox.
    pub async fn start_granting(
        workers: u32,
        slots: u32,
        state: Option<&Path>,
        policy: PolicySpec,
        grants: &[Need],
    ) -> Result<Self, Failure> {
        let more = grants.iter().flat_map(|grant| ["--allow".into(), grant.to_string().into()]).collect();
        Self::start_with(workers, slots, state, policy, Log::Shown, Extra { held_bytes: 0, more }).await
    }

    /// The same, without a word of its workers: for what goes wrong on purpose.
    pub async fn start_silent(slots: u32) -> Result<Self, Failure> {
        Self::start_with(1, slots, None, PolicySpec::default(), Log::Dropped, Extra::default()).await
    }

    /// The same, with the words of its worker in a file.
    pub async fn start_logged(slots: u32, log: &Path) -> Result<Self, Failure> {
        Self::start_with(1, slots, None, PolicySpec::default(), Log::To(log), Extra::default()).await
    }

    /// One worker that holds so much memory for nothing: to see what that costs it.
    pub async fn start_heavy(slots: u32, bytes: u64) -> Result<Self, Failure> {
        let extra = Extra { held_bytes: bytes, ..Extra::default() };
        Self::start_with(1, slots, None, PolicySpec::default(), Log::Shown, extra).await
    }

    async fn start_with(
        workers: u32,
        slots: u32,
        state: Option<&Path>,
        policy: PolicySpec,
        log: Log<'_>,
        extra: Extra,
    ) -> Result<Self, Failure> {
        let folder = TempFolder::new()?;
        let socket = folder.path().join("coordinator.sock");
        let config = Config { state: state.map(Path::to_owned), policy, ..Config::private(socket.clone()) };
        let coordinator = Some(InProcess::start(config).await?);
        let orphans = Orphans::adopt();
        let mut processes =
            Processes { workers: Vec::new(), coordinator, orphans, folder, grace: STOP_GRACE };
        for number in 1..=workers {
            let mut connect = OsString::from("unix:");
            connect.push(&socket);
            let mut arguments: Vec<OsString> = match extra.held_bytes {
                0 => Vec::new(),
                bytes => vec![HOLD_ARGUMENT.into(), bytes.to_string().into()],
            };
            arguments.extend(["worker", "start", "--private", "--connect"].map(OsString::from));
            arguments.push(connect);
            arguments.extend(["--slots".into(), slots.to_string().into()]);
            arguments.extend(["--name".into(), format!("worker-{number}").into()]);
            arguments.extend(extra.more.iter().cloned());
            processes.workers.push(Child::start(&arguments, Start::Bound, log.file())?);
        }
        let link = connect(&Target::Unix(socket)).await?;
        let session = Session { link, name: "private".to_owned(), target: None };
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
        self.processes.worker_ids()
    }

    /// What it is, in a few words.
    pub fn describe(&self) -> String {
        workers_of_slots(self.workers(), self.slots)
    }

    /// From now on its end is not a gentle one: workers are killed.
    pub fn abandon(&mut self) {
        self.processes.grace = Duration::ZERO;
    }

    /// Comes back when all workers have ended, so that nothing would ever run. Looks after orphans meanwhile.
    pub async fn lost(&self) -> Failure {
        let workers = &self.processes.workers;
        let ended = async {
            for worker in workers {
                has_ended(worker).await;
            }
        };
        tokio::select! {
            () = ended => {}
            () = self.processes.reap_orphans() => {}
        }
        all_ended(workers.len(), workers.iter().find_map(Child::killed_by))
    }

    /// Ends it: first our own link, so that nobody waits for it, then the workers, then the coordinator.
    pub async fn stop(self) {
        let Self { session, processes, .. } = self;
        drop(session);
        processes.stop().await;
    }
}

/// What is said when all workers have ended. One that a signal killed had no time for words.
fn all_ended(workers: usize, signal: Option<i32>) -> Failure {
    let which = if workers == 1 { "the worker".to_owned() } else { format!("all {workers} workers") };
    let failure =
        |how: &str| Failure::new(Exit::Connection, format_args!("{which} of the private cluster ended{how}"));
    match signal {
        Some(libc::SIGKILL) => failure(": SIGKILL")
            .hint("when nobody sent it, the system did because memory ran out; its log (dmesg) tells"),
        Some(signal) => failure(&format!(": signal {signal}")),
        None => failure("").hint("why is said above"),
    }
}
