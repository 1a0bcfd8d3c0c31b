//! The job page: one shared file per job and worker, mapped by the agent and the executors of the job. The
//! agent puts leases into it, executor threads take tasks out of it and say in their slot records what they
//! are doing. See [`muster_core::page`] for the records; this module lays them out, wakes and sleeps.
//!
//! The agent never believes the page more than it must: sizes come from its own memory, results are checked against
//! leases, and what only the agent writes is compared with what it knows. A page that a plugin scribbled on can cost
//! speed and blame, never results.

mod layout;
#[cfg(test)]
mod tests;

use crate::os::memory::{self, Access, Mapping};
use crate::os::monotonic_ns;
use layout::{Fixed, MAGIC, VERSION, size_for};
use muster_core::page::{Claim, ENTRIES, LeaseEntry, LeaseFacts, PENDING_CLAIMS_MAX, SlotRecord};
use muster_core::range::IndexRange;
use muster_plugin_host::{NOTHING_DONE, done_share, futex};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

/// The most slots of one job on one worker.
pub const SLOTS_MAX: u32 = 4_096;

/// What to do with the tasks of an entry: run them.
pub const KIND_RUN: u32 = 1;
/// Combine partial results to one; a lease of this kind stands in the page as one task.
pub const KIND_COMBINE: u32 = 2;
/// Combine partial results to the job's output.
pub const KIND_FINISH: u32 = 3;

/// A page as one process sees it.
#[derive(Debug)]
pub struct JobPage {
    fd: OwnedFd,
    mapping: Mapping,
    slots: u32,
}

/// What the agent knows to stand in an entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// Its generation.
    pub generation: u16,
    /// The offset behind its last task.
    pub end: u32,
    /// What it says beside its word.
    pub facts: LeaseFacts,
}

/// Why a descriptor is not a job page that this build understands.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A call failed.
    #[error("job page: {0}")]
    Io(#[from] io::Error),
    /// Nothing that muster made.
    #[error("job page: the file is {len} bytes long and does not begin like a job page")]
    NotAPage {
        /// Its length.
        len: u64,
    },
    /// Made by another build.
    #[error("job page: layout {found}, this executor knows {VERSION}; agent and executor must be one build")]
    OtherLayout {
        /// The layout number in it.
        found: u32,
    },
    /// Too short for what it says, or too many slots.
    #[error("job page: {slots} slots do not fit into {len} bytes (at most {SLOTS_MAX} slots)")]
    WrongSize {
        /// The slots it claims to have.
        slots: u32,
        /// Its length.
        len: u64,
    },
}

impl JobPage {
    /// Makes a page with that many slots and no tasks; every slot may claim.
    pub fn create(slots: u32) -> Result<Self, PageError> {
        let len = size_for(slots);
        if slots == 0 || slots > SLOTS_MAX {
            return Err(PageError::WrongSize { slots, len: len as u64 });
        }
        let fd = memory::shared_file(c"muster-page", len as u64)?;
        let mapping = Mapping::new(fd.as_fd(), len, Access::ReadWrite)?;
        let page = Self { fd, mapping, slots };
        let header = &page.fixed().header;
        header.magic.store(MAGIC, Relaxed);
        header.version.store(VERSION, Relaxed);
        header.slots.store(slots, Relaxed);
        header.allowed.store(slots, SeqCst);
        page.slot_records().iter().for_each(|slot| slot.current.store(SlotRecord::IDLE, Relaxed));
        Ok(page)
    }

    /// Maps a page that an agent made.
    pub fn map(fd: OwnedFd) -> Result<Self, PageError> {
        let len = memory::len(fd.as_fd())?;
        if len < size_of::<Fixed>() as u64 || len > size_for(SLOTS_MAX) as u64 {
            return Err(PageError::NotAPage { len });
        }
        let mapping = Mapping::new(fd.as_fd(), len as usize, Access::ReadWrite)?;
        // A child of a plugin that returns from its task instead of ending would claim tasks a second time.
        mapping.hide_from_children()?;
        let mut page = Self { fd, mapping, slots: 0 };
        let header = &page.fixed().header;
        if header.magic.load(Relaxed) != MAGIC {
            return Err(PageError::NotAPage { len });
        }
        let (found, slots) = (header.version.load(Relaxed), header.slots.load(Relaxed));
        if found != VERSION {
            return Err(PageError::OtherLayout { found });
        }
        if slots == 0 || slots > SLOTS_MAX || len < size_for(slots) as u64 {
            return Err(PageError::WrongSize { slots, len });
        }
        page.slots = slots;
        Ok(page)
    }

