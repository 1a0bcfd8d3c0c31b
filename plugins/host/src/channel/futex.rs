//! Sleeping on a word until somebody changes it, also in another process.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while `word` is `seen`, at most for `limit`, which is below a second. May return early.
pub(super) fn wait(word: &AtomicU32, seen: u32, limit: Duration) {
    let limit = libc::timespec { tv_sec: 0, tv_nsec: libc::c_long::from(limit.subsec_nanos() as i32) };
    // Without FUTEX_PRIVATE_FLAG: the word may lie in memory that several processes map.
    // SAFETY: the address is a live, aligned u32, and the limit lives until the call returns.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, seen, &raw const limit);
    }
}

/// Wakes all who sleep on `word`.
pub(super) fn wake(word: &AtomicU32) {
    // SAFETY: the address is a live, aligned u32; waking reads nothing through it.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX);
    }
}
