//! What workers say about the tasks of their leases.

use super::Scheduler;
use super::dispatch::weighted_ns;
use super::fleet::Change;
use super::io::{DropReason, FailureClass, Outcome, Output};
use super::lease::Work;
use super::reduction::Combination;
use super::retry::Charges;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::mutation::Mutation;
use crate::range::IndexRange;
use crate::reduce::Block;
use crate::time::{Span, Time};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What a worker has for some tasks.
#[derive(Clone, Copy)]
pub(super) struct Results {
    pub range: IndexRange,
    pub bytes: u64,
    pub busy: Span,
}

impl Scheduler {
    pub(super) fn on_done(&mut self, now: Time, worker: WorkerId, id: LeaseId, results: Results) {
        let Results { range, busy, .. } = results;
        #[cfg(feature = "mutations")]
        let (worker, id) = self.unfenced(worker, id, range);
        let Some(job) = self.lease_of(now, worker, id, range) else { return };
        match self.leases.get(id).map(|lease| &lease.work) {
            Some(Work::Combine { block, finish }) => {
                let combination = Combination { block: *block, finish: *finish };
                self.on_combined(worker, id, job, results, &combination);
            }
            Some(Work::Run { .. }) if self.is_reduced(job) => self.on_block(worker, id, job, results),
            Some(Work::Run { .. }) => self.on_results(worker, id, job, range, busy),
            None => {}
        }
    }

    /// Results of single tasks: what is outstanding is committed, the rest is dropped.
    fn on_results(&mut self, worker: WorkerId, id: LeaseId, job: JobId, range: IndexRange, busy: Span) {
        let Some(lease) = self.leases.get_mut(id) else { return };
        let Work::Run { outstanding } = &mut lease.work else { return };
        let mut busy = busy;
        let mut there = range.len();
        if outstanding.covers(range) {
            outstanding.remove(range);
            self.commit(id, job, range);
        } else {
            let pieces: Vec<IndexRange> = outstanding.overlap(range).collect();
            there = pieces.iter().map(|piece| piece.len()).sum();
            busy = busy.share(there, range.len());
            let mut at = range.start;
            for &piece in &pieces {
                outstanding.remove(piece);
            }
            for piece in pieces {
                self.drop_repeated(worker, job, IndexRange::new(at, piece.start));
                self.commit(id, job, piece);
                at = piece.end;
            }
            self.drop_repeated(worker, job, IndexRange::new(at, range.end));
        }
        // What was repeated or made up says nothing about how long tasks take.
        if there > 0 {
            self.measured(id, job, there, busy);
        }
        self.finish_lease(id);
        self.settle(job);
    }

    /// A partial result: it counts as a whole or not at all. Tasks of the block that failed for good are not
    /// in it.
    fn on_block(&mut self, worker: WorkerId, id: LeaseId, job: JobId, results: Results) {
        let Results { range, bytes, busy } = results;
        let Some(block) = Block::from_range(range) else {
            self.drop_range(worker, Some(job), range, DropReason::NotABlock);
            return;
        };
        let (Some(lease), Some(view)) = (self.leases.get_mut(id), self.jobs.get_mut(&job)) else { return };
        let Work::Run { outstanding } = &mut lease.work else { return };
        let pieces: Vec<IndexRange> = outstanding.overlap(range).collect();
        let there: u64 = pieces.iter().map(|piece| piece.len()).sum();
        let failed: u64 = view.failed.overlap(range).map(IndexRange::len).sum();
        if there == 0 || there + failed != range.len() {
            self.drop_range(worker, Some(job), range, DropReason::NotOutstanding);
            return;
        }
        outstanding.remove(range);
        if let Some(reduction) = &mut view.reduction {
            reduction.insert(block, bytes);
        }
        view.leased -= there;
        view.committed += there;
        view.ends.ended += there;
        for piece in pieces {
            forget_charges(&mut view.charged, piece);
        }
        let (owner, task_ps) = (lease.worker, lease.task_ps);
        self.fleet.load(owner, &self.config, Change::Less(there), task_ps);
        let pos = self.log();
        self.outputs.push_back(Output::Commit { job, range, pos });
        self.measured(id, job, there, busy);
        self.finish_lease(id);
        self.settle(job);
    }

