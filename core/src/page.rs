//! The claim words of the job page. Threads of every executor of a job take their tasks from these words,
//! and the agent calls unstarted tasks back through them. Worker and simulator use this same code: the
//! worker lays the records out in shared memory, the simulator in its own.
//!
//! A word packs a generation (16 bits), the next offset (24 bits) and the end offset (24 bits) of a lease.
//! The generation rises when an entry is used for another lease, so a thread that read an old word cannot
//! claim from the new lease by accident. A plugin can scribble on the page: nothing here is trusted for
//! more than speed and blame; results are checked against the lease.

use crate::range::IndexRange;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The longest lease, in tasks.
pub const LEASE_TASKS_MAX: u64 = OFFSET_MASK;
/// Lease entries of a page.
pub const ENTRIES: usize = 64;
/// Claims that a thread may hold without having sent their results.
pub const PENDING_CLAIMS_MAX: usize = 128;

const OFFSET_BITS: u32 = 24;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;

/// The three parts of a claim word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Which use of the entry this is.
    pub generation: u16,
    /// The offset of the first unclaimed task.
    pub next: u32,
    /// The offset behind the last task.
    pub end: u32,
}

impl Word {
    /// The word as it stands in the page.
    #[must_use]
    pub const fn pack(self) -> u64 {
        ((self.generation as u64) << (2 * OFFSET_BITS))
            | ((self.next as u64 & OFFSET_MASK) << OFFSET_BITS)
            | (self.end as u64 & OFFSET_MASK)
    }

    /// The parts of a word.
    #[must_use]
    pub const fn unpack(word: u64) -> Self {
        Self {
            generation: (word >> (2 * OFFSET_BITS)) as u16,
            next: ((word >> OFFSET_BITS) & OFFSET_MASK) as u32,
            end: (word & OFFSET_MASK) as u32,
        }
    }

    /// Tasks that nobody claimed.
    #[must_use]
    pub const fn unclaimed(self) -> u32 {
        self.end.saturating_sub(self.next)
    }
}

/// One lease as the page shows it. All zero is an entry without work.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct LeaseEntry {
    word: AtomicU64,
    /// The index of offset 0.
    base: AtomicU64,
    /// Where the inputs of the lease lie in the input arena, and their length; length 0: no inputs.
    inputs_at: AtomicU64,
    inputs_len: AtomicU64,
    /// Index of the first task that has an input there.
    inputs_base: AtomicU64,
    attempt: AtomicU32,
    /// What to do with the tasks; the worker's own code for it.
    kind: AtomicU32,
}

/// What an entry says beside its word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseFacts {
    /// The index of offset 0.
    pub base: u64,
    /// Place of the inputs in the arena.
    pub inputs_at: u64,
    /// Their length in bytes.
    pub inputs_len: u64,
    /// Index of the first task that has an input there.
    pub inputs_base: u64,
    /// The attempt number of the lease.
    pub attempt: u32,
    /// What to do with the tasks.
    pub kind: u32,
}

/// Tasks that a thread took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The entry's generation when they were taken.
    pub generation: u16,
    /// The indexes.
    pub range: IndexRange,
    /// What the entry said.
    pub facts: LeaseFacts,
}

impl LeaseEntry {
    /// Puts a lease into this entry and returns the generation it got. Only the agent publishes, and only
    /// when the entry has no unclaimed tasks. `range` must not be longer than [`LEASE_TASKS_MAX`].
    pub fn publish(&self, range: IndexRange, facts: LeaseFacts) -> u16 {
        debug_assert!(range.len() <= LEASE_TASKS_MAX);
        let generation = Word::unpack(self.word.load(Ordering::Relaxed)).generation.wrapping_add(1);
        // An empty word of the new generation first: whoever read the old one fails from here on.
        self.word.store(Word { generation, next: 0, end: 0 }.pack(), Ordering::SeqCst);
        self.base.store(range.start, Ordering::Relaxed);
        self.inputs_at.store(facts.inputs_at, Ordering::Relaxed);
        self.inputs_len.store(facts.inputs_len, Ordering::Relaxed);
        self.inputs_base.store(facts.inputs_base, Ordering::Relaxed);
        self.attempt.store(facts.attempt, Ordering::Relaxed);
        self.kind.store(facts.kind, Ordering::Relaxed);
        self.word.store(Word { generation, next: 0, end: range.len() as u32 }.pack(), Ordering::Release);
        generation
    }

