//! The time limit of a job's tasks. The page says which task each slot runs and since when; one that is over its time is
//! told to stop through its slot's flag, then its executor is asked to end, then killed. Looking costs something only
//! when it may matter: the next time to look follows from what was seen.

use super::driver::Driver;
use super::executor::Seat;
use super::job::JobState;
use crate::os::monotonic_ns;
use crate::page::{JobPage, stop_task};
use muster_core::id::ExecutorId;
use muster_core::page::SlotRecord;
use muster_core::time::Span;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Watches the tasks of one job.
#[derive(Debug)]
pub(super) struct Deadlines {
    limit_ns: u64,
    grace_ns: u64,
    /// Tasks that were told to stop, by slot.
    told: BTreeMap<u32, Told>,
    /// Tasks that do not stop although their executor told them to, by slot, and when that is killed.
    deaf: BTreeMap<u32, (Vec<u64>, u64)>,
    /// When to look next.
    next_ns: u64,
}

/// A task that was told to stop.
#[derive(Clone, Copy, Debug)]
struct Told {
    index: u64,
    started_ns: u64,
    told_ns: u64,
    /// When its executor was asked to end.
    terminated_ns: Option<u64>,
}

/// What is to be done about the executor of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The task does not stop.
    Terminate(u32),
    /// Nor does its executor.
    Kill(u32),
}

impl Deadlines {
    pub fn new(limit: Span, grace: Span) -> Self {
        Self {
            limit_ns: limit.0,
            grace_ns: grace.0,
            told: BTreeMap::new(),
            deaf: BTreeMap::new(),
            next_ns: 0,
        }
    }

    /// The limit.
    pub const fn limit(&self) -> Span {
        Span(self.limit_ns)
    }

    /// When to look next, by the machine's monotonic clock.
    pub const fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Tells tasks that are over their time to stop, and says which executors take no notice.
    pub fn look(&mut self, page: &JobPage) -> Vec<Overdue> {
        self.look_at(page, monotonic_ns())
    }

    fn look_at(&mut self, page: &JobPage, now_ns: u64) -> Vec<Overdue> {
        let mut overdue = Vec::new();
        let mut next_ns = now_ns.saturating_add(self.limit_ns);
        for (slot, record) in (0u32..).zip(page.slot_records()) {
            // In this order: a task is never seen with the start of the one before it.
            let index = record.current.load(SeqCst);
            let started_ns = record.started_ns.load(SeqCst);
            if index == SlotRecord::IDLE {
                self.forget(slot, record);
                // A thread with many tasks says when the oldest of them began, and tells them to stop itself. Here one
                // counts that keeps the thread from that.
                if record.in_flight.load(SeqCst) != 0 {
                    let due_ns = started_ns.min(now_ns).saturating_add(self.limit_ns);
                    next_ns = next_ns.min(due_ns.max(now_ns.saturating_add(self.grace_ns / 2)));
                }
                continue;
            }
            let is_it = |told: &&mut Told| told.index == index && told.started_ns == started_ns;
            if let Some(told) = self.told.get_mut(&slot).filter(is_it) {
                next_ns = next_ns.min(told.climb(slot, self.grace_ns, now_ns, &mut overdue));
                continue;
            }
            self.forget(slot, record);
            // What began after now does so in nobody's time but a plugin's that writes there, or has no limit.
            let due_ns = started_ns.min(now_ns).saturating_add(self.limit_ns);
            if due_ns > now_ns {
                next_ns = next_ns.min(due_ns);
                continue;
            }
            stop_task(record);
            self.told.insert(slot, Told { index, started_ns, told_ns: now_ns, terminated_ns: None });
            next_ns = next_ns.min(now_ns.saturating_add(self.grace_ns / 2));
        }
        for (&slot, &(_, kill_ns)) in &self.deaf {
            if now_ns >= kill_ns {
                overdue.push(Overdue::Kill(slot));
            } else {
                next_ns = next_ns.min(kill_ns);
            }
        }
        self.next_ns = next_ns;
        overdue
    }

