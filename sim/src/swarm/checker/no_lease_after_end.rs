//! A job that ended, was cancelled or is held gets no lease, one that is paused none for tasks, and a draining worker
//! gets none.

use super::{Checker, Fact, Verdict, hold};
use muster_core::id::{JobId, WorkerId};
use muster_core::scheduler::{GrantKind, Input, Output};
use muster_core::time::Time;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct NoLeaseAfterEnd {
    live: BTreeSet<JobId>,
    held: BTreeSet<JobId>,
    paused: BTreeSet<JobId>,
    cancelled: BTreeSet<JobId>,
    draining: BTreeSet<WorkerId>,
}

impl Checker for NoLeaseAfterEnd {
    fn name(&self) -> &'static str {
        "no_lease_after_end"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Told(Input::Submit { job, .. }) => {
                self.live.insert(*job);
            }
            Fact::Told(Input::Hold { job, held: true }) if self.live.contains(job) => {
                self.held.insert(*job);
            }
            Fact::Told(Input::Hold { job, held: false }) => {
                self.held.remove(job);
            }
            Fact::Told(Input::Cancel { job }) if self.live.contains(job) => {
                self.cancelled.insert(*job);
            }
            Fact::Told(Input::Drain { worker }) => {
                self.draining.insert(*worker);
            }
            Fact::Said { output: Output::Open { job, worker, .. }, .. } => self.allowed(*job, *worker)?,
            Fact::Said { output: Output::Grant { grant, worker }, .. } => {
                self.allowed(grant.job, *worker)?;
                let job = grant.job;
                hold!(!self.held.contains(&job), "{job} is held and gets {}", grant.lease);
                let runs = grant.kind == GrantKind::Run;
                hold!(!runs || !self.paused.contains(&job), "{job} is paused and gets {}", grant.lease);
            }
            Fact::Said { output: Output::Paused { job, .. }, .. } => {
                hold!(self.paused.insert(*job), "{job} is paused twice");
            }
            Fact::Said { output: Output::Released { job, .. }, .. } => {
                self.paused.remove(job);
            }
            Fact::Said { output: Output::Ended { job, .. }, .. } => {
                hold!(self.live.remove(job), "{job} ends twice");
                self.held.remove(job);
                self.paused.remove(job);
                self.cancelled.remove(job);
            }
            Fact::Settled(_) => {
                hold!(self.cancelled.is_empty(), "{:?} goes on although cancelled", self.cancelled);
            }
            Fact::Restarted { jobs, .. } => {
                let paused = jobs.iter().filter(|job| job.paused).map(|job| job.job).collect();
                let live = jobs.iter().map(|job| job.job).collect();
                *self = Self { live, paused, ..Self::default() };
            }
            _ => {}
        }
        Ok(())
    }
}

impl NoLeaseAfterEnd {
    fn allowed(&self, job: JobId, worker: WorkerId) -> Verdict {
        hold!(self.live.contains(&job), "{job} is not there any more and goes to {worker}");
        hold!(!self.cancelled.contains(&job), "{job} is cancelled and goes to {worker}");
        hold!(!self.draining.contains(&worker), "{worker} is to finish and gets {job}");
        Ok(())
    }
}
