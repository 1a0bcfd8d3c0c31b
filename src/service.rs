//! Coordinators and workers that run in this process: `coordinator start`, `worker start`, and the coordinator of
//! a private cluster.

use crate::cli::CoordinatorStartArgs;
use crate::cluster::is_alive;
use crate::exit::{Exit, Failure, Outcome};
use crate::reports::KeptReports;
use crate::terminal::{self, note};
use muster_coordinator::page::Reports;
use muster_coordinator::{Config, Coordinator, Running, StartError};
use muster_proto::link::{Access, AccessFolder, Process, Target};
use muster_proto::logging::{self, Reader};
use muster_worker::{WorkerArgs, WorkerError};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Threads of a coordinator's runtime.
const COORDINATOR_THREADS: usize = 2;
/// How long a private coordinator may take to write what it has.
const STOP_LIMIT: Duration = Duration::from_secs(10);

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let exit = match &error {
            StartError::Store(_) | StartError::Keys(_) | StartError::Writer(_) | StartError::Ended(_) => {
                Exit::Storage
            }
            StartError::Listen(_) | StartError::Http { .. } => Exit::Connection,
            StartError::NoKeys { .. } | StartError::Advertise(_) | StartError::PageToken(_) => Exit::Usage,
            StartError::Plugins(_) => Exit::Plugin,
        };
        Self::caused(exit, &error)
    }
}

/// Logs to stderr: what MUSTER_LOG says, else `level` and worse.
fn log(level: &str, reader: Reader) -> Result<(), Failure> {
    logging::init(level, reader).map_err(Failure::usage)
}

fn coordinator_runtime() -> Result<Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(COORDINATOR_THREADS).thread_name("coordinator").enable_all().build();
    runtime.map_err(|error| Failure::new(Exit::Limit, format_args!("cannot start: {error}")))
}

/// Runs a coordinator in the foreground until it is told to end.
pub fn coordinator(args: CoordinatorStartArgs) -> Outcome {
    log("info", Reader::Operator)?;
    coordinator_runtime()?.block_on(Box::pin(coordinate(args)))
}

async fn coordinate(args: CoordinatorStartArgs) -> Outcome {
    let (name, folder) = (args.coordinator.name.clone(), AccessFolder::of_user()?);
    if let Ok(access) = folder.read(&name)
        && is_alive(&access)
        && access.process.pid != std::process::id()
    {
        return Err(Failure::new(
            Exit::Connection,
            format_args!("cluster {name} is up already (process {})", access.process.pid),
        )
        .hint("stop it (muster down, when muster up started it), or take another --name"));
    }
    let failed = |error: std::io::Error| Failure::new(Exit::Limit, error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    if let Some(file) = args.runs.as_ref().filter(|path| path.is_file()) {
        return Err(Failure::usage(format_args!("--runs {} is a file", file.display()))
            .hint("name the folder that muster compare keeps its runs in: .muster/runs where it is called"));
    }
    let reports = args.runs.map(|folder| Arc::new(KeptReports::new(folder)) as Arc<dyn Reports>);
    let config = Config { reports, ..args.coordinator.into_config()? };
    let mut running = Coordinator::start(config).await?;
    if let Some(target) = access_target(&running)? {
        let http = running.http_addr.map(|address| address.to_string());
        let process = Process::of(std::process::id())
            .ok_or_else(|| Failure::new(Exit::Storage, "/proc does not show this process; is it mounted?"))?;
        folder.write(&Access { name: name.clone(), target, http, process })?;
    }
    announce(&running);
    let stopped = tokio::select! {
        stopped = running.wait() => stopped,
        _ = terminate.recv() => running.shutdown().await,
        _ = interrupt.recv() => running.shutdown().await,
    };
    folder.remove(&name)?;
    stopped.map(|()| Exit::Ok).map_err(|error| Failure::new(Exit::Storage, error))
}

/// How commands on this machine reach it.
fn access_target(running: &Running) -> Result<Option<Target>, Failure> {
    match (&running.unix, running.join_string()) {
        (Some(path), _) => Ok(Some(Target::Unix(path.clone()))),
        (None, Some(join)) => Ok(Some(Target::parse(join)?)),
        (None, None) => Ok(None),
    }
}

/// The join string goes to stdout; nobody has to read it.
fn announce(running: &Running) {
    match (running.join_string(), &running.unix) {
        (Some(join), _) => {
            let _ = terminal::print(join);
            note(
                "workers join with: muster worker start --join STRING --trust any (STRING: the line on stdout; it is a secret)",
            );
            note(
                "clients on other machines: muster token new --role submitter,publisher prints a join string",
            );
        }
        (None, Some(path)) => {
            let _ = terminal::print(format_args!("unix:{}", path.display()));
        }
        (None, None) => {}
    }
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Self {
        let exit = match error {
            WorkerError::Join(error) => return error.into(),
            WorkerError::NoCoordinator
            | WorkerError::NoTrust
            | WorkerError::Flag { .. }
            | WorkerError::Secret(_) => Exit::Usage,
            WorkerError::Link(ref link) if link.is_permission() => Exit::Permission,
            WorkerError::Link(_) | WorkerError::Refused { .. } | WorkerError::Http { .. } => Exit::Connection,
            WorkerError::Cache(_) => Exit::Storage,
            WorkerError::System { .. } => Exit::Limit,
        };
        Self::caused(exit, &error)
    }
}

/// Runs a worker until it is told to end.
pub fn worker(args: WorkerArgs) -> Outcome {
    if args.private {
        // What it says stands among what `muster run` says.
        log("warn", Reader::User)?;
    } else {
        log("info", Reader::Operator)?;
    }
    muster_worker::run_blocking(args.into_config()?)?;
    Ok(Exit::Ok)
}

/// The coordinator of a private cluster, on threads of its own.
pub struct InProcess {
    runtime: Background,
    running: Running,
}

impl InProcess {
    /// Starts it.
    pub async fn start(config: Config) -> Result<Self, Failure> {
        log("error", Reader::User)?;
        let runtime = Background::new(coordinator_runtime()?);
        let started = runtime.handle.spawn(Coordinator::start(config));
        let ended =
            |error| Failure::new(Exit::Storage, format_args!("the coordinator ended at its start: {error}"));
        let running = started.await.map_err(ended)??;
        Ok(Self { runtime, running })
    }

    /// Ends it, and waits until what it holds is written.
    pub async fn stop(self) {
        let running = self.running;
        let stopping = self.runtime.handle.spawn(async move {
            if let Err(error) = running.shutdown().await {
                note(format_args!("warning: the private coordinator could not store everything: {error}"));
            }
        });
        let _ = tokio::time::timeout(STOP_LIMIT, stopping).await;
    }

    /// Ends it without waiting.
    pub fn abandon(self) {
        drop(self.running);
    }
}

/// A runtime that ends without being waited for, also when what uses it is dropped half way: waiting for a runtime's end
/// is not allowed on the thread of another one.
struct Background {
    handle: Handle,
    /// Until it is dropped.
    runtime: Option<Runtime>,
}

impl Background {
    fn new(runtime: Runtime) -> Self {
        Self { handle: runtime.handle().clone(), runtime: Some(runtime) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
