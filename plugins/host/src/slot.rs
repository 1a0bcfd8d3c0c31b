//! The place where one thread runs tasks.

use crate::channel::Channels;
use crate::outcome::{ErrorKind, TaskError};
use crate::range::OutBuffer;
use crate::scratch::Scratches;
use muster_plugin_abi::{self as abi, CtxObject, ErrorText, Str};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Largest result of one task unless the job says otherwise.
const RESULT_BYTES_MAX: usize = 1 << 30;

/// The words of a slot that others see: in the job page, or anywhere.
#[derive(Clone, Copy, Debug)]
pub struct SlotWords<'page> {
    /// Not 0: the running task should stop.
    pub cancel: &'page AtomicU32,
    /// The index being run.
    pub current: &'page AtomicU64,
    /// How far the task is, for [`done_share`](crate::done_share); whoever begins a call clears it.
    pub progress: &'page AtomicU64,
}

/// One thread's place: its number, its words, and where its results go. Not shared between threads.
#[derive(Debug)]
pub struct Slot<'page> {
    /// Behind a pointer, because the plugin's callbacks reach it while a call runs.
    state: NonNull<SlotState>,
    words: SlotWords<'page>,
    error: Box<ErrorText>,
    owned: PhantomData<SlotState>,
}

// SAFETY: a slot owns its state, and whatever that points to lives only during a call on the same thread.
unsafe impl Send for Slot<'_> {}

/// What callbacks see of a slot.
#[derive(Debug)]
pub(crate) struct SlotState {
    pub number: u32,
    pub cancel: *const AtomicU32,
    pub current: *const AtomicU64,
    pub progress: *const AtomicU64,
    pub result_limit: usize,
    /// When the running call should be over; `u64::MAX`: whenever.
    pub deadline_ns: u64,
    /// The job whose tasks run here.
    pub job: Option<u128>,
    /// What the running call has open.
    pub channels: Channels,
    pub call: Call,
    /// A result that was larger than the limit, and the limit, both in bytes.
    pub refused: Option<(usize, usize)>,
    /// The stack that the plugin had kept with the failure of the call; see [`crate::stack`].
    pub stack: Vec<u64>,
    /// The folders of the tasks that run.
    pub scratch: Scratches,
}

/// The call that runs on the slot.
#[derive(Debug)]
pub(crate) enum Call {
    None,
    /// A range call: results are appended through this struct, behind `base` bytes of the buffer.
    Range {
        table: *mut abi::Out,
        buffer: *mut OutBuffer,
        base: usize,
        /// Finished tasks that were added up, and their bytes.
        counted: (usize, usize),
    },
    /// A call with one result of at most `limit` bytes; `given`: it was asked for, `twice`: more than once.
    One {
        buffer: *mut OutBuffer,
        limit: usize,
        given: bool,
        twice: bool,
    },
}

