//! A timer that ends waits on time: the runtime's own has a granularity of a millisecond.

use super::{check, monotonic_ns};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timerfd of the monotonic clock, watched by the runtime that it was made on. Timer slack does not bind it.
#[derive(Debug)]
pub struct PreciseTimer(AsyncFd<OwnedFd>);

impl PreciseTimer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: takes numbers and returns a new descriptor or -1.
        let timer = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let timer = unsafe { OwnedFd::from_raw_fd(timer) };
        // SAFETY: an OwnedFd gives the same open descriptor for as long as it lives, and the AsyncFd owns it.
        Ok(Self(unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?))
    }

    /// Waits until the monotonic clock shows `at_ns`.
    ///
    /// # Errors
    /// Of the system calls; none is expected.
    pub async fn until(&mut self, at_ns: u64) -> io::Result<()> {
        while monotonic_ns() < at_ns {
            self.set(at_ns)?;
            self.0.async_io(Interest::READABLE, read).await?;
        }
        Ok(())
    }

    fn set(&self, at_ns: u64) -> io::Result<()> {
        let nothing = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let at = libc::timespec {
            tv_sec: (at_ns / 1_000_000_000) as libc::time_t,
            tv_nsec: (at_ns % 1_000_000_000) as libc::c_long,
        };
        let time = libc::itimerspec { it_interval: nothing, it_value: at };
        let flags = libc::TFD_TIMER_ABSTIME;
        // SAFETY: `time` is a valid itimerspec to read; the old one is not asked for.
        check(unsafe {
            libc::timerfd_settime(self.0.as_raw_fd(), flags, &raw const time, std::ptr::null_mut())
        })
        .map(drop)
    }
}

fn read(timer: &OwnedFd) -> io::Result<()> {
    let mut count = [0u8; 8];
    // SAFETY: eight writable bytes, as a timerfd wants them.
    let read = unsafe { libc::read(timer.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    if read < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_no_shorter_than_asked_and_can_be_set_again() {
        let mut timer = PreciseTimer::new().unwrap();
        for wait_ns in [0, 50_000, 1_300_000, 400_000] {
            let at = monotonic_ns() + wait_ns;
            timer.until(at).await.unwrap();
            assert!(monotonic_ns() >= at);
        }
        // Given up half-way, it can still be used.
        let long = timer.until(monotonic_ns() + 3_600_000_000_000);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), long).await.is_err());
        timer.until(monotonic_ns() + 1_000_000).await.unwrap();
    }
}
