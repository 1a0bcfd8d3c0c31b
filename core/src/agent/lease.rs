//! The leases that the worker holds: what was granted, what is still owed, what goes back.

use super::Agent;
use super::io::{Grant, Output};
use crate::id::{JobId, LeaseId};
use crate::mutation::Mutation;
use crate::range::{IndexRange, RangeSet};
use crate::scheduler::FailureClass;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Tasks that the coordinator waits for.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) job: JobId,
    pub(super) outstanding: RangeSet,
    pub(super) whole: bool,
    /// What few leases have.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Default)]
struct Rare {
    /// Tasks that failed; a block's partial result may leave them out.
    failed: RangeSet,
    recall: Option<Recall>,
}

/// A recall that is being answered.
#[derive(Debug)]
struct Recall {
    left: u64,
    returned: u64,
    /// Page entries that may still give something.
    entries: Vec<usize>,
}

impl Lease {
    fn is_recalled(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.recall.is_some())
    }

    fn recall(&mut self) -> Option<&mut Recall> {
        self.rare.as_mut()?.recall.as_mut()
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Whether another life of the coordinator may let this worker keep it.
    pub(super) fn can_be_adopted(&self, reduces: bool) -> bool {
        let left_out = self.rare.as_ref().is_some_and(|rare| !rare.failed.is_empty());
        let may_leave_out = reduces && left_out;
        !self.whole && !may_leave_out
    }

    /// How many threads its tasks could keep busy.
    pub(super) fn concurrent_tasks(&self) -> u64 {
        if self.whole { 1 } else { self.outstanding.len() }
    }
}

impl Agent {
    pub(super) fn on_grant(&mut self, grant: Grant) {
        let Grant { lease: id, job: job_id, range, whole } = grant;
        let known = self.jobs.get(&job_id).is_some_and(|job| !job.closing) && !self.leases.contains_key(&id);
        if !known || range.is_empty() {
            return;
        }
        let lease = Lease { job: job_id, outstanding: RangeSet::from(range), whole, rare: None };
        self.leases.insert(id, lease);
        self.queue(job_id, id, range);
        self.staff_job(job_id);
    }

    pub(super) fn on_done(&mut self, id: LeaseId, range: IndexRange) {
        let Some(lease) = self.leases.get_mut(&id) else {
            self.outputs.push_back(if self.broken.strikes(Mutation::NothingRefused) {
                Output::Forward { lease: id, range }
            } else {
                Output::Refuse { lease: id, range }
            });
            return;
        };
        let job = lease.job;
        let blocks = self.jobs.get(&job).is_some_and(|job| job.reduce);
        if !blocks && !lease.whole && !range.is_empty() && lease.outstanding.covers(range) {
            lease.outstanding.remove(range);
            self.outputs.push_back(Output::Forward { lease: id, range });
            return self.after_results(id, job, range);
        }
        let pieces: Vec<IndexRange> = lease.outstanding.overlap(range).collect();
        if blocks || lease.whole {
            let there: u64 = pieces.iter().map(|piece| piece.len()).sum();
            let failed = lease.rare.as_ref().map(|rare| rare.failed.overlap(range));
            let left_out: u64 = failed.into_iter().flatten().map(IndexRange::len).sum();
            let entire = !lease.whole || there == lease.outstanding.len();
            let good = there > 0 && there + left_out == range.len() && entire;
            if good {
                lease.outstanding.remove(range);
                self.outputs.push_back(Output::Forward { lease: id, range });
            } else {
                self.outputs.push_back(Output::Refuse { lease: id, range });
            }
        } else {
            let mut at = range.start;
            for piece in pieces {
                lease.outstanding.remove(piece);
                if at < piece.start {
                    self.outputs
                        .push_back(Output::Refuse { lease: id, range: IndexRange::new(at, piece.start) });
                }
                self.outputs.push_back(Output::Forward { lease: id, range: piece });
                at = piece.end;
            }
            if at < range.end {
                self.outputs.push_back(Output::Refuse { lease: id, range: IndexRange::new(at, range.end) });
            }
        }
        self.after_results(id, job, range);
    }

    fn after_results(&mut self, id: LeaseId, job: JobId, range: IndexRange) {
        self.clear_suspects(id, range);
        self.finish_lease(id);
        self.go_on_alone(job);
    }

