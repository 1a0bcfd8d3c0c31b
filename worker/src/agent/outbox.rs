//! Reports from when they are written until the coordinator says that they last. Those that may have been lost with a link
//! are sent again over the next one.

use muster_core::id::LeaseId;
use muster_core::range::{IndexRange, RangeSet};
use muster_proto::v1;
use prost::Message as _;
use std::collections::{BTreeMap, VecDeque};

/// Bytes of reports that are kept; with more, no executor is listened to until some last.
const OUTBOX_BYTES_MAX: usize = 64 << 20;

/// Reports that are kept, in their order. Leases have the names of this worker in them.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    kept: VecDeque<Kept>,
    /// So many of them, from the first on, were sent over this link.
    sent: usize,
    bytes: usize,
    last: u64,
}

#[derive(Debug)]
struct Kept {
    report: v1::Report,
    bytes: usize,
}

impl Outbox {
    /// Takes a report, and numbers it.
    pub fn push(&mut self, mut report: v1::Report) {
        self.last += 1;
        report.number = self.last;
        let bytes = report.encoded_len();
        self.bytes += bytes;
        self.kept.push_back(Kept { report, bytes });
    }

    /// Whether further reports may be written.
    pub const fn has_room(&self) -> bool {
        self.bytes < OUTBOX_BYTES_MAX
    }

    /// Whether nothing waits to last.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The next one to send.
    pub fn next(&mut self) -> Option<v1::Report> {
        let next = self.kept.get(self.sent)?;
        self.sent += 1;
        Some(next.report.clone())
    }

    /// Reports up to this number last.
    pub fn lasts(&mut self, number: u64) {
        while self.sent > 0 && self.kept.front().is_some_and(|kept| kept.report.number <= number) {
            let Some(kept) = self.kept.pop_front() else { return };
            self.bytes -= kept.bytes;
            self.sent -= 1;
        }
    }

    /// A new link stands: what was sent over the old one may not have arrived. Of that only results are sent again: what
    /// else was said the coordinator may have counted, and a failure that it has not is found again.
    pub fn rewind(&mut self) {
        for Kept { report, .. } in self.kept.iter_mut().take(self.sent) {
            let v1::Report { blocks, number, .. } = std::mem::take(report);
            *report = v1::Report { blocks, number, ..v1::Report::default() };
        }
        self.sent = 0;
        self.kept.iter_mut().for_each(|kept| forget_asides(&mut kept.report));
        self.kept.retain(|kept| {
            let stays = kept.report != v1::Report { number: kept.report.number, ..v1::Report::default() };
            self.bytes -= if stays { 0 } else { kept.bytes };
            stays
        });
    }

    /// Nobody waits for any of them any more.
    pub fn clear(&mut self) {
        (self.sent, self.bytes) = (0, 0);
        self.kept.clear();
    }

    /// Tasks whose results are kept, by lease; those of blocks that leave some out are not among them.
    pub fn results(&self) -> BTreeMap<LeaseId, RangeSet> {
        let mut tasks: BTreeMap<LeaseId, RangeSet> = BTreeMap::new();
        let blocks = self.kept.iter().flat_map(|kept| &kept.report.blocks);
        for block in blocks.filter(|block| block.skipped.is_empty()) {
            tasks
                .entry(LeaseId(block.lease))
                .or_default()
                .insert(IndexRange::from_count(block.start, block.count));
        }
        tasks
    }

    /// Leases that reports which are kept speak of.
    pub fn leases(&self) -> impl Iterator<Item = LeaseId> + '_ {
        let of = |report: &'_ v1::Report| {
            let blocks = report.blocks.iter().map(|block| block.lease);
            let failures = report.failures.iter().map(|failure| failure.lease);
            let returned = report.returned.iter().map(|returned| returned.lease);
            blocks.chain(failures).chain(returned).map(LeaseId).collect::<Vec<_>>()
        };
        self.kept.iter().flat_map(move |kept| of(&kept.report))
    }
}

/// Leaves of a report what another link may carry, too: results and failures. What was given back is nobody's, and a worker
/// that could not run a job may have been kept from it by the link.
pub(super) fn forget_asides(report: &mut v1::Report) {
    let v1::Report { blocks, failures, number, .. } = std::mem::take(report);
    *report = v1::Report { blocks, failures, number, ..v1::Report::default() };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(start: u64) -> v1::Report {
        let block = v1::ResultBlock { lease: 1, start, count: 10, ..v1::ResultBlock::default() };
        let failure = v1::TaskFailure { lease: 1, index: start + 10, ..v1::TaskFailure::default() };
        v1::Report { blocks: vec![block], failures: vec![failure], ..v1::Report::default() }
    }

    #[test]
    fn what_may_be_lost_is_sent_again_and_what_lasts_is_not() {
        let mut outbox = Outbox::default();
        [0, 100, 200].into_iter().for_each(|start| outbox.push(report(start)));
        let numbers = |outbox: &mut Outbox| -> Vec<u64> {
            std::iter::from_fn(|| outbox.next().map(|report| report.number)).collect()
        };
        assert_eq!(outbox.next().unwrap().number, 1);
        assert_eq!(outbox.next().unwrap().failures.len(), 1);
        outbox.lasts(1);
        outbox.rewind();
        assert_eq!(outbox.results()[&LeaseId(1)].iter().count(), 2);
        let again = outbox.next().unwrap();
        assert_eq!((again.number, again.blocks.len(), again.failures.len()), (2, 1, 0), "was sent before");
        assert_eq!(outbox.next().unwrap().failures.len(), 1, "was not");
        assert_eq!(numbers(&mut outbox), [0_u64; 0]);
        outbox.lasts(3);
        assert!(outbox.is_empty() && outbox.bytes == 0);
    }

    #[test]
    fn reports_are_kept_up_to_a_limit() {
        let mut outbox = Outbox::default();
        let packed = v1::Packed { data: vec![0; 1 << 20].into(), ..v1::Packed::default() };
        for _ in 0..64 {
            assert!(outbox.has_room());
            let block = v1::ResultBlock { results: Some(packed.clone()), ..v1::ResultBlock::default() };
            outbox.push(v1::Report { blocks: vec![block], ..v1::Report::default() });
        }
        assert!(!outbox.has_room());
        while outbox.next().is_some() {}
        outbox.lasts(1);
        assert!(outbox.has_room());
    }
}
