//! `muster.async/1`: many tasks at the same time on one thread.

use crate::{Bytes, ErrorText, JobObject, TaskCtx};
use core::ffi::{CStr, c_void};

/// Id of the extension.
pub const EXT_ASYNC: &CStr = c"muster.async/1";

/// What `next` can say.
pub mod next {
    /// Nothing for now.
    pub const NONE: u32 = 0;
    /// Begin the task.
    pub const TASK: u32 = 1;
    /// Complete the task of this ticket soon.
    pub const STOP: u32 = 2;
    /// Drop everything and return.
    pub const CLOSE: u32 = 3;
}

/// `muster_async_task`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct AsyncTask {
    pub struct_size: u32,
    pub attempt: u32,
    pub ticket: u64,
    pub index: u64,
    pub seed: u64,
    pub input: Bytes,
}

/// `muster_async`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct Async {
    pub struct_size: u32,
    pub in_flight: u32,
    pub this: *mut c_void,
    pub wake_fd: i32,
    pub reserved0: u32,
    pub next: Option<unsafe extern "C" fn(*mut c_void, *mut AsyncTask) -> u32>,
    pub enter: Option<unsafe extern "C" fn(*mut c_void, u64)>,
    pub complete: Option<unsafe extern "C" fn(*mut c_void, u64, i32, Bytes, *const ErrorText)>,
}

/// `drive`
pub type DriveFn = unsafe extern "C" fn(*mut JobObject, *const TaskCtx, *const Async, *mut ErrorText) -> i32;

/// `muster_ext_async`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the header documents the fields")]
pub struct ExtAsync {
    pub struct_size: u32,
    pub reserved0: u32,
    pub drive: Option<DriveFn>,
}

impl AsyncTask {
    /// Room for `next` to fill.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            struct_size: crate::size_of_table::<Self>(),
            attempt: 0,
            ticket: 0,
            index: 0,
            seed: 0,
            input: Bytes::EMPTY,
        }
    }
}
