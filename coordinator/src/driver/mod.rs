//! The driver: one task that owns the scheduler, the log and everything the coordinator knows. Services ask
//! it through a bounded queue. It never waits for anybody: a worker that does not read is disconnected, and
//! what must be durable first is done when it is.

mod blocks;
mod browse;
mod case;
mod client;
mod clock;
mod cluster;
mod command;
mod discovery;
mod effect;
mod ended;
mod feeding;
mod fit;
#[cfg(fuzzing)]
mod fuzzing;
mod inputs;
mod job;
mod kept;
mod logs;
mod numbers;
mod outputs;
mod pause;
mod plugins;
mod postmortem;
mod progress;
mod recover;
mod refusal;
mod report;
mod results;
mod retention;
mod retry;
mod samples;
mod stopping;
mod worker;

pub use blocks::{Block, BlocksAsk, LastBlocks};
pub use browse::{BrowseAsk, JobRow, JobRows};
pub use case::Case;
pub use command::{
    Attached, Command, FromWorker, Handle, Numbers, Page, PluginNumbers, Priority, Queue, Reply, ResultsAsk,
    Snapshot,
};
pub use discovery::Target;
pub use feeding::Feeder;
pub use logs::LogSources;
pub use refusal::{Refusal, reason};
pub use retention::Retention;

use crate::limits::Limits;
use crate::store::writer::{Durable, Log};
use crate::store::{Record, StoreError};
use clock::Clock;
use effect::Effect;
use ended::Ended;
use job::Job;
use kept::Kept;
use muster_core::id::{Epoch, Incarnation, JobId, LeaseId, LogPos, WorkerId};
use muster_core::range::IndexRange;
use muster_core::scheduler::{Config, Input, Loss, Scheduler};
use plugins::Plugins;
use report::Subject;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stopping::Stopping;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tonic::Status;
use worker::Worker;

/// Commands handled before what came of them is sent.
const BATCH_COMMANDS: usize = 256;

/// What the driver is told when it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How leases are cut and when workers are given up.
    pub scheduler: Config,
    /// How often workers are to say that they are alive.
    pub heartbeat: Duration,
    /// How long an open job waits for inputs when nobody feeds it.
    pub feed_wait: Duration,
    /// What is kept of jobs that have ended.
    pub retention: Retention,
    /// Whether jobs may run plugins that are made to harm their process.
    pub allow_chaos: bool,
    /// How much of everything is taken.
    pub limits: Limits,
    /// Whether somebody may want to see the blocks of results that came last.
    pub watched: bool,
}

/// Which life of which coordinator a driver is.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// Names what the store keeps, over all of its lives.
    pub state: u64,
    /// The life.
    pub epoch: Epoch,
}

/// Owns the state of a coordinator.
#[derive(Debug)]
pub struct Driver {
    settings: Settings,
    clock: Clock,
    epoch: Epoch,
    /// Names what the store keeps, over all lives of its coordinators.
    state: u64,
    scheduler: Scheduler,
    log: Log,
    durable: watch::Receiver<Durable>,
    /// The last position that was given out, and what was not handed to the log yet.
    written: LogPos,
    batch: Vec<(LogPos, Record)>,
    effects: VecDeque<(LogPos, Effect)>,
    places: VecDeque<report::Place>,
    jobs: BTreeMap<JobId, Job>,
    ended: BTreeMap<JobId, Ended>,
    kept: Kept,
    requests: HashMap<String, JobId>,
    next_job: JobId,
    queries: logs::Queries,
    plugins: Plugins,
    workers: BTreeMap<WorkerId, Worker>,
    gone: VecDeque<muster_proto::v1::WorkerInfo>,
    next_worker: WorkerId,
    incarnations: HashMap<Incarnation, WorkerId>,
    /// Workers that an earlier life of this coordinator knew and that are not back.
    known: BTreeSet<Incarnation>,
    /// Workers that were lost while they drained: they go when they come back.
    leaving: VecDeque<Incarnation>,
    /// Workers that were lost, for who scrapes them.
    lost: discovery::Lost,
    /// Memory of all workers and executors.
    pss_bytes: u64,
    totals: Numbers,
    blocks: blocks::Blocks,
    rejected: Arc<crate::metrics::Rejected>,
    changed_workers: BTreeSet<WorkerId>,
    changed_jobs: BTreeSet<JobId>,
    /// Jobs that are held back because their results are not being fetched.
    held_jobs: BTreeSet<JobId>,
    not_reading: Vec<WorkerId>,
    /// Ends of leases that did not fit into a message: they count as given back.
    unsent: Vec<(WorkerId, LeaseId, IndexRange)>,
    /// Cancelled jobs whose tasks may still be running.
    stopping: Stopping,
}

