//! The scheduler's settings of a scenario.

use crate::scenario::Scheduling;
use muster_core::scheduler::Config;

/// The scheduler's settings; `seed` is for what a policy draws.
pub(crate) fn config(scheduling: &Scheduling, seed: u64) -> Config {
    Config {
        lease: scheduling.lease,
        policy: scheduling.policy.clone(),
        seed,
        credit_tasks: scheduling.credit_tasks,
        credit: scheduling.credit,
        // Faults of a scenario are wanted, and nobody is there who could let a paused job go on.
        pause_crashes: 0,
        ..Config::default()
    }
}