    /// The word as it is now.
    #[must_use]
    pub fn word(&self) -> Word {
        Word::unpack(self.word.load(Ordering::Acquire))
    }

    /// Takes up to `size(unclaimed)` tasks. `announce` is told the range before it is taken and again, with
    /// an empty range, when somebody else was faster; it must record it where the agent finds it after a
    /// crash.
    pub fn claim(
        &self,
        mut size: impl FnMut(u32) -> u32,
        announce: impl FnMut(u16, IndexRange),
    ) -> Option<Claim> {
        self.claim_if(|_, unclaimed| size(unclaimed).max(1), announce)
    }

    /// Takes one task if it is the next of this entry. `announce` as in [`LeaseEntry::claim`].
    pub fn claim_one(&self, index: u64, announce: impl FnMut(u16, IndexRange)) -> Option<Claim> {
        self.claim_if(|start, _| u32::from(start == index), announce)
    }

    /// As [`LeaseEntry::claim`]; `size` is told the next index, too, and nothing is taken when it says 0.
    fn claim_if(
        &self,
        mut size: impl FnMut(u64, u32) -> u32,
        mut announce: impl FnMut(u16, IndexRange),
    ) -> Option<Claim> {
        let mut raw = self.word.load(Ordering::Acquire);
        loop {
            let word = Word::unpack(raw);
            let unclaimed = word.unclaimed();
            if unclaimed == 0 {
                return None;
            }
            let facts = self.facts();
            let start = facts.base.wrapping_add(u64::from(word.next));
            let take = size(start, unclaimed).min(unclaimed);
            if take == 0 {
                return None;
            }
            let range = IndexRange::from_count(start, u64::from(take));
            announce(word.generation, range);
            let after = Word { next: word.next + take, ..word }.pack();
            match self.word.compare_exchange_weak(raw, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(Claim { generation: word.generation, range, facts }),
                Err(now) => {
                    announce(word.generation, IndexRange::default());
                    raw = now;
                }
            }
        }
    }

    /// Takes back up to `count` unclaimed tasks from the end; says which. Only the agent calls back.
    pub fn call_back(&self, generation: u16, count: u64) -> IndexRange {
        let mut raw = self.word.load(Ordering::Acquire);
        loop {
            let word = Word::unpack(raw);
            let take = u64::from(word.unclaimed()).min(count) as u32;
            if word.generation != generation || take == 0 {
                return IndexRange::default();
            }
            let after = Word { end: word.end - take, ..word }.pack();
            match self.word.compare_exchange_weak(raw, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    let base = self.base.load(Ordering::Relaxed);
                    return IndexRange::from_count(
                        base.wrapping_add(u64::from(word.end - take)),
                        u64::from(take),
                    );
                }
                Err(now) => raw = now,
            }
        }
    }

    /// An entry without tasks that was used so often.
    pub fn begin(&self, generation: u16) {
        self.word.store(Word { generation, next: 0, end: 0 }.pack(), Ordering::SeqCst);
    }

    /// The tasks that nobody claimed; `None`: there are none.
    #[must_use]
    pub fn unclaimed(&self) -> Option<IndexRange> {
        let (word, base) = (self.word(), self.base.load(Ordering::Relaxed));
        let start = base.wrapping_add(u64::from(word.next));
        (word.unclaimed() > 0).then(|| IndexRange::from_count(start, u64::from(word.unclaimed())))
    }

    /// What it says beside its word.
    #[must_use]
    pub fn facts(&self) -> LeaseFacts {
        LeaseFacts {
            base: self.base.load(Ordering::Relaxed),
            inputs_at: self.inputs_at.load(Ordering::Relaxed),
            inputs_len: self.inputs_len.load(Ordering::Relaxed),
            inputs_base: self.inputs_base.load(Ordering::Relaxed),
            attempt: self.attempt.load(Ordering::Relaxed),
            kind: self.kind.load(Ordering::Relaxed),
        }
    }
}

