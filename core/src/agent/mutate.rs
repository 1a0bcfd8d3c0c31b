//! Agents from which a guarantee was taken away. Only builds with the feature `mutations` have them.

use super::Agent;
use crate::mutation::{Broken, Mutation};

impl Agent {
    /// Takes a guarantee away.
    pub fn mutate(&mut self, mutation: Mutation) {
        self.broken = Broken::new(mutation);
    }

    /// How often that made a difference.
    #[must_use]
    pub const fn mutation_strikes(&self) -> u64 {
        self.broken.count()
    }
}
