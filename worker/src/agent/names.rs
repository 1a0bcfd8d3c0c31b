//! What leases are called here and by the coordinator. Here a lease keeps its name for as long as its tasks are here; the
//! coordinator gives it another one when this worker comes back with it.

use muster_core::id::{JobId, LeaseId};
use std::collections::BTreeMap;

/// Names that are kept beyond those in use before they are looked through.
const SPARE_NAMES: usize = 64;

/// The names of leases, also of those that ended while reports of them may be sent again.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: BTreeMap<LeaseId, Name>,
    last: u64,
    /// Names at which those without use are dropped.
    sweep_at: usize,
}

/// A lease as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// What the coordinator calls it; `None`: it is of no use to it.
    pub wire: Option<LeaseId>,
    pub job: JobId,
    pub attempt: u32,
    /// It counts as a whole: what comes of it is not what its tasks give one by one.
    pub whole: bool,
}

impl Names {
    /// A name of our own for a lease that was just granted.
    pub fn add(&mut self, wire: LeaseId, job: JobId, attempt: u32, whole: bool) -> LeaseId {
        self.last += 1;
        let ours = LeaseId(self.last);
        self.names.insert(ours, Name { wire: Some(wire), job, attempt, whole });
        ours
    }

    pub fn get(&self, ours: LeaseId) -> Option<Name> {
        self.names.get(&ours).copied()
    }

    /// What the coordinator calls a lease.
    pub fn wire(&self, ours: LeaseId) -> Option<LeaseId> {
        self.names.get(&ours)?.wire
    }

    /// What a lease of the coordinator is called here.
    pub fn ours(&self, wire: LeaseId) -> Option<LeaseId> {
        self.names.iter().find(|(_, name)| name.wire == Some(wire)).map(|(&ours, _)| ours)
    }

    /// Takes up what the coordinator calls them from now on; all others mean nothing to it.
    pub fn rename(&mut self, adopted: impl Iterator<Item = (LeaseId, LeaseId)>) {
        self.names.values_mut().for_each(|name| name.wire = None);
        for (ours, wire) in adopted {
            if let Some(name) = self.names.get_mut(&ours) {
                name.wire = Some(wire);
            }
        }
    }

    /// Drops names without use, now and then.
    pub fn sweep(&mut self, mut is_used: impl FnMut(LeaseId) -> bool) {
        if self.names.len() >= self.sweep_at {
            self.names.retain(|&ours, _| is_used(ours));
            self.sweep_at = 2 * self.names.len() + SPARE_NAMES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_keeps_its_name_here_whatever_the_coordinator_calls_it() {
        let mut names = Names::default();
        let first = names.add(LeaseId(7), JobId(1), 2, false);
        let second = names.add(LeaseId(9), JobId(1), 1, false);
        assert_eq!((names.wire(first), names.ours(LeaseId(9))), (Some(LeaseId(7)), Some(second)));
        names.rename([(second, LeaseId(7))].into_iter());
        assert_eq!((names.wire(first), names.wire(second)), (None, Some(LeaseId(7))));
        assert_eq!(names.ours(LeaseId(7)), Some(second));
        assert_eq!(names.get(first), Some(Name { wire: None, job: JobId(1), attempt: 2, whole: false }));
        // A new lease may have the number of an old one.
        let third = names.add(LeaseId(9), JobId(2), 1, true);
        assert!(third != first && third != second);
    }

    #[test]
    fn names_without_use_do_not_pile_up() {
        let mut names = Names::default();
        for lease in 0..10_000 {
            let ours = names.add(LeaseId(lease), JobId(1), 1, false);
            names.sweep(|name| name == ours);
            assert!(names.names.len() <= SPARE_NAMES + 3);
        }
    }
}
