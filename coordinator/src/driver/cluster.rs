//! Workers that come and go, plugins, and the cluster in numbers.

use super::command::{Attached, Numbers, PluginNumbers, Priority, Queue, Reply};
use super::effect::Effect;
use super::report::Subject;
use super::worker::Worker;
use super::{Driver, Refusal};
use crate::limits::Limit;
use crate::store::{PluginRecord, Record};
use muster_core::id::WorkerId;
use muster_core::metric::{OTHER, PLUGINS_MAX};
use muster_core::scheduler::{Input, Loss};
use muster_proto::convert::Hello;
use muster_proto::v1::{self, WorkerState, to_worker};
use muster_proto::{FEATURES, PROTOCOL_VERSION};
use std::sync::Arc;
use tokio::task::AbortHandle;
use tonic::Status;

/// Workers that left and are still listed.
const GONE_MAX: usize = 256;
/// After so many workers went, memory is given back to the system.
const TRIM_AFTER: u64 = 256;

impl Driver {
    /// A worker's stream began.
    pub(super) fn attach(&mut self, mut hello: Hello, reply: Reply<Attached>) {
        if let Err(refusal) = self.settings.limits.check(Limit::Workers, self.workers.len() as u64 + 1) {
            self.refuse(reply, refusal);
            return;
        }
        // The same life of a worker on a second stream: the first one is dead and does not know it yet.
        let incarnation = hello.incarnation;
        if let Some(&old) = self.incarnations.get(&incarnation) {
            let refusal = Refusal::Superseded(incarnation.0);
            self.count_rejected(&refusal);
            self.lose(old, Loss::Disconnected, Some(refusal.into()));
        }
        let id = self.next_worker;
        self.next_worker = WorkerId(id.0 + 1);
        let slots = hello.slots;
        let held = std::mem::take(&mut hello.held);
        // Job numbers of another state mean other jobs.
        let is_ours = hello.state == self.state && self.state != 0;
        tracing::info!(worker = id.0, name = hello.name, host = hello.host, slots, "worker attached");
        self.totals.registrations += 1;
        self.incarnations.insert(incarnation, id);
        let (mut worker, outbound) = Worker::new(hello, self.clock.now());
        let welcome = v1::Welcome {
            protocol: PROTOCOL_VERSION,
            features: FEATURES.iter().map(|&feature| feature.to_owned()).collect(),
            epoch: self.epoch.0,
            worker: id.0,
            heartbeat_ms: self.settings.heartbeat.as_millis() as u32,
            lease_ms: (self.settings.scheduler.lease.0 / 1_000_000) as u32,
            state: self.state,
            adopted: Vec::new(),
        };
        worker.welcome(welcome);
        self.workers.insert(id, worker);
        if reply.send(Ok(Attached { worker: id, outbound })).is_err() {
            self.dismiss(id, Loss::Disconnected, None);
            return;
        }
        self.changed_workers.insert(id);
        self.tell_what_does_not_fit(id);
        if is_ours && !held.is_empty() {
            self.tell(Input::Rejoined { worker: id, slots, held }, Subject::Nothing);
        } else {
            self.tell(Input::Joined { worker: id, slots }, Subject::Nothing);
        }
        self.is_here(incarnation);
        // It was told to go and was lost before it did.
        if self.leaving.contains(&incarnation) {
            self.let_go(id);
        }
    }

    /// The task that reads a worker's stream; it ends with the worker.
    pub(super) fn reading(&mut self, id: WorkerId, reading: AbortHandle) {
        match self.workers.get_mut(&id) {
            Some(worker) => worker.reading = Some(reading),
            None => reading.abort(),
        }
    }

