//! A stack of its own for a thread's signal handlers: a thread that outgrew its stack has no room left there.

use crate::os::check;
use std::io;

/// The unwinder takes some KiB, and registers of wide vectors up to ten. Memory that is not used costs nothing.
const STACK_BYTES: usize = 128 << 10;
/// Nothing can be written below the stack.
const GUARD_BYTES: usize = 64 << 10;

/// The calling thread's stack for signals, until it is dropped.
#[derive(Debug)]
pub(in crate::executor) struct SignalStack {
    start: *mut libc::c_void,
}

impl SignalStack {
    /// Takes the place of the one that the standard library gave the thread, which is too small for the unwinder.
    pub fn install() -> io::Result<Self> {
        let (protection, flags) =
            (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), GUARD_BYTES + STACK_BYTES, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self { start };
        // SAFETY: behind the guard lie STACK_BYTES of the same mapping.
        let usable = unsafe { start.cast::<u8>().add(GUARD_BYTES) }.cast::<libc::c_void>();
        // SAFETY: the range belongs to the mapping.
        check(unsafe { libc::mprotect(usable, STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE) })?;
        let signal_stack = libc::stack_t { ss_sp: usable, ss_flags: 0, ss_size: STACK_BYTES };
        // SAFETY: the memory stays until the drop, which takes it away from the thread first.
        check(unsafe { libc::sigaltstack(&raw const signal_stack, std::ptr::null_mut()) })?;
        Ok(stack)
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        let none = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: no handler runs on this thread now, and none will run on this memory afterwards.
        unsafe {
            libc::sigaltstack(&raw const none, std::ptr::null_mut());
            libc::munmap(self.start, GUARD_BYTES + STACK_BYTES);
        }
    }
}
