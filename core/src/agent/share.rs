//! How the jobs on a worker divide its slots. Jobs divide slots, not executors: each keeps its executors, and
//! only as many of their threads claim as the job's share allows.

use super::Agent;
use super::io::Output;
use super::job::Job;
use crate::id::{JobId, LeaseId};
use crate::range::IndexRange;

impl Agent {
    /// Divides the slots among the jobs that have tasks to claim, in turn: a job whose page entry ran empty
    /// goes to the back. A job alone gets all of its shape, also beyond the slots.
    pub(super) fn share_slots(&mut self) {
        let jobs = &self.jobs;
        self.turns.retain(|id| jobs.get(id).is_some_and(Job::has_tasks));
        for (&id, job) in self.jobs.iter() {
            if job.has_tasks() && !self.turns.contains(&id) {
                self.turns.push(id);
            }
        }
        let sharing = self.turns.len() as u32;
        let mut left = self.slots;
        for (turn, id) in self.turns.iter().enumerate() {
            let Some(job) = self.jobs.get_mut(id) else { continue };
            let fair = left.div_ceil(sharing - turn as u32);
            let alone = job.alone.is_on() || !job.suspects.is_empty();
            let most = if alone { 1 } else { job.shape.slots() };
            let allowed = if sharing == 1 { most } else { most.min(fair) };
            left = left.saturating_sub(allowed);
            if allowed != job.allowed {
                job.allowed = allowed;
                self.outputs.push_back(Output::Allow { job: *id, slots: allowed });
            }
        }
    }

    /// Suspected tasks that ended are suspects no more.
    pub(super) fn clear_suspects(&mut self, lease: LeaseId, range: IndexRange) {
        let Some(id) = self.leases.get(&lease).map(|lease| lease.job) else { return };
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.suspects.is_empty()) else { return };
        job.suspects.retain(|(suspect, tasks)| *suspect != lease || tasks.intersect(range).is_empty());
        if job.suspects.is_empty() {
            self.share_slots();
        }
    }

    /// One of these tasks ended an executor: until each has ended, one thread of the job runs alone.
    pub(super) fn suspect(&mut self, id: JobId, lease: LeaseId, range: IndexRange) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.suspects.push((lease, range));
        }
    }
}
