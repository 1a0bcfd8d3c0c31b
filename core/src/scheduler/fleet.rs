//! The workers, and which of them can take more.

use super::config::Config;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::time::{Span, Time};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::Bound;
use smallvec::SmallVec;

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
    pub(super) leases: SmallVec<[LeaseId; 2]>,
    /// Jobs it was told about, in order.
    pub(super) jobs: SmallVec<[JobId; 2]>,
    /// Tasks it has and did not finish.
    pub(super) tasks: u64,
    /// Its leases whose unstarted tasks may be called back.
    pub(super) recallable: u32,
    /// The time its tasks will take on one slot, by the estimates of their leases. Wide enough for any estimate, which a
    /// worker may have made up: a sum that is cut at its end gives back more than was added.
    load_ps: u128,
    /// There are jobs, and it must not run any of them.
    pub(super) suits_none: bool,
    hungry_key: Option<u64>,
}

impl Worker {
    /// It was told about a job; `false`: it knew.
    pub(super) fn learn(&mut self, job: JobId) -> bool {
        match self.jobs.binary_search(&job) {
            Ok(_) => false,
            Err(at) => {
                self.jobs.insert(at, job);
                true
            }
        }
    }

    /// Whether it was told about a job.
    pub(super) fn knows(&self, job: JobId) -> bool {
        self.jobs.binary_search(&job).is_ok()
    }

    /// It was told that a job is over.
    pub(super) fn unlearn(&mut self, job: JobId) {
        self.jobs.retain(|other| *other != job);
    }

    /// Adds to or takes from its load.
    pub(super) fn load(&mut self, tasks: Change, task_ps: u64) {
        match tasks {
            Change::More(tasks) => {
                self.tasks += tasks;
                self.load_ps += u128::from(tasks) * u128::from(task_ps);
            }
            Change::Less(tasks) => {
                self.tasks -= tasks;
                self.load_ps -= u128::from(tasks) * u128::from(task_ps);
            }
        }
    }

    /// Tasks it has beyond those that can run now.
    pub(super) fn waiting(&self) -> u64 {
        self.tasks.saturating_sub(self.slots)
    }

    /// Tasks that may be called back from it, or none.
    fn stock(&self) -> u64 {
        if self.recallable > 0 { self.waiting() } else { 0 }
    }

    fn key(&self, config: &Config) -> Option<u64> {
        let credit_ps = config.credit.0.saturating_mul(1000).saturating_mul(self.slots);
        let takes = self.tasks < self.slots.saturating_mul(config.credit_tasks)
            || self.load_ps < u128::from(credit_ps);
        (takes && !self.draining && !self.suits_none).then(|| self.tasks.saturating_mul(256) / self.slots)
    }
}

/// All workers, with those that can take more in order: the least loaded first, then by id.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    workers: Workers,
    hungry: Hungry,
    slots: u64,
    /// Workers that something may be called back from, by how many of their tasks wait.
    stocked: BTreeSet<(u64, WorkerId)>,
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
            leases: SmallVec::new(),
            jobs: SmallVec::new(),
            tasks: 0,
            recallable: 0,
            load_ps: 0,
            suits_none: false,
            hungry_key: None,
        };
        if self.remove(id).is_some() {
            debug_assert!(false, "a worker's id is used once");
        }
        self.slots += slots;
        self.workers.insert(id, worker);
        self.update(id, config, |_| {});
    }

    pub(super) fn remove(&mut self, id: WorkerId) -> Option<Worker> {
        let worker = self.workers.remove(id)?;
        self.slots -= worker.slots;
        self.stocked.remove(&(worker.stock(), id));
        if let Some(key) = worker.hungry_key {
            self.hungry.remove((key, id));
        }
        Some(worker)
    }

    pub(super) fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(id)
    }

    /// The memory of a worker, not looked at.
    pub(super) fn memory_of(&self, id: WorkerId) -> Option<&impl Sized> {
        self.workers.there.get(self.workers.place(id)?)
    }

    pub(super) fn hear(&mut self, id: WorkerId, now: Time) -> bool {
        let Some(worker) = self.workers.get_mut(id) else { return false };
        worker.heard = worker.heard.max(now);
        worker.last_chance = None;
        true
    }

    /// Workers that have been silent for too long. One that was just found so gets a last chance: what it said may
    /// wait to be read, because this machine or process stood still.
    pub(super) fn take_silent(&mut self, now: Time, lease: Span) -> Vec<WorkerId> {
        for worker in self.workers.values_mut() {
            if worker.last_chance.is_none() && worker.heard + lease <= now {
                worker.last_chance = Some(now + Span(lease.0 / LAST_CHANCE_SHARE));
            }
        }
        let is_silent = |worker: &Worker| worker.last_chance.is_some_and(|end| end <= now);
        self.workers.iter().filter(|(_, worker)| is_silent(worker)).map(|(id, _)| id).collect()
    }

    /// When some worker may have been silent for too long.
    pub(super) fn next_silent(&self, lease: Span) -> Option<Time> {
        self.workers.iter().map(|(_, worker)| worker.last_chance.unwrap_or(worker.heard + lease)).min()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.workers.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.workers.len
    }

    /// Whether something may be called back from some worker.
    pub(super) fn is_stocked(&self) -> bool {
        !self.stocked.is_empty()
    }

    /// The workers that something may be called back from, those with the most waiting tasks first.
    pub(super) fn stocked(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.stocked.iter().rev().filter_map(|&(_, id)| Some((id, self.workers.get(id)?)))
    }

    /// Slots of all workers.
    pub(super) fn slots(&self) -> u64 {
        self.slots
    }

    /// Changes a worker and files it anew.
    pub(super) fn update(&mut self, id: WorkerId, config: &Config, change: impl FnOnce(&mut Worker)) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        let before = worker.stock();
        change(worker);
        let stock = worker.stock();
        if stock != before {
            if before > 0 {
                self.stocked.remove(&(before, id));
            }
            if stock > 0 {
                self.stocked.insert((stock, id));
            }
        }
        let key = worker.key(config);
        if key == worker.hungry_key {
            return;
        }
        if let Some(old) = worker.hungry_key {
            self.hungry.remove((old, id));
        }
        if let Some(new) = key {
            self.hungry.insert((new, id));
        }
        worker.hungry_key = key;
    }

    /// Adds to or takes from a worker's load.
    pub(super) fn load(&mut self, id: WorkerId, config: &Config, tasks: Change, task_ps: u64) {
        self.update(id, config, |worker| worker.load(tasks, task_ps));
    }

    /// The first worker that can take more, in order, behind `after`.
    pub(super) fn next_hungry(&self, after: Option<(u64, WorkerId)>) -> Option<(u64, WorkerId)> {
        match after {
            None => self.hungry.first(),
            Some(place) => self.hungry.behind(place),
        }
    }

    /// A worker that has a free slot.
    pub(super) fn idle(&self) -> Option<WorkerId> {
        let (_, id) = self.hungry.first()?;
        let worker = self.workers.get(id)?;
        (worker.tasks < worker.slots).then_some(id)
    }

    pub(super) fn check_invariants(&self, config: &Config) {
        assert_eq!(self.slots, self.workers.iter().map(|(_, worker)| worker.slots).sum::<u64>());
        let stocked: BTreeSet<_> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.stock() > 0)
            .map(|(id, worker)| (worker.stock(), id))
            .collect();
        assert_eq!(stocked, self.stocked, "the order of workers to call back from is stale");
        let hungry: BTreeSet<_> =
            self.workers.iter().filter_map(|(id, worker)| Some((worker.key(config)?, id))).collect();
        assert_eq!(hungry, self.hungry.all(), "the order of hungry workers is stale");
    }
}