    pub(super) fn on_failed(&mut self, id: LeaseId, index: u64, class: FailureClass) {
        let range = IndexRange::from_count(index, 1);
        let Some(lease) = self.leases.get_mut(&id).filter(|lease| lease.outstanding.contains(index)) else {
            self.outputs.push_back(Output::Refuse { lease: id, range });
            return;
        };
        let job = lease.job;
        if lease.whole {
            lease.outstanding.clear();
        } else {
            lease.outstanding.remove(range);
            lease.rare().failed.insert(range);
        }
        self.outputs.push_back(Output::ReportFailed { lease: id, index, class });
        self.after_results(id, job, range);
    }

    /// Gives unstarted tasks back, the highest indexes first: what was never put into the page, then what
    /// nobody claimed there.
    pub(super) fn on_recall(&mut self, id: LeaseId, count: u64) {
        let Some(lease) = self.leases.get_mut(&id) else {
            self.outputs.push_back(Output::Return { lease: id, range: IndexRange::default() });
            return;
        };
        if lease.whole || lease.is_recalled() {
            self.outputs.push_back(Output::Return { lease: id, range: IndexRange::default() });
            return;
        }
        let Some(job) = self.jobs.get_mut(&lease.job) else { return };
        let mut left = count;
        let mut returned = Vec::new();
        for piece in job.waiting.iter_mut().rev().filter(|piece| piece.lease == id) {
            let take = piece.range.len().min(left);
            let cut = piece.range.end - take;
            returned.push(IndexRange::new(cut, piece.range.end));
            piece.range.end = cut;
            left -= take;
        }
        job.waiting.retain(|piece| !piece.range.is_empty());
        let mut entries: Vec<(u64, usize)> = job.published(id).collect();
        entries.sort_unstable();
        let recall =
            Recall { left, returned: count - left, entries: entries.into_iter().map(|(_, at)| at).collect() };
        lease.rare().recall = Some(recall);
        for range in returned.into_iter().filter(|range| !range.is_empty()) {
            self.give_back(id, range);
        }
        self.continue_recall(id);
        self.share_slots();
    }

    pub(super) fn on_reclaimed(&mut self, job_id: JobId, entry: usize, range: IndexRange) {
        let Some(lease) = self.jobs.get(&job_id).and_then(|job| job.entry(entry)).map(|piece| piece.lease)
        else {
            return;
        };
        if !range.is_empty() {
            if let Some(recall) = self.leases.get_mut(&lease).and_then(Lease::recall) {
                recall.left = recall.left.saturating_sub(range.len());
                recall.returned += range.len();
            }
            self.give_back(lease, range);
        }
        self.continue_recall(lease);
        self.go_on_alone(job_id);
    }

    fn continue_recall(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let job = lease.job;
        let Some(recall) = lease.recall() else { return };
        match (recall.left > 0).then(|| recall.entries.pop()).flatten() {
            Some(entry) => {
                self.outputs.push_back(Output::Reclaim { job, entry, count: recall.left });
            }
            None => {
                let found_none = recall.returned == 0;
                lease.rare().recall = None;
                if found_none {
                    self.outputs.push_back(Output::Return { lease: id, range: IndexRange::default() });
                }
                self.finish_lease(id);
            }
        }
    }

    fn give_back(&mut self, id: LeaseId, range: IndexRange) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let pieces: Vec<IndexRange> = lease.outstanding.overlap(range).collect();
        lease.outstanding.remove(range);
        for range in pieces {
            self.outputs.push_back(Output::Return { lease: id, range });
        }
    }

    /// Ends a lease that nothing is owed of.
    pub(super) fn finish_lease(&mut self, id: LeaseId) {
        let over =
            self.leases.get(&id).is_some_and(|lease| lease.outstanding.is_empty() && !lease.is_recalled());
        if over && !self.broken.strikes(Mutation::LeaseKept) {
            if let Some(lease) = self.leases.remove(&id)
                && let Some(job) = self.jobs.get_mut(&lease.job)
            {
                job.waiting.retain(|piece| piece.lease != id);
                self.share_slots();
            }
            self.outputs.push_back(Output::ForgetLease { lease: id });
        }
    }

    /// Ends all leases of a job.
    pub(super) fn drop_leases(&mut self, job: JobId) {
        let of_job: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| lease.job == job).map(|(&id, _)| id).collect();
        for id in of_job {
            self.leases.remove(&id);
            self.outputs.push_back(Output::ForgetLease { lease: id });
        }
    }
}
