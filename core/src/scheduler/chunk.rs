//! How many tasks the next lease gets, and how long tasks take.

use super::config::Chunking;
use crate::page::LEASE_TASKS_MAX;
use crate::time::Span;

/// Tasks of a lease per slot while nothing is known about their time.
const UNKNOWN_TASKS_PER_SLOT: u64 = 4;
/// A lease is at most this many times as long as all tasks of the job that ended so far: a job whose first
/// tasks were unusually short cannot bind its workers to more than it has shown.
const GROWTH_MAX: u64 = 8;
/// Leases that a worker may have ahead when each is short.
const LEASES_AHEAD_MAX: u64 = 8;
/// Thread time after which old measurements fade.
const WINDOW: Span = Span::from_millis(2_000);
/// Tasks that must be in a window before they fade.
const WINDOW_TASKS: u64 = 16;

/// The measured time of a job's tasks: a mean over a fading window of thread time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    busy_ns: u64,
    tasks: u64,
}

impl Pace {
    pub(super) fn record(&mut self, tasks: u64, busy: Span) {
        self.busy_ns = self.busy_ns.saturating_add(busy.0);
        self.tasks = self.tasks.saturating_add(tasks);
        if self.busy_ns > WINDOW.0 && self.tasks > WINDOW_TASKS {
            self.busy_ns /= 2;
            self.tasks /= 2;
        }
    }

    /// Picoseconds per task: an empty task takes about one nanosecond.
    pub(super) fn task_ps(&self) -> Option<u64> {
        (self.tasks > 0).then(|| (u128::from(self.busy_ns) * 1000 / u128::from(self.tasks)).max(1) as u64)
    }
}

/// What the length of a lease depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    /// Tasks of the job that nobody has.
    pub(super) ready: u64,
    /// Tasks of the job that ended.
    pub(super) ended: u64,
    /// Measured picoseconds per task.
    pub(super) task_ps: Option<u64>,
    /// Mean bytes of input per task.
    pub(super) task_bytes: u64,
    /// Bytes one lease may carry.
    pub(super) bytes_max: u64,
    /// Slots of the worker.
    pub(super) slots: u64,
    /// Slots of all workers.
    pub(super) all_slots: u64,
    /// The lease is a multiple of this.
    pub(super) leaf: u64,
}

/// The length of the next lease: at least one task, at most what is ready.
pub(super) fn lease_tasks(chunking: Chunking, outlook: &Outlook) -> u64 {
    let wanted = match chunking {
        Chunking::Fixed(tasks) => tasks,
        Chunking::Adaptive { target } => {
            let slots = outlook.slots;
            let by_time = match outlook.task_ps {
                Some(task_ps) => target.0.saturating_mul(1000).saturating_mul(slots) / task_ps,
                None => UNKNOWN_TASKS_PER_SLOT.saturating_mul(slots),
            };
            let fair_half = outlook.ready.saturating_mul(slots).div_ceil(2 * outlook.all_slots.max(1));
            let shown = GROWTH_MAX.saturating_mul(outlook.ended).max(UNKNOWN_TASKS_PER_SLOT);
            by_time.min(fair_half).min(shown.saturating_mul(slots))
        }
    };
    let carried = outlook.bytes_max.checked_div(outlook.task_bytes).unwrap_or(u64::MAX);
    let tasks = wanted.min(carried).clamp(1, LEASE_TASKS_MAX);
    // Whole leaves: a leaf that is cut has several partial results.
    let leaves = tasks.div_ceil(outlook.leaf).min(LEASE_TASKS_MAX / outlook.leaf).max(1);
    leaves.saturating_mul(outlook.leaf).min(outlook.ready.max(1))
}

