//! The names of things: plain numbers, each in a type of its own.

use core::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($number:ty), $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $number);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    )*};
}

ids! {
    /// A job. Rises by one with each submit, over all lives of a coordinator.
    JobId(u64), "job ";
    /// A worker as this life of the coordinator knows it. Never used twice within an epoch.
    WorkerId(u64), "worker ";
    /// A lease. Never used twice within an epoch.
    LeaseId(u64), "lease ";
    /// One life of the coordinator.
    Epoch(u64), "epoch ";
    /// One life of a worker, drawn at random when its agent starts.
    Incarnation(u64), "incarnation ";
    /// An executor, counted by its agent.
    ExecutorId(u64), "executor ";
    /// A position in the store's log. An effect that waits for position p may happen once p is durable.
    LogPos(u64), "log position ";
}
