//! Second leases for tasks that take too long, when the policy wants them: the backup tasks of Dean and Ghemawat,
//! "MapReduce: simplified data processing on large clusters", OSDI 2004.
//!
//! When a slot is free and nothing that is ready suits its worker, the last tasks of a lease that should have ended long ago are leased to
//! another worker as well. The two leases are a pair, and each of their common tasks ends with the first of them that
//! brings a result or a failure for good: the other lease loses it, and when nothing is left of that one, it ends and
//! its worker is asked for what it did not start. What it still runs comes too late and is dropped. A task that one of
//! the two gives back, or loses with its worker, or in which it fails for now, stays with the other. After such a
//! failure, which is not charged, the other lease gets no second one again, so that its own failure is.
//!
//! Jobs with reduction get none: a block counts as a whole, so two leases would have to be cut alike.

use super::Scheduler;
use super::chunk;
use super::dispatch::weighted_ns;
use super::fleet::Change;
use super::io::Output;
use super::lease::{Lease, Work};
use crate::id::{JobId, LeaseId, WorkerId};
use crate::mutation::Mutation;
use crate::range::{IndexRange, RangeSet};
use crate::time::{Span, Time};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The leases that may turn out too long, and those that did.
#[derive(Debug, Default)]
pub(super) struct Stragglers {
    /// How long any lease may be out, at the least; `None` when there is no speculation.
    patience_min: Option<Span>,
    /// Leases in force that may get a second one.
    terms: BTreeMap<LeaseId, Term>,
    /// Both leases of each pair, with the other.
    pairs: BTreeMap<LeaseId, LeaseId>,
    /// When some lease may be out for too long.
    next_look: Option<Time>,
    /// Some lease was passed over for a reason that an input may end.
    look_again: bool,
}

/// When a lease was given, and how many tasks each slot of its worker then had to run until its end.
#[derive(Clone, Copy, Debug)]
struct Term {
    granted: Time,
    rounds: u64,
    /// A task of it failed under its second lease, or under the one whose second it is.
    failed_elsewhere: bool,
}

impl Stragglers {
    pub(super) fn new(patience_min: Option<Span>) -> Self {
        Self { patience_min, ..Self::default() }
    }

    /// The other lease of a pair.
    pub(super) fn other(&self, id: LeaseId) -> Option<LeaseId> {
        if self.pairs.is_empty() {
            return None;
        }
        self.pairs.get(&id).copied()
    }

    fn look_by(&mut self, time: Time) {
        self.next_look = Some(self.next_look.map_or(time, |next| next.min(time)));
    }
}

impl Scheduler {
    /// When a second lease may be worth it; `None` while all slots are busy. What is ready suits none of those that
    /// are free, or they had it by now.
    pub(super) fn next_look(&self) -> Option<Time> {
        self.stragglers.next_look.filter(|_| self.may_speculate())
    }

    fn may_speculate(&self) -> bool {
        self.stragglers.patience_min.is_some() && self.fleet.idle().is_some()
    }

    /// Keeps an eye on a lease that was just given.
    pub(super) fn watch(&mut self, id: LeaseId) {
        let Some(patience_min) = self.stragglers.patience_min else { return };
        let Some(lease) = self.leases.get(id).filter(|lease| lease.outstanding().is_some()) else { return };
        let Some(view) = self.fleet.get(lease.worker) else { return };
        if self.jobs.get(&lease.job).is_some_and(|job| job.reduction.is_none()) {
            let rounds = view.tasks.div_ceil(view.slots).max(1);
            self.stragglers.terms.insert(id, Term { granted: self.now, rounds, failed_elsewhere: false });
            self.stragglers.look_by(self.now + patience_min);
        }
    }

    /// Leases out for too long get a second lease, the longest first, as far as there are free slots.
    pub(super) fn speculate(&mut self) {
        let due = self.stragglers.look_again || self.stragglers.next_look.is_some_and(|due| due <= self.now);
        if !due || !self.may_speculate() {
            return;
        }
        (self.stragglers.next_look, self.stragglers.look_again) = (None, false);
        for id in self.overdue() {
            if self.lease_again(id).is_none() {
                self.stragglers.look_again = true;
            }
        }
    }

