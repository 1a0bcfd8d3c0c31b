//! Ended jobs that are not kept any longer: those that somebody removes, and the oldest beyond what is to be kept.

use super::command::Reply;
use super::effect::Effect;
use super::{Driver, Refusal, ended::Ended};
use crate::store::Record;
use muster_core::id::JobId;
use muster_proto::v1::JobStatus;
use std::time::Duration;

/// What is kept of jobs that have ended. Jobs that have not are never forgotten.
#[derive(Clone, Debug)]
pub struct Retention {
    /// How many; the oldest beyond go, with their results.
    pub jobs: usize,
    /// How long.
    pub age: Option<Duration>,
    /// Bytes of results together.
    pub bytes: Option<u64>,
    /// A job that has more bytes by itself fails: there is no other place for them.
    pub fails_over: bool,
}

impl Driver {
    /// Forgets a job that has ended, because somebody asked for that.
    pub(super) fn remove(&mut self, id: JobId, reply: Reply<JobStatus>) {
        let found = self.resolve(id).and_then(|id| match self.ended.get(&id) {
            Some(ended) => Ok((id, ended.status.clone())),
            None if self.jobs.contains_key(&id) => Err(Refusal::NotEnded(id)),
            None => Err(self.no_job(id)),
        });
        match found {
            Ok((id, status)) => {
                self.forget(id);
                tracing::info!(job = id.0, "job removed");
                self.when_durable(Effect::Removed(reply, Box::new(status)));
            }
            Err(refusal) => self.answer(reply, Err(refusal)),
        }
    }

    /// Forgets ended jobs beyond the number that is kept, oldest first.
    pub(super) fn forget_oldest(&mut self) {
        while self.ended.len() > self.settings.retention.jobs
            && let Some((&id, _)) = self.ended.first_key_value()
        {
            self.forget(id);
        }
    }

    /// Forgets jobs that ended too long ago, and those that an earlier life of the coordinator was to keep.
    pub(super) fn forget_old(&mut self) {
        self.forget_oldest();
        let Some(age) = self.settings.retention.age else { return };
        let now_s = self.clock.unix_ns(self.clock.now()) as f64 / 1e9;
        let is_old = |ended: &Ended| {
            let status = &ended.status;
            // Of earlier versions nobody knows more than when they were submitted.
            let at_s = if status.ended_s > 0.0 { status.ended_s } else { status.submitted_s + status.wall_s };
            now_s - at_s > age.as_secs_f64()
        };
        let old: Vec<JobId> =
            self.ended.iter().filter(|(_, ended)| is_old(ended)).map(|(&id, _)| id).collect();
        for id in old {
            tracing::info!(job = id.0, "job forgotten: it ended longer ago than jobs are kept");
            self.forget(id);
        }
    }

    /// Forgets an ended job with its results.
    pub(super) fn forget(&mut self, id: JobId) {
        let Some(Ended { kept_bytes, .. }) = self.ended.remove(&id) else { return };
        self.kept.forget(kept_bytes);
        self.stopping.forget(id);
        self.requests.retain(|_, job| *job != id);
        self.write(Record::Removed { job: id });
    }
}
