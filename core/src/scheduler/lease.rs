//! The leases in force.

use crate::id::{JobId, LeaseId, WorkerId};
use crate::range::{IndexRange, RangeSet};
use crate::reduce::Block;
use alloc::vec::Vec;

/// Tasks that a worker has for a time.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) job: JobId,
    pub(super) worker: WorkerId,
    pub(super) attempt: u32,
    /// The highest attempt that some of its tasks had under another lease at the same time, or 0.
    pub(super) tried: u32,
    pub(super) work: Work,
    /// What one task counts in the worker's credit.
    pub(super) task_ps: u64,
    /// A recall is on its way.
    pub(super) recalling: bool,
    /// Its place in the worker's list.
    pub(super) place: usize,
}

/// What a lease is for.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// Tasks that neither ended nor were given back.
    Run { outstanding: RangeSet },
    /// Partial results to combine to one.
    Combine { block: Block, finish: bool },
}

impl Lease {
    /// What it counts in tasks: combining is one.
    pub(super) fn units(&self) -> u64 {
        match &self.work {
            Work::Run { outstanding } => outstanding.len(),
            Work::Combine { .. } => 1,
        }
    }

    /// The attempt of tasks of it that are tried again.
    pub(super) fn next_attempt(&self) -> u32 {
        self.attempt.max(self.tried) + 1
    }

    /// The attempt of tasks of it that nobody started under it: the same, unless they were tried elsewhere.
    pub(super) fn same_attempt(&self) -> u32 {
        self.attempt.max(self.tried + 1)
    }

    /// Whether its unstarted tasks may be called back now.
    pub(super) fn is_recallable(&self) -> bool {
        !self.recalling && self.outstanding().is_some()
    }

    pub(super) fn outstanding(&self) -> Option<&RangeSet> {
        match &self.work {
            Work::Run { outstanding } => Some(outstanding),
            Work::Combine { .. } => None,
        }
    }

    /// The last tasks that nobody finished; they are the ones least likely to have been started.
    pub(super) fn tail(&self) -> Option<IndexRange> {
        self.outstanding().and_then(RangeSet::last)
    }
}

/// Leases by id. An id holds the place in the table and how often that place was used, so a lookup needs no
/// search and an old id never finds a new lease.
#[derive(Debug, Default)]
pub(super) struct Leases {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place {
    uses: u32,
    lease: Option<Lease>,
}

impl Leases {
    pub(super) fn insert(&mut self, lease: Lease) -> LeaseId {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { uses: 0, lease: None });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[at as usize];
        place.uses += 1;
        place.lease = Some(lease);
        LeaseId(u64::from(place.uses) << 32 | u64::from(at))
    }

    pub(super) fn get(&self, id: LeaseId) -> Option<&Lease> {
        self.places.get(at(id)).filter(|place| place.uses == uses(id)).and_then(|place| place.lease.as_ref())
    }

    /// The memory of a lease's place, not looked at.
    pub(super) fn memory_of(&self, id: LeaseId) -> Option<&impl Sized> {
        self.places.get(at(id))
    }

    pub(super) fn get_mut(&mut self, id: LeaseId) -> Option<&mut Lease> {
        self.places
            .get_mut(at(id))
            .filter(|place| place.uses == uses(id))
            .and_then(|place| place.lease.as_mut())
    }

    pub(super) fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        let place = self.places.get_mut(at(id)).filter(|place| place.uses == uses(id))?;
        let lease = place.lease.take()?;
        if place.uses < u32::MAX {
            self.free.push(at(id) as u32);
        }
        Some(lease)
    }

    /// A free place is not used again.
    pub(super) fn lose_free_place(&mut self) {
        self.free.pop();
    }

    /// Leases, and places for them.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.places.iter().filter(|place| place.lease.is_some()).count(), self.places.len())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.places.iter().enumerate().filter_map(|(at, place)| {
            let lease = place.lease.as_ref()?;
            Some((LeaseId(u64::from(place.uses) << 32 | at as u64), lease))
        })
    }
}

const fn at(id: LeaseId) -> usize {
    (id.0 & u32::MAX as u64) as usize
}

const fn uses(id: LeaseId) -> u32 {
    (id.0 >> 32) as u32
}
