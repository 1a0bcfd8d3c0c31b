//! No worker has more ahead than its credit: another lease goes only to a worker with fewer tasks than it may always
//! have, or with less than its credit in time. A lease counts at least an eighth of that.

use super::in_force::{Held, InForce};
use super::{Checker, Fact, Verdict, hold};
use muster_core::page::LEASE_TASKS_MAX;
use muster_core::scheduler::{Chunking, Config, GrantKind, Output};
use muster_core::time::Time;

/// Full leases that fill a credit however short they are, and what rounding may add.
const LEASES_AHEAD_MAX: f64 = 8.01;

#[derive(Debug)]
pub(super) struct Credits {
    leases: InForce,
    credit_tasks: u64,
    chunking: Chunking,
    leaf_max: u64,
}

impl Credits {
    pub(super) fn new(config: &Config) -> Self {
        // Fixed leases are rounded up to whole leaves; jobs here are far smaller than this.
        let leaf_max = 4_096 / config.leaves_max.clamp(1, 4_096);
        Self {
            leases: InForce::default(),
            credit_tasks: config.credit_tasks,
            chunking: config.policy.chunking,
            leaf_max,
        }
    }
}

impl Checker for Credits {
    fn name(&self) -> &'static str {
        "credits"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        if let Fact::Said { output: Output::Grant { worker, grant }, .. } = fact {
            let Some(&slots) = self.leases.workers.get(worker) else {
                return Err(format!("{worker} is not there and gets {}", grant.lease));
            };
            let tasks: u64 = self.leases.of(*worker).map(Held::units).sum();
            let ahead: f64 = self.leases.of(*worker).map(part).sum();
            hold!(
                tasks < slots * self.credit_tasks || ahead < LEASES_AHEAD_MAX,
                "{worker} of {slots} slots has {tasks} tasks, {ahead:.2} full leases, and gets {}",
                grant.lease
            );
            let length = grant.range.len();
            hold!(length > 0 && (length <= LEASE_TASKS_MAX || grant.kind != GrantKind::Run), "{grant:?}");
            if let (Chunking::Fixed(fixed), GrantKind::Run) = (self.chunking, &grant.kind) {
                hold!(length <= fixed.max(1) + 2 * self.leaf_max, "a lease of {fixed} tasks has {length}");
            }
        }
        self.leases.follow(fact);
        Ok(())
    }
}

fn part(held: &Held) -> f64 {
    if held.combines { 1.0 } else { held.tasks.len() as f64 / held.granted.len().max(1) as f64 }
}
