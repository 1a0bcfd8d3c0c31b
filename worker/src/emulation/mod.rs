//! A worker that behaves as if it were elsewhere: behind a slow or broken link, on a slow machine.
//!
//! The link is emulated between HTTP/2 and the socket ([`relay`]), so that everything passes through it: heartbeats,
//! leases, results, plugin files, and the opening of the link itself. Slowness is emulated in the executors' threads
//! ([`Slowness`]). A worker that is told nothing of this runs without a line of it.

mod args;
mod cut;
mod link;
mod relay;
mod slow;

pub use args::EmulationArgs;
pub use cut::{Cut, Direction, Start};
pub use link::LinkModel;
pub use slow::Speed;

pub(crate) use relay::relay;
pub(crate) use slow::Slowness;

use std::time::Duration;

/// How a worker is to seem.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Emulation {
    /// Its link to the coordinator; both directions are alike.
    pub link: LinkModel,
    /// When the link carries nothing.
    pub cuts: Vec<Cut>,
    /// The instant that the times of the cuts count from. Without it there are no cuts.
    pub start: Option<Start>,
    /// Where the jitter comes from.
    pub seed: u64,
    /// Its speed.
    pub speed: Speed,
}

impl Emulation {
    /// Whether messages are held up.
    #[must_use]
    pub fn has_link(&self) -> bool {
        self.link != LinkModel::default() || !self.cuts.is_empty()
    }

    /// What a message and its answer take longer at the most, cuts aside.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        2 * (self.link.latency + self.link.jitter)
    }
}
