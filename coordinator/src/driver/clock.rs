//! The driver's time: nanoseconds since it started, and what that is in Unix time.

use muster_core::time::Time;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_unix_ns: u64,
}

impl Clock {
    /// A clock whose zero is now.
    #[must_use]
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_unix_ns: unix.as_nanos() as u64 }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Time {
        Time(self.start.elapsed().as_nanos() as u64)
    }

    /// When `time` is for tokio's timer.
    #[must_use]
    pub fn instant(&self, time: Time) -> Instant {
        self.start + Duration::from_nanos(time.0)
    }

    /// `time` in nanoseconds of Unix time.
    #[must_use]
    pub const fn unix_ns(&self, time: Time) -> u64 {
        self.start_unix_ns + time.0
    }
}
