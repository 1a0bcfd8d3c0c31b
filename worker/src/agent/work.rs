//! What the coordinator sends: jobs, leases, recalls. A job whose plugin is not here yet waits, and so does
//! what comes for it.

use super::driver::Driver;
use super::event::Event;
use super::job::{JobState, LeaseState};
use super::limits::bounds;
use super::stop::StopCount;
use crate::cache::{CacheError, Origin, PluginFile};
use muster_core::agent::{self, Input, PluginKey};
use muster_core::id::{JobId, LeaseId};
use muster_proto::convert::{GrantIn, JobOpen, PluginRef, Work};
use std::sync::Arc;

/// A job that cannot be opened yet.
#[derive(Debug)]
pub(super) struct Waiting {
    open: JobOpen,
    grants: Vec<GrantIn>,
    recalls: Vec<(LeaseId, u64)>,
}

impl Driver {
    pub fn on_work(&mut self, work: Work) {
        let Work { opens, grants, recalls, closes, lasting } = work;
        self.outbox.lasts(lasting);
        for open in opens {
            self.on_open(open);
        }
        for grant in grants {
            self.on_grant(grant);
        }
        for (lease, count) in recalls {
            self.on_recall(lease, count);
        }
        for (job, cancel) in closes {
            self.on_close(job, cancel);
        }
    }

    fn on_close(&mut self, job: JobId, cancel: bool) {
        let waited = self.waiting.remove(&job).is_some();
        match self.jobs.get_mut(&job).filter(|_| !waited) {
            Some(view) if cancel => view.stop = Some(StopCount::default()),
            // Nothing of it runs here.
            None if cancel => self.report.stopped(StopCount::default().to_proto(job)),
            Some(_) | None => {}
        }
        if !waited {
            self.feed(Input::Close { job, cancel });
        }
    }

    fn on_open(&mut self, open: JobOpen) {
        let (id, digest) = (open.job, open.plugin.digest);
        // Nothing of it is fetched. Names are those of the coordinator; once the file is here, its own are looked at.
        if let Err(reason) = self.check_trust(&open.plugin.name, &open.plugin.version, &digest) {
            tracing::error!(job = %id, reason, "this worker cannot run the job");
            return self.report.trouble(id, reason);
        }
        let known = self.plugins.get(&digest).filter(|file| file.path.exists()).map(Arc::clone);
        let fetching = self.waiting.values().any(|waiting| waiting.open.plugin.digest == digest);
        let reopened = self.jobs.contains_key(&id);
        if reopened {
            // An earlier session left it; what runs of it is of no use to anybody.
            self.kill_executors_of(id);
        }
        if known.is_some() {
            self.metrics.plugin_wanted(Some(Origin::Cache));
        }
        match known {
            Some(file) if !reopened => self.open(open, file),
            Some(_) => drop(self.waiting.insert(id, Waiting::new(open))),
            None => {
                if !fetching {
                    self.fetch(open.plugin.clone());
                }
                self.waiting.insert(id, Waiting::new(open));
            }
        }
    }

    /// Asks for a plugin's file, as long as there is a link to ask over.
    pub fn fetch(&self, plugin: PluginRef) {
        let Some(link) = self.link.clone() else { return };
        let (cache, events) = (self.cache.clone(), self.events.clone());
        let metrics = Arc::clone(&self.metrics);
        tokio::spawn(async move {
            let result = cache.get(link, &plugin).await;
            metrics.plugin_wanted(result.as_ref().ok().map(|&(_, origin)| origin));
            let result = result.map(|(file, _)| Arc::new(file));
            events.send(Event::Plugin { digest: plugin.digest, result }).await;
        });
    }

