//! Where things stand in a crash record. The executor that dies writes it, the agent reads it; both are the same build.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// The deepest stack that is kept.
pub const FRAMES_MAX: usize = 64;
/// Bytes of the list of executable mappings.
pub const MAPS_BYTES: usize = 32 << 10;
/// Bytes of the whole file.
pub const RECORD_BYTES: usize = size_of::<Layout>();

/// The facts are there; mappings and frames perhaps not. Before that it is 0.
pub const STAGE_FACTS: u32 = 1;
/// The unwinder came to its end.
pub const STAGE_WHOLE: u32 = 2;

/// In the place of a signal: `exit` was called.
pub const NO_SIGNAL: u32 = 0;

/// Threads that muster knows nothing of: the plugin started them.
pub const ROLE_OTHER: u32 = 0;
/// Threads that run tasks.
pub const ROLE_TASK: u32 = 1;
/// The executor's first thread.
pub const ROLE_CONTROL: u32 = 2;

/// What was being done at the address of a fault.
pub const ACCESS_UNKNOWN: u32 = 0;
/// It was read.
pub const ACCESS_READ: u32 = 1;
/// It was written.
pub const ACCESS_WRITE: u32 = 2;
/// It was jumped to.
pub const ACCESS_EXECUTE: u32 = 3;

/// The record. Atomic words, because it is memory that others may look at and scribble on.
#[repr(C)]
#[derive(Debug)]
pub struct Layout {
    pub stage: AtomicU32,
    pub signal: AtomicU32,
    /// `si_code`.
    pub code: AtomicU32,
    /// The process that sent the signal; 0: nobody sent it.
    pub sender: AtomicU32,
    pub tid: AtomicU32,
    pub role: AtomicU32,
    /// The page slot of a thread that runs tasks.
    pub slot: AtomicU32,
    pub access: AtomicU32,
    pub address: AtomicU64,
    pub pc: AtomicU64,
    pub sp: AtomicU64,
    /// The thread's stack; 0: not known.
    pub stack_low: AtomicU64,
    pub stack_high: AtomicU64,
    pub guard_bytes: AtomicU64,
    /// An address in muster's own code.
    pub own_code: AtomicU64,
    /// How long the facts and mappings took, and all of it.
    pub facts_ns: AtomicU64,
    pub whole_ns: AtomicU64,
    pub frame_count: AtomicU32,
    pub maps_len: AtomicU32,
    pub frames: [AtomicU64; FRAMES_MAX],
    /// Lines of `/proc/self/maps`.
    pub maps: [AtomicU8; MAPS_BYTES],
}