    /// Forgets a worker and ends its stream. The scheduler knows, or is told by the caller.
    pub(super) fn dismiss(&mut self, id: WorkerId, why: Loss, status: Option<Status>) {
        let Some(worker) = self.workers.remove(&id) else { return };
        self.stopping.lost(id);
        tracing::info!(worker = id.0, name = worker.hello.name, why = why.name(), "worker is gone");
        self.incarnations.remove(&worker.hello.incarnation);
        self.write(Record::WorkerWent { incarnation: worker.hello.incarnation });
        self.forget_queries(id);
        self.pss_bytes -= worker.heartbeat.pss_bytes;
        let lost = why != Loss::Left;
        *self.totals.losses.entry(why.name()).or_default() += 1;
        if lost {
            self.lost.add(&worker.hello, self.clock.now());
        }
        if lost && worker.draining {
            self.leaving.push_back(worker.hello.incarnation);
            if self.leaving.len() > GONE_MAX {
                self.leaving.pop_front();
            }
        }
        for job in &worker.jobs {
            if let Some(job) = self.jobs.get_mut(job).filter(|job| !job.over) {
                job.progress.hear(id, 0.0);
                job.numbers.lost_workers += u64::from(lost);
            }
        }
        let (state, total) = if lost {
            (WorkerState::Lost, &mut self.totals.workers_lost)
        } else {
            (WorkerState::Left, &mut self.totals.workers_left)
        };
        *total += 1;
        let info = v1::WorkerInfo {
            state: state.into(),
            busy_slots: 0,
            executors: 0,
            pss_bytes: 0,
            ..worker.info(id, self.clock.now(), 0)
        };
        self.gone.push_back(info);
        if self.gone.len() > GONE_MAX {
            self.gone.pop_front();
        }
        worker.dismiss(status);
        if (self.totals.workers_lost + self.totals.workers_left).is_multiple_of(TRIM_AFTER) {
            self.trim_memory();
        }
    }

    /// The C library keeps what thousands of streams used; a coordinator that lost them gives it back.
    fn trim_memory(&self) {
        if tokio::runtime::Handle::try_current().is_ok() {
            tokio::task::spawn_blocking(|| {
                #[cfg(target_env = "gnu")]
                // SAFETY: malloc_trim has no preconditions and may be called from any thread.
                unsafe {
                    libc::malloc_trim(0);
                }
            });
        }
    }

    /// What clients see of the workers.
    pub(super) fn list_workers(&self, all: bool) -> Vec<v1::WorkerInfo> {
        let now = self.clock.now();
        let leased = |id: &WorkerId| self.scheduler.worker_tasks(*id).unwrap_or(0);
        let there = self.workers.iter().map(|(id, worker)| worker.info(*id, now, leased(id)));
        let gone = self.gone.iter().filter(|_| all).cloned();
        gone.chain(there).collect()
    }

    /// Lets a worker, named by name or number, finish what it has and leave.
    pub(super) fn drain(&mut self, query: &str) -> Result<v1::WorkerInfo, Refusal> {
        let named: Vec<WorkerId> =
            self.workers.iter().filter(|(_, it)| it.hello.name == query).map(|(&id, _)| id).collect();
        let numbered = || query.parse().ok().map(WorkerId).filter(|id| self.workers.contains_key(id));
        let id = match named[..] {
            [] => numbered().ok_or_else(|| Refusal::NoWorker(query.to_owned()))?,
            [only] => only,
            [..] => {
                let numbers: Vec<String> = named.iter().map(|id| id.0.to_string()).collect();
                let numbers = numbers.join(" and ");
                return Err(Refusal::ManyWorkers { name: query.to_owned(), numbers });
            }
        };
        self.let_go(id);
        let leased = self.scheduler.worker_tasks(id).unwrap_or(0);
        let now = self.clock.now();
        self.workers
            .get(&id)
            .map(|worker| worker.info(id, now, leased))
            .ok_or_else(|| Refusal::NoWorker(query.to_owned()))
    }

