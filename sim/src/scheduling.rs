//! The scheduler's settings of a scenario.

use crate::scenario::Scheduling;
use muster_core::scheduler::{Chunking, Config};

/// The scheduler's settings; `seed` is for what a policy draws.
pub(crate) fn config(scheduling: &Scheduling, _seed: u64) -> Config {
    let fixed = scheduling.policy.split('+').find_map(|word| word.strip_prefix("fixed:")?.parse().ok());
    Config {
        lease: scheduling.lease,
        credit_tasks: scheduling.credit_tasks,
        credit: scheduling.credit,
        chunking: fixed.map_or(Config::default().chunking, Chunking::Fixed),
        ..Config::default()
    }
}
