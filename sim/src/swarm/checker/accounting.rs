//! What a worker has is the sum of its leases, and nothing when everything has ended.

use super::in_force::{Held, InForce};
use super::{Checker, Fact, Verdict, hold};
use muster_core::time::Time;

#[derive(Debug, Default)]
pub(super) struct Accounting {
    leases: InForce,
}

impl Checker for Accounting {
    fn name(&self) -> &'static str {
        "accounting"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        self.leases.follow(fact);
        match fact {
            Fact::Settled(scheduler) => {
                for worker in self.leases.workers.keys() {
                    let expected: u64 = self.leases.of(*worker).map(Held::units).sum();
                    let found = scheduler.worker_tasks(*worker);
                    hold!(found == Some(expected), "{worker} has {found:?} tasks and leases of {expected}");
                }
            }
            Fact::Over { scheduler, agents } => {
                let sizes = scheduler.sizes();
                hold!(sizes.leases == 0 && sizes.jobs == 0, "all has ended and {sizes:?} is left");
                hold!(scheduler.queued_tasks() == 0, "{} tasks are queued", scheduler.queued_tasks());
                for worker in self.leases.workers.keys() {
                    let tasks = scheduler.worker_tasks(*worker);
                    hold!(tasks == Some(0), "all has ended and {worker} has {tasks:?} tasks");
                }
                for agent in *agents {
                    let (tasks, sizes) = (agent.outstanding(), agent.sizes());
                    let empty = tasks == 0 && sizes.jobs == 0 && sizes.leases == 0 && sizes.turns == 0;
                    hold!(empty, "all has ended and an agent owes {tasks} tasks: {sizes:?}");
                }
            }
            _ => {}
        }
        Ok(())
    }
}