impl Driver {
    /// A driver without jobs and workers.
    #[must_use]
    pub fn new(settings: Settings, life: Life, log: Log, rejected: Arc<crate::metrics::Rejected>) -> Self {
        let Life { state, epoch } = life;
        Self {
            state,
            kept: Kept::new(&settings.retention),
            blocks: blocks::Blocks::new(settings.watched),
            scheduler: Scheduler::new(settings.scheduler.clone(), LogPos(1)),
            settings,
            clock: Clock::start(),
            epoch,
            durable: log.durable(),
            log,
            written: LogPos(0),
            batch: Vec::new(),
            effects: VecDeque::new(),
            places: VecDeque::new(),
            jobs: BTreeMap::new(),
            ended: BTreeMap::new(),
            requests: HashMap::new(),
            next_job: JobId(1),
            queries: logs::Queries::default(),
            plugins: Plugins::default(),
            workers: BTreeMap::new(),
            gone: VecDeque::new(),
            next_worker: WorkerId(1),
            incarnations: HashMap::new(),
            known: BTreeSet::new(),
            leaving: VecDeque::new(),
            lost: discovery::Lost::default(),
            pss_bytes: 0,
            totals: Numbers { epoch, ..Numbers::default() },
            rejected,
            changed_workers: BTreeSet::new(),
            changed_jobs: BTreeSet::new(),
            held_jobs: BTreeSet::new(),
            not_reading: Vec::new(),
            unsent: Vec::new(),
            stopping: Stopping::default(),
        }
    }

