//! Giving leases to workers, and calling unstarted tasks back for those that have nothing to do.

use super::Scheduler;
use super::chunk::{self, Outlook};
use super::fleet::Change;
use super::io::{Grant, GrantKind, Output};
use super::job::Job;
use super::lease::{Lease, Work};
use super::policy::Rank;
use super::reduction::Combination;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::mutation::Mutation;
use crate::range::RangeSet;
use alloc::vec::Vec;

/// Workers that are looked at for the best one to call tasks back from, once there is any.
/// Looking at all of them took 70 % of a simulation of 10,000 workers with leases of 100, and with leases of one task and
/// 6,000 workers 23 s in place of 1.0.
const LOOKED_AT_MAX: usize = 32;

impl Scheduler {
    /// Leases out what can be leased out. Each round gives one lease to the least loaded worker, so that a
    /// few tasks spread over many workers.
    pub(super) fn dispatch(&mut self) {
        self.end_backoffs();
        let mut place = None;
        while !self.ready.is_empty() {
            let Some(next) = self.fleet.next_hungry(place) else { break };
            let worker = next.1;
            match self.choose_job(worker) {
                Some(job) => {
                    // Nothing suits those before it, now as before.
                    self.lease_out(worker, job);
                    self.balanced = false;
                }
                // Nothing that is ready suits this worker; it may suit the next.
                None => place = Some(next),
            }
        }
        self.rebalance();
        self.speculate();
    }

    /// Whether a worker is large enough for a job's executors and can run it as far as is known. A paced job has one worker
    /// until that one is lost or leaves.
    pub(super) fn fits(&self, id: JobId, job: &Job, worker: WorkerId, slots: u32) -> bool {
        let serves = |id: &WorkerId| self.fleet.get(*id).is_some_and(|view| !view.draining);
        let is_served_elsewhere =
            job.spec.paced && !job.workers.contains(&worker) && job.workers.iter().any(serves);
        !self.unfit.contains(id, worker)
            && !job.banned.contains(&worker)
            && !is_served_elsewhere
            && (job.spec.oversubscribe || job.spec.shape.resolve(slots).slots() <= slots)
    }

    /// The job whose turn it is on this worker, of those that fit there.
    fn choose_job(&mut self, worker: WorkerId) -> Option<JobId> {
        let slots = self.fleet.get(worker)?.slots as u32;
        let is_only = self.ready.len() == 1;
        let mut best: Option<(Rank, JobId)> = None;
        for &id in &self.ready {
            let Some(job) = self.jobs.get(&id).filter(|job| self.fits(id, job, worker, slots)) else {
                continue;
            };
            // The usual case needs no comparison.
            if is_only {
                return Some(id);
            }
            let rank = self.policy.rank(self.turn, &job.candidate(id));
            // They come oldest first.
            if best.is_none_or(|(least, _)| rank < least && !self.broken.strikes(Mutation::RankIgnored)) {
                best = Some((rank, id));
            }
        }
        best.map(|(_, id)| id)
    }

