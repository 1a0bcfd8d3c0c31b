//! What the services ask the driver, and how they get the answer.

use super::Refusal;
use super::blocks::{BlocksAsk, LastBlocks};
use super::browse::{BrowseAsk, JobRows};
use super::case::Case;
use super::discovery::Target;
use super::feeding::Feeder;
use super::logs::LogSources;
use super::report::PLACES_MAX;
use crate::store::PluginRecord;
use muster_core::id::{Epoch, JobId, WorkerId};
use muster_core::range::IndexRange;
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use muster_proto::convert::{
    CaseAsk, Feed, Heartbeat, Hello, LogChunk, LogQuery, Report, RetryAsk, Submission,
};
use muster_proto::v1;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tonic::Status;

/// Commands that wait for the driver.
const COMMANDS_MAX: usize = 1_024;

/// The answer to a command.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// What the driver is asked.
#[derive(Debug)]
pub enum Command {
    /// A worker's stream began.
    Attach(Box<Hello>, Reply<Attached>),
    /// The task that reads a worker's stream, to be ended with the worker.
    Reading(WorkerId, AbortHandle),
    /// A worker said something.
    FromWorker(WorkerId, FromWorker),
    /// A client wants a job.
    Submit(Box<Submission>, Reply<JobId>),
    /// A stream of inputs for a job begins; whether its tasks have inputs, and what to hold until the stream ends.
    FeedTo(JobId, Reply<(bool, Feeder)>),
    /// Tasks for an open job; the answer is the number of tasks the job has.
    Feed(JobId, Feed, Reply<u64>),
    /// What a job looks like.
    Status(JobId, Reply<Snapshot>),
    /// The newest jobs, newest first.
    List(usize, Reply<Vec<v1::JobStatus>>),
    /// Jobs to look through.
    Browse(BrowseAsk, Reply<JobRows>),
    /// The blocks of results of a job that came last.
    Blocks(BlocksAsk, Reply<LastBlocks>),
    /// Stop a job.
    Cancel(JobId, Reply<Snapshot>),
    /// Forget a job that has ended; the answer comes when that is durable.
    Remove(JobId, Reply<v1::JobStatus>),
    /// Let a paused job go on, and try failed tasks again; the answer says which job that was, and how many tasks.
    Retry(RetryAsk, Reply<(JobId, u64)>),
    /// What is known of single tasks of a job.
    TaskSamples(JobId, Reply<v1::TaskSamplesReply>),
    /// What is known of one task of a job, and its input.
    Case(CaseAsk, Reply<Case>),
    /// Results that can be read.
    Results(ResultsAsk, Reply<Page>),
    /// Streamed results below an index were put away by their reader.
    Acknowledge(JobId, u64, Reply<()>),
    /// Which workers have the log of a job.
    LogSources(JobId, Reply<LogSources>),
    /// Ask a worker for log lines.
    AskLog(WorkerId, LogQuery, Reply<LogChunk>),
    /// A plugin whose file is in the blob folder; `true` when it was known.
    AddPlugin(PluginRecord, Reply<bool>),
    /// The plugins that are registered.
    ListPlugins(Reply<Vec<Arc<PluginRecord>>>),
    /// A plugin by name, name@version or digest.
    FindPlugin(String, Reply<Arc<PluginRecord>>),
    /// Forget a plugin.
    RemovePlugin(String, Reply<Arc<PluginRecord>>),
    /// The workers; `true`: also those that left.
    Workers(bool, Reply<Vec<v1::WorkerInfo>>),
    /// Let a worker finish and leave.
    Drain(String, Reply<v1::WorkerInfo>),
    /// A worker that still drains has had its time: what it runs is for others.
    EndDrain(WorkerId),
    /// The cluster in numbers.
    Numbers(Reply<Numbers>),
    /// The workers to scrape; `None` while those of an earlier life may not be back.
    Targets(Reply<Option<Vec<Target>>>),
    /// Write what is queued and stop.
    Stop,
}

/// What a worker said.
#[derive(Debug)]
pub enum FromWorker {
    /// It is alive.
    Heartbeat(Heartbeat),
    /// What happened to its tasks. The places are given back once that is durable.
    Report(Box<Report>, OwnedSemaphorePermit),
    /// Log lines that it was asked for.
    Log(LogChunk),
    /// It wants to finish what it has and leave.
    Leaving,
    /// It leaves.
    Goodbye(String),
    /// Its stream ended.
    Gone,
    /// It broke the protocol.
    Misbehaved(Status),
}

/// A worker's place in the cluster.
#[derive(Debug)]
pub struct Attached {
    /// Its number.
    pub worker: WorkerId,
    /// What to send to it; its stream ends after an error or when this ends.
    pub outbound: mpsc::Receiver<Result<v1::ToWorker, Status>>,
}

/// A job at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// What it looks like.
    pub status: v1::JobStatus,
    /// Changes with its state; `None` when it ended.
    pub state: Option<watch::Receiver<v1::JobState>>,
}