/// Workers that can take more, in order. Most of the time one worker has just finished something and gets the next
/// lease at once: that one needs no tree.
#[derive(Debug, Default)]
struct Hungry {
    one: Option<(u64, WorkerId)>,
    rest: BTreeSet<(u64, WorkerId)>,
}

impl Hungry {
    fn insert(&mut self, place: (u64, WorkerId)) {
        if self.one.is_none() {
            self.one = Some(place);
        } else {
            self.rest.insert(place);
        }
    }

    fn remove(&mut self, place: (u64, WorkerId)) {
        if self.one == Some(place) {
            self.one = None;
        } else {
            self.rest.remove(&place);
        }
    }

    fn first(&self) -> Option<(u64, WorkerId)> {
        self.one.into_iter().chain(self.rest.first().copied()).min()
    }

    fn behind(&self, place: (u64, WorkerId)) -> Option<(u64, WorkerId)> {
        let next = self.rest.range((Bound::Excluded(place), Bound::Unbounded)).next().copied();
        self.one.filter(|one| *one > place).into_iter().chain(next).min()
    }

    fn all(&self) -> BTreeSet<(u64, WorkerId)> {
        self.rest.iter().copied().chain(self.one).collect()
    }
}

/// Workers by id. Ids rise as workers come and few of a short stretch of them are gone, so their places stand in
/// the order of the ids, and finding one is a look into a table.
#[derive(Debug, Default)]
struct Workers {
    /// The id of the first place.
    first: u64,
    /// Where in `there` the worker of each id is.
    places: VecDeque<u32>,
    there: Vec<Option<Worker>>,
    free: Vec<u32>,
    len: usize,
}

/// The place of a worker that is gone.
const GONE: u32 = u32::MAX;

impl Workers {
    #[inline]
    fn place(&self, id: WorkerId) -> Option<usize> {
        let at = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        self.places.get(at).filter(|&&place| place != GONE).map(|&place| place as usize)
    }

    #[inline]
    fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.there[self.place(id)?].as_ref()
    }

    #[inline]
    fn get_mut(&mut self, id: WorkerId) -> Option<&mut Worker> {
        let place = self.place(id)?;
        self.there[place].as_mut()
    }

    fn insert(&mut self, id: WorkerId, worker: Worker) {
        if self.places.is_empty() {
            self.first = id.0;
        }
        // Ids rise, but nothing breaks when they do not.
        while id.0 < self.first {
            self.places.push_front(GONE);
            self.first -= 1;
        }
        let at = (id.0 - self.first) as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, GONE);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.there.push(None);
            (self.there.len() - 1) as u32
        });
        self.there[place as usize] = Some(worker);
        self.places[at] = place;
        self.len += 1;
    }

    fn remove(&mut self, id: WorkerId) -> Option<Worker> {
        let place = self.place(id)?;
        let worker = self.there[place].take()?;
        self.free.push(place as u32);
        self.places[(id.0 - self.first) as usize] = GONE;
        self.len -= 1;
        while self.places.front() == Some(&GONE) {
            self.places.pop_front();
            self.first += 1;
        }
        Some(worker)
    }

    fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        let there = self.places.iter().zip(self.first..).filter(|&(&place, _)| place != GONE);
        there.filter_map(|(&place, id)| Some((WorkerId(id), self.there[place as usize].as_ref()?)))
    }

    /// All workers, in no order that means anything.
    fn values_mut(&mut self) -> impl Iterator<Item = &mut Worker> {
        self.there.iter_mut().flatten()
    }
}

/// More or fewer tasks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    More(u64),
    Less(u64),
}