    fn lease_out(&mut self, worker: WorkerId, id: JobId) {
        let (Some(job), Some(view)) = (self.jobs.get_mut(&id), self.fleet.get(worker)) else { return };
        let slots = view.slots;
        // Where a thread keeps several tasks going, each of them is a lane as good as a slot.
        let in_flight = u64::from(job.spec.shape.in_flight());
        let (lanes, all_lanes) = (slots * in_flight, (self.fleet.slots() - self.unfit.slots(id)) * in_flight);
        self.served_ns = self.served_ns.max(job.served_ns);
        let outlook = Outlook {
            ready: job.ready.len(),
            ended: job.ended(),
            task_ps: job.pace.task_ps(),
            task_bytes: job.task_bytes(),
            bytes_max: self.config.lease_bytes_max,
            slots: lanes,
            all_slots: all_lanes,
            leaf: job.leaf(),
        };
        self.turn += 1;
        let wanted = self.policy.lease_tasks(&outlook, &mut job.batch);
        let wanted = chunk::within_limits(wanted, &outlook);
        let tasks = (!job.is_stopped()).then(|| job.ready.take(wanted, job.leaf())).flatten();
        let (attempt, work) = if let Some((attempt, range)) = tasks {
            job.leased += range.len();
            job.last_attempt = job.last_attempt.max(attempt);
            (attempt, Work::Run { outstanding: RangeSet::from(range) })
        } else {
            let tasks = job.tasks;
            let Some(reduction) = &mut job.reduction else { return };
            let Some(Combination { block, finish }) = reduction.next(tasks) else { return };
            reduction.leased += 1;
            (reduction.failures + 1, Work::Combine { block, finish })
        };
        let units = match &work {
            Work::Run { outstanding } => outstanding.len(),
            Work::Combine { .. } => 1,
        };
        let task_ps = chunk::estimate_ps(job.pace.task_ps(), units, lanes, self.config.credit);
        let task_ps = chunk::of_lane(task_ps, in_flight, self.config.credit);
        job.served_ns = job.served_ns.saturating_add(weighted_ns(units, task_ps, job.spec.weight));
        let task_ps = if self.broken.strikes(Mutation::CreditUncounted) { 0 } else { task_ps };
        let lease = Lease {
            job: id,
            worker,
            attempt,
            tried: 0,
            work,
            task_ps,
            recalling: false,
            place: view.leases.len(),
        };
        if !view.knows(id) {
            self.outputs.extend(job.introduce(id, worker, slots as u32));
        }
        self.grant(lease, units, false);
        self.settle(id);
    }

    pub(super) fn grant(&mut self, lease: Lease, units: u64, speculative: bool) -> LeaseId {
        let (worker, job, attempt) = (lease.worker, lease.job, lease.attempt);
        let (range, kind) = match &lease.work {
            Work::Run { outstanding } => (outstanding.first().unwrap_or_default(), GrantKind::Run),
            Work::Combine { block, finish } => {
                let blocks = self
                    .jobs
                    .get(&job)
                    .and_then(|job| job.reduction.as_ref())
                    .map(|reduction| reduction.inside(*block))
                    .unwrap_or_default();
                (block.range(), GrantKind::Combine { blocks, finish: *finish })
            }
        };
        let id = self.put_in_force(lease, units);
        let grant = Grant { lease: id, job, range, attempt, kind, speculative };
        self.outputs.push_back(Output::Grant { worker, grant });
        id
    }

    /// Enters a lease into all records.
    pub(super) fn put_in_force(&mut self, lease: Lease, units: u64) -> LeaseId {
        let (worker, job, task_ps) = (lease.worker, lease.job, lease.task_ps);
        let recallable = u32::from(lease.is_recallable());
        let id = self.leases.insert(lease);
        self.fleet.update(worker, &self.config, |worker| {
            worker.leases.push(id);
            worker.recallable += recallable;
            worker.load(Change::More(units), task_ps);
            worker.learn(job);
        });
        self.watch(id);
        id
    }

    /// Asks the worker with the most waiting work for half of it when another has a free slot and nothing that is ready suits
    /// that one.
    fn rebalance(&mut self) {
        if self.balanced || !self.fleet.is_stocked() {
            return;
        }
        let Some(thief) = self.fleet.idle() else { return };
        let Some((lease, count)) = self.best_recall(thief).or_else(|| self.recall_of_another()) else {
            self.balanced = true;
            return;
        };
        self.recall(lease, count);
    }

    /// The first worker with a free slot may be one that must not run what waits elsewhere.
    fn recall_of_another(&self) -> Option<(LeaseId, u64)> {
        if self.unfit.is_empty() {
            return None;
        }
        let next = |place: &(u64, WorkerId)| self.fleet.next_hungry(Some(*place));
        let has_free = |&(_, id): &(u64, WorkerId)| self.fleet.get(id).is_some_and(|it| it.tasks < it.slots);
        let idle = core::iter::successors(self.fleet.next_hungry(None), next).take_while(has_free);
        idle.skip(1).take(LOOKED_AT_MAX).find_map(|(_, thief)| self.best_recall(thief))
    }

