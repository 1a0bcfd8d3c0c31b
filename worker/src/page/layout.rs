//! Where things lie in the page. Agent and executor are the same binary, so the layout may change freely;
//! the version is there to name the mistake when they are not.

use muster_core::page::{ENTRIES, LeaseEntry, SlotRecord};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// The first eight bytes of every page.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"mstrpage");
/// Raised with every change of the layout.
pub(super) const VERSION: u32 = 5;

/// What the page says about itself and the job.
#[repr(C, align(128))]
#[derive(Debug)]
pub(super) struct Header {
    pub magic: AtomicU64,
    pub version: AtomicU32,
    pub slots: AtomicU32,
    /// Not 0: the job was cancelled.
    pub cancelled: AtomicU32,
    /// Slots below this may claim.
    pub allowed: AtomicU32,
    /// Rises with every wake-up.
    pub sequence: AtomicU32,
    /// Until then, by the machine's monotonic clock, results do not wait for others: an executor of the job crashed.
    pub careful_until_ns: AtomicU64,
    /// What the times of single tasks are counted from, by the machine's monotonic clock; 0: not known yet.
    pub zero_ns: AtomicU64,
}

/// The part of fixed size; slot records follow.
#[repr(C, align(128))]
#[derive(Debug)]
pub(super) struct Fixed {
    pub header: Header,
    pub published_ns: [AtomicU64; ENTRIES],
    /// The first index of each entry's lease, for whoever decides how much to claim.
    pub bases: [AtomicU64; ENTRIES],
    pub entries: [LeaseEntry; ENTRIES],
}

/// The length of a page with that many slots.
pub(super) const fn size_for(slots: u32) -> usize {
    size_of::<Fixed>() + slots as usize * size_of::<SlotRecord>()
}