    /// The leases that are out for too long and have no more tasks than may be running; notes when to look for others.
    fn overdue(&mut self) -> Vec<LeaseId> {
        let mut overdue = Vec::new();
        for (&id, term) in self.stragglers.terms.iter().filter(|(_, term)| !term.failed_elsewhere) {
            let Some(lease) = self.leases.get(id).filter(|_| self.stragglers.other(id).is_none()) else {
                continue;
            };
            let (Some(job), Some(view)) = (self.jobs.get(&lease.job), self.fleet.get(lease.worker)) else {
                continue;
            };
            let task_ps = job.pace.task_ps().filter(|_| !job.is_stopped() && lease.units() <= view.slots);
            let Some(task_ps) = task_ps else {
                self.stragglers.look_again = true;
                continue;
            };
            let expected = Span(task_ps.saturating_mul(term.rounds) / 1000);
            let Some(patience) = self.policy.patience(expected) else { continue };
            let due = term.granted + patience;
            let waited = self.stragglers.patience_min.is_some_and(|least| term.granted + least <= self.now);
            if due <= self.now
                || self.broken.strikes(Mutation::SecondLeaseAtOnce)
                || (waited && self.broken.strikes(Mutation::SecondLeaseEarly))
            {
                overdue.push((due, id));
            } else {
                let next = &mut self.stragglers.next_look;
                *next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        overdue.sort_unstable();
        overdue.into_iter().map(|(_, id)| id).collect()
    }

    /// Leases the first tasks that are left of a lease to another worker, as many as that has free slots. `None` when
    /// there is none.
    fn lease_again(&mut self, id: LeaseId) -> Option<()> {
        let lease = self.leases.get(id)?;
        let (job_id, attempt) = (lease.job, lease.next_attempt());
        let first = lease.outstanding()?.first()?;
        let (worker, free) = self.second_worker(job_id, lease.worker)?;
        let range = IndexRange::from_count(first.start, free.min(first.len()));
        let (slots, place) = self.fleet.get(worker).map(|view| (view.slots, view.leases.len()))?;
        let job = self.jobs.get_mut(&job_id)?;
        let task_ps = chunk::estimate_ps(job.pace.task_ps(), range.len(), slots, self.config.credit);
        job.served_ns = job.served_ns.saturating_add(weighted_ns(range.len(), task_ps, job.spec.weight));
        job.speculated = true;
        job.last_attempt = job.last_attempt.max(attempt);
        self.outputs.extend(job.introduce(job_id, worker, slots as u32));
        let work = Work::Run { outstanding: RangeSet::from(range) };
        let second = Lease { job: job_id, worker, attempt, tried: 0, work, task_ps, recalling: false, place };
        let second = self.grant(second, range.len(), true);
        self.stragglers.pairs.insert(id, second);
        self.stragglers.pairs.insert(second, id);
        Some(())
    }

    /// The least loaded worker but `owner` that has a free slot and fits a job, and how many slots are free there.
    fn second_worker(&self, job: JobId, owner: WorkerId) -> Option<(WorkerId, u64)> {
        let (id, job) = (job, self.jobs.get(&job)?);
        let mut place = None;
        while let Some(next) = self.fleet.next_hungry(place) {
            let view = self.fleet.get(next.1)?;
            // Those with free slots come first.
            let free = view.slots.checked_sub(view.tasks).filter(|&free| free > 0)?;
            if next.1 != owner && self.fits(id, job, next.1, view.slots as u32) {
                return Some((next.1, free));
            }
            place = Some(next);
        }
        None
    }

    /// The tasks that the other lease of a pair has.
    pub(super) fn held_elsewhere(&self, id: LeaseId) -> RangeSet {
        let other = self.stragglers.other(id).and_then(|other| self.leases.get(other));
        other.and_then(Lease::outstanding).cloned().unwrap_or_default()
    }

    /// A task failed for now under one lease of a pair: what comes of the other is charged, whatever that is.
    pub(super) fn rely_on_other(&mut self, id: LeaseId, attempt: u32) {
        let other = self.stragglers.other(id);
        if let Some(term) = other.and_then(|other| self.stragglers.terms.get_mut(&other)) {
            term.failed_elsewhere = true;
        }
        self.count_on(id, attempt);
    }

    /// Tasks left one lease of a pair, tried as often as this, and may stay with the other.
    pub(super) fn count_on(&mut self, id: LeaseId, attempt: u32) {
        let other = self.stragglers.other(id);
        if let Some(other) = other.and_then(|other| self.leases.get_mut(other)) {
            other.tried = other.tried.max(attempt);
        }
    }

    /// Tasks have ended with one lease of a pair: the other has them no more.
    pub(super) fn end_elsewhere(&mut self, id: LeaseId, range: IndexRange) {
        let Some(other) = self.stragglers.other(id) else { return };
        let Some(lease) = self.leases.get_mut(other) else { return };
        let Work::Run { outstanding } = &mut lease.work else { return };
        if outstanding.overlap(range).next().is_none() || self.broken.strikes(Mutation::SecondLeaseStays) {
            return;
        }
        let count = outstanding.remove(range);
        let (worker, task_ps, is_empty) = (lease.worker, lease.task_ps, outstanding.is_empty());
        self.fleet.load(worker, &self.config, Change::Less(count), task_ps);
        if is_empty {
            self.outputs.push_back(Output::Recall { worker, lease: other, count });
            self.remove_lease(other);
        }
    }

    /// Forgets a lease that has ended. Attempt numbers of the tasks that stay with the other lease go on behind both.
    pub(super) fn unwatch(&mut self, id: LeaseId, attempt: u32) {
        if self.stragglers.terms.remove(&id).is_none() {
            return;
        }
        let Some(other) = self.stragglers.pairs.remove(&id) else { return };
        if !self.broken.strikes(Mutation::PairRemembered) {
            self.stragglers.pairs.remove(&other);
        }
        if let Some(lease) = self.leases.get_mut(other) {
            lease.tried = lease.tried.max(attempt);
        }
        self.stragglers.look_again = true;
    }

    /// Panics when the records of pairs disagree with each other or with the leases.
    pub(super) fn check_pairs(&self) {
        let Stragglers { patience_min, terms, pairs, .. } = &self.stragglers;
        assert!(patience_min.is_some() || terms.is_empty(), "leases are watched for nothing");
        for id in terms.keys() {
            let lease = self.leases.get(*id).expect("a lease that is watched is in force");
            assert!(self.jobs[&lease.job].reduction.is_none(), "a reduction gets no second lease");
        }
        for (id, other) in pairs {
            assert_eq!(pairs.get(other), Some(id), "a pair knows each other");
            assert!(terms.contains_key(id), "a lease of a pair is watched");
            let (one, other) =
                (self.leases.get(*id).expect("in force"), self.leases.get(*other).expect("in force"));
            assert!(
                one.job == other.job && one.worker != other.worker,
                "a pair is of one job and two workers"
            );
        }
    }
}
