//! The claims of a thread that has many tasks going: they end in any order, so each has a place of its own in the slot
//! record until all of its tasks have ended and their results were sent.

use muster_core::page::{Claim, PENDING_CLAIMS_MAX, SlotRecord};
use muster_core::range::IndexRange;

/// The claims whose results may not have been sent.
#[derive(Debug)]
pub(super) struct OpenClaims<'a> {
    record: &'a SlotRecord,
    /// By their places in the record.
    claims: Vec<Option<OpenClaim>>,
    free: Vec<usize>,
    /// Where the last one is, while more may be added to it.
    last: Option<usize>,
    /// All of their tasks have ended.
    ended: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct OpenClaim {
    entry: usize,
    generation: u16,
    range: IndexRange,
    /// Tasks that have not ended.
    left: u64,
}

impl<'a> OpenClaims<'a> {
    /// None.
    pub fn new(record: &'a SlotRecord) -> Self {
        let places = (0..PENDING_CLAIMS_MAX).rev();
        Self {
            record,
            claims: vec![None; PENDING_CLAIMS_MAX],
            free: places.collect(),
            last: None,
            ended: Vec::new(),
        }
    }

    /// Whether another claim has a place.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Writes down what is about to be claimed, or with an empty range that it was not.
    pub fn announce(&self, entry: usize, generation: u16, range: IndexRange) {
        let last = self.last.and_then(|at| Some((at, self.claims[at]?)));
        let place = self.free.last().copied();
        if range.is_empty() {
            // Somebody else was faster: whichever of the two was written is taken back.
            if let Some((at, claim)) = last {
                self.record.extend(at, claim.range.end);
            }
            if let Some(at) = place {
                self.record.announce(at, entry, generation, range);
            }
        } else if let Some((at, _)) = last.filter(|(_, claim)| claim.is_before(entry, generation, range)) {
            self.record.extend(at, range.end);
        } else if let Some(at) = place {
            self.record.announce(at, entry, generation, range);
        }
    }

    /// What was announced is taken; says its place.
    pub fn claimed(&mut self, entry: usize, claim: &Claim) -> Option<usize> {
        let (generation, range) = (claim.generation, claim.range);
        if let Some(at) = self.last
            && let Some(last) = &mut self.claims[at]
            && last.is_before(entry, generation, range)
        {
            last.range.end = range.end;
            last.left += range.len();
            self.ended.retain(|&place| place != at);
            return Some(at);
        }
        let at = self.free.pop()?;
        self.claims[at] = Some(OpenClaim { entry, generation, range, left: range.len() });
        self.last = Some(at);
        Some(at)
    }

    /// A task of the claim at a place has ended.
    pub fn end_one(&mut self, at: usize) {
        let Some(claim) = self.claims.get_mut(at).and_then(Option::as_mut) else { return };
        claim.left = claim.left.saturating_sub(1);
        if claim.left == 0 {
            self.ended.push(at);
        }
    }

    /// All results so far were sent.
    pub fn settle(&mut self) {
        for at in std::mem::take(&mut self.ended) {
            self.record.announce(at, 0, 0, IndexRange::default());
            self.claims[at] = None;
            self.free.push(at);
            if self.last == Some(at) {
                self.last = None;
            }
        }
    }
}

impl OpenClaim {
    fn is_before(&self, entry: usize, generation: u16, range: IndexRange) -> bool {
        self.entry == entry && self.generation == generation && self.range.end == range.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_core::page::LeaseFacts;

    fn take(claims: &mut OpenClaims<'_>, start: u64, end: u64) -> usize {
        let range = IndexRange::new(start, end);
        claims.announce(3, 7, range);
        claims.claimed(3, &Claim { generation: 7, range, facts: LeaseFacts::default() }).unwrap()
    }

    #[test]
    fn claims_end_in_any_order_and_are_shown_until_their_results_are_sent() {
        let record = SlotRecord::default();
        let shown = || record.pending().map(|(_, _, range)| range).collect::<Vec<_>>();
        let mut claims = OpenClaims::new(&record);
        let (first, far) = (take(&mut claims, 0, 2), take(&mut claims, 10, 12));
        assert_eq!(shown(), [IndexRange::new(0, 2), IndexRange::new(10, 12)]);
        assert_eq!(take(&mut claims, 12, 13), far, "neighbours share a place");
        claims.end_one(far);
        claims.end_one(far);
        claims.settle();
        assert_eq!(shown().len(), 2, "one of its tasks is still going");
        claims.end_one(far);
        assert_eq!(shown().len(), 2, "its results were not sent");
        claims.settle();
        assert_eq!(shown(), [IndexRange::new(0, 2)]);
        claims.end_one(first);
        claims.end_one(first);
        // More is claimed behind what has ended and was not sent.
        let second = take(&mut claims, 20, 21);
        claims.end_one(second);
        assert_eq!(take(&mut claims, 21, 22), second);
        claims.settle();
        assert_eq!(shown(), [IndexRange::new(20, 22)]);
    }

    #[test]
    fn lost_races_leave_no_trace_and_places_run_out() {
        let record = SlotRecord::default();
        let mut claims = OpenClaims::new(&record);
        claims.announce(3, 7, IndexRange::new(0, 5));
        claims.announce(3, 7, IndexRange::default());
        assert_eq!(record.pending().count(), 0);
        let at = take(&mut claims, 0, 5);
        claims.announce(3, 7, IndexRange::new(5, 9));
        claims.announce(3, 7, IndexRange::default());
        assert_eq!(record.pending().next().unwrap().2, IndexRange::new(0, 5));
        for number in 1..PENDING_CLAIMS_MAX as u64 {
            assert!(claims.has_room());
            take(&mut claims, number * 100, number * 100 + 1);
        }
        assert!(!claims.has_room());
        (0..5).for_each(|_| claims.end_one(at));
        claims.settle();
        assert!(claims.has_room());
    }
}
