//! The workers, and which of them can take more.

use super::config::Config;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::time::{Span, Time};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// The part of a lease's length that a silent worker has left to be heard.
const LAST_CHANCE_SHARE: u64 = 10;

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) slots: u64,
    pub(super) draining: bool,
    /// It was said that it has drained.
    pub(super) drained: bool,
    pub(super) heard: Time,
    /// It was silent for a lease's length: when it is given up unless it is heard.
    pub(super) last_chance: Option<Time>,
    pub(super) leases: Vec<LeaseId>,
    /// Jobs it was told about.
    pub(super) jobs: BTreeSet<JobId>,
    /// Tasks it has and did not finish.
    pub(super) tasks: u64,
    /// The time they will take on one slot, by the estimates of their leases.
    load_ps: u64,
    hungry_key: Option<u64>,
}

impl Worker {
    /// Tasks it has beyond those that can run now.
    pub(super) fn waiting(&self) -> u64 {
        self.tasks.saturating_sub(self.slots)
    }

    fn key(&self, config: &Config) -> Option<u64> {
        let credit_ps = config.credit.0.saturating_mul(1000).saturating_mul(self.slots);
        let takes = self.tasks < self.slots.saturating_mul(config.credit_tasks) || self.load_ps < credit_ps;
        (takes && !self.draining).then(|| self.tasks.saturating_mul(256) / self.slots)
    }
}

/// All workers, with those that can take more in order: the least loaded first, then by id.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    workers: BTreeMap<WorkerId, Worker>,
    hungry: BTreeSet<(u64, WorkerId)>,
    slots: u64,
    /// Workers that have more tasks than slots.
    waiting: usize,
}

impl Fleet {
    pub(super) fn join(&mut self, id: WorkerId, slots: u32, now: Time, config: &Config) {
        let slots = u64::from(slots.max(1));
        let worker = Worker {
            slots,
            draining: false,
            drained: false,
            heard: now,
            last_chance: None,
            leases: Vec::new(),
            jobs: BTreeSet::new(),
            tasks: 0,
            load_ps: 0,
            hungry_key: None,
        };
        self.slots += slots;
        if let Some(before) = self.workers.insert(id, worker) {
            debug_assert!(false, "a worker's id is used once");
            self.slots -= before.slots;
        }
        self.update(id, config, |_| {});
    }

    pub(super) fn remove(&mut self, id: WorkerId) -> Option<Worker> {
        let worker = self.workers.remove(&id)?;
        self.slots -= worker.slots;
        self.waiting -= usize::from(worker.waiting() > 0);
        if let Some(key) = worker.hungry_key {
            self.hungry.remove(&(key, id));
        }
        Some(worker)
    }

    pub(super) fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    pub(super) fn hear(&mut self, id: WorkerId, now: Time) -> bool {
        let Some(worker) = self.workers.get_mut(&id) else { return false };
        worker.heard = worker.heard.max(now);
        worker.last_chance = None;
        true
    }

    /// Workers that have been silent for too long. One that was just found so gets a last chance: what it said may
    /// wait to be read, because this machine or process stood still.
    pub(super) fn take_silent(&mut self, now: Time, lease: Span) -> Vec<WorkerId> {
        let mut silent = Vec::new();
        for (&id, worker) in &mut self.workers {
            match worker.last_chance {
                Some(end) if end <= now => silent.push(id),
                None if worker.heard + lease <= now => {
                    worker.last_chance = Some(now + Span(lease.0 / LAST_CHANCE_SHARE));
                }
                Some(_) | None => {}
            }
        }
        silent
    }

    /// When some worker may have been silent for too long.
    pub(super) fn next_silent(&self, lease: Span) -> Option<Time> {
        self.workers.values().map(|worker| worker.last_chance.unwrap_or(worker.heard + lease)).min()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.workers.iter().map(|(&id, worker)| (id, worker))
    }

    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Whether some worker has more tasks than slots.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Slots of all workers.
    pub(super) fn slots(&self) -> u64 {
        self.slots
    }

    /// Changes a worker and files it anew.
    pub(super) fn update(&mut self, id: WorkerId, config: &Config, change: impl FnOnce(&mut Worker)) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let waited = worker.waiting() > 0;
        change(worker);
        self.waiting = self.waiting + usize::from(worker.waiting() > 0) - usize::from(waited);
        let key = worker.key(config);
        if key == worker.hungry_key {
            return;
        }
        if let Some(old) = worker.hungry_key {
            self.hungry.remove(&(old, id));
        }
        if let Some(new) = key {
            self.hungry.insert((new, id));
        }
        worker.hungry_key = key;
    }

    /// Adds to or takes from a worker's load.
    pub(super) fn load(&mut self, id: WorkerId, config: &Config, tasks: Change, task_ps: u64) {
        self.update(id, config, |worker| match tasks {
            Change::More(tasks) => {
                worker.tasks += tasks;
                worker.load_ps = worker.load_ps.saturating_add(tasks.saturating_mul(task_ps));
            }
            Change::Less(tasks) => {
                worker.tasks -= tasks;
                worker.load_ps = worker.load_ps.saturating_sub(tasks.saturating_mul(task_ps));
                if worker.tasks == 0 {
                    worker.load_ps = 0;
                }
            }
        });
    }

    /// The first worker that can take more, in order, behind `after`.
    pub(super) fn next_hungry(&self, after: Option<(u64, WorkerId)>) -> Option<(u64, WorkerId)> {
        match after {
            None => self.hungry.first().copied(),
            Some(place) => self
                .hungry
                .range((core::ops::Bound::Excluded(place), core::ops::Bound::Unbounded))
                .next()
                .copied(),
        }
    }

    /// A worker that has a free slot.
    pub(super) fn idle(&self) -> Option<WorkerId> {
        let (_, id) = *self.hungry.first()?;
        let worker = self.workers.get(&id)?;
        (worker.tasks < worker.slots).then_some(id)
    }

    pub(super) fn check_invariants(&self, config: &Config) {
        assert_eq!(self.slots, self.workers.values().map(|worker| worker.slots).sum::<u64>());
        let waiting = self.workers.values().filter(|worker| worker.waiting() > 0).count();
        assert_eq!(self.waiting, waiting, "the number of workers with waiting tasks is stale");
        let hungry: BTreeSet<_> =
            self.workers.iter().filter_map(|(&id, worker)| Some((worker.key(config)?, id))).collect();
        assert_eq!(hungry, self.hungry, "the order of hungry workers is stale");
    }
}

/// More or fewer tasks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    More(u64),
    Less(u64),
}