/// Which results somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct ResultsAsk {
    /// Whose results; one number per client's stream.
    pub reader: u64,
    /// The job.
    pub job: JobId,
    /// The first index wanted.
    pub from: u64,
    /// Bytes that were sent since the last time.
    pub sent_bytes: u64,
    /// Wait until there is something.
    pub follow: bool,
}

/// Results that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// These tasks have ended; all durable ones of them have a result or a failure in the store.
    pub range: IndexRange,
    /// Nothing will come behind them.
    pub last: bool,
    /// The job has one reduced output instead.
    pub reduced: bool,
}

/// The cluster in numbers.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// This life of the coordinator.
    pub epoch: Epoch,
    /// Tasks that nobody has, by plugin and priority; all plugins that ran something are there.
    pub queues: BTreeMap<(Arc<str>, Priority), Queue>,
    /// Workers by state.
    pub workers_up: u64,
    /// Workers that finish what they have.
    pub workers_draining: u64,
    /// Workers that fell silent or broke off.
    pub workers_lost: u64,
    /// Workers that said goodbye.
    pub workers_left: u64,
    /// Slots of the workers that are there.
    pub slots: u64,
    /// Slots that run a task.
    pub slots_busy: u64,
    /// Executors.
    pub executors: u64,
    /// Streams of workers that began.
    pub registrations: u64,
    /// Workers that went, by reason.
    pub losses: BTreeMap<&'static str, u64>,
    /// Messages that wait for workers to read them.
    pub stream_messages: u64,
    /// Workers that did not read what was sent to them.
    pub stream_overruns: u64,
    /// Leases in force.
    pub leases: u64,
    /// Leases of which tasks were called back.
    pub leases_recalled: u64,
    /// Tasks that workers had and kept when they came back.
    pub adopted_tasks: u64,
    /// Leases that ended with their worker.
    pub leases_expired: u64,
    /// Tasks whose result came a second time or too late.
    pub duplicates: u64,
    /// Jobs that have not ended.
    pub jobs_live: u64,
    /// Those of them that are paused.
    pub jobs_paused: u64,
    /// Jobs that ended, by how.
    pub jobs_ended: BTreeMap<&'static str, u64>,
    /// Executors that ended, by cause.
    pub exits: BTreeMap<&'static str, u64>,
    /// What workers sent and was dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Tasks that were leased to a second worker because the first took too long.
    pub speculative_tasks: u64,
    /// Lengths of leases.
    pub lease_tasks: Sketch,
    /// By plugin.
    pub plugins: BTreeMap<Arc<str>, PluginNumbers>,
}

/// Which jobs go first, in few classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Below 0.
    Low,
    /// 0, as jobs have that say nothing.
    Normal,
    /// Above 0.
    High,
}

impl Priority {
    /// The class of a job's priority.
    #[must_use]
    pub const fn of(priority: i32) -> Self {
        match priority {
            i32::MIN..=-1 => Self::Low,
            0 => Self::Normal,
            1.. => Self::High,
        }
    }

    /// As a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// Tasks that nobody has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// How many.
    pub tasks: u64,
    /// How long the oldest has waited for its first lease.
    pub oldest: Span,
}

impl Numbers {
    /// Tasks that nobody has.
    pub fn queued_tasks(&self) -> u64 {
        self.queues.values().map(|queue| queue.tasks).sum()
    }
}

/// What one plugin's tasks did.
#[derive(Clone, Debug, Default)]
pub struct PluginNumbers {
    /// Tasks with a committed result.
    pub ok: u64,
    /// Tasks that failed for good.
    pub failed: u64,
    /// Those of them that used up their attempts by ending executors or by panics.
    pub quarantined: u64,
    /// From submit (or feed) to lease.
    pub queue: Sketch,
    /// From a task's end to its result's commit, as workers report it.
    pub report: Sketch,
}

/// The services' end of the driver. Clones share it.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    places: Arc<Semaphore>,
}

impl Handle {
    /// A handle, and what the driver takes commands from.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        (Self { commands, places: Arc::new(Semaphore::new(PLACES_MAX as usize)) }, receiver)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// Why the driver refused.
    pub async fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> Command) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.tell(make(reply)).await?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }

    /// Tells without waiting for an answer.
    ///
    /// # Errors
    /// When the driver is gone.
    pub async fn tell(&self, command: Command) -> Result<(), Refusal> {
        self.commands.send(command).await.map_err(|_| Refusal::Stopping)
    }

    /// Commands that wait for the driver.
    #[must_use]
    pub fn waiting_commands(&self) -> usize {
        self.commands.max_capacity() - self.commands.capacity()
    }

    /// Bytes of reports that wait for the driver or the store.
    #[must_use]
    pub fn backlog_bytes(&self) -> u64 {
        (PLACES_MAX as usize).saturating_sub(self.places.available_permits()) as u64 * 1024
    }

    /// Waits until a report of so many bytes may be handed in.
    ///
    /// # Errors
    /// When the driver is gone.
    pub async fn places(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let places = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).saturating_add(1).min(PLACES_MAX);
        Arc::clone(&self.places).acquire_many_owned(places).await.map_err(|_| Refusal::Stopping)
    }
}