    fn on_combined(
        &mut self,
        worker: WorkerId,
        id: LeaseId,
        job: JobId,
        results: Results,
        done: &Combination,
    ) {
        let Results { range, bytes, .. } = results;
        if range != done.block.range() {
            self.drop_range(worker, Some(job), range, DropReason::NotOutstanding);
            return;
        }
        self.remove_lease(id);
        let pos = self.log();
        if let Some(reduction) = self.jobs.get_mut(&job).and_then(|job| job.reduction.as_mut()) {
            reduction.leased -= 1;
            reduction.combined(done, bytes);
        }
        self.outputs.push_back(Output::Combined { job, block: done.block, finished: done.finish, pos });
        self.settle(job);
    }

    pub(super) fn on_failed(
        &mut self,
        now: Time,
        worker: WorkerId,
        id: LeaseId,
        index: u64,
        class: FailureClass,
        busy: Span,
    ) {
        let range = IndexRange::from_count(index, 1);
        let Some(job_id) = self.lease_of(now, worker, id, range) else { return };
        let elsewhere = self.held_elsewhere(id).contains(index);
        let (Some(lease), Some(job)) = (self.leases.get_mut(id), self.jobs.get_mut(&job_id)) else { return };
        let attempt = lease.next_attempt();
        let (owner, task_ps) = (lease.worker, lease.task_ps);
        let Work::Run { outstanding } = &mut lease.work else {
            self.on_combine_failed(id, job_id);
            return;
        };
        if outstanding.remove(range) == 0 {
            self.drop_range(worker, Some(job_id), range, DropReason::NotOutstanding);
            return;
        }
        if elsewhere && class.retryable() {
            // The other lease is its next try; what comes of that one is charged.
            self.rely_on_other(id, attempt - 1);
            self.fleet.load(owner, &self.config, Change::Less(1), task_ps);
            self.drop_range(worker, Some(job_id), range, DropReason::OtherLease);
            self.finish_lease(id);
            self.settle(job_id);
            return;
        }
        job.leased -= 1;
        let twice = self.broken.strikes(Mutation::AttemptsChargedTwice);
        let before = job.charged.get(&index).copied().unwrap_or_default();
        job.ends.crashed += u64::from(class.ends_executor() && !before.ended_executor());
        let charges = job.charge(index, class, 1 + u32::from(twice));
        let again = job.may_retry(class, &charges, &mut self.broken);
        let (charged, wait) = (charges.of(class).max(1), job.spec.retry.wait(job_id, index, charges.total()));
        if again {
            job.charged.insert(index, charges);
        } else {
            job.charged.remove(&index);
            job.failed.insert(range);
            job.ends.ended += 1;
            job.ends.given_up += u64::from(class.ends_executor());
        }
        self.fleet.load(owner, &self.config, Change::Less(1), task_ps);
        let pos = self.log();
        if again {
            let not_before = now + wait;
            self.outputs.push_back(Output::Retry { job: job_id, index, class, charged, not_before, pos });
            self.try_again(job_id, index, attempt, not_before);
        } else {
            self.outputs.push_back(Output::Fail { job: job_id, index, class, charged, pos });
        }
        self.end_elsewhere(id, range);
        // How long a task runs that its executor did not survive is not known.
        if !class.ends_executor() {
            self.measured(id, job_id, 1, busy);
        }
        self.finish_lease(id);
        if class.ends_executor() {
            self.check_crashes(job_id);
        }
        self.settle(job_id);
    }

    /// A job whose results cannot be combined ends without an output.
    fn on_combine_failed(&mut self, id: LeaseId, job_id: JobId) {
        let Some(combination) = self.remove_lease(id) else { return };
        let Some(job) = self.jobs.get_mut(&job_id) else { return };
        let max_attempts = job.spec.max_attempts;
        let Some(reduction) = &mut job.reduction else { return };
        reduction.leased -= 1;
        reduction.failures += 1;
        if reduction.failures >= max_attempts {
            self.end(job_id, Outcome::Uncombined { finish: combination.finish });
            return;
        }
        reduction.put_back(combination);
        self.settle(job_id);
    }

