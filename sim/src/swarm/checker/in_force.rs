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
    pub combines: bool,
}

impl Held {
    /// What it counts in tasks.
    pub(super) fn units(&self) -> u64 {
        if self.combines { 1 } else { self.tasks.len() }
    }
}

/// Tasks that left a lease otherwise than by an end of their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Back {
    pub job: JobId,
    pub range: IndexRange,
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
    opened: BTreeSet<(WorkerId, JobId)>,
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
            Input::Failed { worker, lease, .. } => {
                let combines =
                    self.leases.get(&lease).is_some_and(|held| held.worker == worker && held.combines);
                if combines {
                    self.leases.remove(&lease);
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
                    combines,
                };
                self.leases.insert(grant.lease, held);
            }
            Output::Commit { range, .. } => self.answer(cause, range),
            Output::Fail { index, .. } | Output::Retry { index, .. } => {
                self.answer(cause, IndexRange::from_count(index, 1));
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

    fn answer(&mut self, cause: Option<&Input>, range: IndexRange) {
        let Some((_, lease)) = source(cause) else { return };
        if let Some(held) = self.leases.get_mut(&lease) {
            held.tasks.remove(range);
            if held.tasks.is_empty() {
                self.leases.remove(&lease);
            }
        }
    }

    fn returned(&mut self, worker: WorkerId, lease: LeaseId, range: IndexRange) {
        let Some(held) = self.leases.get_mut(&lease).filter(|held| held.worker == worker) else { return };
        if held.combines {
            self.leases.remove(&lease);
            return;
        }
        let job = held.job;
        let pieces: Vec<IndexRange> = held.tasks.overlap(range).collect();
        held.tasks.remove(range);
        if held.tasks.is_empty() {
            self.leases.remove(&lease);
        }
        self.back.extend(pieces.into_iter().map(|range| Back { job, range, unstarted: true }));
    }

    fn lose(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
        self.draining.remove(&worker);
        self.opened.retain(|(other, _)| *other != worker);
        self.end(|held| held.worker == worker);
    }

    fn end(&mut self, over: impl Fn(&Held) -> bool) {
        let back = &mut self.back;
        self.leases.retain(|_, held| {
            if !over(held) {
                return true;
            }
            if !held.combines {
                let job = held.job;
                back.extend(held.tasks.iter().map(|range| Back { job, range, unstarted: false }));
            }
            false
        });
    }
}
