//! The C ABI between muster and its plugins, as Rust types.
//!
//! A mirror of `include/muster_plugin.h`, which states the rules (threads, ownership, lifetimes, errors) of
//! every function and field; a test compares the layouts. This crate holds no behaviour beyond the seed of a
//! task and views of pointer-and-length pairs, and it never allocates.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod channel;
mod interleaved;
mod value;

pub use channel::{
    CHANNEL_BYTES_MAX, CHANNEL_CAPACITY_MAX, CHANNEL_END, CHANNEL_NAME_MAX, ChannelCloseFn, ChannelOpenFn,
    ChannelReceiveFn, ChannelSendFn, ChannelSpec, Channels, EXT_CHANNEL, channel_kind, channel_side,
};
pub use interleaved::{Async, AsyncTask, DriveFn, EXT_ASYNC, ExtAsync, next};
pub use value::{Buf, Bytes, ErrorText, Str, status};

use core::ffi::{c_char, c_void};

/// Major version: part of the entry symbol's name.
pub const ABI_MAJOR: u32 = 1;
/// Minor version: appended fields and extensions.
pub const ABI_MINOR: u32 = 0;
/// The symbol that a plugin exports.
pub const ENTRY_SYMBOL: &str = "muster_plugin_v1";
/// Owner of the manifest's ELF note.
pub const NOTE_OWNER: &str = "muster";
/// Section of the manifest's ELF note.
pub const NOTE_SECTION: &str = ".note.muster";
/// Type of the manifest's ELF note.
pub const NOTE_TYPE: u32 = 0x4d53_5452;

/// Calls on one job may overlap.
pub const F_CONCURRENT: u64 = 1 << 0;
/// May share a process with other plugins' threads.
pub const F_THREADS_OK: u64 = 1 << 1;
/// The same input and seed give the same bytes.
pub const F_DETERMINISTIC: u64 = 1 << 2;
/// Running a task again has no further effect.
pub const F_IDEMPOTENT: u64 = 1 << 3;
/// Several jobs may live in one process.
pub const F_MULTI_JOB: u64 = 1 << 4;
/// Offers [`EXT_ASYNC`].
pub const F_ASYNC: u64 = 1 << 6;
/// Made to harm its process: shared clusters refuse it unless they were started with `--allow-chaos`.
pub const F_CHAOS: u64 = 1 << 5;
/// The flags with their names in the manifest.
pub const FLAGS: [(&str, u64); 7] = [
    ("concurrent", F_CONCURRENT),
    ("threads_ok", F_THREADS_OK),
    ("deterministic", F_DETERMINISTIC),
    ("idempotent", F_IDEMPOTENT),
    ("multi_job", F_MULTI_JOB),
    ("async", F_ASYNC),
    ("chaos", F_CHAOS),
];

/// Metric that only rises.
pub const METRIC_COUNTER: u32 = 1;
/// Metric that is set.
pub const METRIC_GAUGE: u32 = 2;
/// Metric of observations.
pub const METRIC_HISTOGRAM: u32 = 3;

/// The plugin's object for a job.
#[repr(C)]
#[derive(Debug)]
pub struct JobObject {
    _opaque: [u8; 0],
}

/// The plugin's object for a partial reduction.
#[repr(C)]
#[derive(Debug)]
pub struct AccObject {
    _opaque: [u8; 0],
}

/// The host's object for a slot.
#[repr(C)]
#[derive(Debug)]
pub struct CtxObject {
    _opaque: [u8; 0],
}

/// `muster_job_params`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct JobParams {
    pub struct_size: u32,
    pub threads: u32,
    pub job_id_hi: u64,
    pub job_id_lo: u64,
    pub params: Bytes,
    pub seed: u64,
    pub memory_limit: u64,
    pub tasks: u64,
}

/// `muster_task`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct Task {
    pub struct_size: u32,
    pub attempt: u32,
    pub index: u64,
    pub seed: u64,
    pub input: Bytes,
}

/// `muster_range`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct Range {
    pub struct_size: u32,
    pub attempt: u32,
    pub start: u64,
    pub count: u64,
    pub job_seed: u64,
    pub input_data: *const u8,
    pub input_offsets: *const u64,
}

