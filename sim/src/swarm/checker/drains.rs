//! A worker is said to have finished once, when it was asked to, is still there, and has nothing left.

use super::in_force::InForce;
use super::{Checker, Fact, Verdict, hold};
use muster_core::id::WorkerId;
use muster_core::scheduler::Output;
use muster_core::time::Time;

#[derive(Debug, Default)]
pub(super) struct Drains {
    leases: InForce,
    /// Said to have finished in this step: the end of a job may take their last leases a little later.
    drained: Vec<WorkerId>,
}

impl Checker for Drains {
    fn name(&self) -> &'static str {
        "drains"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        self.leases.follow(fact);
        match fact {
            Fact::Said { output: Output::Drained { worker }, .. } => {
                hold!(self.leases.workers.contains_key(worker), "{worker} is gone and has drained");
                hold!(self.leases.draining.remove(worker), "{worker} was not asked to finish, or has before");
                self.drained.push(*worker);
            }
            Fact::Settled(_) => {
                for worker in self.drained.drain(..) {
                    let there = self.leases.workers.contains_key(&worker);
                    let left = self.leases.of(worker).count();
                    hold!(there && left == 0, "{worker} (there: {there}) has drained and has {left} leases");
                }
            }
            Fact::Restarted { .. } => self.drained.clear(),
            _ => {}
        }
        Ok(())
    }
}
