//! What the handler has to know of the thread that crashed, and the stack that it runs on.

use super::stack::SignalStack;
use crate::crash::layout::{ROLE_CONTROL, ROLE_OTHER, ROLE_TASK};
use std::cell::Cell;

/// A thread as the handler sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub role: u32,
    pub slot: u32,
    pub stack_low: u64,
    pub stack_high: u64,
    pub guard_bytes: u64,
}

impl Identity {
    const UNKNOWN: Self = Self { role: ROLE_OTHER, slot: 0, stack_low: 0, stack_high: 0, guard_bytes: 0 };
}

thread_local! {
    // Without a destructor and with a constant to begin with, so that reading it is reading memory.
    static IDENTITY: Cell<Identity> = const { Cell::new(Identity::UNKNOWN) };
}

/// The calling thread.
pub(super) fn identity() -> Identity {
    IDENTITY.try_with(Cell::get).unwrap_or(Identity::UNKNOWN)
}

/// The calling thread runs the tasks of a slot, until what this gives is dropped. A thread without a stack for signals runs
/// its tasks as well; it only cannot tell of a stack overflow.
pub(in crate::executor) fn enter_task(slot: u32) -> Option<SignalStack> {
    enter(ROLE_TASK, slot)
}

/// The calling thread opens and closes jobs.
pub(in crate::executor) fn enter_control() -> Option<SignalStack> {
    enter(ROLE_CONTROL, 0)
}

fn enter(role: u32, slot: u32) -> Option<SignalStack> {
    let (stack, guard_bytes) = own_stack().unwrap_or_default();
    IDENTITY.set(Identity { role, slot, stack_low: stack.0, stack_high: stack.1, guard_bytes });
    SignalStack::install().ok()
}

/// The lowest and the highest address of the calling thread's stack, and the size of its guard.
fn own_stack() -> Option<((u64, u64), u64)> {
    let mut start = std::ptr::null_mut();
    let (mut size, mut guard) = (0, 0);
    // SAFETY: the attributes are filled in before they are read, and destroyed afterwards.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) != 0 {
            return None;
        }
        let found = libc::pthread_attr_getstack(&raw const attributes, &raw mut start, &raw mut size) == 0
            && libc::pthread_attr_getguardsize(&raw const attributes, &raw mut guard) == 0;
        libc::pthread_attr_destroy(&raw mut attributes);
        found.then_some(((start as u64, start as u64 + size as u64), guard as u64))
    }
}
