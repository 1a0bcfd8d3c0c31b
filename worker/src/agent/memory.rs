//! Memory of the worker and its executors. Reading it takes the kernel a while for a large process, so it is
//! read no more often than its cost allows.

use crate::os::proc_file::pss_bytes;
use muster_core::time::{Span, Time};

/// The shortest time between two readings.
const INTERVAL_MIN: Span = Span::from_millis(3_000);
/// Reading takes at most one part in this many of a CPU.
const COST_SHARE: u64 = 1_000;
/// And in this many while executors come and go, so that the peak of a short job is seen.
const HURRIED_SHARE: u64 = 50;

/// The last reading.
#[derive(Debug, Default)]
pub(super) struct Memory {
    bytes: u64,
    next: Time,
    /// The time before which nothing is read, whatever happens.
    earliest: Time,
}

impl Memory {
    /// Proportional set size of this process and `children`, as of the last reading or now.
    pub fn bytes(&mut self, now: Time, children: impl Iterator<Item = u32>) -> u64 {
        if now < self.next {
            return self.bytes;
        }
        let begun = crate::os::monotonic_ns();
        let own = pss_bytes("self").unwrap_or(0);
        // A child may end at any time; then it has no memory.
        self.bytes = own + children.filter_map(|pid| pss_bytes(&pid.to_string())).sum::<u64>();
        let cost = crate::os::monotonic_ns().saturating_sub(begun);
        self.next = now + Span(INTERVAL_MIN.0.max(cost.saturating_mul(COST_SHARE)));
        self.earliest = now + Span(cost.saturating_mul(HURRIED_SHARE));
        self.bytes
    }

    /// The last reading is out of date; gives the time from which on it is done anew.
    pub fn expire(&mut self, now: Time) -> Time {
        self.next = self.next.min(self.earliest.max(now));
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_itself_and_remembers() {
        let mut memory = Memory::default();
        let first = memory.bytes(Time(1), std::iter::empty());
        assert!(first > 100 << 10, "{first}");
        let unread = memory.bytes(Time(2), std::iter::once_with(|| panic!("read again too soon")));
        assert_eq!(unread, first);
        let next = memory.expire(Time(3));
        assert!(next > Time(3), "{next:?}");
        assert_eq!(memory.bytes(Time(next.0 - 1), std::iter::once_with(|| panic!("too often"))), first);
        assert!(memory.bytes(next, [u32::MAX].into_iter()) > 0);
    }
}
