//! Waiting for a peer: others compute meanwhile, and it ends when the task should stop.

use super::ChannelError;
use crate::services::HostServices;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Whoever waits looks this often whether its task should stop and whether the peer is alive.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// The task that waits.
pub(super) struct Waiting<'a> {
    pub services: &'a dyn HostServices,
    pub slot: u32,
    pub cancel: &'a AtomicU32,
    pub deadline_ns: u64,
}

impl Waiting<'_> {
    /// Whether the task may go on.
    pub fn check(&self) -> Result<(), ChannelError> {
        let is_over = || self.deadline_ns != u64::MAX && self.services.now_ns() >= self.deadline_ns;
        if self.cancel.load(Relaxed) != 0 || is_over() { Err(ChannelError::Cancelled) } else { Ok(()) }
    }

    /// Calls `attempt` until it gives something; it waits for no longer than [`LOOK`] each time.
    pub fn until<T>(
        &self,
        mut attempt: impl FnMut() -> Result<Option<T>, ChannelError>,
    ) -> Result<T, ChannelError> {
        self.services.blocking_begin(self.slot);
        let waited = loop {
            match attempt().transpose() {
                Some(ended) => break ended,
                None => {
                    if let Err(stopped) = self.check() {
                        break Err(stopped);
                    }
                }
            }
        };
        self.services.blocking_end(self.slot);
        waited
    }
}
