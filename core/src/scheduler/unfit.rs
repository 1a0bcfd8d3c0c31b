//! Which workers must not run which jobs, whatever room they have: because they do not trust the plugin, or cannot keep
//! the sandbox. Whoever drives the scheduler knows; a job that suits none of the workers waits for one.
//!
//! Where every worker runs every job nothing is kept, and asking is one comparison. Otherwise workers that suit no job at
//! all are not looked at when leases are given, and neither are jobs that suit no worker: both may be there for long.

use super::Scheduler;
use crate::id::{JobId, WorkerId};
use crate::mutation::Mutation;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// The workers that must not run a job.
#[derive(Debug, Default)]
struct Workers {
    ids: BTreeSet<WorkerId>,
    /// Slots of those of them that are there.
    slots: u64,
}

/// Pairs of job and worker that must not come together.
#[derive(Debug, Default)]
pub(super) struct Unfit {
    jobs: BTreeMap<JobId, Workers>,
    /// How many jobs each worker must not run.
    workers: BTreeMap<WorkerId, usize>,
}

impl Unfit {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// How many pairs there are.
    pub(super) fn len(&self) -> usize {
        self.workers.values().sum()
    }

    pub(super) fn contains(&self, job: JobId, worker: WorkerId) -> bool {
        !self.is_empty() && self.jobs.get(&job).is_some_and(|workers| workers.ids.contains(&worker))
    }

    /// Slots that a job cannot have.
    pub(super) fn slots(&self, job: JobId) -> u64 {
        if self.is_empty() { 0 } else { self.jobs.get(&job).map_or(0, |workers| workers.slots) }
    }

    fn insert(&mut self, job: JobId, worker: WorkerId, slots: u64) {
        let workers = self.jobs.entry(job).or_default();
        if workers.ids.insert(worker) {
            workers.slots += slots;
            *self.workers.entry(worker).or_default() += 1;
        }
    }

    /// The jobs that do not suit everybody.
    fn ids(&self) -> Vec<JobId> {
        self.jobs.keys().copied().collect()
    }

    fn joined(&mut self, worker: WorkerId, slots: u64) {
        if self.workers.contains_key(&worker) {
            for workers in self.jobs.values_mut().filter(|workers| workers.ids.contains(&worker)) {
                workers.slots += slots;
            }
        }
    }

    fn left(&mut self, worker: WorkerId, slots: u64) {
        if self.workers.remove(&worker).is_some() {
            self.jobs.retain(|_, workers| {
                if workers.ids.remove(&worker) {
                    workers.slots -= slots;
                }
                !workers.ids.is_empty()
            });
        }
    }

    fn forget(&mut self, job: JobId) -> BTreeSet<WorkerId> {
        let ids = self.jobs.remove(&job).unwrap_or_default().ids;
        for worker in &ids {
            if let Some(jobs) = self.workers.get_mut(worker) {
                *jobs -= 1;
            }
        }
        self.workers.retain(|_, jobs| *jobs > 0);
        ids
    }
}

impl Scheduler {
    /// It is said before the two can meet. Should they have met, the job is taken away from the worker.
    pub(super) fn on_unfit(&mut self, worker: WorkerId, id: JobId) {
        if self.broken.strikes(Mutation::UnfitUnheard) {
            return;
        }
        let slots = self.fleet.get(worker).map_or(0, |view| view.slots);
        self.unfit.insert(id, worker, slots);
        self.take_away(worker, id);
        self.settle(id);
        self.weigh(worker);
    }

    /// A worker has joined that must not run some jobs.
    pub(super) fn unfit_joined(&mut self, worker: WorkerId, slots: u64) {
        if self.unfit.is_empty() {
            return;
        }
        let jobs = self.unfit.ids();
        self.unfit.joined(worker, slots);
        jobs.into_iter().for_each(|id| self.settle(id));
        self.weigh(worker);
    }

    /// A worker has left.
    pub(super) fn unfit_left(&mut self, worker: WorkerId, slots: u64) {
        if self.unfit.is_empty() {
            return;
        }
        let jobs = self.unfit.ids();
        self.unfit.left(worker, slots);
        jobs.into_iter().for_each(|id| self.settle(id));
    }

    /// A job is there, or is there no more.
    pub(super) fn unfit_jobs_changed(&mut self, ended: Option<JobId>) {
        if self.unfit.is_empty() {
            return;
        }
        let mut changed: Vec<WorkerId> = self.unfit.workers.keys().copied().collect();
        changed.extend(ended.into_iter().flat_map(|id| self.unfit.forget(id)));
        changed.into_iter().for_each(|worker| self.weigh(worker));
    }

    /// Whether nobody who is there may run a job.
    pub(super) fn suits_nobody(&self, id: JobId) -> bool {
        !self.unfit.is_empty() && self.fleet.len() > 0 && self.unfit.slots(id) == self.fleet.slots()
    }

    /// A worker that suits no job is not looked at.
    fn weigh(&mut self, worker: WorkerId) {
        let suits_none = self.suits_none(worker);
        self.fleet.update(worker, &self.config, |worker| worker.suits_none = suits_none);
    }

    fn suits_none(&self, worker: WorkerId) -> bool {
        self.unfit.workers.get(&worker).is_some_and(|&unfit| unfit >= self.jobs.len())
    }

    /// Panics when pairs are counted wrongly, or somebody has what he must not run.
    pub(super) fn check_unfit(&self) {
        let mut counted: BTreeMap<WorkerId, usize> = BTreeMap::new();
        for (&id, workers) in &self.unfit.jobs {
            let there = workers.ids.iter().filter_map(|&worker| self.fleet.get(worker));
            assert_eq!(
                workers.slots,
                there.map(|view| view.slots).sum::<u64>(),
                "{id}: slots it cannot have"
            );
            assert!(!workers.ids.is_empty(), "{id}: nobody is unfit for it");
            workers.ids.iter().for_each(|&worker| *counted.entry(worker).or_default() += 1);
        }
        assert_eq!(counted, self.unfit.workers, "jobs that workers must not run");
        for (worker, view) in self.fleet.iter() {
            assert_eq!(view.suits_none, self.suits_none(worker), "{worker}: whether it suits any job");
        }
    }
}
