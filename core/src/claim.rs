//! How many tasks a thread claims at once, about a millisecond of work by the measured task time, so that the
//! claim costs nothing and a recall or a crash loses little; and how long it holds finished results for others to
//! travel with. Executors and simulated ones follow the same rules.

use crate::time::Span;

/// The time that a claim should take.
pub const CLAIM: Span = Span::from_millis(1);
/// Results wait at most about this long for others to travel with, while there is more to claim. Every frame
/// takes cores away from tasks for about half a millisecond, over agent and coordinator together, because it
/// finds their caches cold (measured beside sieves of 32 KiB: 2.4 % of a core at 50 frames a second).
pub const HOLD_MAX: Span = Span::from_millis(100);
/// They wait no less than this.
const HOLD_NS_MIN: u64 = 2_000_000;
/// And otherwise this part of the time that what is unclaimed will take: near the end of the work, and while
/// leases are still short, the coordinator hears soon how far the threads are.
const HOLD_AHEAD: u64 = 4;
/// The most tasks of a claim.
pub const CLAIM_TASKS_MAX: u32 = 16_384;
/// A claim is at most this many times as long as the one before: the first tasks may be the short ones.
const GROWTH_MAX: u32 = 8;

/// A thread's measure of its tasks.
#[derive(Debug)]
pub struct Pace {
    claim_ns: f64,
    /// Expected time of one task; `None` before the first claim.
    task_ns: Option<f64>,
    last: u32,
}

impl Pace {
    /// Nothing measured: the first claim is one task. A claim should take about `claim`.
    #[must_use]
    pub const fn new(claim: Span) -> Self {
        Self { claim_ns: claim.0 as f64, task_ns: None, last: 1 }
    }

    /// Notes what a claim of `tasks` tasks took.
    pub fn record(&mut self, tasks: u32, busy_ns: u64) {
        let tasks = tasks.max(1);
        let mean = (busy_ns as f64 / f64::from(tasks)).max(0.1);
        // Shorter than thought counts slowly, longer at once: a claim that is too long costs more.
        self.task_ns = Some(match self.task_ns {
            Some(known) if mean < known => 0.5 * (known + mean),
            Some(_) | None => mean,
        });
        self.last = tasks;
    }

    /// Tasks to claim when `total` are unclaimed in the page and `slots` threads share them: as many as the
    /// time allows, and never so many that others run dry while this thread works on.
    #[must_use]
    pub fn tasks(&self, total: u64, slots: u32) -> u32 {
        let by_time = self.task_ns.map_or(1, |task_ns| (self.claim_ns / task_ns) as u32);
        let share = total.div_ceil(2 * u64::from(slots.max(1)));
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        by_time.min(CLAIM_TASKS_MAX).min(self.last.saturating_mul(GROWTH_MAX)).min(share).max(1)
    }

    /// Nanoseconds that `slots` threads will need for `tasks` tasks; 0 when nothing was measured.
    #[must_use]
    pub fn time_of(&self, tasks: u64, slots: u32) -> u64 {
        self.task_ns.map_or(0, |task_ns| (task_ns * tasks as f64) as u64 / u64::from(slots.max(1)))
    }
}

/// How long results wait for others when the unclaimed tasks will take `ahead_ns`, and never longer than `max`.
#[must_use]
pub const fn hold_ns(ahead_ns: u64, max: Span) -> u64 {
    let hold = ahead_ns / HOLD_AHEAD;
    if hold >= max.0 {
        max.0
    } else if hold < HOLD_NS_MIN {
        if max.0 < HOLD_NS_MIN { max.0 } else { HOLD_NS_MIN }
    } else {
        hold
    }
}

/// Cuts a claim to whole leaves of a reduction: one aligned power-of-two block of at most about `wanted` tasks.
#[must_use]
pub fn whole_leaves(start: u64, wanted: u32, leaf: u64) -> u32 {
    let aligned = if start == 0 { u64::MAX } else { 1 << start.trailing_zeros() };
    let tasks = if aligned < leaf {
        // The rest of a leaf that was cut.
        leaf - start % leaf
    } else {
        let wanted = u64::from(wanted).max(leaf);
        (1u64 << (63 - wanted.leading_zeros())).min(aligned)
    };
    u32::try_from(tasks).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn claims_grow_to_a_millisecond_and_no_further() {
        let mut pace = Pace::new(CLAIM);
        let mut claims = Vec::new();
        for _ in 0..12 {
            let tasks = pace.tasks(1 << 40, 2);
            claims.push(tasks);
            pace.record(tasks, u64::from(tasks) * 1_000);
        }
        assert_eq!(claims[0], 1);
        assert!(claims.windows(2).all(|pair| pair[1] <= pair[0] * GROWTH_MAX));
        assert!((900..=1_000).contains(claims.last().unwrap()), "{claims:?}");
        pace.record(100, 100_000_000);
        assert_eq!(pace.tasks(1 << 40, 2), 1, "long tasks are claimed one by one at once");
    }

    #[test]
    fn tiny_tasks_are_claimed_in_thousands_and_the_last_ones_shared() {
        let mut pace = Pace::new(CLAIM);
        for _ in 0..40 {
            pace.record(CLAIM_TASKS_MAX, 20_000);
        }
        assert_eq!(pace.tasks(1 << 40, 2), CLAIM_TASKS_MAX);
        assert_eq!(pace.tasks(100, 2), 25);
        assert_eq!(pace.tasks(3, 2), 1);
        assert_eq!(pace.tasks(0, 0), 1);
    }

    #[test]
    fn the_work_ahead_is_shared_by_the_slots() {
        let mut pace = Pace::new(CLAIM);
        assert_eq!(pace.time_of(1_000, 2), 0);
        pace.record(10, 10_000_000);
        assert_eq!(pace.time_of(100, 4), 25_000_000);
        assert_eq!(pace.time_of(u64::MAX, 0), u64::MAX);
    }

    #[test]
    fn leaves_stay_whole() {
        assert_eq!(whole_leaves(0, 1_000, 1), 512);
        assert_eq!(whole_leaves(64, 1_000, 16), 64);
        assert_eq!(whole_leaves(32, 1, 16), 16);
        assert_eq!(whole_leaves(37, 1_000, 16), 11);
        assert_eq!(whole_leaves(0, 1, 1 << 40), u32::MAX);
    }
}