    /// Tasks of a slot do not stop: half of their grace is over, and at the end of the other half their executor is killed.
    pub fn note_deaf(&mut self, slot: u32, tasks: Vec<u64>) {
        let kill_ns = monotonic_ns().saturating_add(self.grace_ns / 2);
        self.next_ns = self.next_ns.min(kill_ns);
        self.deaf.entry(slot).or_insert_with(|| (Vec::new(), kill_ns)).0.extend(tasks);
    }

    /// The task that was told to stop is over: the flag is not for the next one.
    fn forget(&mut self, slot: u32, record: &SlotRecord) {
        if self.told.remove(&slot).is_some() {
            record.cancel.store(0, SeqCst);
        }
    }

    /// Whether the flag of a slot is set because of what ran there.
    pub fn has_told(&self, slot: u32) -> bool {
        self.told.contains_key(&slot)
    }

    /// Whether a task runs on that was told to stop.
    pub fn has_any(&self) -> bool {
        !self.told.is_empty() || !self.deaf.is_empty()
    }

    /// The tasks of these slots that were told to stop and run on.
    pub fn told(&self, first: u32, count: u32) -> impl Iterator<Item = u64> + '_ {
        self.told.range(first..first.saturating_add(count)).map(|(_, told)| told.index)
    }

    /// The tasks of these slots of which their executor has said that they do not stop.
    pub fn deaf(&self, first: u32, count: u32) -> impl Iterator<Item = u64> + '_ {
        let deaf = self.deaf.range(first..first.saturating_add(count));
        deaf.flat_map(|(_, (tasks, _))| tasks.iter().copied())
    }

    /// The executor of these slots is gone.
    pub fn clear(&mut self, first: u32, count: u32) {
        let is_elsewhere = |slot: &u32| !(first..first.saturating_add(count)).contains(slot);
        self.told.retain(|slot, _| is_elsewhere(slot));
        self.deaf.retain(|slot, _| is_elsewhere(slot));
    }
}

impl Told {
    /// What follows, when its time has come; says when that of the next is.
    fn climb(&mut self, slot: u32, grace_ns: u64, now_ns: u64, overdue: &mut Vec<Overdue>) -> u64 {
        let terminate_ns = self.told_ns.saturating_add(grace_ns / 2);
        let Some(terminated_ns) = self.terminated_ns else {
            if now_ns < terminate_ns {
                return terminate_ns;
            }
            self.terminated_ns = Some(now_ns);
            overdue.push(Overdue::Terminate(slot));
            return self.kill_ns(grace_ns, now_ns);
        };
        let kill_ns = self.kill_ns(grace_ns, terminated_ns);
        if now_ns < kill_ns {
            return kill_ns;
        }
        overdue.push(Overdue::Kill(slot));
        u64::MAX
    }

    /// When its executor is killed. What cleans up has a quarter of the grace at least, also when this worker was late to
    /// say so.
    fn kill_ns(&self, grace_ns: u64, terminated_ns: u64) -> u64 {
        self.told_ns.saturating_add(grace_ns).max(terminated_ns.saturating_add(grace_ns / 4))
    }
}

impl Driver {
    /// Tells tasks that are over their time to stop, and ends the executors of those that do not.
    pub fn end_overdue(&mut self) {
        for (&id, job) in &mut self.jobs {
            let (Some(deadlines), Some(memory)) = (&mut job.deadlines, &job.memory) else { continue };
            if monotonic_ns() < deadlines.next_ns() || memory.is_cancelled() {
                continue;
            }
            let limit = deadlines.limit();
            for overdue in deadlines.look(&memory.page) {
                let (Overdue::Terminate(slot) | Overdue::Kill(slot)) = overdue;
                let mut executors = self.executors.values_mut();
                let sits = |seat: Seat| seat.job == id && seat.slots().contains(&slot);
                let Some(executor) = executors.find(|it| it.seat.is_some_and(sits)) else { continue };
                executor.circumstances.over_time = Some(limit);
                match overdue {
                    Overdue::Terminate(_) => {
                        executor.circumstances.suspended |= executor.is_stopped();
                        executor.terminate();
                    }
                    Overdue::Kill(_) => executor.kill(),
                }
            }
        }
    }

