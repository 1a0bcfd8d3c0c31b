//! How many tasks the next lease gets, and how long tasks take.

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
        let mean = |tasks: u64| match self.busy_ns.checked_mul(1000) {
            Some(busy_ps) => busy_ps / tasks,
            None => {
                let mean = u128::from(self.busy_ns) * 1000 / u128::from(tasks);
                u64::try_from(mean).unwrap_or(u64::MAX)
            }
        };
        (self.tasks > 0).then(|| mean(self.tasks).max(1))
    }
}

/// What the length of a lease depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Tasks of the job that nobody has.
    pub ready: u64,
    /// Tasks of the job that ended.
    pub ended: u64,
    /// Measured picoseconds per task.
    pub task_ps: Option<u64>,
    /// Mean bytes of input per task.
    pub task_bytes: u64,
    /// Bytes one lease may carry.
    pub bytes_max: u64,
    /// Slots of the worker.
    pub slots: u64,
    /// Slots of all workers.
    pub all_slots: u64,
    /// The lease is a multiple of this.
    pub leaf: u64,
}

/// The chunks of a job that were cut at the same time and not leased out yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// How many there are.
    pub chunks: u64,
    /// Tasks of each.
    pub tasks: u64,
}

/// Guided self-scheduling: each slot of the worker takes its part of what the one before left, a P-th, rounded up.
pub(super) fn guided(outlook: &Outlook) -> u64 {
    let mut left = outlook.ready;
    for _ in 0..outlook.slots {
        left -= left.div_ceil(outlook.all_slots.max(1));
        if left == 0 {
            break;
        }
    }
    outlook.ready - left
}

/// Factoring: when a batch is used up, half of what is left is cut into one chunk per slot of all workers; a worker
/// takes a chunk for each of its slots, as far as the batch goes.
pub(super) fn factoring(outlook: &Outlook, batch: &mut Batch) -> u64 {
    if batch.chunks == 0 {
        let slots = outlook.all_slots.max(1);
        *batch = Batch { chunks: slots, tasks: outlook.ready.div_ceil(slots.saturating_mul(2)) };
    }
    let chunks = outlook.slots.min(batch.chunks);
    batch.chunks -= chunks;
    chunks.saturating_mul(batch.tasks)
}

/// As many tasks as last for `target` on every slot of the worker, at most half of its part of what is left, and at
/// most a multiple of what the job has shown.
pub(super) fn adaptive(target: Span, outlook: &Outlook) -> u64 {
    let slots = outlook.slots;
    let by_time = match outlook.task_ps {
        Some(task_ps) => target.0.saturating_mul(1000).saturating_mul(slots) / task_ps,
        None => UNKNOWN_TASKS_PER_SLOT.saturating_mul(slots),
    };
    let fair_half = outlook.ready.saturating_mul(slots).div_ceil(2 * outlook.all_slots.max(1));
    let shown = GROWTH_MAX.saturating_mul(outlook.ended).max(UNKNOWN_TASKS_PER_SLOT);
    by_time.min(fair_half).min(shown.saturating_mul(slots))
}

