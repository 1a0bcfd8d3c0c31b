//! The one loop of the agent: it owns the state machine, and is the only place that waits for several things.

use super::Stop;
use super::event::{Event, Events, Inbox};
use super::executor::{ExecutorHandle, Seat};
use super::exit::Refusal;
use super::job::{JobState, LeaseState};
use super::logs::Asked;
use super::memory;
use super::names::Names;
use super::outbox::Outbox;
use super::renewal::Renewal;
use super::report::ReportBuilder;
use super::session::{Session, Way, keep_connecting};
use super::work::Waiting;
use crate::cache::{PluginCache, PluginFile};
use crate::config::Config;
use crate::error::WorkerError;
use crate::log::Log;
use crate::metrics::{Direction, Metrics};
use crate::os::cgroup::{Bounds, Cgroups};
use crate::os::monotonic_ns;
use crate::sandbox::Standing;
use crate::spawner::Spawner;
use crate::symbols::Symbols;
use futures_util::stream::{Fuse, Stream, StreamExt as _};
use muster_core::agent::{Agent, Input};
use muster_core::id::{Epoch, ExecutorId, JobId, LeaseId, WorkerId};
use muster_core::sandbox::Level;
use muster_core::time::{Span, Time};
use muster_proto::link::Link;
use muster_proto::v1::{
    Drain, FromWorker, Goodbye, Heartbeat, JobProgress, Leave, ToWorker, WorkerHello, from_worker, to_worker,
};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tonic::Status;

/// How long executors may take to be gone when the worker ends.
const END_WAIT: Duration = Duration::from_secs(2);
/// How long a plugin may take to load; opening a job may take as long as it needs.
const LOAD_TIME_MAX: Span = Span::from_millis(30_000);
/// How long the last message may take to leave.
const GOODBYE_WAIT: Duration = Duration::from_millis(200);
/// How long a worker that is asked to leave may take to finish what it has begun: less than what supervisors wait.
const DRAIN_MAX: Duration = Duration::from_secs(25);
/// Without anything to do the loop turns this often.
const IDLE_TURN: Duration = Duration::from_secs(3_600);

/// The worker's state.
#[derive(Debug)]
pub(super) struct Driver {
    pub config: Config,
    pub hello: WorkerHello,
    pub agent: Agent,
    /// Inputs that arose while outputs were acted on.
    pub backlog: VecDeque<Input>,
    pub jobs: BTreeMap<JobId, JobState>,
    pub leases: BTreeMap<LeaseId, LeaseState>,
    pub executors: BTreeMap<ExecutorId, ExecutorHandle>,
    pub plugins: BTreeMap<[u8; 32], Arc<PluginFile>>,
    /// Numbers of plugins under certain bounds and in certain sandboxes, for the agent: executors go from job to job with
    /// all of them.
    pub plugin_keys: BTreeMap<([u8; 32], Bounds, Level), u64>,
    /// Jobs that wait for their plugin, or until an earlier life of theirs is gone.
    pub waiting: BTreeMap<JobId, Waiting>,
    /// Files of plugins that are fetched again.
    pub renewals: BTreeMap<[u8; 32], Renewal>,
    /// The link to the coordinator, while there is one.
    pub link: Option<Link>,
    pub report: ReportBuilder,
    pub outbox: Outbox,
    pub names: Names,
    /// Names what the coordinator keeps whose leases are here; 0: none.
    pub state: u64,
    pub metrics: Arc<Metrics>,
    pub cache: PluginCache,
    pub spawner: Spawner,
    pub events: Events,
    pub symbols: Symbols,
    /// Inquests that wait for symbols.
    pub inquests: usize,
    /// What of control groups can be used here, once a job has asked.
    pub cgroups: Option<Arc<Cgroups>>,
    pub log: Log,
    /// What is kept from executors.
    pub standing: Standing,
    /// Where executors have the folders of their tasks; `None`: nowhere.
    pub scratch: Option<PathBuf>,
    pub asked: Asked,
    /// The life of the coordinator whose jobs are in the log, and this worker's number there.
    life: Option<(Epoch, WorkerId)>,
    memory: memory::Memory,
    begun_ns: u64,
    draining: bool,
    /// It wants to leave.
    leaving: Option<Leaving>,
    /// A heartbeat is wanted by then, however long the coordinator would wait for one.
    heartbeat_by: Option<Time>,
}

