//! The channels of a job on this worker between processes: a table in memory that all its executors share.
//!
//! Rows are searched and taken under a lock that names its holder, so that it can be taken over from one that has died. A row
//! that is made is filled before its state says so. What is read here may have been written by anybody: numbers
//! are compared with what can be, and name nothing but processes, which can only be watched.

use super::process::is_alive;
use super::ring::RingWords;
use super::row::{Made, Row};
use super::waiting::Waiting;
use super::{Asked, ChannelError, Side};
use crate::futex;
use crate::services::HostServices;
use muster_plugin_abi::{CHANNEL_BYTES_MAX, CHANNEL_NAME_MAX};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

/// Channels of a job on a worker at the same time.
pub(super) const ROWS: usize = 64;
/// The region that holds them.
const REGION: &str = "muster.channels";
/// Rows and the data of their rings begin at multiples of this.
const PAGE_BYTES: usize = 4096;
const ROWS_AT: usize = PAGE_BYTES;
const DATA_AT: usize = ROWS_AT + ROWS * PAGE_BYTES;
const REGION_BYTES: usize = DATA_AT + ROWS * CHANNEL_BYTES_MAX;
/// How long the table may be held by somebody else, who needs it for microseconds.
const BUSY_MAX: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_micros(100);

pub(super) const FREE: u32 = 0;
pub(super) const WAITING: u32 = 1;
pub(super) const JOINED: u32 = 2;
pub(super) const CONNECTED: u32 = 3;

/// As it lies in the memory, zeros at first.
#[repr(C)]
#[derive(Debug)]
pub(super) struct RowWords {
    pub state: AtomicU32,
    /// The process that made it.
    maker: AtomicU32,
    /// The process that joined it last, also when it has left.
    pub joiner: AtomicU32,
    /// Side of the maker: what it asked for, then what it got. 0: either.
    pub maker_side: AtomicU32,
    kind: AtomicU32,
    capacity: AtomicU32,
    name_len: AtomicU32,
    message_max: AtomicU64,
    name: [AtomicU8; CHANNEL_NAME_MAX],
    /// How its maker can be reached; see [`super::meeting`].
    address: [AtomicU64; 2],
    pub sides: [SideWords; 2],
    pub ring: RingWords,
}

#[repr(C)]
#[derive(Debug)]
pub(super) struct SideWords {
    /// The process; 0: it has left.
    pub process: AtomicU32,
    pub end: AtomicU32,
}

const _: () = assert!(size_of::<RowWords>() <= PAGE_BYTES, "a row fits into its page");

/// The table in this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table(NonNull<u8>);

// SAFETY: the memory has no thread affinity, and is given out as atomics, and as data to rings.
unsafe impl Send for Table {}

/// What became of looking for a peer.
pub(super) enum Met {
    /// Its row, and how its maker can be reached.
    Joined(Row, u32, [u64; 2]),
    /// The row is made; a peer may come.
    Made(Made),
}

impl Table {
    /// The job's table.
    pub fn of(job: u128, services: &dyn HostServices) -> Result<Self, ChannelError> {
        Ok(Self(services.region(job, REGION, REGION_BYTES)?))
    }

    fn lock(&self) -> &AtomicU32 {
        // SAFETY: the first word of the region, which is kept while the job is.
        unsafe { self.0.cast().as_ref() }
    }

    pub fn row(&self, number: usize) -> &RowWords {
        debug_assert!(number < ROWS, "rows are counted by this process");
        // SAFETY: within the region, aligned to a page; zeros are a valid row of atomics.
        unsafe { self.0.add(ROWS_AT + number * PAGE_BYTES).cast().as_ref() }
    }

    /// Joins a row whose maker waits for the like, or makes one. `address` makes the maker's address, for the case.
    pub fn meet(
        &self,
        asked: &Asked,
        side: Option<Side>,
        waiting: &Waiting<'_>,
        address: impl FnOnce() -> Result<[u64; 2], ChannelError>,
    ) -> Result<Met, ChannelError> {
        let _held = self.hold(waiting)?;
        let own = std::process::id();
        for number in 0..ROWS {
            let row = self.row(number);
            let asks = Side::from_number(row.maker_side.load(Relaxed));
            let (true, Some(maker)) = (row.is_for(asked), Side::of_maker(asks, side)) else { continue };
            let process = row.maker.load(Relaxed);
            row.maker_side.store(maker as u32 + 1, SeqCst);
            row.joiner.store(own, SeqCst);
            row.sides[maker as usize].process.store(process, SeqCst);
            row.sides[maker.other() as usize].process.store(own, SeqCst);
            if row.state.compare_exchange(WAITING, JOINED, SeqCst, SeqCst).is_err() {
                // It gave up at this moment.
                continue;
            }
            futex::wake(&row.state, u32::MAX);
            let address = [row.address[0].load(Relaxed), row.address[1].load(Relaxed)];
            return Ok(Met::Joined(Row::new(*self, number, maker.other())?, process, address));
        }
        let number = (0..ROWS).find(|number| self.row(*number).is_free()).ok_or(ChannelError::Full)?;
        let address = address()?;
        self.row(number).fill(asked, side, address);
        Ok(Met::Made(Made::new(*self, number)))
    }