/// `muster_out`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct Out {
    pub struct_size: u32,
    pub reserved0: u32,
    pub data: *mut u8,
    pub data_len: usize,
    pub data_cap: usize,
    pub lens: *mut u32,
    pub lens_len: usize,
    pub lens_cap: usize,
    pub data_soft_max: usize,
}

/// `muster_task_ctx`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct TaskCtx {
    pub struct_size: u32,
    pub slot: u32,
    pub ctx: *mut CtxObject,
    pub cancel: *const u32,
    pub deadline_ns: u64,
    pub scratch_dir: Str,
    pub current: *mut u64,
}

/// `muster_host`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct Host {
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub this: *mut c_void,
    pub log: Option<unsafe extern "C" fn(*mut c_void, *mut CtxObject, u32, Str)>,
    pub metric: Option<unsafe extern "C" fn(*mut c_void, u32, Str) -> u32>,
    pub metric_record: Option<unsafe extern "C" fn(*mut c_void, u32, f64)>,
    pub now_ns: Option<unsafe extern "C" fn(*mut c_void) -> u64>,
    pub progress: Option<unsafe extern "C" fn(*mut c_void, *mut CtxObject, u64, u64)>,
    pub result_alloc: Option<unsafe extern "C" fn(*mut c_void, *mut CtxObject, usize) -> Buf>,
    pub out_reserve: Option<unsafe extern "C" fn(*mut c_void, *mut CtxObject, *mut Out, usize) -> i32>,
    pub checkpoint: Option<unsafe extern "C" fn(*mut c_void, *mut CtxObject) -> i32>,
    pub blocking_begin: Option<unsafe extern "C" fn(*mut c_void, *mut CtxObject)>,
    pub blocking_end: Option<unsafe extern "C" fn(*mut c_void, *mut CtxObject)>,
    pub extension: Option<unsafe extern "C" fn(*mut c_void, *const c_char) -> *const c_void>,
}

// SAFETY: the table is never changed after it was made, and all its functions may be called from any thread;
// those marked [call] in the header are bound to a ctx, not to the table.
unsafe impl Sync for Host {}
// SAFETY: as above.
unsafe impl Send for Host {}

/// `run`
pub type RunFn = unsafe extern "C" fn(*mut JobObject, *const Task, *const TaskCtx, *mut ErrorText) -> i32;
/// `run_range`
pub type RunRangeFn =
    unsafe extern "C" fn(*mut JobObject, *const Range, *const TaskCtx, *mut Out, *mut ErrorText) -> i32;
/// `acc_new`
pub type AccNewFn = unsafe extern "C" fn(*mut JobObject, *mut *mut AccObject, *mut ErrorText) -> i32;
/// `acc_add`
pub type AccAddFn = unsafe extern "C" fn(*mut JobObject, *mut AccObject, Bytes, u64, *mut ErrorText) -> i32;
/// `acc_merge`
pub type AccMergeFn = unsafe extern "C" fn(*mut JobObject, *mut AccObject, Bytes, *mut ErrorText) -> i32;
/// `acc_take`
pub type AccTakeFn =
    unsafe extern "C" fn(*mut JobObject, *mut AccObject, u32, *const TaskCtx, *mut ErrorText) -> i32;
/// `acc_free`
pub type AccFreeFn = unsafe extern "C" fn(*mut JobObject, *mut AccObject);
/// `acc_join`
pub type AccJoinFn =
    unsafe extern "C" fn(*mut JobObject, *mut AccObject, *mut AccObject, *mut ErrorText) -> i32;

/// `muster_plugin`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct Plugin {
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub name: Str,
    pub version: Str,
    pub flags: u64,
    pub load: Option<unsafe extern "C" fn(*const Host, *mut ErrorText) -> i32>,
    pub unload: Option<unsafe extern "C" fn()>,
    pub create: Option<unsafe extern "C" fn(*const JobParams, *mut *mut JobObject, *mut ErrorText) -> i32>,
    pub destroy: Option<unsafe extern "C" fn(*mut JobObject)>,
    pub run: Option<RunFn>,
    pub run_range: Option<RunRangeFn>,
    pub acc_new: Option<AccNewFn>,
    pub acc_add: Option<AccAddFn>,
    pub acc_merge: Option<AccMergeFn>,
    pub acc_take: Option<AccTakeFn>,
    pub acc_free: Option<AccFreeFn>,
    pub acc_join: Option<AccJoinFn>,
    pub extension: Option<unsafe extern "C" fn(*const c_char) -> *const c_void>,
}