/// A worker that was asked to drain.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    /// It goes then, done or not.
    until: Instant,
    /// The coordinator was told.
    said: bool,
}

/// What the loop woke up for.
enum Turn {
    Message(Result<Option<ToWorker>, Status>),
    Event(Event),
    Time,
    Room,
    Stop(Stop),
}

/// Whether to go on.
enum Next {
    Go,
    End,
}

impl Driver {
    pub fn new(
        config: Config,
        hello: WorkerHello,
        cache: PluginCache,
        spawner: Spawner,
        metrics: Arc<Metrics>,
        events: Events,
        log: Log,
    ) -> Self {
        Self {
            agent: Agent::new(config.slots),
            config,
            hello,
            backlog: VecDeque::new(),
            jobs: BTreeMap::new(),
            leases: BTreeMap::new(),
            executors: BTreeMap::new(),
            plugins: BTreeMap::new(),
            plugin_keys: BTreeMap::new(),
            waiting: BTreeMap::new(),
            renewals: BTreeMap::new(),
            link: None,
            report: ReportBuilder::default(),
            outbox: Outbox::default(),
            names: Names::default(),
            state: 0,
            metrics,
            cache,
            spawner,
            events,
            symbols: Symbols::default(),
            inquests: 0,
            cgroups: None,
            log,
            standing: Standing::default(),
            scratch: None,
            asked: Asked::default(),
            life: None,
            memory: memory::Memory::default(),
            begun_ns: monotonic_ns(),
            draining: false,
            leaving: None,
            heartbeat_by: None,
        }
    }

    /// Runs until it is stopped or until there is nothing left to run for.
    pub async fn run(
        mut self,
        mut events: Inbox,
        stops: impl Stream<Item = Stop>,
    ) -> Result<(), WorkerError> {
        let mut stops = std::pin::pin!(stops.fuse());
        let mut session: Option<Session> = None;
        let mut next_heartbeat = Instant::now();
        self.connect();
        let result = loop {
            let turn = self.wait(&mut session, &mut events, stops.as_mut(), next_heartbeat).await;
            let next = match turn {
                Turn::Message(Ok(Some(message))) => self.on_message(message, session.as_ref()),
                Turn::Message(lost) => self.on_lost(lost.err(), &mut session),
                Turn::Event(Event::Greets(ask)) => {
                    let _ = ask.send(self.greeting());
                    Next::Go
                }
                Turn::Event(Event::Connected(new)) => {
                    next_heartbeat = Instant::now();
                    self.on_connected(*new, &mut session);
                    Next::Go
                }
                Turn::Event(Event::Refused(error)) => break Err(error),
                Turn::Event(event) => {
                    self.on_event(event);
                    Next::Go
                }
                Turn::Time => {
                    self.turn();
                    Next::Go
                }
                Turn::Room => Next::Go,
                Turn::Stop(Stop::Drain) if self.leaving.is_none() => {
                    self.leave();
                    Next::Go
                }
                Turn::Stop(Stop::Drain | Stop::AtOnce) => Next::End,
            };
            if matches!(next, Next::End) {
                break Ok(());
            }
            if self.outbox.has_room() {
                self.take_more(&mut events.others);
            }
            self.end_overdue();
            self.send_report(session.as_ref());
            if let Some(by) = self.heartbeat_by.take() {
                next_heartbeat = next_heartbeat.min(self.instant(by));
            }
            let is_due = Instant::now() >= next_heartbeat;
            if let Some(session) = session.as_ref().filter(|_| is_due) {
                // What a thread runs may end without a word when its page was written over.
                self.turn();
                self.send_heartbeat(session);
                next_heartbeat = Instant::now() + session.heartbeat;
            }
            self.say_leaving(session.as_ref());
            let is_late = self.leaving.is_some_and(|leaving| leaving.until <= Instant::now());
            let is_done = self.agent.outstanding() == 0
                && self.waiting.is_empty()
                && self.inquests == 0
                && self.report.is_empty()
                && self.outbox.is_empty();
            // Whom no coordinator hears cannot be drained by one.
            let is_let_go = self.draining || (self.leaving.is_some() && session.is_none());
            if is_late || (is_let_go && is_done) {
                break Ok(());
            }
        };
        self.wind_down(events.others, session).await;
        result
    }