impl<'page> Slot<'page> {
    /// A slot with a number that is stable for its thread.
    #[must_use]
    pub fn new(number: u32, words: SlotWords<'page>) -> Self {
        let state = SlotState {
            number,
            cancel: std::ptr::from_ref(words.cancel),
            current: std::ptr::from_ref(words.current),
            progress: std::ptr::from_ref(words.progress),
            result_limit: RESULT_BYTES_MAX,
            deadline_ns: u64::MAX,
            job: None,
            channels: Channels::default(),
            call: Call::None,
            refused: None,
            stack: Vec::new(),
            scratch: Scratches::default(),
        };
        Self {
            state: NonNull::from(Box::leak(Box::new(state))),
            words,
            error: Box::default(),
            owned: PhantomData,
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        // SAFETY: the state lives as long as the slot, and no call runs while the slot is borrowed here.
        unsafe { self.state.as_ref().number }
    }

    /// The stack that the plugin kept with the failure of its last call, innermost call first; empty: none.
    pub fn take_stack(&mut self) -> Vec<u64> {
        // SAFETY: as in `number`; and the slot is borrowed exclusively.
        std::mem::take(unsafe { &mut self.state.as_mut().stack })
    }

    /// Bytes that one result may have; at most 4 GiB.
    pub fn set_result_limit(&mut self, bytes: usize) {
        // SAFETY: as in `number`; and the slot is borrowed exclusively.
        unsafe { self.state.as_mut().result_limit = bytes.min(u32::MAX as usize) };
    }

    /// When running tasks should be over, in the time of [`HostServices::now_ns`](crate::HostServices::now_ns).
    pub fn set_deadline_ns(&mut self, deadline_ns: Option<u64>) {
        // SAFETY: as in `number`; and the slot is borrowed exclusively.
        unsafe { self.state.as_mut().deadline_ns = deadline_ns.unwrap_or(u64::MAX) };
    }

    /// The job whose tasks run from now on.
    pub(crate) fn set_job(&mut self, job: u128) {
        // SAFETY: as in `number`; and the slot is borrowed exclusively.
        unsafe { self.state.as_mut().job = Some(job) };
    }

    /// What callbacks see, for the calls in which one thread has many tasks going.
    pub(crate) const fn state(&self) -> NonNull<SlotState> {
        self.state
    }

    pub(crate) fn result_limit(&self) -> usize {
        // SAFETY: as in `number`.
        unsafe { self.state.as_ref().result_limit }
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.words.cancel.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn set_current(&self, index: u64) {
        self.words.current.store(index, Ordering::Relaxed);
    }

    /// Calls a function of the plugin that takes a context and room for an error; says what it returned, and
    /// what became of `call`.
    pub(crate) fn enter(
        &mut self,
        function: &str,
        call: Call,
        enter: impl FnOnce(&abi::TaskCtx, &mut ErrorText) -> i32,
    ) -> (Option<TaskError>, Call) {
        let state = self.state.as_ptr();
        // SAFETY: the state lives as long as the slot; only this thread touches `call`.
        unsafe {
            (*state).call = call;
            (*state).refused = None;
            let stack = &mut (*state).stack;
            stack.clear();
        }
        let ctx = abi::TaskCtx {
            struct_size: abi::size_of_table::<abi::TaskCtx>(),
            slot: self.number(),
            ctx: state.cast::<CtxObject>(),
            cancel: self.words.cancel.as_ptr(),
            // SAFETY: as above.
            deadline_ns: unsafe { (*state).deadline_ns },
            scratch_dir: Str::new(""),
            current: self.words.current.as_ptr(),
        };
        self.error.clear();
        let status = enter(&ctx, &mut self.error);
        // SAFETY: as above; the plugin's call is over.
        let (call, refused) = unsafe {
            let (scratch, channels) = (&mut (*state).scratch, &mut (*state).channels);
            scratch.clear();
            channels.clear();
            (std::mem::replace(&mut (*state).call, Call::None), (*state).refused)
        };
        let failure = match (TaskError::from_call(function, status, &self.error), refused) {
            (Some(TaskError { kind: ErrorKind::Limit, .. }), Some((len, limit))) => {
                Some(TaskError::limit(len, limit))
            }
            // One result that was refused is none, whatever the plugin makes of it.
            (None, Some((len, limit))) if matches!(call, Call::One { .. }) => {
                Some(TaskError::limit(len, limit))
            }
            (failure, _) => failure,
        };
        (failure, call)
    }

    /// As [`Slot::enter`], for functions without a context.
    pub(crate) fn enter_plain(
        &mut self,
        function: &str,
        enter: impl FnOnce(&mut ErrorText) -> i32,
    ) -> Result<(), TaskError> {
        self.error.clear();
        let status = enter(&mut self.error);
        TaskError::from_call(function, status, &self.error).map_or(Ok(()), Err)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        // SAFETY: `new` made the state from a box, and no call runs any more.
        drop(unsafe { Box::from_raw(self.state.as_ptr()) });
    }
}
