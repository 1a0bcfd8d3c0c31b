//! Swarms of faults against the real scheduler and the real agents, with everything that must hold checked after each
//! step.
//!
//! A seed is a cluster, jobs, what their clients do, and which kinds of faults strike: messages lost, repeated and
//! reordered, machines that stop or stand still, partitions, executors that die with and without a trace, pages
//! written over, a coordinator that loses what its disk had not got, lies. After a while the faults stop, and then
//! everything must end within a bound. Compare FoundationDB's simulation and TigerBeetle's VOPR.
//!
//! [`run`] makes one run of a seed; the same seed and parameters make the same run, to the last event. [`shrink`] looks
//! for a smaller one that goes wrong in the same way.

mod checker;
mod client;
mod connection;
mod coordinator;
mod dice;
mod disk;
mod fault;
mod heal;
mod injector;
mod machine;
mod mutation;
mod network;
mod params;
mod partial;
mod report;
mod setting;
mod shrink;
mod thread;
mod worker;
mod world;

pub use checker::names as checker_names;
pub use fault::{Fault, Faults, Struck};
#[cfg(feature = "mutations")]
pub use mutation::{Mutation, Shell};
pub use params::Params;
pub use report::{Report, Violation};
pub use shrink::shrink;

/// How a run is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Is told every step, for people.
    pub trace: Option<fn(&str)>,
    /// A guarantee that is taken away.
    #[cfg(feature = "mutations")]
    pub mutation: Option<Mutation>,
}

impl Options {
    /// The same, with somebody else who follows, or nobody.
    #[must_use]
    pub const fn with_trace(mut self, trace: Option<fn(&str)>) -> Self {
        self.trace = trace;
        self
    }
}

/// Makes the run that a seed and its parameters stand for.
#[must_use]
pub fn run(seed: u64, params: &Params, options: Options) -> Report {
    report::watched(seed, params, options)
}
