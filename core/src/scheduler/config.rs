//! The settings of a scheduler.

use super::policy::{Chunking, PolicySpec};
use crate::reduce::LEAVES_MAX;
use crate::time::Span;

/// How a scheduler chooses, cuts leases, and when it gives workers up. [`Config::default`] is what real clusters use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a lease holds without a sign of life from its worker.
    pub lease: Span,
    /// Whose turn it is, how leases are cut, and whether tasks get a second lease.
    pub policy: PolicySpec,
    /// What [`Order::Random`](super::Order::Random) counts its draws from: the core rolls no dice, so with the same
    /// seed the same run repeats.
    pub seed: u64,
    /// Tasks per slot that a worker may always have, running or waiting.
    pub credit_tasks: u64,
    /// Work per slot that a worker may have waiting, as time.
    pub credit: Span,
    /// Input bytes that one lease may carry, unless a single task needs more.
    pub lease_bytes_max: u64,
    /// Unstarted tasks are called back from a busy worker for an idle one when that saves at least so much.
    pub recall_gain: Span,
    /// A job is paused when at least so many of its tasks were given up because they end their executors, or several times
    /// as many have ended one, while hardly any ended otherwise; 0 means never.
    pub pause_crashes: u32,
    /// Partial results that a reduction keeps apart; jobs of more tasks get wider leaves.
    pub leaves_max: u64,
    /// Bytes of partial results that one combine lease may carry, unless two alone have more.
    pub combine_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: Span::from_millis(10_000),
            policy: PolicySpec::default(),
            seed: 0,
            credit_tasks: 2,
            credit: Span(4 * Chunking::TARGET.0),
            lease_bytes_max: 4 << 20,
            recall_gain: Span::from_millis(2),
            pause_crashes: 20,
            leaves_max: LEAVES_MAX,
            combine_bytes_max: 60 << 20,
        }
    }
}
