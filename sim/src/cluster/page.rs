//! The pages of jobs on simulated workers: the same claim words as real ones.

use muster_core::id::LeaseId;
use muster_core::page::{Claim, LeaseEntry, LeaseFacts};
use muster_core::range::IndexRange;
use smallvec::SmallVec;
use std::ops::Range;

/// A job's page on one worker.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub worker: u32,
    pub job: u32,
    /// How many threads it has, and the first of them.
    pub threads: u32,
    pub first_thread: u32,
    /// Threads below this may claim.
    pub allowed: u32,
    /// Tasks per leaf of a reduction.
    pub leaf: Option<u64>,
    entries: SmallVec<[LeaseEntry; 1]>,
    leases: SmallVec<[Published; 1]>,
}

/// What was published in an entry.
#[derive(Clone, Copy, Debug, Default)]
struct Published {
    lease: LeaseId,
    /// All of the lease, when one thread does it as a whole.
    whole: Option<IndexRange>,
}

/// What a thread got from the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub entry: u32,
    pub lease: LeaseId,
    pub range: IndexRange,
    pub whole: bool,
    /// Nothing is left in the entry.
    pub drained: bool,
}

impl Page {
    pub(super) fn new(worker: u32, job: u32, threads: u32, leaf: Option<u64>) -> Self {
        Self { worker, job, threads, leaf, ..Self::default() }
    }

    /// The numbers of its threads.
    pub(super) const fn seats(&self) -> Range<u32> {
        self.first_thread..self.first_thread + self.threads
    }

    /// Tasks that nobody claimed.
    pub(super) fn unclaimed(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.word().unclaimed())).sum()
    }

    pub(super) fn publish(&mut self, entry: usize, lease: LeaseId, range: IndexRange, whole: bool) {
        if entry >= self.entries.len() {
            self.entries.resize_with(entry + 1, LeaseEntry::default);
            self.leases.resize(entry + 1, Published::default());
        }
        let tasks = if whole { IndexRange::from_count(range.start, 1) } else { range };
        self.entries[entry].publish(tasks, LeaseFacts { base: range.start, ..LeaseFacts::default() });
        self.leases[entry] = Published { lease, whole: whole.then_some(range) };
    }

    /// Takes tasks from the entry at `cursor` or the next one that has some. `size` is told the first index and how
    /// many are unclaimed there.
    pub(super) fn claim(&self, cursor: u32, mut size: impl FnMut(u64, u32) -> u32) -> Option<Taken> {
        let count = self.entries.len();
        (0..count).map(|step| (cursor as usize + step) % count).find_map(|at| {
            let entry = &self.entries[at];
            let start = entry.facts().base + u64::from(entry.word().next);
            let Claim { range, .. } = entry.claim(|unclaimed| size(start, unclaimed), |_, _| {})?;
            let Published { lease, whole } = self.leases[at];
            Some(Taken {
                entry: at as u32,
                lease,
                range: whole.unwrap_or(range),
                whole: whole.is_some(),
                drained: entry.word().unclaimed() == 0,
            })
        })
    }

    /// Takes back unclaimed tasks from the end of an entry; says which, and whether it is empty now.
    pub(super) fn call_back(&self, entry: usize, count: u64) -> (IndexRange, bool) {
        let Some(entry) = self.entries.get(entry) else { return (IndexRange::default(), false) };
        let range = entry.call_back(entry.word().generation, count);
        (range, entry.word().unclaimed() == 0)
    }

    /// Nothing stands in it any more.
    pub(super) fn empty(&mut self) {
        self.entries.clear();
        self.leases.clear();
        self.allowed = 0;
    }
}

/// All pages.
#[derive(Debug, Default)]
pub(super) struct Pages {
    places: Vec<Page>,
    free: Vec<u32>,
}

impl Pages {
    pub(super) fn insert(&mut self, page: Page) -> u32 {
        if let Some(at) = self.free.pop() {
            self.places[at as usize] = page;
            return at;
        }
        self.places.push(page);
        (self.places.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, page: u32) -> Page {
        self.free.push(page);
        std::mem::take(&mut self.places[page as usize])
    }

    pub(super) fn get(&self, page: u32) -> &Page {
        &self.places[page as usize]
    }

    pub(super) fn get_mut(&mut self, page: u32) -> &mut Page {
        &mut self.places[page as usize]
    }
}
