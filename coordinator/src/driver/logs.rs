//! Who has the log of a job, and what workers answer about it.

use super::command::Reply;
use super::{Driver, Refusal};
use crate::limits::Limit;
use muster_core::id::{Incarnation, JobId, WorkerId};
use muster_core::scheduler::Loss;
use muster_proto::convert::{ConvertError, LogChunk, LogQuery};
use muster_proto::v1::{JobStatus, to_worker};
use std::collections::BTreeMap;
use tonic::Status;

/// Workers that are remembered by job; beyond it all workers are asked.
const HOSTS_MAX: usize = 1_000;

/// The workers that a job ran on.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: BTreeMap<Incarnation, String>,
    /// There were others, which nobody remembers.
    others: bool,
}

impl Hosts {
    /// Those of a job from before the coordinator's restart.
    pub const fn forgotten() -> Self {
        Self { names: BTreeMap::new(), others: true }
    }

    /// The job runs on this one, too.
    pub fn add(&mut self, incarnation: Incarnation, name: &str) {
        if self.names.len() < HOSTS_MAX {
            self.names.insert(incarnation, name.to_owned());
        } else if !self.names.contains_key(&incarnation) {
            self.others = true;
        }
    }
}

/// Where the log of a job is.
#[derive(Debug)]
pub struct LogSources {
    /// The job.
    pub status: JobStatus,
    /// Workers that may have a part of it, with their names.
    pub workers: Vec<(WorkerId, String)>,
    /// Names of workers that had one and are gone.
    pub gone: Vec<String>,
}

/// Questions that workers have not answered yet.
#[derive(Debug, Default)]
pub struct Queries {
    next: u64,
    waiting: BTreeMap<u64, (WorkerId, Reply<LogChunk>)>,
}

impl Driver {
    /// Which workers have the log of a job.
    pub(super) fn log_sources(&self, id: JobId) -> Result<LogSources, Refusal> {
        let status = self.snapshot(id)?.status;
        let id = JobId(status.job);
        let ended = || self.ended.get(&id).map(|ended| &ended.hosts);
        let hosts = self.jobs.get(&id).map(|job| &job.hosts).or_else(ended).cloned().unwrap_or_default();
        let mut workers: BTreeMap<WorkerId, String> = BTreeMap::new();
        let mut gone = Vec::new();
        for (incarnation, name) in hosts.names {
            match self.incarnations.get(&incarnation) {
                Some(&worker) => drop(workers.insert(worker, name)),
                None => gone.push(name),
            }
        }
        if hosts.others {
            workers.extend(self.workers.iter().map(|(&id, worker)| (id, worker.hello.name.clone())));
        }
        Ok(LogSources { status, workers: workers.into_iter().collect(), gone })
    }

    /// Asks a worker for lines.
    pub(super) fn ask_log(&mut self, id: WorkerId, mut query: LogQuery, reply: Reply<LogChunk>) {
        let owed = self.queries.waiting.values().filter(|(worker, _)| *worker == id).count();
        if let Err(refusal) = self.settings.limits.check(Limit::LogQueries, owed as u64 + 1) {
            return self.refuse(reply, refusal);
        }
        let Some(worker) = self.workers.get_mut(&id) else {
            return drop(reply.send(Err(Refusal::NoWorker(id.0.to_string()))));
        };
        self.queries.next += 1;
        query.query = self.queries.next;
        if worker.send(to_worker::Kind::Log(query.into())).is_err() {
            self.not_reading.push(id);
            return drop(reply.send(Err(Refusal::NoWorker(id.0.to_string()))));
        }
        self.queries.waiting.insert(self.queries.next, (id, reply));
    }

    /// A worker answers.
    pub(super) fn log_chunk(&mut self, id: WorkerId, chunk: LogChunk) {
        let asked = self.queries.waiting.get(&chunk.query).is_some_and(|(worker, _)| *worker == id);
        match self.queries.waiting.remove(&chunk.query).filter(|_| asked) {
            // Whoever asked may have gone.
            Some((_, reply)) => drop(reply.send(Ok(chunk))),
            None => {
                let error =
                    ConvertError::wrong("log.query", chunk.query, "nobody asked this worker for that");
                let refusal = Refusal::from(error);
                self.count_rejected(&refusal);
                self.lose(id, Loss::Misbehaved, Some(Status::from(refusal)));
            }
        }
    }

    /// A worker is gone, and its answers do not come.
    pub(super) fn forget_queries(&mut self, id: WorkerId) {
        self.queries.waiting.retain(|_, (worker, _)| *worker != id);
    }
}
