//! How the jobs on a worker divide its slots. Jobs divide slots, not executors: each keeps its executors, and
//! only as many of their threads claim as the job's share allows.

use super::Agent;
use super::io::Output;
use super::job::Job;
use crate::id::{JobId, LeaseId};
use crate::range::IndexRange;
use smallvec::SmallVec;

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
        let is_alone = matches!(self.turns[..], [id] if !self.others_run(id));
        let mut left = self.slots;
        let (mut shares, mut mosts) = (SmallVec::<[u32; 2]>::new(), SmallVec::<[u32; 2]>::new());
        for (turn, id) in self.turns.iter().enumerate() {
            let Some(job) = self.jobs.get(id) else { continue };
            let fair = left.div_ceil(sharing - turn as u32);
            let most = if job.is_tried_alone() { 1 } else { job.shape.slots() };
            let share = if is_alone { most } else { most.min(fair) };
            left = left.saturating_sub(share);
            shares.push(share);
            mosts.push(most);
        }
        // What a job further back cannot use is for those that can.
        for (share, most) in shares.iter_mut().zip(mosts).filter(|_| !is_alone) {
            let more = left.min(most.saturating_sub(*share));
            *share += more;
            left -= more;
        }
        if !is_alone {
            self.wait_for_running(&mut shares, left);
        }
        for (id, &share) in self.turns.iter().zip(&shares) {
            let Some(job) = self.jobs.get_mut(id).filter(|job| job.allowed != share) else { continue };
            job.allowed = share;
            self.outputs.push_back(Output::Allow { job: *id, slots: share });
        }
    }

    /// Whether another job than this one runs something.
    fn others_run(&self, id: JobId) -> bool {
        self.jobs.iter().any(|(&other, job)| other != id && job.running > 0)
    }

    /// Cuts shares by what other jobs still run beyond theirs. `spare` slots are nobody's share.
    fn wait_for_running(&self, shares: &mut [u32], spare: u32) {
        let share_of = |id: &JobId, shares: &[u32]| {
            let turn = self.turns.iter().position(|other| other == id);
            turn.map_or(0, |turn| shares[turn])
        };
        let beyond = self.jobs.iter().map(|(id, job)| job.running.saturating_sub(share_of(id, shares)));
        let mut owed = beyond.fold(0, u32::saturating_add).saturating_sub(spare);
        for (id, share) in self.turns.iter().zip(shares).rev() {
            let running = self.jobs.get(id).map_or(0, |job| job.running);
            let cut = owed.min(share.saturating_sub(running));
            *share -= cut;
            owed -= cut;
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