    /// Tells a worker that still drains to go at once; what it runs goes to others when it is gone.
    pub(super) fn end_drain(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.draining) else { return };
        tracing::warn!(
            worker = id.0,
            name = worker.hello.name,
            "worker did not drain in time; it is told to go"
        );
        let told = worker.flush().and_then(|()| worker.send(to_worker::Kind::Drain(v1::Drain { now: true })));
        if told.is_err() {
            self.not_reading.push(id);
        }
    }

    pub(super) fn let_go(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.draining = true;
        }
        self.tell(Input::Drain { worker: id }, Subject::Nothing);
    }

    /// A plugin whose file is in the blob folder.
    pub(super) fn add_plugin(&mut self, plugin: PluginRecord, reply: Reply<bool>) {
        match self.plugins.check(&plugin, &self.settings.limits) {
            Ok(true) => self.answer(reply, Ok(true)),
            Ok(false) => {
                tracing::info!(name = plugin.name, version = plugin.version, "plugin added");
                self.plugins.insert(plugin.clone());
                self.write(Record::PluginAdded(plugin));
                self.when_durable(Effect::PluginAdded(reply));
            }
            Err(refusal) => self.refuse(reply, refusal),
        }
    }

    /// Forgets a plugin that no unfinished job needs.
    pub(super) fn remove_plugin(&mut self, query: &str, reply: Reply<Arc<PluginRecord>>) {
        let plugin = match self.plugins.find(query) {
            Ok(plugin) => plugin,
            Err(refusal) => return self.refuse(reply, refusal),
        };
        let user = self.jobs.iter().find(|(_, job)| job.submission.plugin.digest == plugin.digest);
        if let Some((&job, _)) = user {
            let plugin = format!("{}@{}", plugin.name, plugin.version);
            return self.refuse(reply, Refusal::PluginInUse { plugin, job });
        }
        self.plugins.remove(&plugin.digest);
        self.write(Record::PluginRemoved { digest: plugin.digest });
        self.when_durable(Effect::PluginRemoved(reply, plugin));
    }

    /// The cluster in numbers.
    pub(super) fn numbers(&self) -> Numbers {
        let mut numbers = self.totals.clone();
        numbers.jobs_live = self.jobs.len() as u64;
        numbers.jobs_paused = self.jobs.values().filter(|job| job.paused.is_some()).count() as u64;
        (numbers.leases, numbers.leases_expired) =
            (self.scheduler.sizes().leases as u64, self.scheduler.expired_leases());
        for worker in self.workers.values() {
            let state = if worker.draining { &mut numbers.workers_draining } else { &mut numbers.workers_up };
            *state += 1;
            numbers.slots += u64::from(worker.hello.slots);
            numbers.slots_busy += u64::from(worker.heartbeat.busy_slots.min(worker.hello.slots));
            numbers.executors += u64::from(worker.heartbeat.executors);
            numbers.stream_messages += worker.waiting_messages() as u64;
        }
        // Jobs that have not ended are not in the totals yet.
        for job in self.jobs.values() {
            numbers.plugin(&job.plugin_name).queue.merge(&job.numbers.queue);
        }
        // A queue that is empty is there, too: it has been 0 before it grows.
        let plugins: Vec<Arc<str>> = numbers.plugins.keys().cloned().collect();
        numbers.queues =
            plugins.into_iter().map(|name| ((name, Priority::Normal), Queue::default())).collect();
        let now = self.clock.now();
        for (id, job) in &self.jobs {
            let tasks = self.scheduler.queued_tasks_of(*id);
            let name = numbers.plugin_label(&job.plugin_name);
            let queue = numbers.queues.entry((name, Priority::of(job.submission.spec.priority))).or_default();
            queue.tasks += tasks;
            if let Some(since) = job.oldest_wait().filter(|_| tasks > 0) {
                queue.oldest = queue.oldest.max(now.since(since));
            }
        }
        numbers
    }
}

impl Numbers {
    /// The numbers of one plugin.
    pub(super) fn plugin(&mut self, name: &Arc<str>) -> &mut PluginNumbers {
        let label = self.plugin_label(name);
        self.plugins.entry(label).or_default()
    }

    /// What a plugin is counted under: there is a limit to names.
    fn plugin_label(&self, name: &Arc<str>) -> Arc<str> {
        let is_counted = self.plugins.contains_key(name) || self.plugins.len() < PLUGINS_MAX;
        if is_counted { Arc::clone(name) } else { OTHER.into() }
    }
}