// SAFETY: the table is constant data: text that lives as long as the plugin, and function pointers.
unsafe impl Sync for Plugin {}
// SAFETY: as above.
unsafe impl Send for Plugin {}

/// The id of the host extension [`Backtrace`].
pub const EXT_BACKTRACE: &core::ffi::CStr = c"muster.backtrace/1";

/// Host extension: the stack of a failure.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct Backtrace {
    pub struct_size: u32,
    pub reserved0: u32,
    pub capture: Option<unsafe extern "C" fn(*mut c_void, *mut CtxObject)>,
}

/// The id of the host extension [`Shared`].
pub const EXT_SHARED: &core::ffi::CStr = c"muster.shared/1";
/// The most bytes of a region's name.
pub const REGION_NAME_MAX: usize = 64;

/// `region`
pub type RegionFn = unsafe extern "C" fn(*mut c_void, u64, u64, Str, usize, *mut Buf, *mut ErrorText) -> i32;

/// Host extension: memory that executors share.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct Shared {
    pub struct_size: u32,
    pub reserved0: u32,
    pub region: Option<RegionFn>,
}

/// The id of the host extension [`Rehearsal`].
pub const EXT_REHEARSAL: &core::ffi::CStr = c"muster.rehearsal/1";

/// Host extension: a panic on request.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct Rehearsal {
    pub struct_size: u32,
    pub reserved0: u32,
    pub panics: Option<unsafe extern "C" fn(*mut c_void, u32) -> u32>,
}

/// The functions of a plugin that a [`Rehearsal`] is about.
pub mod hook {
    #![allow(missing_docs, reason = "the header documents the numbers")]
    pub const LOAD: u32 = 1;
    pub const CREATE: u32 = 2;
    pub const DESTROY: u32 = 3;
    pub const RUN: u32 = 4;
    pub const ACC_NEW: u32 = 5;
    pub const ACC_ADD: u32 = 6;
    pub const ACC_MERGE: u32 = 7;
    pub const ACC_TAKE: u32 = 8;
    pub const ACC_FREE: u32 = 9;
    pub const ACC_JOIN: u32 = 10;
    pub const DRIVE: u32 = 11;
    /// All of them, by their names in the table.
    pub const ALL: [(u32, &str); 11] = [
        (LOAD, "load"),
        (CREATE, "create"),
        (DESTROY, "destroy"),
        (RUN, "run"),
        (ACC_NEW, "acc_new"),
        (ACC_ADD, "acc_add"),
        (ACC_MERGE, "acc_merge"),
        (ACC_TAKE, "acc_take"),
        (ACC_FREE, "acc_free"),
        (ACC_JOIN, "acc_join"),
        (DRIVE, "drive"),
    ];
}

/// The id of the host extension [`Scratch`].
pub const EXT_SCRATCH: &core::ffi::CStr = c"muster.scratch/1";

/// Host extension: a folder of the running task.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct Scratch {
    pub struct_size: u32,
    pub reserved0: u32,
    pub dir: Option<unsafe extern "C" fn(*mut c_void, *mut CtxObject, *mut Str, *mut ErrorText) -> i32>,
}

/// The type of the exported symbol [`ENTRY_SYMBOL`].
pub type EntryFn = unsafe extern "C" fn(host_major: u32, host_minor: u32) -> *const Plugin;

/// The `struct_size` of a table.
#[must_use]
pub const fn size_of_table<T>() -> u32 {
    size_of::<T>() as u32
}

/// The finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
#[must_use]
pub const fn mix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The seed of a task: the same on every attempt, machine and shape.
#[must_use]
pub const fn task_seed(job_seed: u64, index: u64) -> u64 {
    mix64(job_seed ^ mix64(index.wrapping_add(0x9e37_79b9_7f4a_7c15)))
}
