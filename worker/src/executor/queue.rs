//! The queue of a job whose tasks arrive one after the other, as one of its threads sees it. The tasks that arrived and that
//! nobody has claimed are the queue; free threads take its lowest task each. So the threads of all executors are the
//! servers of one queue, first come, first served.
//!
//! A thread without a due task sleeps until one arrives, and claims it then, not before: until then it can be called back,
//! and no thread that dies or may not claim any more keeps it from the others. Sleeping threads await a task each, so that an
//! arrival wakes one of them.

use crate::os::monotonic_ns;
use crate::page::{JobPage, KIND_RUN};
use muster_core::arrivals::{Arrivals, Timetable};
use muster_core::page::SlotRecord;
use muster_core::range::IndexRange;
use std::sync::atomic::Ordering::SeqCst;

/// How often a thread chooses a task that another one chooses at the same time.
const CHOICES_MAX: u32 = 16;

/// The queue, for the thread of one slot.
#[derive(Debug)]
pub(super) struct Queue<'a> {
    page: &'a JobPage,
    slot: u32,
    timetable: Timetable,
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A task that has arrived.
    Due(Arrival),
    /// The first of those that have not, and when it will, by the machine's monotonic clock.
    Later(u64, u64),
    /// Nothing until the page changes.
    Nothing,
}

/// A task that has arrived and that nobody had claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub entry: usize,
    pub index: u64,
    /// When it was due; `None`: it does not arrive, it is there (partial results to combine).
    pub due_ns: Option<u64>,
}

impl<'a> Queue<'a> {
    /// The queue of a job with this seed.
    pub const fn new(page: &'a JobPage, slot: u32, arrivals: Arrivals, seed: u64) -> Self {
        Self { page, slot, timetable: Timetable::new(arrivals, seed) }
    }

    /// The lowest task that nobody has claimed. Those that are tried again are long due.
    pub fn next(&mut self) -> Next {
        let Some(zero_ns) = self.page.zero_ns() else { return Next::Nothing };
        let Some((entry, index, kind)) = self.page.lowest() else { return Next::Nothing };
        if kind != KIND_RUN {
            return Next::Due(Arrival { entry, index, due_ns: None });
        }
        let due_ns = zero_ns.saturating_add(self.timetable.due(index).0);
        if due_ns <= monotonic_ns() {
            Next::Due(Arrival { entry, index, due_ns: Some(due_ns) })
        } else {
            Next::Later(index, due_ns)
        }
    }

    /// Takes a task upon this thread that no other sleeping thread awaits, and says when it arrives.
    pub fn await_one(&mut self) -> u64 {
        let Some(zero_ns) = self.page.zero_ns() else { return u64::MAX };
        let mut chosen = None;
        // Two may choose the same at the same time; whoever sees it chooses again. When both go on doing so, both wake for it.
        for _ in 0..CHOICES_MAX {
            let mut awaited: Vec<u64> = self.page.awaited(self.slot).collect();
            awaited.sort_unstable();
            let Some(index) = first_but(&self.page.unclaimed(KIND_RUN), &awaited) else { break };
            self.set_awaited(index);
            chosen = Some(index);
            if !self.page.awaited(self.slot).any(|other| other == index) {
                break;
            }
        }
        chosen.map_or(u64::MAX, |index| zero_ns.saturating_add(self.timetable.due(index).0))
    }

    /// This thread does not sleep for a task any more; says whether it did.
    pub fn is_awake(&self) -> bool {
        self.page.slot(self.slot).is_some_and(|record| {
            record.awaited.load(SeqCst) != SlotRecord::IDLE
                && record.awaited.swap(SlotRecord::IDLE, SeqCst) != SlotRecord::IDLE
        })
    }

    fn set_awaited(&self, index: u64) {
        if let Some(record) = self.page.slot(self.slot) {
            record.awaited.store(index, SeqCst);
        }
    }
}

/// The lowest index of these ranges, which are in order, that is not among the others, which are, too.
fn first_but(ranges: &[IndexRange], others: &[u64]) -> Option<u64> {
    let is_other = |index: &u64| others.binary_search(index).is_ok();
    ranges.iter().find_map(|range| (range.start..range.end).find(|index| !is_other(index)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_core::arrivals::Pattern;
    use muster_core::page::LeaseFacts;

    fn page() -> JobPage {
        JobPage::create(3).unwrap()
    }

    fn queue(page: &JobPage, slot: u32, rate_per_s: f64) -> Queue<'_> {
        Queue::new(page, slot, Arrivals::try_new(rate_per_s, Pattern::Constant).unwrap(), 1)
    }

    fn publish(page: &JobPage, entry: usize, range: IndexRange, kind: u32) {
        page.publish(entry, range, LeaseFacts { base: range.start, kind, ..LeaseFacts::default() });
    }

    #[test]
    fn nothing_arrives_before_the_zero_and_then_the_lowest_first() {
        let page = page();
        let mut queue = queue(&page, 0, 1e-3);
        publish(&page, 4, IndexRange::new(5, 9), KIND_RUN);
        publish(&page, 7, IndexRange::new(0, 2), KIND_RUN);
        assert_eq!((queue.next(), queue.await_one()), (Next::Nothing, u64::MAX));
        let zero_ns = monotonic_ns();
        page.set_zero(zero_ns);
        assert_eq!(queue.next(), Next::Due(Arrival { entry: 7, index: 0, due_ns: Some(zero_ns) }));
        let taken = page.entries()[7].claim_one(0, |_, _| {}).unwrap();
        assert_eq!(taken.range, IndexRange::new(0, 1));
        assert_eq!(queue.next(), Next::Later(1, zero_ns + 1_000_000_000_000));
        publish(&page, 9, IndexRange::new(3, 4), crate::page::KIND_COMBINE);
        assert_eq!(queue.next(), Next::Due(Arrival { entry: 9, index: 3, due_ns: None }));
    }

    #[test]
    fn sleeping_threads_await_a_task_each() {
        let page = page();
        page.set_zero(monotonic_ns());
        publish(&page, 0, IndexRange::new(10, 12), KIND_RUN);
        publish(&page, 1, IndexRange::new(4, 5), KIND_RUN);
        let mut queues = [0, 1, 2].map(|slot| queue(&page, slot, 1e-3));
        let awaited = |page: &JobPage| [0, 1, 2].map(|slot| page.slot(slot).unwrap().awaited.load(SeqCst));
        let due: Vec<u64> = queues.iter_mut().map(Queue::await_one).collect();
        assert_eq!(awaited(&page), [4, 10, 11]);
        assert!(due.is_sorted() && due[2] < u64::MAX);
        assert!(queues[1].is_awake() && !queues[1].is_awake());
        assert_eq!(awaited(&page), [4, SlotRecord::IDLE, 11]);
        // One whose executor has died keeps nothing from the others.
        page.clear_slots(0, 1);
        queues[1].await_one();
        assert_eq!(awaited(&page), [SlotRecord::IDLE, 4, 11]);
        // More threads than tasks.
        assert_eq!(
            page.entries()[0].call_back(page.entries()[0].word().generation, 1),
            IndexRange::new(11, 12)
        );
        queues[0].await_one();
        assert_eq!((awaited(&page)[0], queues[0].is_awake()), (10, true));
        page.entries()[0].claim_one(10, |_, _| {}).unwrap();
        assert_eq!(queues[0].await_one(), u64::MAX);
    }
}