/// The length of a lease for which `wanted` tasks would be right: whole leaves, at least one task, at most what is
/// ready and what one lease may have.
pub(super) fn within_limits(wanted: u64, outlook: &Outlook) -> u64 {
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

/// What a task counts that shares its slot with others in flight. However long it takes, a worker has two for each lane.
pub(super) fn of_lane(task_ps: u64, in_flight: u64, credit: Span) -> u64 {
    if in_flight == 1 {
        return task_ps;
    }
    let most = credit.0.saturating_mul(1000) / (2 * in_flight);
    (task_ps / in_flight).min(most).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn adaptive_tasks(outlook: &Outlook) -> u64 {
        within_limits(adaptive(Span::from_millis(100), outlook), outlook)
    }

    /// The lengths of all leases of a job on workers of one slot, or as many as told.
    fn lengths(
        tasks: u64,
        slots: u64,
        all_slots: u64,
        chunking: impl Fn(&Outlook, &mut Batch) -> u64,
    ) -> Vec<u64> {
        let (mut ready, mut batch, mut lengths) = (tasks, Batch::default(), Vec::new());
        while ready > 0 {
            let outlook = Outlook { ready, slots, all_slots, ..outlook(Span::from_micros(10)) };
            let length = within_limits(chunking(&outlook, &mut batch), &outlook);
            lengths.push(length);
            ready -= length;
        }
        lengths
    }

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
        assert_eq!(adaptive_tasks(&outlook(Span::from_micros(1))), 200_000);
        assert_eq!(adaptive_tasks(&outlook(Span::from_millis(1))), 200);
        assert_eq!(adaptive_tasks(&outlook(Span::from_millis(1_000))), 1);
        assert_eq!(adaptive_tasks(&outlook(Span(1))), LEASE_TASKS_MAX);
    }

    #[test]
    fn halves_toward_the_end() {
        let lengths = lengths(1_000, 1, 4, |outlook, _| adaptive(Span::from_millis(100), outlook));
        assert_eq!(&lengths[..4], [125, 110, 96, 84]);
        assert!(lengths.windows(2).all(|pair| pair[0] >= pair[1]));
        assert_eq!(*lengths.last().unwrap(), 1);
    }

    /// 100 tasks on 5 slots.
    #[test]
    fn guided_takes_a_part_of_what_is_left() {
        let expected = [20, 16, 13, 11, 8, 7, 5, 4, 4, 3, 2, 2, 1, 1, 1, 1, 1];
        assert_eq!(lengths(100, 1, 5, |outlook, _| guided(outlook)), expected);
        // A worker of two slots takes what two workers of one slot would have taken.
        assert_eq!(lengths(100, 2, 5, |outlook, _| guided(outlook))[..3], [36, 24, 15]);
    }

    /// 100 tasks on 4 slots.
    #[test]
    fn factoring_halves_in_batches() {
        let expected: Vec<u64> = [13, 6, 3, 2, 1].into_iter().flat_map(|tasks| [tasks; 4]).collect();
        assert_eq!(lengths(100, 1, 4, factoring), expected);
        assert_eq!(lengths(100, 3, 4, factoring)[..4], [39, 13, 18, 6], "a batch has four chunks");
    }

    #[test]
    fn grows_only_as_fast_as_tasks_end() {
        let fresh = Outlook { ended: 0, task_ps: None, ..outlook(Span(1)) };
        assert_eq!(adaptive_tasks(&fresh), 2 * UNKNOWN_TASKS_PER_SLOT);
        let early = Outlook { ended: 4_096, ..outlook(Span(1)) };
        assert_eq!(adaptive_tasks(&early), 2 * GROWTH_MAX * 4_096);
    }

    #[test]
    fn carries_bounded_input_and_whole_leaves() {
        let heavy = Outlook { task_bytes: 1 << 20, ..outlook(Span::from_micros(1)) };
        assert_eq!(adaptive_tasks(&heavy), 4);
        let leaves = Outlook { leaf: 64, ..outlook(Span::from_millis(1)) };
        assert_eq!(adaptive_tasks(&leaves), 256);
        assert_eq!(within_limits(1, &Outlook { ready: 3, leaf: 64, ..leaves }), 3);
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
    fn every_lane_has_two_tasks_however_long_they_take() {
        let credit = Span::from_millis(400);
        let hour = Span::from_millis(3_600_000).0 * 1000;
        let tasks = |task_ps, in_flight| credit.0 * 1000 / of_lane(task_ps, in_flight, credit);
        assert_eq!(tasks(hour, 64), 128);
        assert_eq!(tasks(100_000_000_000, 64), 256, "four of 100 ms");
        assert_eq!(of_lane(7, 1, credit), 7);
    }

    /// A worker may say anything.
    #[test]
    fn tasks_of_centuries_never_look_short() {
        let mut pace = Pace::default();
        pace.record(10, Span((1 << 62) + 2_499_999));
        assert_eq!(pace.task_ps(), Some(u64::MAX));
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