    pub(super) fn on_returned(&mut self, now: Time, worker: WorkerId, id: LeaseId, range: IndexRange) {
        let Some(job_id) = self.lease_of(now, worker, id, range) else { return };
        let elsewhere = self.held_elsewhere(id);
        let (Some(lease), Some(job)) = (self.leases.get_mut(id), self.jobs.get_mut(&job_id)) else { return };
        let (attempt, task_ps) = (lease.same_attempt(), lease.task_ps);
        let Work::Run { outstanding } = &mut lease.work else {
            self.put_back_lease(id);
            self.settle(job_id);
            return;
        };
        if !range.is_empty() && outstanding.overlap(range).next().is_none() {
            self.drop_range(worker, Some(job_id), range, DropReason::NotOutstanding);
            return;
        }
        if !range.is_empty() && self.broken.strikes(Mutation::LostCallback) {
            return;
        }
        let pieces: Vec<IndexRange> = outstanding.overlap(range).collect();
        let back: u64 = pieces.iter().map(|piece| piece.len()).sum();
        outstanding.remove(range);
        pieces.into_iter().for_each(|piece| job.take_back(attempt, piece, &elsewhere));
        job.served_ns = job.served_ns.saturating_sub(weighted_ns(back, task_ps, job.spec.weight));
        self.fleet.load(worker, &self.config, Change::Less(back), task_ps);
        // Nobody started them under this attempt.
        self.count_on(id, attempt - 1);
        // Nothing came back: asking the same lease again would find nothing either.
        self.set_recalling(id, back == 0);
        self.finish_lease(id);
        self.settle(job_id);
    }

    /// The job of a lease that is in force with this worker; otherwise the message is dropped.
    fn lease_of(&mut self, now: Time, worker: WorkerId, id: LeaseId, range: IndexRange) -> Option<JobId> {
        if !self.fleet.hear(worker, now) {
            self.drop_range(worker, None, range, DropReason::UnknownWorker);
            return None;
        }
        match self.leases.get(id) {
            Some(lease) if lease.worker == worker => Some(lease.job),
            Some(_) | None => {
                self.drop_range(worker, None, range, DropReason::StaleLease);
                None
            }
        }
    }

    fn commit(&mut self, id: LeaseId, job_id: JobId, range: IndexRange) {
        let (Some(lease), Some(job)) = (self.leases.get(id), self.jobs.get_mut(&job_id)) else { return };
        job.leased -= range.len();
        job.committed += range.len();
        job.ends.ended += range.len();
        forget_charges(&mut job.charged, range);
        if !self.broken.strikes(Mutation::CreditLeak) {
            self.fleet.load(lease.worker, &self.config, Change::Less(range.len()), lease.task_ps);
        }
        let pos = self.log();
        self.outputs.push_back(Output::Commit { job: job_id, range, pos });
        self.end_elsewhere(id, range);
    }

    /// Learns how long tasks take, and charges the job's share with what they took instead of the estimate.
    fn measured(&mut self, id: LeaseId, job_id: JobId, tasks: u64, busy: Span) {
        let (Some(lease), Some(job)) = (self.leases.get(id), self.jobs.get_mut(&job_id)) else { return };
        let weight = job.spec.weight;
        let estimated = weighted_ns(tasks, lease.task_ps, weight);
        job.served_ns =
            job.served_ns.saturating_sub(estimated).saturating_add(busy.0 / u64::from(weight.max(1)));
        job.pace.record(tasks, busy);
        // Tasks that turn out long may be worth calling back now.
        if job.pace.task_ps().is_some_and(|task_ps| task_ps / 2 > lease.task_ps) {
            self.balanced = false;
        }
    }

    fn is_reduced(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|job| job.reduction.is_some())
    }

    /// Results of tasks that the lease does not have, or has no more.
    fn drop_repeated(&mut self, worker: WorkerId, job: JobId, range: IndexRange) {
        if !range.is_empty() && self.broken.strikes(Mutation::NoDuplicateCheck) {
            let pos = self.log();
            self.outputs.push_back(Output::Commit { job, range, pos });
            return;
        }
        self.drop_range(worker, Some(job), range, DropReason::NotOutstanding);
    }

    fn drop_range(&mut self, worker: WorkerId, job: Option<JobId>, range: IndexRange, reason: DropReason) {
        if !range.is_empty() {
            self.outputs.push_back(Output::Dropped { worker, job, range, reason });
        }
    }
}

fn forget_charges(charged: &mut BTreeMap<u64, Charges>, range: IndexRange) {
    while let Some((&index, _)) = charged.range(range.start..range.end).next() {
        charged.remove(&index);
    }
}
