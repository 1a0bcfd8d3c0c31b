//! How the jobs on a worker divide its slots. Jobs divide slots, not executors: each keeps its executors, and
//! only as many of their threads claim as the job's share allows.

use super::Agent;
use super::io::Output;
use super::job::{Job, Piece};
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
        let busy = self.busy_slots();
        let is_alone = sharing == 1 && busy.iter().all(|&(id, _)| self.turns.first() == Some(&id));
        let mut left = self.slots;
        let mut shares: SmallVec<[u32; 2]> = SmallVec::new();
        for (turn, id) in self.turns.iter().enumerate() {
            let Some(job) = self.jobs.get(id) else { continue };
            let fair = left.div_ceil(sharing - turn as u32);
            let tried_alone = job.alone.is_on() || !job.suspects.is_empty();
            let most = if tried_alone { 1 } else { job.shape.slots() };
            let share = if is_alone { most } else { most.min(fair) };
            left = left.saturating_sub(share);
            shares.push(share);
        }
        if !is_alone {
            self.wait_for_busy_slots(&busy, &mut shares, left);
        }
        for (id, &share) in self.turns.iter().zip(&shares) {
            let Some(job) = self.jobs.get_mut(id).filter(|job| job.allowed != share) else { continue };
            job.allowed = share;
            self.outputs.push_back(Output::Allow { job: *id, slots: share });
        }
    }

    /// Slots on which something runs although it is not to be claimed any more, by job. None are counted while a single
    /// job is here.
    fn busy_slots(&self) -> SmallVec<[(JobId, u32); 2]> {
        let mut busy: SmallVec<[(JobId, u32); 2]> = SmallVec::new();
        if self.jobs.len() < 2 {
            return busy;
        }
        for (&id, job) in self.jobs.iter().filter(|(_, job)| !job.closing) {
            let is_whole = |lease| self.leases.get(&lease).is_some_and(|lease| lease.whole);
            let of = |piece: Piece| if is_whole(piece.lease) { 1 } else { piece.range.len() };
            let running: u64 = self.missing(id).into_iter().map(of).sum();
            if running > 0 {
                busy.push((id, u32::try_from(running).unwrap_or(u32::MAX).min(job.shape.slots())));
            }
        }
        busy
    }

    /// Cuts shares by what still runs of jobs beyond theirs: a slot is given on when its task has ended. `spare` slots
    /// are nobody's share.
    fn wait_for_busy_slots(&self, busy: &[(JobId, u32)], shares: &mut [u32], spare: u32) {
        let busy_of = |id: JobId| busy.iter().find(|(of, _)| *of == id).map_or(0, |&(_, slots)| slots);
        let share_of = |id: JobId, shares: &[u32]| {
            let turn = self.turns.iter().position(|other| *other == id);
            turn.map_or(0, |turn| shares[turn])
        };
        let beyond: u32 = busy.iter().map(|&(id, slots)| slots.saturating_sub(share_of(id, shares))).sum();
        let mut owed = beyond.saturating_sub(spare);
        for (id, share) in self.turns.iter().zip(shares).rev() {
            let cut = owed.min(share.saturating_sub(busy_of(*id)));
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