    /// The lease whose unstarted tasks are worth the most elsewhere, and how many of them to ask for. Of many workers
    /// those are looked at that have the most tasks waiting: thousands may have one or two, and any of them will do.
    fn best_recall(&self, thief: WorkerId) -> Option<(LeaseId, u64)> {
        let slots = self.fleet.get(thief)?.slots as u32;
        // No task is worth more than one of the job with the longest.
        let dearest = self.jobs.values().map(|job| job.pace.task_ps().unwrap_or(u64::MAX)).max()?;
        let least = self.config.recall_gain.0.saturating_mul(1000);
        let mut best: Option<(u64, LeaseId, u64)> = None;
        for (looked_at, (id, worker)) in self.fleet.stocked().enumerate() {
            let half = worker.waiting().div_ceil(2);
            let worth = half.saturating_mul(dearest);
            // No other is worth more, or enough.
            let is_best = best.is_some_and(|(most, ..)| worth <= most || looked_at >= LOOKED_AT_MAX);
            if is_best || worth < least {
                break;
            }
            if id == thief {
                continue;
            }
            for &lease_id in &worker.leases {
                let Some(lease) = self.leases.get(lease_id) else { continue };
                let Some(outstanding) = lease.outstanding() else { continue };
                let Some(job) = self.jobs.get(&lease.job) else { continue };
                // What has a second lease is running.
                let paired = self.stragglers.other(lease_id).is_some();
                if lease.recalling || paired || job.is_stopped() || !self.fits(lease.job, job, thief, slots) {
                    continue;
                }
                let count = half.min(outstanding.len());
                let measured = job.pace.task_ps();
                let gain_ps = count.saturating_mul(measured.unwrap_or(lease.task_ps));
                if measured.is_some() && gain_ps < least {
                    continue;
                }
                if best.is_none_or(|(most, ..)| gain_ps > most) {
                    best = Some((gain_ps, lease_id, count));
                }
            }
        }
        best.map(|(_, lease, count)| (lease, count))
    }

    /// Asks for everything of a job that was leased out and not started, with `but_lowest` all but its lowest task:
    /// results are taken in order, so that one is what their reader waits for.
    pub(super) fn recall_unstarted(&mut self, id: JobId, but_lowest: bool) {
        let Some(job) = self.jobs.get(&id) else { return };
        let workers = job.workers.iter();
        let leases: Vec<(LeaseId, u64, u64)> = workers
            .flat_map(|&worker| self.leases_of(worker, id))
            .filter_map(|lease_id| {
                let lease = self.leases.get(lease_id).filter(|lease| !lease.recalling)?;
                let outstanding = lease.outstanding()?;
                Some((lease_id, outstanding.first()?.start, outstanding.len()))
            })
            .collect();
        let lowest = leases.iter().map(|&(_, first, _)| first).min().filter(|_| but_lowest);
        for (lease, first, count) in leases {
            let count = count - u64::from(lowest == Some(first));
            if count > 0 {
                self.recall(lease, count);
            }
        }
    }

    /// Asks for the last `count` tasks of a lease, in whole leaves.
    pub(super) fn recall(&mut self, id: LeaseId, count: u64) {
        let Some(lease) = self.leases.get_mut(id) else { return };
        let Some(tail) = lease.tail() else { return };
        let leaf = self.jobs.get(&lease.job).map_or(1, Job::leaf);
        let whole = if leaf > 1 { count.div_ceil(leaf) * leaf + tail.end % leaf } else { count };
        let worker = lease.worker;
        self.set_recalling(id, true);
        self.outputs.push_back(Output::Recall { worker, lease: id, count: whole });
    }

    /// A lease is being called back, or may be again.
    pub(super) fn set_recalling(&mut self, id: LeaseId, recalling: bool) {
        let Some(lease) = self.leases.get_mut(id).filter(|lease| lease.recalling != recalling) else {
            return;
        };
        lease.recalling = recalling;
        self.fleet.update(lease.worker, &self.config, |worker| {
            worker.recallable = if recalling { worker.recallable - 1 } else { worker.recallable + 1 };
        });
    }
}

/// What `units` tasks count in a job's share.
pub(super) fn weighted_ns(units: u64, task_ps: u64, weight: u32) -> u64 {
    units.saturating_mul(task_ps) / 1000 / u64::from(weight.max(1))
}