    /// The descriptor to give to an executor.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// How many slot records it has.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.slots
    }

    /// The lease entries.
    #[must_use]
    pub fn entries(&self) -> &[LeaseEntry; ENTRIES] {
        &self.fixed().entries
    }

    /// A slot's record.
    #[must_use]
    pub fn slot(&self, slot: u32) -> Option<&SlotRecord> {
        self.slot_records().get(slot as usize)
    }

    /// All slot records.
    #[must_use]
    pub fn slot_records(&self) -> &[SlotRecord] {
        // SAFETY: the mapping is page-aligned, at least `size_for(slots)` long and stays until drop; every
        // bit pattern is a valid SlotRecord, which consists of atomics only.
        unsafe {
            let first = self.mapping.start().as_ptr().add(size_of::<Fixed>()).cast::<SlotRecord>();
            std::slice::from_raw_parts(first, self.slots as usize)
        }
    }

    /// Puts tasks into an entry, wakes as many sleeping threads as there are tasks and returns the entry's
    /// new generation.
    pub fn publish(&self, entry: usize, range: IndexRange, facts: LeaseFacts) -> Option<u16> {
        self.fixed().bases.get(entry)?.store(facts.base, Relaxed);
        self.fixed().published_ns.get(entry)?.store(monotonic_ns(), Relaxed);
        let generation = self.entries().get(entry)?.publish(range, facts);
        // Where tasks arrive, threads that sleep share them out among themselves.
        let count = if self.zero_ns().is_some() { u64::MAX } else { range.len() };
        self.wake(u32::try_from(count).unwrap_or(u32::MAX));
        Some(generation)
    }

    /// When the tasks of an entry were published, by the machine's monotonic clock.
    #[must_use]
    pub fn published_ns(&self, entry: usize) -> u64 {
        self.fixed().published_ns.get(entry).map_or(0, |time| time.load(Relaxed))
    }

    /// Whether all that only the agent writes is as it was written. `allowed`: how many slots may claim; `zero_ns`: as in
    /// [`JobPage::set_zero`], 0 before.
    #[must_use]
    pub fn is_intact(&self, allowed: u32, zero_ns: u64, known: &[Known; ENTRIES]) -> bool {
        let Fixed { header, bases, entries, .. } = self.fixed();
        let is_headed = header.magic.load(Relaxed) == MAGIC
            && header.version.load(Relaxed) == VERSION
            && header.slots.load(Relaxed) == self.slots
            && header.cancelled.load(Relaxed) == 0
            && header.zero_ns.load(Relaxed) == zero_ns
            && header.allowed.load(Relaxed) == allowed;
        is_headed
            && entries.iter().zip(bases).zip(known).all(|((entry, base), known)| {
                let word = entry.word();
                word.generation == known.generation
                    && word.end == known.end
                    && word.next <= word.end
                    && base.load(Relaxed) == known.facts.base
                    && entry.facts() == known.facts
            })
    }

    /// Whether some task is told to stop, but for those in slots where that is known.
    #[must_use]
    pub fn stops_tasks(&self, is_known: impl Fn(u32) -> bool) -> bool {
        (0..)
            .zip(self.slot_records())
            .any(|(slot, record)| record.cancel.load(Relaxed) != 0 && !is_known(slot))
    }

    /// Takes tasks from the entry where `cursor` points or from the next one that has some, and says which
    /// entry it was. `size` is told the first index, and how many tasks are unclaimed there and in the whole
    /// page.
    pub fn claim(
        &self,
        cursor: usize,
        mut size: impl FnMut(u64, u32, u64) -> u32,
        mut announce: impl FnMut(usize, u16, IndexRange),
    ) -> Option<(usize, Claim)> {
        let entries = self.entries();
        let total: u64 = entries.iter().map(|entry| u64::from(entry.word().unclaimed())).sum();
        if total == 0 {
            return None;
        }
        (0..ENTRIES).map(|step| (cursor + step) % ENTRIES).find_map(|at| {
            let entry = &entries[at];
            let base = &self.fixed().bases[at];
            let claim = entry.claim(
                // When the entry has changed meanwhile, the claim fails and this is asked again.
                |unclaimed| {
                    let start = base.load(Relaxed).wrapping_add(u64::from(entry.word().next));
                    size(start, unclaimed, total)
                },
                |generation, range| announce(at, generation, range),
            )?;
            Some((at, claim))
        })
    }

    /// The lowest task that nobody has claimed, in which entry it is and what is to be done with it. What is to be combined
    /// comes first: nothing has to arrive for that.
    #[must_use]
    pub fn lowest(&self) -> Option<(usize, u64, u32)> {
        let heads = self.entries().iter().enumerate().filter_map(|(at, entry)| {
            let range = entry.unclaimed()?;
            Some((at, range.start, entry.facts().kind))
        });
        heads.min_by_key(|&(_, index, kind)| (kind == KIND_RUN, index))
    }

    /// All tasks of a kind that nobody has claimed, in order.
    #[must_use]
    pub fn unclaimed(&self, kind: u32) -> Vec<IndexRange> {
        let entries = self.entries().iter().filter(|entry| entry.facts().kind == kind);
        let mut ranges: Vec<IndexRange> = entries.filter_map(LeaseEntry::unclaimed).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        ranges
    }

    /// The tasks whose arrival other threads than that of `slot` sleep for, of those that may claim.
    pub fn awaited(&self, slot: u32) -> impl Iterator<Item = u64> + '_ {
        let others = (0..self.allowed()).zip(self.slot_records()).filter(move |(other, _)| *other != slot);
        others.map(|(_, record)| record.awaited.load(SeqCst)).filter(|&index| index != SlotRecord::IDLE)
    }

    /// Says what the times of single tasks are counted from, and wakes everybody: arrivals begin.
    pub fn set_zero(&self, zero_ns: u64) {
        self.fixed().header.zero_ns.store(zero_ns, SeqCst);
        self.wake(u32::MAX);
    }

    /// That time, by the machine's monotonic clock; `None`: it is not known yet.
    #[must_use]
    pub fn zero_ns(&self) -> Option<u64> {
        let zero_ns = self.fixed().header.zero_ns.load(SeqCst);
        (zero_ns != 0).then_some(zero_ns)
    }

    /// For this long threads claim one task at a time and send each result at once: what one crash took with it the next
    /// one shall not.
    pub fn be_careful(&self, time_ns: u64) {
        self.fixed().header.careful_until_ns.store(monotonic_ns().saturating_add(time_ns), Relaxed);
    }

    /// Whether that time is not over.
    #[must_use]
    pub fn is_careful(&self) -> bool {
        let until = self.fixed().header.careful_until_ns.load(Relaxed);
        until != 0 && monotonic_ns() < until
    }

    /// Lets the first `slots` slots claim; the others finish what they have.
    pub fn allow(&self, slots: u32) {
        let before = self.fixed().header.allowed.swap(slots, SeqCst);
        if slots > before {
            self.wake(slots);
        }
    }

    /// How many slots may claim.
    #[must_use]
    pub fn allowed(&self) -> u32 {
        self.fixed().header.allowed.load(SeqCst)
    }

    /// Tells every running task to stop.
    pub fn cancel(&self) {
        self.fixed().header.cancelled.store(1, SeqCst);
        self.slot_records().iter().for_each(stop_task);
    }

    /// Whether the job was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.fixed().header.cancelled.load(SeqCst) != 0
    }

    /// The number to compare with when going to sleep: it changes with every wake-up.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.fixed().header.sequence.load(SeqCst)
    }

    /// Puts the calling thread to sleep until its slot is woken, unless something happened since
    /// `sequence` was read.
    pub fn park(&self, slot: u32, sequence: u32) {
        self.park_until(slot, sequence, u64::MAX);
    }

    /// The same, at the longest until this time of the machine's monotonic clock.
    pub fn park_until(&self, slot: u32, sequence: u32, until_ns: u64) {
        let Some(record) = self.slot(slot) else { return };
        record.parked.store(1, SeqCst);
        if self.sequence() != sequence {
            record.parked.store(0, SeqCst);
        }
        while record.parked.load(SeqCst) == 1 {
            let left_ns =
                if until_ns == u64::MAX { until_ns } else { until_ns.saturating_sub(monotonic_ns()) };
            if left_ns == 0 {
                record.parked.store(0, SeqCst);
                return;
            }
            futex::wait(&record.parked, 1, Duration::from_nanos(left_ns));
        }
    }

    /// Wakes up to `count` of the sleeping threads that may claim.
    pub fn wake(&self, count: u32) {
        self.fixed().header.sequence.fetch_add(1, SeqCst);
        let allowed = self.allowed().min(self.slots) as usize;
        let woken = self.slot_records()[..allowed].iter().filter(|record| wake_slot(record));
        woken.take(count as usize).for_each(drop);
    }

    /// Wakes every sleeping thread of some slots, also of those that may not claim.
    pub fn wake_slots(&self, first: u32, count: u32) {
        self.fixed().header.sequence.fetch_add(1, SeqCst);
        for slot in first..first.saturating_add(count) {
            self.slot(slot).map(wake_slot);
        }
    }

    /// Forgets what the threads of an executor that is gone said.
    pub fn clear_slots(&self, first: u32, count: u32) {
        for record in (first..first.saturating_add(count)).filter_map(|slot| self.slot(slot)) {
            record.settle(PENDING_CLAIMS_MAX);
            record.current.store(SlotRecord::IDLE, SeqCst);
            record.progress.store(NOTHING_DONE, SeqCst);
            record.parked.store(0, SeqCst);
            record.in_flight.store(0, SeqCst);
            record.attempt.store(0, SeqCst);
            record.awaited.store(SlotRecord::IDLE, SeqCst);
            if !self.is_cancelled() {
                record.cancel.store(0, SeqCst);
            }
        }
    }

    /// How many of these slots run a task.
    #[must_use]
    pub fn tasks_among(&self, first: u32, count: u32) -> u32 {
        let slots = (first..first.saturating_add(count)).filter_map(|slot| self.slot(slot));
        slots.map(|record| record.in_flight.load(SeqCst).max(u32::from(record.is_busy()))).sum()
    }

    /// Whether the threads of all these slots sleep.
    #[must_use]
    pub fn all_parked(&self, first: u32, count: u32) -> bool {
        (first..first.saturating_add(count))
            .filter_map(|slot| self.slot(slot))
            .all(|record| record.parked.load(SeqCst) != 0 && record.in_flight.load(SeqCst) == 0)
    }

    /// The task that a slot runs and which attempt at it that is, as far as the page says.
    #[must_use]
    pub fn running(&self, slot: u32) -> Option<(u64, u32)> {
        let record = self.slot(slot)?;
        let current = record.current.load(SeqCst);
        if current == SlotRecord::IDLE {
            return None;
        }
        let attempt = record.attempt.load(SeqCst);
        if attempt != 0 {
            return Some((current, attempt));
        }
        let claim = record.pending().filter(|(_, _, range)| range.contains(current)).last();
        let entry = claim.and_then(|(entry, generation, _)| {
            self.entries().get(entry).filter(|entry| entry.word().generation == generation)
        });
        Some((current, entry.map_or(0, |entry| entry.facts().attempt)))
    }

    /// How many slots run a task.
    #[must_use]
    pub fn busy_slots(&self) -> u32 {
        self.slot_records().iter().filter(|record| record.is_busy()).count() as u32
    }

    /// What running tasks say they have done together, in tasks: at most one for each slot, whatever stands there.
    #[must_use]
    pub fn in_progress(&self) -> f64 {
        let share = |record: &SlotRecord| match record.current.load(Relaxed) {
            SlotRecord::IDLE => 0.0,
            index => done_share(record.progress.load(Relaxed), index),
        };
        self.slot_records().iter().map(share).sum()
    }

    fn fixed(&self) -> &Fixed {
        // SAFETY: the mapping is page-aligned, at least `size_of::<Fixed>()` long and stays until drop;
        // every bit pattern is a valid Fixed, which consists of atomics only.
        unsafe { self.mapping.start().cast::<Fixed>().as_ref() }
    }
}

/// Tells a running task to stop, also one that sleeps until then.
pub fn stop_task(record: &SlotRecord) {
    record.cancel.store(1, SeqCst);
    futex::wake(&record.cancel, u32::MAX);
}

fn wake_slot(record: &SlotRecord) -> bool {
    let sleeps = record.parked.load(SeqCst) != 0 && record.parked.swap(0, SeqCst) != 0;
    if sleeps {
        futex::wake(&record.parked, 1);
    }
    sleeps
}