    async fn wait(
        &self,
        session: &mut Option<Session>,
        events: &mut Inbox,
        mut stops: Pin<&mut Fuse<impl Stream<Item = Stop>>>,
        next_heartbeat: Instant,
    ) -> Turn {
        let deadline = self.agent.poll_timeout().map(|(time, _)| self.instant(time));
        let heartbeat = session.is_some().then_some(next_heartbeat);
        let overdue = self.next_overdue();
        let wake = deadline
            .into_iter()
            .chain(overdue)
            .chain(heartbeat)
            .chain(self.leaving.map(|leaving| leaving.until))
            .min()
            .unwrap_or_else(|| Instant::now() + IDLE_TURN);
        // One place is kept for the heartbeat. Without room for a report no executor is listened to: they
        // wait in turn.
        let can_send = session.as_ref().is_none_or(|session| session.outgoing.capacity() > 1);
        let has_room = can_send && self.outbox.has_room();
        let (incoming, outgoing) = match session {
            Some(session) => (Some(&mut session.incoming), Some(session.outgoing.clone())),
            None => (None, None),
        };
        tokio::select! {
            message = async {
                match incoming {
                    Some(incoming) => incoming.message().await,
                    None => std::future::pending().await,
                }
            } => Turn::Message(message),
            event = events.link.recv() => event.map_or(Turn::Stop(Stop::AtOnce), Turn::Event),
            event = events.others.recv(), if has_room => event.map_or(Turn::Stop(Stop::AtOnce), Turn::Event),
            () = room(outgoing), if !can_send => Turn::Room,
            () = sleep_until(wake.into()) => Turn::Time,
            Some(stop) = stops.next() => Turn::Stop(stop),
        }
    }

    /// Handles what else has arrived, so that it goes into the same report.
    fn take_more(&mut self, events: &mut mpsc::Receiver<Event>) {
        while !self.report.is_full()
            && let Ok(event) = events.try_recv()
        {
            self.on_event(event);
        }
    }

    /// Begins to leave: the coordinator takes back what was not begun.
    fn leave(&mut self) {
        tracing::info!(seconds = DRAIN_MAX.as_secs(), "leaving: this worker finishes what it has begun");
        self.leaving = Some(Leaving { until: Instant::now() + DRAIN_MAX, said: false });
    }

    fn say_leaving(&mut self, session: Option<&Session>) {
        let (Some(session), Some(leaving)) = (session, self.leaving.as_mut().filter(|it| !it.said)) else {
            return;
        };
        let leave = FromWorker { kind: Some(from_worker::Kind::Leave(Leave {})) };
        leaving.said = session.outgoing.try_send(leave).is_ok();
    }

    fn connect(&self) {
        let target = self.config.target.clone();
        let way =
            Way { target, emulation: self.config.emulation.clone(), metrics: Arc::clone(&self.metrics) };
        tokio::spawn(keep_connecting(way, self.config.private, self.events.clone()));
    }

    fn on_connected(&mut self, new: Session, session: &mut Option<Session>) {
        tracing::info!(coordinator = %self.config.target, epoch = new.epoch.0, "connected");
        self.metrics.set_connected(true);
        self.waiting.clear();
        self.link = Some(new.link.clone());
        self.take_up(new.state, &new.adopted);
        self.fetch_renewals();
        let life = (new.epoch, new.worker);
        // Of two lives of one coordinator the later one counts on; within one it counts its workers.
        if self.life.replace(life).is_some_and(|before| before > life) {
            self.log.forget_jobs();
        }
        self.leaving.iter_mut().for_each(|leaving| leaving.said = false);
        *session = Some(new);
    }

