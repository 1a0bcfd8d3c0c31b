//! Sleeping on a word of memory until somebody changes it, also in another process that maps it. Channels wait so, and the
//! threads of the worker's executors.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// A sleep ends after this time at the latest: a plugin that overwrites the word takes the wake-up away.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Sleeps while `word` is `expected`, at most for `limit`. May return early: the caller looks at its condition again.
pub fn wait(word: &AtomicU32, expected: u32, limit: Duration) {
    // Without FUTEX_PRIVATE_FLAG: the word may lie in memory that several processes map.
    let limit = limit.min(SLEEP_MAX);
    let limit = libc::timespec {
        tv_sec: limit.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(limit.subsec_nanos() as i32),
    };
    // SAFETY: the address is a live, aligned u32, and the timeout lives until the call returns.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, &raw const limit);
    }
}

/// Wakes up to `count` threads that sleep on `word`.
pub fn wake(word: &AtomicU32, count: u32) {
    let count = count.min(i32::MAX as u32);
    // SAFETY: the address is a live, aligned u32; waking reads nothing through it.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count);
    }
}
