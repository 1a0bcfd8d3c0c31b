//! The leases in force, as they follow from what the scheduler was told and said.

use super::{Fact, source};
use muster_core::id::{JobId, LeaseId, WorkerId};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::{GrantKind, Input, Outcome, Output};
use std::collections::{BTreeMap, BTreeSet};

/// A lease as a checker knows it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub worker: WorkerId,
    pub job: JobId,
    /// What nobody answered for; all of it when it is a combination.
    pub tasks: RangeSet,
    pub granted: IndexRange,
    pub attempt: u32,
    pub combines: bool,
}

impl Held {
    /// What it counts in tasks.
    pub(super) fn units(&self) -> u64 {
        if self.combines { 1 } else { self.tasks.len() }
    }

    /// Whether it has some of these tasks.
    pub(super) fn has_some(&self, range: IndexRange) -> bool {
        self.tasks.overlap(range).next().is_some()
    }
}

/// Tasks that left a lease otherwise than by an end of their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Back {
    pub job: JobId,
    pub range: IndexRange,
    /// The attempt that came back.
    pub attempt: u32,
    /// Another lease has them as well, and they stay with that.
    pub elsewhere: bool,
    /// Nobody had started them, says the worker.
    pub unstarted: bool,
}

/// All leases in force.
#[derive(Debug, Default)]
pub(super) struct InForce {
    pub leases: BTreeMap<LeaseId, Held>,
    pub workers: BTreeMap<WorkerId, u64>,
    pub draining: BTreeSet<WorkerId>,
    /// Who was told about which job.
    pub opened: BTreeSet<(WorkerId, JobId)>,
    pub back: Vec<Back>,
}

impl InForce {
    /// Takes a fact in; what came back by it is in `back`.
    pub(super) fn follow(&mut self, fact: &Fact<'_>) {
        self.back.clear();
        match fact {
            Fact::Told(input) => self.told(input),
            Fact::Said { output, cause, .. } => self.said(output, *cause),
            Fact::Restarted { .. } => *self = Self::default(),
            _ => {}
        }
    }

    pub(super) fn of(&self, worker: WorkerId) -> impl Iterator<Item = &Held> {
        self.leases.values().filter(move |held| held.worker == worker)
    }

    /// The leases but one that have some of these tasks of a job.
    pub(super) fn others(
        &self,
        but: Option<LeaseId>,
        job: JobId,
        range: IndexRange,
    ) -> impl Iterator<Item = (LeaseId, &Held)> {
        let has = move |held: &Held| held.job == job && !held.combines && held.has_some(range);
        self.leases
            .iter()
            .map(|(&id, held)| (id, held))
            .filter(move |&(id, held)| Some(id) != but && has(held))
    }

    fn told(&mut self, input: &Input) {
        match *input {
            Input::Joined { worker, slots } => {
                self.workers.insert(worker, slots.max(1).into());
            }
            Input::Left { worker, .. } => self.lose(worker),
            Input::Drain { worker } if self.workers.contains_key(&worker) => {
                self.draining.insert(worker);
            }
            Input::Returned { worker, lease, range } => self.returned(worker, lease, range),
            Input::Failed { worker, lease, index, class, .. } => {
                let Some(held) = self.leases.get(&lease).filter(|held| held.worker == worker) else { return };
                let task = IndexRange::from_count(index, 1);
                if held.combines {
                    self.leases.remove(&lease);
                } else if class.retryable() && self.stays_elsewhere(lease, task) {
                    self.leave(lease, task);
                }
            }
            Input::Trouble { worker, job } if self.opened.contains(&(worker, job)) => {
                self.opened.remove(&(worker, job));
                self.end(|held| held.worker == worker && held.job == job);
            }
            _ => {}
        }
    }