    fn on_lost(&mut self, status: Option<Status>, session: &mut Option<Session>) -> Next {
        *session = None;
        self.link = None;
        // What is on its way for them breaks off with the link, and says nothing of whether they can be run.
        self.waiting.clear();
        self.metrics.set_connected(false);
        if self.config.private {
            return Next::End;
        }
        let reason =
            status.map_or_else(|| "it closed the stream".to_owned(), |status| status.message().to_owned());
        tracing::warn!(coordinator = %self.config.target, reason, "lost the coordinator");
        self.connect();
        Next::Go
    }

    fn on_message(&mut self, message: ToWorker, session: Option<&Session>) -> Next {
        self.metrics.message(Direction::In, message.encoded_len());
        match message.kind {
            Some(to_worker::Kind::Work(work)) => match work.try_into() {
                Ok(work) => self.on_work(work),
                Err(error) => tracing::error!(%error, "the coordinator sent work that makes no sense"),
            },
            Some(to_worker::Kind::Drain(Drain { now: true })) => {
                tracing::warn!("this worker did not drain in time; what it runs goes to others");
                return Next::End;
            }
            Some(to_worker::Kind::Drain(_)) => {
                tracing::info!("draining: this worker ends when its leases are done");
                self.draining = true;
            }
            Some(to_worker::Kind::Log(query)) => match (query.try_into(), session) {
                (Ok(query), Some(session)) => self.on_log_query(query, session),
                (Err(error), _) => {
                    tracing::error!(%error, "the coordinator asks for a log that makes no sense")
                }
                (Ok(_), None) => {}
            },
            Some(to_worker::Kind::Welcome(_)) | None => {
                tracing::debug!("a message without use")
            }
        }
        Next::Go
    }

    /// Sends the report, when there is one and room for it.
    fn send_report(&mut self, session: Option<&Session>) {
        let Some(session) = session else {
            if self.report.is_full() {
                self.finish_report();
            }
            return;
        };
        while session.outgoing.capacity() >= 2 {
            if let Some(report) = self.outbox.next() {
                let report = self.for_coordinator(report, session.epoch);
                // There is room: only this task sends.
                let kind = Some(from_worker::Kind::Report(report));
                let _ = session.outgoing.try_send(FromWorker { kind });
            } else if self.report.is_empty() {
                return;
            } else {
                self.finish_report();
            }
        }
    }

    /// Puts what was written so far into the outbox.
    fn finish_report(&mut self) {
        let now = self.now();
        let now_ns = monotonic_ns();
        for (job, ended_ns, tasks) in self.report.take_ended() {
            if let Some(job) = self.jobs.get_mut(&job) {
                job.phases.report.record_many(Span(now_ns.saturating_sub(ended_ns)), tasks);
            }
        }
        for job in self.jobs.values_mut() {
            job.count_slot_time(now);
            super::arrive::report_phases(job, &mut self.report, &self.metrics);
        }
        let report = self.report.take();
        self.outbox.push(report);
        // A failure that waits for its stack speaks of a lease that may be over.
        if self.inquests > 0 {
            return;
        }
        let (outbox, leases) = (&self.outbox, &self.leases);
        let mut spoken_of = None;
        self.names.sweep(|lease| {
            let spoken_of = spoken_of.get_or_insert_with(|| outbox.leases().collect::<BTreeSet<_>>());
            leases.contains_key(&lease) || spoken_of.contains(&lease)
        });
    }

    fn send_heartbeat(&mut self, session: &Session) {
        let now = self.now();
        let busy: u32 =
            self.jobs.values().filter_map(|job| job.memory.as_ref()).map(|it| it.page.busy_slots()).sum();
        let pids = self.executors.values().filter_map(ExecutorHandle::pid);
        let pss_bytes = self.memory.bytes(now, pids);
        self.metrics.set_slots(busy, self.config.slots);
        self.count_executors();
        self.metrics.set_memory(pss_bytes);
        let heartbeat = Heartbeat {
            busy_slots: busy,
            executors: self.executors.len() as u32,
            pss_bytes,
            progress: self.progress(),
        };
        // A full queue means that the coordinator is not reading: it will find out by itself.
        let _ = session.outgoing.try_send(FromWorker { kind: Some(from_worker::Kind::Heartbeat(heartbeat)) });
        self.end_hung_loads(now);
        self.spawner.reap();
        // One whose threads all wait for what was overwritten sends nothing.
        let jobs: Vec<JobId> = self.jobs.keys().copied().collect();
        for job in jobs {
            self.has_intact_page(job, JobState::is_all_intact);
        }
        for job in self.quiet_jobs(now) {
            tracing::warn!(%job, "tasks vanished from the job page, perhaps the plugin wrote there; they run again");
            self.feed(Input::Quiet { job });
        }
    }

