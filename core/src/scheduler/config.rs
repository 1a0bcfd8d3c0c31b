//! The settings of a scheduler.

use crate::reduce::LEAVES_MAX;
use crate::time::Span;

/// How a scheduler cuts leases and when it gives workers up. [`Config::default`] is what real clusters use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a lease holds without a sign of life from its worker.
    pub lease: Span,
    /// How leases are cut.
    pub chunking: Chunking,
    /// Tasks per slot that a worker may always have, running or waiting.
    pub credit_tasks: u64,
    /// Work per slot that a worker may have waiting, as time.
    pub credit: Span,
    /// Input bytes that one lease may carry, unless a single task needs more.
    pub lease_bytes_max: u64,
    /// Unstarted tasks are called back from a busy worker for an idle one when that saves at least so much.
    pub recall_gain: Span,
    /// Partial results that a reduction keeps apart; jobs of more tasks get wider leaves.
    pub leaves_max: u64,
    /// Bytes of partial results that one combine lease may carry, unless two alone have more.
    pub combine_bytes_max: u64,
}

/// How long a lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunking {
    /// Always so many tasks.
    Fixed(u64),
    /// As many tasks as fill `target` on every slot of the worker, by the measured task time, and near the
    /// end of the job at most half of what is left, divided by all slots (factoring: Hummel, Schonberg and
    /// Flynn, "Factoring: a method for scheduling parallel loops", CACM 35(8), 1992).
    Adaptive {
        /// The time a lease should last.
        target: Span,
    },
}

impl Default for Config {
    fn default() -> Self {
        let target = Span::from_millis(100);
        Self {
            lease: Span::from_millis(10_000),
            chunking: Chunking::Adaptive { target },
            credit_tasks: 2,
            credit: Span(4 * target.0),
            lease_bytes_max: 4 << 20,
            recall_gain: Span::from_millis(2),
            leaves_max: LEAVES_MAX,
            combine_bytes_max: 60 << 20,
        }
    }
}
