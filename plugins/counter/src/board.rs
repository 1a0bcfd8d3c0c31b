//! The shared number and what is counted around it, in one region.

use crate::Scope;
use crate::tally::Tally;
use muster_sdk::shared::{Mutex, Region, RwLock, Semaphore, Word};
use muster_sdk::{Error, Job};
use std::sync::atomic::Ordering::SeqCst;

/// Numbers lie so far apart that no two share a line of the processor's caches.
const LINE: usize = 128;
/// Threads are spread over so many shards.
pub const SHARDS: usize = 64;
/// Where what lies in the region.
const VALUE: usize = 0;
const NAME: usize = LINE;
const STARTED: usize = 2 * LINE;
const EXPECTED: usize = 3 * LINE;
const ENDED: usize = 4 * LINE;
const ABANDONED: usize = 5 * LINE;
const FIRST_SHARD: usize = 6 * LINE;
const FIRST_LOCK: usize = FIRST_SHARD + SHARDS * LINE;
const RWLOCK: usize = FIRST_LOCK + Mutex::BYTES;
const SEMAPHORE: usize = RWLOCK + RwLock::BYTES;

/// The number, its locks, and how much was added by whom.
pub struct Board {
    pub value: Word,
    pub shards: Vec<Word>,
    pub mutex: Mutex,
    pub rwlock: RwLock,
    pub semaphore: Semaphore,
    /// Tells this number from those of other workers or executors; 0: nobody has named it.
    name: Word,
    /// Additions of tasks that have begun, of those that have ended, and how many have ended.
    started: Word,
    expected: Word,
    ended: Word,
    /// Locks that were taken over from a process that had died.
    abandoned: Word,
}

impl Board {
    pub fn open(scope: Scope, permits: usize, job: &Job) -> Result<Self, Error> {
        let bytes = SEMAPHORE + permits * Mutex::BYTES;
        let region = match scope {
            Scope::Executor => Region::private(bytes)?,
            Scope::Worker => job.shared("counter", bytes)?,
        };
        Self::on(&region, permits)
    }

    fn on(region: &Region, permits: usize) -> Result<Self, Error> {
        let shards =
            (0..SHARDS).map(|number| region.word(FIRST_SHARD + number * LINE)).collect::<Result<_, _>>()?;
        let board = Self {
            value: region.word(VALUE)?,
            shards,
            mutex: region.mutex(FIRST_LOCK)?,
            rwlock: region.rwlock(RWLOCK)?,
            semaphore: region.semaphore(SEMAPHORE, permits)?,
            name: region.word(NAME)?,
            started: region.word(STARTED)?,
            expected: region.word(EXPECTED)?,
            ended: region.word(ENDED)?,
            abandoned: region.word(ABANDONED)?,
        };
        // Who is first names it.
        let _ = board.name.compare_exchange(0, some_name(), SeqCst, SeqCst);
        Ok(board)
    }

    /// A task begins that will add so many.
    pub fn begin(&self, increments: u64) {
        self.started.fetch_add(increments, SeqCst);
    }

    /// A lock was taken over from a process that had died.
    pub fn note_abandoned(&self) {
        self.abandoned.fetch_add(1, SeqCst);
    }

    /// A task has added so many; what stands there now. The last one to end sees everything.
    pub fn end(&self, increments: u64) -> Tally {
        self.expected.fetch_add(increments, SeqCst);
        let tasks = self.ended.fetch_add(1, SeqCst) + 1;
        let expected = self.expected.load(SeqCst);
        let sharded: u64 = self.shards.iter().map(|shard| shard.load(SeqCst)).sum();
        Tally {
            counter: format!("{:016x}", self.name.load(SeqCst)),
            tasks,
            expected,
            counted: self.value.load(SeqCst).wrapping_add(sharded),
            unfinished: self.started.load(SeqCst).saturating_sub(expected),
            abandoned: self.abandoned.load(SeqCst),
        }
    }
}

/// The shard of a thread. Two threads of different processes may have the same: all add atomically.
pub fn shard_of(slot: u32) -> usize {
    (std::process::id() as usize * 7 + slot as usize) % SHARDS
}

/// No two processes have the same, and it is not 0.
fn some_name() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_sees_everything() {
        let region = Region::private(SEMAPHORE + Mutex::BYTES).unwrap();
        let (one, other) = (Board::on(&region, 1).unwrap(), Board::on(&region, 1).unwrap());
        one.begin(10);
        other.begin(5);
        one.value.store(4, SeqCst);
        let early = one.end(10);
        assert_eq!((early.expected, early.counted, early.unfinished, early.tasks), (10, 4, 5, 1));
        other.shards[3].store(6, SeqCst);
        let late = other.end(5);
        assert_eq!((late.expected, late.counted, late.unfinished, late.tasks), (15, 10, 0, 2));
        assert_eq!(early.counter, late.counter);
        let elsewhere = Board::on(&Region::private(SEMAPHORE + Mutex::BYTES).unwrap(), 1).unwrap();
        assert_ne!(elsewhere.end(0).counter, late.counter);
    }
}