/// A claim whose results were not sent yet, as a thread's record shows it.
#[repr(C)]
#[derive(Debug, Default)]
pub struct PendingClaim {
    /// Entry number and generation: `entry << 16 | generation`.
    place: AtomicU64,
    start: AtomicU64,
    end: AtomicU64,
}

/// What one executor thread says about itself. All zero is a thread that has not started.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct SlotRecord {
    /// The index being run, [`SlotRecord::IDLE`] when none; also moved inside a range call.
    pub current: AtomicU64,
    /// When the running claim began, or the running task where that is known, in nanoseconds of the machine's monotonic clock.
    pub started_ns: AtomicU64,
    /// Thread time spent in the plugin.
    pub busy_ns: AtomicU64,
    /// Time spent waiting for the lock that `gil` asks for.
    pub lock_wait_ns: AtomicU64,
    /// Tasks finished.
    pub tasks: AtomicU64,
    /// Not 0: the running task should stop.
    pub cancel: AtomicU32,
    /// Not 0: the thread sleeps because there is nothing to claim.
    pub parked: AtomicU32,
    /// How far the running task says it is, in the words of whoever calls it; 0 when it says nothing.
    pub progress: AtomicU64,
    /// Tasks that a thread has going which runs many at the same time, also while it runs none of their code.
    pub in_flight: AtomicU32,
    /// The attempt number of the running claim, written before its first task is; 0 where many claims run at once. Its entry
    /// may be of another lease by now.
    pub attempt: AtomicU32,
    /// The task whose arrival the thread sleeps for, [`SlotRecord::IDLE`] when none.
    pub awaited: AtomicU64,
    pending: [PendingClaim; PENDING_CLAIMS_MAX],
}

impl Default for SlotRecord {
    fn default() -> Self {
        Self {
            current: AtomicU64::default(),
            started_ns: AtomicU64::default(),
            busy_ns: AtomicU64::default(),
            lock_wait_ns: AtomicU64::default(),
            tasks: AtomicU64::default(),
            cancel: AtomicU32::default(),
            parked: AtomicU32::default(),
            progress: AtomicU64::default(),
            in_flight: AtomicU32::default(),
            attempt: AtomicU32::default(),
            awaited: AtomicU64::new(Self::IDLE),
            pending: core::array::from_fn(|_| PendingClaim::default()),
        }
    }
}

impl SlotRecord {
    /// `current` of a thread that runs no task.
    pub const IDLE: u64 = u64::MAX;

    /// Whether the thread has a task.
    pub fn is_busy(&self) -> bool {
        self.current.load(Ordering::Relaxed) != Self::IDLE || self.in_flight.load(Ordering::Relaxed) != 0
    }

    /// Records a claim at ring position `at`; an empty range clears it.
    pub fn announce(&self, at: usize, entry: usize, generation: u16, range: IndexRange) {
        let Some(pending) = self.pending.get(at) else { return };
        pending.end.store(range.start, Ordering::Relaxed);
        pending.place.store((entry as u64) << 16 | u64::from(generation), Ordering::Relaxed);
        pending.start.store(range.start, Ordering::Relaxed);
        // The end last: a record that is half written shows an empty range.
        pending.end.store(range.end, Ordering::SeqCst);
    }

    /// Moves the end of the claim at ring position `at`, when the next tasks of the same use of the same entry
    /// are claimed right behind it, or were not after all. One store: at no time is the claim not there.
    pub fn extend(&self, at: usize, end: u64) {
        if let Some(pending) = self.pending.get(at) {
            pending.end.store(end, Ordering::SeqCst);
        }
    }

    /// Forgets the claims at the first `places` ring positions: their results were sent.
    pub fn settle(&self, places: usize) {
        for pending in self.pending.iter().take(places) {
            pending.end.store(0, Ordering::Relaxed);
            pending.start.store(0, Ordering::Relaxed);
        }
    }

