//! A worker is said to have finished once, when it was asked to, is still there, and has nothing left.

use super::in_force::InForce;
use super::{Checker, Fact, Verdict, hold};
use muster_core::scheduler::Output;
use muster_core::time::Time;

#[derive(Debug, Default)]
pub(super) struct Drains {
    leases: InForce,
}

impl Checker for Drains {
    fn name(&self) -> &'static str {
        "drains"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        self.leases.follow(fact);
        if let Fact::Said { output: Output::Drained { worker }, .. } = fact {
            hold!(self.leases.workers.contains_key(worker), "{worker} is gone and has drained");
            hold!(self.leases.draining.remove(worker), "{worker} was not asked to finish, or has before");
            let left = self.leases.of(*worker).count();
            hold!(left == 0, "{worker} has drained and has {left} leases");
        }
        Ok(())
    }
}