    /// Fills all rows as if this process had made them, or had joined them.
    #[cfg(test)]
    pub fn fill_for_test(&self, process: u32) {
        let asked =
            Asked { kind: super::Kind::Shared, name: "filled".to_owned(), capacity: 1, message_max: 1 };
        for number in 0..ROWS {
            let row = self.row(number);
            row.fill(&asked, None, [0, 0]);
            row.maker.store(process, SeqCst);
            row.sides[1].process.store(process, SeqCst);
            row.state.store(if number % 2 == 0 { WAITING } else { CONNECTED }, SeqCst);
        }
    }

    /// The data of a row's ring.
    pub fn data(&self, number: usize) -> NonNull<u8> {
        debug_assert!(number < ROWS, "rows are counted by this process");
        // SAFETY: within the region, as `REGION_BYTES` was counted.
        unsafe { self.0.add(DATA_AT + number * CHANNEL_BYTES_MAX) }
    }

    fn hold(&self, waiting: &Waiting<'_>) -> Result<Held<'_>, ChannelError> {
        let (own, begun, lock) = (std::process::id(), Instant::now(), self.lock());
        loop {
            let holder = lock.load(SeqCst);
            let is_free = holder == 0 || (holder != own && !is_alive(holder));
            if is_free && lock.compare_exchange(holder, own, SeqCst, SeqCst).is_ok() {
                return Ok(Held(lock));
            }
            waiting.check()?;
            if begun.elapsed() >= BUSY_MAX {
                return Err(ChannelError::Busy { process: holder });
            }
            std::thread::sleep(BUSY_PAUSE);
        }
    }
}

/// The table is held until this is dropped.
struct Held<'a>(&'a AtomicU32);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.store(0, SeqCst);
    }
}

impl RowWords {
    /// Whether its maker waits for somebody who asks for this.
    fn is_for(&self, asked: &Asked) -> bool {
        let name = asked.name.as_bytes();
        self.state.load(SeqCst) == WAITING
            && self.kind.load(Relaxed) == asked.kind as u32
            && self.capacity.load(Relaxed) == asked.capacity
            && self.message_max.load(Relaxed) == asked.message_max as u64
            && self.name_len.load(Relaxed) == name.len() as u32
            && name.iter().zip(&self.name).all(|(byte, word)| word.load(Relaxed) == *byte)
            && is_alive(self.maker.load(Relaxed))
    }

    /// Whether nobody has it any more.
    fn is_free(&self) -> bool {
        let is_gone = |process: &AtomicU32| !is_alive(process.load(SeqCst));
        match self.state.load(SeqCst) {
            FREE => true,
            WAITING => is_gone(&self.maker),
            _ => self.sides.iter().all(|side| is_gone(&side.process)),
        }
    }

    fn fill(&self, asked: &Asked, side: Option<Side>, address: [u64; 2]) {
        self.state.store(FREE, SeqCst);
        self.maker.store(std::process::id(), Relaxed);
        self.maker_side.store(side.map_or(0, |side| side as u32 + 1), Relaxed);
        self.kind.store(asked.kind as u32, Relaxed);
        self.capacity.store(asked.capacity, Relaxed);
        self.message_max.store(asked.message_max as u64, Relaxed);
        self.name_len.store(asked.name.len() as u32, Relaxed);
        asked.name.bytes().zip(&self.name).for_each(|(byte, word)| word.store(byte, Relaxed));
        address.iter().zip(&self.address).for_each(|(part, word)| word.store(*part, Relaxed));
        for side in &self.sides {
            side.process.store(0, Relaxed);
            side.end.store(0, Relaxed);
        }
        self.ring.clear();
        self.state.store(WAITING, SeqCst);
    }
}
