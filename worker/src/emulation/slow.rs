//! Workers that are slower than the machine they run on.

use crate::os::monotonic_ns;
use std::time::Duration;

/// Part of a task's extra time, per time that it took.
const MILLIONTHS: f64 = 1e6;
/// The slowest worker.
const SPEED_MIN: f64 = 0.001;
/// Waits that are owed and shorter than this are added up: the system does not wait less.
const WAIT_MIN_NS: i64 = 100_000;
/// A long wait looks this often whether the job was cancelled.
const LOOK_NS: u64 = 20_000_000;

/// How fast a worker is, as a part of what its machine can do: 0.001 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

impl Default for Speed {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Speed {
    /// A speed; `None` when it is not from 0.001 to 1.
    #[must_use]
    pub fn new(part: f64) -> Option<Self> {
        (SPEED_MIN..=1.0).contains(&part).then_some(Self(part))
    }

    /// The part.
    #[must_use]
    pub const fn part(self) -> f64 {
        self.0
    }

    /// What tasks take longer, in millionths of the time that they took.
    pub(crate) fn extra_millionths(self) -> u64 {
        ((1.0 / self.0 - 1.0) * MILLIONTHS).round() as u64
    }
}

/// Makes the tasks of one thread slower: after each call of the plugin the thread waits, in proportion to the time
/// that the call took, before anybody hears of the results.
#[derive(Debug)]
pub(crate) struct Slowness {
    extra_millionths: u64,
    /// What is still to be waited. Below zero a wait was too long.
    owed_ns: i64,
}

impl Slowness {
    pub fn new(extra_millionths: u64) -> Self {
        Self { extra_millionths, owed_ns: 0 }
    }

    /// Waits for work that began at `begun_ns` and ended now, unless `is_cancelled`; gives the time after it.
    pub fn stretch(&mut self, begun_ns: u64, is_cancelled: impl Fn() -> bool) -> u64 {
        let mut now = monotonic_ns();
        if self.extra_millionths == 0 {
            return now;
        }
        self.owe(now.saturating_sub(begun_ns));
        while self.owed_ns >= WAIT_MIN_NS && !is_cancelled() {
            std::thread::sleep(Duration::from_nanos(self.owed_ns.unsigned_abs().min(LOOK_NS)));
            let after = monotonic_ns();
            self.owed_ns -= i64::try_from(after - now).unwrap_or(i64::MAX);
            now = after;
        }
        now
    }

    fn owe(&mut self, took_ns: u64) {
        let extra = u128::from(took_ns) * u128::from(self.extra_millionths) / MILLIONTHS as u128;
        self.owed_ns = self.owed_ns.saturating_add(i64::try_from(extra).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(speed: f64) -> Slowness {
        Slowness::new(Speed::new(speed).unwrap().extra_millionths())
    }

    /// Works for `work_ns`, `count` times; gives how many times as long all of it took.
    fn factor(slowness: &mut Slowness, count: u64, work_ns: u64) -> f64 {
        let (begun, mut worked) = (monotonic_ns(), 0);
        for _ in 0..count {
            let from = monotonic_ns();
            while monotonic_ns() - from < work_ns {}
            let before = monotonic_ns();
            let after = slowness.stretch(from, || false);
            worked += before - from;
            assert!(after >= before);
        }
        (monotonic_ns() - begun) as f64 / worked as f64
    }

    #[test]
    fn speeds_are_parts() {
        assert_eq!(Speed::default().extra_millionths(), 0);
        assert_eq!(Speed::new(0.25).map(Speed::extra_millionths), Some(3_000_000));
        for bad in [0.0, -1.0, 1.1, 0.000_9, f64::NAN, f64::INFINITY] {
            assert_eq!(Speed::new(bad), None, "{bad}");
        }
    }

    #[test]
    fn long_and_tiny_work_takes_as_many_times_as_long() {
        crate::os::process::sharpen_timers();
        for (count, work_ns) in [(4, 5_000_000), (2_000, 5_000), (200, 120_000)] {
            let factor = factor(&mut slow(0.5), count, work_ns);
            assert!((1.9..2.3).contains(&factor), "{count} x {work_ns} ns: {factor}");
        }
        let begun = monotonic_ns();
        assert!(slow(1.0).stretch(begun - 1_000_000_000, || false) - begun < 1_000_000_000);
    }

    #[test]
    fn nobody_waits_for_what_was_cancelled() {
        let begun = monotonic_ns();
        let after = slow(0.001).stretch(begun - 10_000_000_000, || monotonic_ns() - begun > 30_000_000);
        assert!(after - begun < 1_000_000_000);
    }
}
