//! The few Linux calls that the standard library has no safe name for: memfd and mapping, pidfd, timerfd,
//! descriptors over sockets, control groups, orphans, copies of a process, processors. Nothing else in the worker calls libc for these.

pub mod affinity;
pub mod cgroup;
pub mod fork;
pub mod memory;
pub mod orphans;
pub mod proc_file;
pub mod process;
pub mod socket;
pub mod timer;

use std::io;

/// The result of a libc call that says -1 on error.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Nanoseconds since 1970, by the machine's clock.
#[must_use]
pub fn unix_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Nanoseconds of the machine's monotonic clock: the same in every process.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; CLOCK_MONOTONIC always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