    /// An executor says that tasks of one of its threads do not stop at their time limit.
    pub fn on_deaf(&mut self, id: ExecutorId, slot: u32, tasks: Vec<u64>) {
        let Some(executor) = self.executors.get_mut(&id) else { return };
        let Some(seat) = executor.seat.filter(|seat| slot < seat.threads) else { return };
        let Some(deadlines) = self.jobs.get_mut(&seat.job).and_then(|job| job.deadlines.as_mut()) else {
            return;
        };
        deadlines.note_deaf(seat.first_slot + slot, tasks);
        executor.circumstances.over_time = Some(deadlines.limit());
        executor.terminate();
    }

    /// When a task may be over its time next.
    pub fn next_overdue(&self) -> Option<Instant> {
        let next_ns = self.jobs.values().filter_map(JobState::next_overdue_ns).min()?;
        Some(Instant::now() + Duration::from_nanos(next_ns.saturating_sub(monotonic_ns())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_over_its_time_is_told_then_its_executor_ended() {
        let page = JobPage::create(2).unwrap();
        let mut deadlines = Deadlines::new(Span(100), Span(50));
        assert_eq!((deadlines.look_at(&page, 1_000), deadlines.next_ns()), (vec![], 1_100), "nothing runs");
        let slot = page.slot(1).unwrap();
        slot.started_ns.store(1_020, SeqCst);
        slot.current.store(7, SeqCst);
        assert_eq!((deadlines.look_at(&page, 1_100), deadlines.next_ns()), (vec![], 1_120));
        assert_eq!((deadlines.look_at(&page, 1_120), deadlines.next_ns()), (vec![], 1_145));
        assert_eq!((slot.cancel.load(SeqCst), deadlines.has_told(1)), (1, true));
        assert_eq!(
            (deadlines.look_at(&page, 1_145), deadlines.next_ns()),
            (vec![Overdue::Terminate(1)], 1_170)
        );
        assert_eq!(deadlines.look_at(&page, 1_150), []);
        assert_eq!(deadlines.told(0, 2).collect::<Vec<_>>(), [7]);
        assert_eq!(deadlines.told(0, 1).count(), 0);
        assert_eq!(deadlines.look_at(&page, 1_170), [Overdue::Kill(1)]);
        deadlines.clear(1, 1);
        // One that is looked at too late is asked before it is killed.
        assert_eq!(deadlines.look_at(&page, 1_200), []);
        assert_eq!(
            (deadlines.look_at(&page, 1_300), deadlines.next_ns()),
            (vec![Overdue::Terminate(1)], 1_312)
        );
        assert_eq!(deadlines.look_at(&page, 1_312), [Overdue::Kill(1)]);
        deadlines.clear(1, 1);
        assert!(!deadlines.has_told(1));
    }

    #[test]
    fn the_next_task_of_a_slot_has_its_own_time() {
        let page = JobPage::create(1).unwrap();
        let mut deadlines = Deadlines::new(Span(100), Span(50));
        let slot = page.slot(0).unwrap();
        let run = |index, started_ns| {
            slot.started_ns.store(started_ns, SeqCst);
            slot.current.store(index, SeqCst);
        };
        run(1, 0);
        deadlines.look_at(&page, 100);
        assert!(deadlines.has_told(0));
        run(2, 120);
        assert_eq!((deadlines.look_at(&page, 150), deadlines.has_told(0)), (vec![], false));
        assert_eq!(deadlines.next_ns(), 220);
        // Times that a plugin made up never make it look at once for ever.
        run(3, u64::MAX);
        deadlines.look_at(&page, 230);
        assert_eq!(deadlines.next_ns(), 330);
    }
}
