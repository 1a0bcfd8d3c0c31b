//! Schedulers from which a guarantee was taken away. Only builds with the feature `mutations` have them.

use super::Scheduler;
use crate::id::{LeaseId, WorkerId};
use crate::mutation::{Broken, Mutation};
use crate::range::{IndexRange, RangeSet};

impl Scheduler {
    /// Takes a guarantee away.
    pub fn mutate(&mut self, mutation: Mutation) {
        self.broken = Broken::new(mutation);
    }

    /// How often that made a difference.
    #[must_use]
    pub fn mutation_strikes(&self) -> u64 {
        self.broken.count()
    }

    /// The lease that a result is taken for: its own when that is in force, otherwise, without fencing, whichever has
    /// the tasks now.
    pub(super) fn unfenced(
        &mut self,
        worker: WorkerId,
        id: LeaseId,
        range: IndexRange,
    ) -> (WorkerId, LeaseId) {
        let in_force = self.leases.get(id).is_some_and(|lease| lease.worker == worker);
        if in_force || !self.broken.is(Mutation::NoFencing) {
            return (worker, id);
        }
        let has = |tasks: &RangeSet| tasks.overlap(range).next().is_some();
        let holder = self.leases.iter().find(|(_, lease)| lease.outstanding().is_some_and(has));
        let holder = holder.map(|(id, lease)| (lease.worker, id));
        if holder.is_some() {
            self.broken.strikes(Mutation::NoFencing);
        }
        holder.unwrap_or((worker, id))
    }
}