    /// The claims whose results were not sent: entry, generation, indexes.
    pub fn pending(&self) -> impl Iterator<Item = (usize, u16, IndexRange)> + '_ {
        self.pending.iter().filter_map(|pending| {
            let end = pending.end.load(Ordering::SeqCst);
            let place = pending.place.load(Ordering::Relaxed);
            let range = IndexRange::new(pending.start.load(Ordering::Relaxed), end);
            (!range.is_empty()).then_some(((place >> 16) as usize, place as u16, range))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn facts(base: u64) -> LeaseFacts {
        LeaseFacts { base, attempt: 1, ..LeaseFacts::default() }
    }

    #[test]
    fn words_survive_packing() {
        let word = Word { generation: 0xbeef, next: 0x00ab_cdef, end: 0x00fe_dcba };
        assert_eq!(Word::unpack(word.pack()), word);
    }

    #[test]
    fn claims_and_callbacks_split_a_lease_exactly() {
        let entry = LeaseEntry::default();
        let generation = entry.publish(IndexRange::new(100, 120), facts(100));
        let first = entry.claim(|_| 7, |_, _| {}).unwrap();
        assert_eq!(first.range, IndexRange::new(100, 107));
        assert_eq!(entry.call_back(generation, 5), IndexRange::new(115, 120));
        assert_eq!(entry.call_back(generation.wrapping_add(1), 5), IndexRange::default());
        let second = entry.claim(|_| 100, |_, _| {}).unwrap();
        assert_eq!(second.range, IndexRange::new(107, 115));
        assert!(entry.claim(|_| 1, |_, _| {}).is_none());
        assert_eq!(entry.call_back(generation, 5), IndexRange::default());
    }

    #[test]
    fn one_task_is_taken_only_when_it_is_the_next() {
        let entry = LeaseEntry::default();
        entry.publish(IndexRange::new(5, 7), facts(5));
        assert_eq!(entry.claim_one(6, |_, _| panic!("nothing is announced that is not there")), None);
        assert_eq!(entry.claim_one(5, |_, _| {}).unwrap().range, IndexRange::new(5, 6));
        assert_eq!(entry.claim_one(5, |_, _| {}), None);
        assert_eq!(entry.claim_one(6, |_, _| {}).unwrap().range, IndexRange::new(6, 7));
        assert_eq!(entry.claim_one(7, |_, _| {}), None);
    }

    #[test]
    fn a_claim_is_announced_before_it_is_taken() {
        let (entry, slot) = (LeaseEntry::default(), SlotRecord::default());
        let generation = entry.publish(IndexRange::new(5, 9), facts(5));
        entry
            .claim(
                |_| 2,
                |generation, range| {
                    assert_eq!(entry.word().unclaimed(), 4, "announced while nothing is taken");
                    slot.announce(3, 11, generation, range);
                },
            )
            .unwrap();
        assert_eq!(slot.pending().collect::<Vec<_>>(), [(11, generation, IndexRange::new(5, 7))]);
        slot.extend(3, 9);
        assert_eq!(slot.pending().collect::<Vec<_>>(), [(11, generation, IndexRange::new(5, 9))]);
        slot.settle(4);
        assert_eq!(slot.pending().count(), 0);
    }

    #[test]
    fn threads_claim_every_task_once() {
        let entry = LeaseEntry::default();
        let generation = entry.publish(IndexRange::new(0, 100_000), facts(0));
        let (mut claimed, back) = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|taker| {
                    let entry = &entry;
                    scope.spawn(move || {
                        let mut ranges = Vec::new();
                        while let Some(claim) = entry.claim(|_| 1 + taker, |_, _| {}) {
                            ranges.push(claim.range);
                        }
                        ranges
                    })
                })
                .collect();
            let mut back = Vec::new();
            for _ in 0..50 {
                back.push(entry.call_back(generation, 100));
            }
            (takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect::<Vec<_>>(), back)
        });
        claimed.extend(back.into_iter().filter(|range| !range.is_empty()));
        claimed.sort();
        assert!(claimed.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!((claimed[0].start, claimed.last().unwrap().end), (0, 100_000));
    }
}
