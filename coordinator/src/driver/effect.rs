//! What may happen once the log is durable.

use super::command::Reply;
use super::{Driver, Refusal, ended::Ended};
use crate::store::PluginRecord;
use muster_core::id::{JobId, LogPos};
use muster_core::range::{IndexRange, RangeSet};
use muster_proto::convert::RetryAsk;
use muster_proto::v1;
use std::sync::Arc;

/// Waits for a position in the log.
#[derive(Debug)]
pub enum Effect {
    /// Tell the clients of a job that it exists.
    Accepted(JobId),
    /// Tell a client how many tasks its job has.
    Fed(Reply<u64>, u64),
    /// Results of these tasks may be read.
    Settled(JobId, IndexRange),
    /// A job is over.
    Ended(JobId, Box<v1::JobStatus>),
    /// A job may be said to be paused.
    Paused(JobId),
    /// Failures of these tasks count no more.
    Released(JobId, RangeSet),
    /// Tell a client how many tasks of its job are tried again.
    Retried(Reply<(JobId, u64)>, JobId, u64),
    /// The job that is to be retried has ended.
    RetryEnded(RetryAsk, Reply<(JobId, u64)>),
    /// A job was forgotten, as somebody asked.
    Removed(Reply<v1::JobStatus>, Box<v1::JobStatus>),
    /// A plugin can be used.
    PluginAdded(Reply<bool>),
    /// A plugin is gone.
    PluginRemoved(Reply<Arc<PluginRecord>>, Arc<PluginRecord>),
}

impl Driver {
    /// Does something once everything written so far is durable.
    pub(super) fn when_durable(&mut self, effect: Effect) {
        self.effects.push_back((self.written, effect));
    }

    /// Does everything that waited for positions up to `durable`.
    pub(super) fn take_effect(&mut self, durable: LogPos) {
        while self.effects.front().is_some_and(|(pos, _)| *pos <= durable) {
            if let Some((_, effect)) = self.effects.pop_front() {
                self.apply(effect);
            }
        }
        self.free_places(durable);
    }

    // Whoever no longer waits for an answer does not get one.
    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Accepted(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.accept(id);
                }
            }
            Effect::Fed(reply, tasks) => {
                let _ = reply.send(Ok(tasks));
            }
            Effect::Settled(id, range) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.settled.insert(range);
                    self.changed_jobs.insert(id);
                }
            }
            Effect::Ended(id, status) => self.ended(id, *status),
            Effect::Paused(id) => self.show_pause(id),
            Effect::Released(id, tasks) => self.show_release(id, &tasks),
            Effect::Retried(reply, id, released) => {
                let _ = reply.send(Ok((id, released)));
            }
            Effect::RetryEnded(ask, reply) => self.retry(ask, reply),
            Effect::Removed(reply, status) => {
                let _ = reply.send(Ok(*status));
            }
            Effect::PluginAdded(reply) => {
                let _ = reply.send(Ok(false));
            }
            Effect::PluginRemoved(reply, plugin) => {
                let _ = reply.send(Ok(plugin));
            }
        }
    }

    fn ended(&mut self, id: JobId, status: v1::JobStatus) {
        let Some(mut job) = self.jobs.remove(&id) else { return };
        job.accept(id);
        job.refuse_waiting(|| Refusal::Closed { job: id, why: "it has ended" });
        let state = v1::JobState::try_from(status.state).unwrap_or_default();
        let mut ended = Ended::new(job.submission.outputs, job.reduces(), status, job.results.taken);
        ended.kept_bytes = job.kept_bytes;
        (ended.failed, ended.quarantined) =
            (std::mem::take(&mut job.failed), std::mem::take(&mut job.quarantined));
        ended.last_attempt = job.last_attempt;
        ended.hosts = std::mem::take(&mut job.hosts);
        ended.samples = std::mem::take(&mut job.samples);
        for (ask, reply) in job.results.waiting.drain(..) {
            let _ = reply.send(ended.page(ask));
        }
        self.totals.plugin(&job.plugin_name).queue.merge(&job.numbers.queue);
        self.ended.insert(id, ended);
        job.set_state(state);
        self.forget_oldest();
        self.forget_samples();
    }
}