    fn said(&mut self, output: &Output, cause: Option<&Input>) {
        match *output {
            Output::Open { worker, job, .. } => {
                self.opened.insert((worker, job));
            }
            Output::Grant { worker, ref grant } => {
                let combines = matches!(grant.kind, GrantKind::Combine { .. });
                let held = Held {
                    worker,
                    job: grant.job,
                    tasks: RangeSet::from(grant.range),
                    granted: grant.range,
                    attempt: grant.attempt,
                    combines,
                };
                self.leases.insert(grant.lease, held);
            }
            Output::Commit { job, range, .. } => self.over(cause, job, range),
            Output::Fail { job, index, .. } => self.over(cause, job, IndexRange::from_count(index, 1)),
            Output::Retry { index, .. } => {
                if let Some((_, lease)) = source(cause) {
                    self.leave(lease, IndexRange::from_count(index, 1));
                }
            }
            Output::Combined { .. } => {
                if let Some((_, lease)) = source(cause) {
                    self.leases.remove(&lease);
                }
            }
            Output::Lost { worker } => self.lose(worker),
            Output::Ended { job, outcome, .. } => {
                let done = outcome == Outcome::Done;
                self.end(|held| held.job == job);
                debug_assert!(!done || self.leases.values().all(|held| held.job != job));
                self.opened.retain(|(_, other)| *other != job);
            }
            _ => {}
        }
    }

    /// Whether a task that a lease has is out on another one as well.
    pub(super) fn stays_elsewhere(&self, lease: LeaseId, task: IndexRange) -> bool {
        let held = self.leases.get(&lease).filter(|held| held.has_some(task));
        held.is_some_and(|held| self.others(Some(lease), held.job, task).next().is_some())
    }

    /// Tasks ended, for every lease that has them.
    fn over(&mut self, cause: Option<&Input>, job: JobId, range: IndexRange) {
        let source = source(cause).map(|(_, lease)| lease);
        let others: Vec<LeaseId> = self.others(source, job, range).map(|(id, _)| id).collect();
        source.into_iter().chain(others).for_each(|lease| self.leave(lease, range));
    }

    /// A lease has these tasks no more.
    fn leave(&mut self, lease: LeaseId, range: IndexRange) {
        if let Some(held) = self.leases.get_mut(&lease) {
            held.tasks.remove(range);
            if held.tasks.is_empty() {
                self.leases.remove(&lease);
            }
        }
    }

    /// Tasks come back from a lease that has them no more.
    fn come_back(&mut self, job: JobId, attempt: u32, pieces: &RangeSet, unstarted: bool) {
        for range in pieces.iter() {
            let mut alone = RangeSet::from(range);
            for (_, other) in self.others(None, job, range) {
                other.tasks.overlap(range).for_each(|shared| _ = alone.remove(shared));
            }
            let mut shared = RangeSet::from(range);
            alone.iter().for_each(|range| _ = shared.remove(range));
            let back = |range, elsewhere| Back { job, range, attempt, elsewhere, unstarted };
            self.back.extend(alone.iter().map(|range| back(range, false)));
            self.back.extend(shared.iter().map(|range| back(range, true)));
        }
    }

    fn returned(&mut self, worker: WorkerId, lease: LeaseId, range: IndexRange) {
        let Some(held) = self.leases.get_mut(&lease).filter(|held| held.worker == worker) else { return };
        if held.combines {
            self.leases.remove(&lease);
            return;
        }
        let (job, attempt) = (held.job, held.attempt);
        let mut pieces = RangeSet::new();
        held.tasks.overlap(range).for_each(|piece| pieces.insert(piece));
        self.leave(lease, range);
        self.come_back(job, attempt, &pieces, true);
    }

    fn lose(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
        self.draining.remove(&worker);
        self.opened.retain(|(other, _)| *other != worker);
        self.end(|held| held.worker == worker);
    }

    fn end(&mut self, over: impl Fn(&Held) -> bool) {
        let ended: Vec<LeaseId> =
            self.leases.iter().filter(|(_, held)| over(held)).map(|(&id, _)| id).collect();
        for held in ended {
            let Some(held) = self.leases.remove(&held) else { continue };
            if !held.combines {
                self.come_back(held.job, held.attempt, &held.tasks, false);
            }
        }
    }
}