    /// Runs until it is told to stop, or the log fails. What was acknowledged is in the store either way.
    ///
    /// # Errors
    /// Why the log cannot be written any more.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Result<(), Arc<StoreError>> {
        let mut batch = Vec::with_capacity(BATCH_COMMANDS);
        let mut durable = self.durable.clone();
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        let mut feed_check = tokio::time::interval(self.feed_check());
        feed_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What recovery wrote.
        self.settle();
        let outcome = loop {
            let due = self.scheduler.poll_timeout().map(|(time, _)| self.clock.instant(time));
            if let Some(due) = due.map(tokio::time::Instant::from_std)
                && timer.deadline() != due
            {
                timer.as_mut().reset(due);
            }
            tokio::select! {
                biased;
                received = commands.recv_many(&mut batch, BATCH_COMMANDS) => {
                    let stop = received == 0 || batch.iter().any(|command| matches!(command, Command::Stop));
                    batch.drain(..).for_each(|command| self.handle(command));
                    if stop {
                        break Ok(());
                    }
                }
                changed = durable.changed() => {
                    self.log.flush();
                    if changed.is_err() {
                        break Err(Arc::new(StoreError::WriterGone));
                    }
                }
                () = &mut timer, if due.is_some() => {
                    self.tell_of_standstill(due);
                    self.scheduler.handle_timeout(self.clock.now());
                    self.act_on_outputs(&Subject::Nothing);
                    self.give_up_absent();
                }
                _ = feed_check.tick() => {
                    self.cancel_unfed();
                    self.forget_old();
                }
            }
            self.settle();
            // Looked at without marking it as seen: what became durable since `settle` must wake the loop again.
            if let Some(error) = &durable.borrow().failed {
                break Err(Arc::clone(error));
            }
        };
        self.stop(outcome).await
    }

    /// Says so when this process did not run at a time when it was to look for silent workers: stopped, or on a
    /// machine that was.
    fn tell_of_standstill(&self, due: Option<Instant>) {
        let late = due.map(|due| due.elapsed()).unwrap_or_default();
        if late > self.settings.heartbeat {
            tracing::warn!(
                seconds = late.as_secs_f64(),
                "the coordinator stood still; it hears its workers first"
            );
        }
    }

    /// Writes and sends what came of the inputs, until nothing more comes of that.
    fn settle(&mut self) {
        // Nobody says when the last lease of a held job is gone: given back, or lost with its worker.
        self.changed_jobs.extend(&self.held_jobs);
        loop {
            if !self.batch.is_empty() {
                self.log.append(std::mem::take(&mut self.batch));
            }
            let durable = self.durable.borrow().pos;
            self.take_effect(durable);
            for id in std::mem::take(&mut self.changed_jobs) {
                self.take_in_parked(id);
                self.serve_readers(id);
            }
            self.make_room();
            for (worker, lease, range) in std::mem::take(&mut self.unsent) {
                self.tell(Input::Returned { worker, lease, range }, Subject::Nothing);
            }
            for id in std::mem::take(&mut self.changed_workers) {
                if self.workers.get_mut(&id).is_some_and(|worker| worker.flush().is_err()) {
                    self.not_reading.push(id);
                }
            }
            for id in std::mem::take(&mut self.not_reading) {
                tracing::warn!(worker = id.0, "worker does not read what is sent to it");
                self.totals.stream_overruns += 1;
                let status = Status::resource_exhausted("this worker does not read what is sent to it");
                self.lose(id, Loss::Misbehaved, Some(status));
            }
            let quiet =
                self.batch.is_empty() && self.changed_jobs.is_empty() && self.changed_workers.is_empty();
            if quiet && self.kept.has_room() && self.unsent.is_empty() && self.not_reading.is_empty() {
                return;
            }
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Attach(hello, reply) => self.attach(*hello, reply),
            Command::Reading(worker, reading) => self.reading(worker, reading),
            Command::FromWorker(worker, message) => self.hear(worker, message),
            Command::Submit(submission, reply) => self.submit(*submission, reply),
            Command::FeedTo(job, reply) => {
                let answer = self.begin_feed(job);
                self.answer(reply, answer);
            }
            Command::Feed(job, feed, reply) => self.feed(job, feed, reply),
            Command::Status(job, reply) => self.answer(reply, self.snapshot(job)),
            Command::List(limit, reply) => self.answer(reply, Ok(self.list(limit))),
            Command::Browse(ask, reply) => self.answer(reply, self.browse(&ask)),
            Command::Blocks(ask, reply) => self.answer(reply, self.last_blocks(ask)),
            Command::Cancel(job, reply) => {
                let answer = self.cancel(job);
                self.answer(reply, answer);
            }
            Command::Remove(job, reply) => self.remove(job, reply),
            Command::Retry(ask, reply) => self.retry(ask, reply),
            Command::TaskSamples(job, reply) => self.answer(reply, self.task_samples(job)),
            Command::Case(ask, reply) => self.answer(reply, self.case(ask)),
            Command::Results(ask, reply) => self.results(ask, reply),
            Command::Acknowledge(job, below, reply) => {
                let answer = self.acknowledge(job, below);
                self.answer(reply, answer);
            }
            Command::LogSources(job, reply) => self.answer(reply, self.log_sources(job)),
            Command::AskLog(worker, query, reply) => self.ask_log(worker, query, reply),
            Command::AddPlugin(plugin, reply) => self.add_plugin(plugin, reply),
            Command::ListPlugins(reply) => self.answer(reply, Ok(self.plugins.list())),
            Command::FindPlugin(query, reply) => self.answer(reply, self.plugins.find(&query)),
            Command::RemovePlugin(query, reply) => self.remove_plugin(&query, reply),
            Command::Workers(all, reply) => self.answer(reply, Ok(self.list_workers(all))),
            Command::Drain(query, reply) => {
                let answer = self.drain(&query);
                self.answer(reply, answer);
            }
            Command::EndDrain(worker) => self.end_drain(worker),
            Command::Numbers(reply) => self.answer(reply, Ok(self.numbers())),
            Command::Targets(reply) => self.answer(reply, Ok(self.targets())),
            // The loop ends after this batch.
            Command::Stop => {}
        }
    }

    /// Adds a fact to the log; it is written when everything that is queued was handled.
    fn write(&mut self, record: Record) {
        self.written = LogPos(self.written.0 + 1);
        self.batch.push((self.written, record));
    }

    // Whoever no longer waits for an answer does not get one.
    fn answer<T>(&self, reply: Reply<T>, answer: Result<T, Refusal>) {
        if let Err(refusal) = &answer {
            self.count_rejected(refusal);
        }
        let _ = reply.send(answer);
    }

    fn refuse<T>(&self, reply: Reply<T>, refusal: Refusal) {
        self.answer(reply, Err(refusal));
    }

    fn count_rejected(&self, refusal: &Refusal) {
        self.rejected.count(refusal.reason());
    }

    /// Says goodbye to the workers and closes the log.
    async fn stop(mut self, outcome: Result<(), Arc<StoreError>>) -> Result<(), Arc<StoreError>> {
        if outcome.is_ok() {
            self.settle();
        }
        for (_, worker) in std::mem::take(&mut self.workers) {
            worker.dismiss(Some(Status::unavailable("the coordinator is stopping")));
        }
        let (log, durable) = (self.log, self.durable);
        let closed = tokio::task::spawn_blocking(move || log.close()).await;
        if closed.is_err() {
            tracing::error!("the store's writer did not end well");
        }
        // What was still queued has been written now: its waiting clients hear of it by their requests' end.
        let failed = durable.borrow().failed.clone();
        outcome.and_then(|()| failed.map_or(Ok(()), Err))
    }
}