/// What a task of a lease counts in a worker's credit, in picoseconds. No lease counts less than an eighth of
/// the credit, so that a worker never has more than eight leases ahead, however short they are; while nothing
/// was measured, a lease counts as half of the credit.
pub(super) fn estimate_ps(task_ps: Option<u64>, tasks: u64, slots: u64, credit: Span) -> u64 {
    let credit_ps = credit.0.saturating_mul(1000).saturating_mul(slots) / tasks.max(1);
    match task_ps {
        Some(task_ps) => task_ps.max(credit_ps / LEASES_AHEAD_MAX),
        None => credit_ps / 2,
    }
    .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADAPTIVE: Chunking = Chunking::Adaptive { target: Span::from_millis(100) };

    fn outlook(task: Span) -> Outlook {
        Outlook {
            ready: 1_000_000_000,
            ended: 1_000_000_000,
            task_ps: Some(task.0 * 1000),
            task_bytes: 0,
            bytes_max: 4 << 20,
            slots: 2,
            all_slots: 4,
            leaf: 1,
        }
    }

    /// The lengths that issue 1 asks for: a lease lasts 100 ms on each slot.
    #[test]
    fn follows_the_task_time() {
        assert_eq!(lease_tasks(ADAPTIVE, &outlook(Span::from_micros(1))), 200_000);
        assert_eq!(lease_tasks(ADAPTIVE, &outlook(Span::from_millis(1))), 200);
        assert_eq!(lease_tasks(ADAPTIVE, &outlook(Span::from_millis(1_000))), 1);
        assert_eq!(lease_tasks(ADAPTIVE, &outlook(Span(1))), LEASE_TASKS_MAX);
    }

    #[test]
    fn halves_toward_the_end() {
        let mut ready = 1_000;
        let mut lengths = alloc::vec::Vec::new();
        while ready > 0 {
            let tasks = lease_tasks(ADAPTIVE, &Outlook { ready, slots: 1, ..outlook(Span::from_micros(10)) });
            lengths.push(tasks);
            ready -= tasks;
        }
        assert_eq!(&lengths[..4], [125, 110, 96, 84]);
        assert!(lengths.windows(2).all(|pair| pair[0] >= pair[1]));
        assert_eq!(*lengths.last().unwrap(), 1);
    }

    #[test]
    fn grows_only_as_fast_as_tasks_end() {
        let fresh = Outlook { ended: 0, task_ps: None, ..outlook(Span(1)) };
        assert_eq!(lease_tasks(ADAPTIVE, &fresh), 2 * UNKNOWN_TASKS_PER_SLOT);
        let early = Outlook { ended: 4_096, ..outlook(Span(1)) };
        assert_eq!(lease_tasks(ADAPTIVE, &early), 2 * GROWTH_MAX * 4_096);
    }

    #[test]
    fn carries_bounded_input_and_whole_leaves() {
        let heavy = Outlook { task_bytes: 1 << 20, ..outlook(Span::from_micros(1)) };
        assert_eq!(lease_tasks(ADAPTIVE, &heavy), 4);
        let leaves = Outlook { leaf: 64, ..outlook(Span::from_millis(1)) };
        assert_eq!(lease_tasks(ADAPTIVE, &leaves), 256);
        assert_eq!(lease_tasks(Chunking::Fixed(1), &Outlook { ready: 3, leaf: 64, ..leaves }), 3);
    }

    #[test]
    fn credit_bounds_the_number_of_leases() {
        let credit = Span::from_millis(400);
        let leases = |task_ps, tasks| 400_000_000_000 / (estimate_ps(task_ps, tasks, 1, credit) * tasks);
        assert_eq!(leases(Some(1_000), 32), 8);
        assert_eq!(leases(Some(1_000_000_000), 100), 4);
        assert_eq!(leases(None, 4), 2);
    }

    #[test]
    fn pace_fades() {
        let mut pace = Pace::default();
        assert_eq!(pace.task_ps(), None);
        for _ in 0..100 {
            pace.record(1_000, Span::from_millis(100));
        }
        assert!(pace.task_ps().unwrap().abs_diff(100_000_000) < 100_000);
        for _ in 0..30 {
            pace.record(10, Span::from_millis(1_000));
        }
        assert!(pace.task_ps().unwrap() > 50_000_000_000);
    }
}