    /// How far running tasks are, of the jobs where some say so.
    fn progress(&self) -> Vec<JobProgress> {
        let pages = self.jobs.iter().filter_map(|(id, job)| Some((id, &job.memory.as_ref()?.page)));
        pages
            .map(|(id, page)| JobProgress { job: id.0, tasks: page.in_progress() })
            .filter(|progress| progress.tasks > 0.0)
            .collect()
    }

    /// Jobs whose tasks the page has lost.
    fn quiet_jobs(&mut self, now: Time) -> Vec<JobId> {
        let seats: Vec<Seat> = self.executors.values().filter_map(|executor| executor.seat).collect();
        self.jobs
            .iter_mut()
            .filter_map(|(&id, job)| {
                let seats = seats.iter().copied().filter(|seat| seat.job == id);
                job.is_quiet(now, seats).then_some(id)
            })
            .collect()
    }

    /// Ends executors whose plugin does not finish loading.
    fn end_hung_loads(&mut self, now: Time) {
        for executor in self.executors.values_mut() {
            if !executor.is_loaded && now.since(executor.started) >= LOAD_TIME_MAX {
                let text = format!("the plugin did not finish loading within {LOAD_TIME_MAX}");
                executor.circumstances.refusal.get_or_insert(Refusal::of(text));
                executor.kill();
            }
        }
    }

    /// Ends all executors and says goodbye.
    async fn wind_down(mut self, mut events: mpsc::Receiver<Event>, session: Option<Session>) {
        for (&id, job) in &mut self.jobs {
            job.crashes.tell_rest(id);
        }
        self.forget_renewals();
        for executor in self.executors.values_mut() {
            executor.circumstances.killed = true;
            executor.kill();
        }
        let gone = async {
            while !self.executors.is_empty() {
                match events.recv().await {
                    Some(Event::Ended { executor, .. }) => drop(self.executors.remove(&executor)),
                    Some(_) => {}
                    None => return,
                }
            }
        };
        if timeout(END_WAIT, gone).await.is_err() {
            tracing::warn!("some executors do not end");
        }
        self.log.finish().await;
        let Some(Session { outgoing, mut incoming, .. }) = session else { return };
        let reason = if self.draining { "drained" } else { "stopped" }.to_owned();
        let goodbye = FromWorker { kind: Some(from_worker::Kind::Goodbye(Goodbye { reason })) };
        // Reports may be in its way.
        if timeout(GOODBYE_WAIT, outgoing.send(goodbye)).await.is_ok_and(|sent| sent.is_ok()) {
            drop(outgoing);
            // The coordinator ends the stream when it has read the message.
            let read = async { while let Ok(Some(_)) = incoming.message().await {} };
            let _ = timeout(GOODBYE_WAIT + self.config.emulation.round_trip(), read).await;
        }
    }

    /// The time as the agent counts it.
    pub fn now(&self) -> Time {
        Time(monotonic_ns().saturating_sub(self.begun_ns))
    }

    fn instant(&self, time: Time) -> Instant {
        Instant::now() + Duration::from_nanos(time.since(self.now()).0)
    }

    /// Memory has changed: a heartbeat comes and tells as soon as it may be read again.
    pub fn tell_memory_soon(&mut self) {
        let by = self.memory.expire(self.now());
        self.heartbeat_by = Some(self.heartbeat_by.map_or(by, |before| before.min(by)));
    }
}

async fn room(outgoing: Option<mpsc::Sender<FromWorker>>) {
    match outgoing {
        // Two places: one for the heartbeat, one for a report.
        Some(outgoing) => drop(outgoing.reserve_many(2).await),
        None => std::future::pending().await,
    }
}