    pub fn on_plugin(&mut self, digest: [u8; 32], result: Result<Arc<PluginFile>, CacheError>) {
        let jobs: Vec<JobId> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.open.plugin.digest == digest)
            .map(|(&id, _)| id)
            .collect();
        self.on_renewed(digest, result.as_ref());
        match result {
            Ok(file) => {
                self.plugins.insert(digest, file);
                jobs.into_iter().for_each(|job| self.start_next_life(job));
            }
            Err(error) => {
                self.metrics.plugin_loaded(false);
                for job in jobs {
                    self.waiting.remove(&job);
                    tracing::error!(%job, %error, "this worker cannot run the job");
                    self.report.trouble(job, error.to_string());
                }
            }
        }
    }

    /// Opens a waiting job once its plugin is here and no earlier life of it is.
    pub fn start_next_life(&mut self, id: JobId) {
        if self.jobs.contains_key(&id) {
            return;
        }
        let Some(waiting) = self.waiting.get(&id) else { return };
        let Some(file) = self.plugins.get(&waiting.open.plugin.digest).map(Arc::clone) else { return };
        let Some(Waiting { open, grants, recalls }) = self.waiting.remove(&id) else { return };
        self.open(open, file);
        grants.into_iter().for_each(|grant| self.on_grant(grant));
        recalls.into_iter().for_each(|(lease, count)| self.on_recall(lease, count));
    }

    fn open(&mut self, mut open: JobOpen, file: Arc<PluginFile>) {
        let is_slow = self.config.emulation.speed.extra_millionths() > 0;
        let can_interleave = file.interleaves && open.reduce_leaf.is_none() && !is_slow;
        let stand_ins = if can_interleave { None } else { crate::stand_in::stand_in(&mut open.shape) };
        let (job, shape, reduce) = (open.job, open.shape, open.reduce_leaf.is_some());
        let numbers = self.plugin_keys.len() as u64;
        let (reusable, grace) = (file.reusable, open.limits.grace);
        self.metrics.know(&file.name);
        let confinement = match self.confinement(&open, &file) {
            Ok((confinement, notice)) => {
                if let Some(text) = notice {
                    tracing::info!(%job, text, "how a limit is kept");
                    self.report.notice(job, text);
                }
                confinement
            }
            Err(reason) => {
                tracing::error!(%job, reason, "this worker cannot run the job");
                return self.report.trouble(job, reason);
            }
        };
        let in_use = match file.hold() {
            Ok(in_use) => in_use,
            Err(error) => {
                let reason = format!(
                    "plugin file {}: {error}; other plugins took its room before the job began: start this worker with a larger \
                     --cache-size",
                    file.path.display()
                );
                self.plugins.remove(&file.digest);
                tracing::error!(%job, reason, "this worker cannot run the job");
                return self.report.trouble(job, reason);
            }
        };
        let key = (open.plugin.digest, bounds(&open), confinement.sandbox.level);
        let plugin = PluginKey(*self.plugin_keys.entry(key).or_insert(numbers));
        self.log.open_job(job.0, open.limits.log_bytes);
        let state = JobState::new(open, file, confinement, stand_ins.unwrap_or(0)).holding(in_use);
        self.jobs.insert(job, state);
        self.feed(Input::Open { job, shape, plugin, reusable, reduce, grace });
    }

    fn on_grant(&mut self, granted: GrantIn) {
        let job_id = granted.grant.job;
        if let Some(waiting) = self.waiting.get_mut(&job_id) {
            return waiting.grants.push(granted);
        }
        let GrantIn { grant, inputs } = granted;
        let now = self.now();
        let is_new = self.names.ours(grant.lease).is_none();
        let Some(job) = self.jobs.get_mut(&job_id) else { return };
        let Some(memory) = job.memory.as_mut().filter(|_| is_new) else { return };
        let state = match LeaseState::new(&grant, inputs.as_ref(), &mut memory.arena) {
            Ok(state) => state,
            Err(error) => {
                self.give_up(job_id, format!("the inputs of a lease cannot be kept: {error}"));
                return self.feed_backlog();
            }
        };
        let (range, whole) = (state.range, state.whole);
        let lease = self.names.add(grant.lease, job_id, grant.attempt, whole);
        job.count_slot_time(now);
        job.leases += 1;
        self.leases.insert(lease, state);
        self.metrics.set_leases(self.leases.len());
        if !whole {
            self.metrics.lease(range.len());
        }
        self.feed(Input::Grant(agent::Grant { lease, job: job_id, range, whole }));
        // The agent does not take leases of a job that is closing.
        if self.agent.job_of(lease).is_none() {
            self.forget_lease(lease);
        }
    }

    fn on_recall(&mut self, lease: LeaseId, count: u64) {
        let waiting = self
            .waiting
            .values_mut()
            .find(|waiting| waiting.grants.iter().any(|granted| granted.grant.lease == lease));
        match waiting {
            Some(waiting) => waiting.recalls.push((lease, count)),
            None => {
                // Of one that is not here any more nothing comes back, which is said, too.
                let ours = self
                    .names
                    .ours(lease)
                    .unwrap_or_else(|| self.names.add(lease, JobId::default(), 1, false));
                self.feed(Input::Recall { lease: ours, count });
            }
        }
    }

    fn kill_executors_of(&mut self, job: JobId) {
        for executor in self.executors.values_mut() {
            if executor.seat.is_some_and(|seat| seat.job == job) {
                executor.circumstances.killed = true;
                executor.kill();
            }
        }
    }
}

impl Waiting {
    const fn new(open: JobOpen) -> Self {
        Self { open, grants: Vec::new(), recalls: Vec::new() }
    }
}
