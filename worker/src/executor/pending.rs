//! The claims that a thread's slot record shows: what the agent will count as lost when this process dies.

use muster_core::page::{Claim, PENDING_CLAIMS_MAX, SlotRecord};
use muster_core::range::IndexRange;

/// The claims in the slot record whose results may not have been sent.
#[derive(Debug)]
pub(super) struct Pending<'a> {
    record: &'a SlotRecord,
    claims: usize,
    /// Entry, generation and tasks of the last one.
    last: (usize, u16, IndexRange),
}

impl<'a> Pending<'a> {
    /// None.
    pub const fn new(record: &'a SlotRecord) -> Self {
        Self { record, claims: 0, last: (0, 0, IndexRange { start: 0, end: 0 }) }
    }

    /// Whether no place of the record is taken.
    pub const fn is_empty(&self) -> bool {
        self.claims == 0
    }

    /// Whether every place of the record is taken.
    pub const fn is_full(&self) -> bool {
        self.claims == PENDING_CLAIMS_MAX
    }

    /// Writes down what is about to be claimed, or with an empty range that it was not.
    pub fn announce(&self, entry: usize, generation: u16, range: IndexRange) {
        if range.is_empty() {
            // Somebody else was faster: whichever of the two was written is taken back.
            if self.claims > 0 {
                self.record.extend(self.claims - 1, self.last.2.end);
            }
            self.record.announce(self.claims, entry, generation, range);
        } else if self.extends_last(entry, generation, range) {
            self.record.extend(self.claims - 1, range.end);
        } else {
            self.record.announce(self.claims, entry, generation, range);
        }
    }

    fn extends_last(&self, entry: usize, generation: u16, range: IndexRange) -> bool {
        let (last_entry, last_generation, last) = self.last;
        self.claims > 0 && last_entry == entry && last_generation == generation && last.end == range.start
    }

    /// What was announced is taken.
    pub fn claimed(&mut self, entry: usize, claim: &Claim) {
        if self.extends_last(entry, claim.generation, claim.range) {
            self.last.2.end = claim.range.end;
        } else {
            self.last = (entry, claim.generation, claim.range);
            self.claims += 1;
        }
    }

    /// All results were sent.
    pub fn settle(&mut self) {
        self.record.settle(self.claims);
        self.claims = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_core::page::LeaseFacts;

    fn claim(generation: u16, range: IndexRange) -> Claim {
        Claim { generation, range, facts: LeaseFacts::default() }
    }

    #[test]
    fn neighbouring_claims_share_a_place_and_lost_races_leave_no_trace() {
        let record = SlotRecord::default();
        let shown = || record.pending().collect::<Vec<_>>();
        let mut pending = Pending::new(&record);
        let (first, next, far) = (IndexRange::new(0, 5), IndexRange::new(5, 9), IndexRange::new(20, 30));
        pending.announce(3, 7, first);
        pending.announce(3, 7, IndexRange::default());
        assert_eq!(shown(), []);
        pending.announce(3, 7, first);
        pending.claimed(3, &claim(7, first));
        pending.announce(3, 7, next);
        assert_eq!(shown(), [(3, 7, IndexRange::new(0, 9))]);
        pending.announce(3, 7, IndexRange::default());
        assert_eq!(shown(), [(3, 7, first)]);
        pending.announce(3, 7, next);
        pending.claimed(3, &claim(7, next));
        pending.announce(3, 8, far);
        pending.claimed(3, &claim(8, far));
        assert_eq!(shown(), [(3, 7, IndexRange::new(0, 9)), (3, 8, far)]);
        pending.settle();
        assert_eq!((shown(), pending.is_empty()), (vec![], true));
    }
}
