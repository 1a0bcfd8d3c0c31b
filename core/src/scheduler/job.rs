//! A job: which of its tasks may run, apart from who runs them.

use super::backoff::Later;
use super::chunk::{Batch, Pace};
use super::config::Config;
use super::io::{FailureClass, JobSpec, Output};
use super::pause::Ends;
use super::policy::Candidate;
use super::reduction::Reduction;
use super::retry::Charges;
use crate::id::{JobId, WorkerId};
use crate::mutation::{Broken, Mutation};
use crate::range::{IndexRange, RangeSet};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

#[derive(Debug)]
pub(super) struct Job {
    pub(super) spec: JobSpec,
    pub(super) tasks: u64,
    pub(super) bytes: u64,
    pub(super) sealed: bool,
    /// It gets no lease, because its results are not being fetched.
    pub(super) held: bool,
    /// It gets no lease, because most of its tasks end their executors.
    pub(super) paused: bool,
    /// It was recovered, and workers may still have its tasks.
    pub(super) awaits_workers: bool,
    pub(super) ready: Ready,
    /// Tasks that wait before they are tried again.
    pub(super) later: Later,
    /// Tasks that are out on leases; those on two count once.
    pub(super) leased: u64,
    /// Tasks with a committed result.
    pub(super) committed: u64,
    /// Tasks that failed for good.
    pub(super) failed: RangeSet,
    /// Attempts charged to tasks that have not ended.
    pub(super) charged: BTreeMap<u64, Charges>,
    /// How its tasks ended.
    pub(super) ends: Ends,
    /// The highest attempt that was leased out.
    pub(super) last_attempt: u32,
    pub(super) pace: Pace,
    /// Chunks that the policy cut in advance.
    pub(super) batch: Batch,
    /// Weighted thread time it was given, in nanoseconds: the job with the least goes next.
    pub(super) served_ns: u64,
    /// Workers that know of it.
    pub(super) workers: BTreeSet<WorkerId>,
    /// Workers that cannot run it.
    pub(super) banned: BTreeSet<WorkerId>,
    pub(super) reduction: Option<Reduction>,
    /// Some of its tasks had two leases.
    pub(super) speculated: bool,
}

impl Job {
    pub(super) fn new(spec: JobSpec, config: &Config) -> Self {
        let mut ready = Ready::default();
        ready.insert(1, IndexRange::new(0, spec.tasks));
        Self {
            tasks: spec.tasks,
            bytes: 0,
            sealed: !spec.open,
            held: false,
            paused: false,
            awaits_workers: false,
            ready,
            later: Later::new(),
            leased: 0,
            committed: 0,
            failed: RangeSet::new(),
            charged: BTreeMap::new(),
            ends: Ends::default(),
            last_attempt: 0,
            pace: Pace::default(),
            batch: Batch::default(),
            served_ns: 0,
            workers: BTreeSet::new(),
            banned: BTreeSet::new(),
            reduction: spec.reduce.then(|| Reduction::new(spec.tasks, spec.open || spec.paced, config)),
            speculated: false,
            spec,
        }
    }

    /// What a policy is told of it.
    pub(super) fn candidate(&self, id: JobId) -> Candidate {
        Candidate {
            id,
            priority: self.spec.priority,
            weight: self.spec.weight.max(1),
            served_ns: self.served_ns,
            ready: self.ready.len(),
        }
    }

    /// Every task it has got so far has ended.
    pub(super) fn tasks_ended(&self) -> bool {
        self.unleased() == 0 && self.leased == 0
    }

    /// No task is left, now or later.
    pub(super) fn all_ended(&self) -> bool {
        self.sealed && self.tasks_ended()
    }

    /// Tasks that nobody has, whether they may run now or not.
    pub(super) fn unleased(&self) -> u64 {
        self.ready.len() + self.later.len() as u64
    }

    /// It gets no lease for tasks.
    pub(super) const fn is_stopped(&self) -> bool {
        self.held || self.paused || self.awaits_workers
    }

    /// What a worker of so many slots is told before its first lease, if it does not know the job yet.
    pub(super) fn introduce(&mut self, id: JobId, worker: WorkerId, slots: u32) -> Option<Output> {
        self.workers.insert(worker).then(|| {
            let shape = self.spec.shape.resolve(slots);
            Output::Open {
                worker,
                job: id,
                shape,
                leaf: self.reduction.as_ref().map(|reduction| reduction.leaf),
            }
        })
    }

    /// Takes tasks back from a lease, for this attempt; those that another lease has as well stay there.
    pub(super) fn take_back(&mut self, attempt: u32, range: IndexRange, elsewhere: &RangeSet) {
        let mut alone = RangeSet::from(range);
        elsewhere.overlap(range).for_each(|shared| {
            alone.remove(shared);
        });
        self.leased -= alone.len();
        alone.iter().for_each(|range| self.ready.insert(attempt, range));
    }

    /// What is charged to a task once so many more failures of a class are.
    pub(super) fn charge(&self, index: u64, class: FailureClass, count: u32) -> Charges {
        let mut charges = self.charged.get(&index).copied().unwrap_or_default();
        charges.set(class, charges.of(class) + count);
        charges
    }

    /// Whether a task with these failures, the last one of this class, is tried again.
    pub(super) fn may_retry(&self, class: FailureClass, charges: &Charges, broken: &mut Broken) -> bool {
        // Inside a wider leaf the executor has tried again already, and blocks leave its failed tasks out, unless it was
        // the executor that ended. Of one that is over its time nobody can tell.
        let tried_there = self.leaf() > 1 && !matches!(class, FailureClass::Crashed | FailureClass::Memory);
        if tried_there || !class.retryable() || charges.total() >= self.spec.attempts_max() {
            return false;
        }
        charges.of(class) < self.spec.attempts(class) || broken.strikes(Mutation::ClassBudgetIgnored)
    }

    /// Nothing is left to do, now or later.
    pub(super) fn is_over(&self) -> bool {
        self.all_ended() && self.reduction.as_ref().is_none_or(Reduction::is_over)
    }

    /// Tasks that ended, one way or the other.
    pub(super) fn ended(&self) -> u64 {
        self.committed + self.failed.len()
    }

    /// Tasks per leaf of its reduction; 1 without.
    pub(super) fn leaf(&self) -> u64 {
        self.reduction.as_ref().map_or(1, |reduction| reduction.leaf)
    }

    /// Mean bytes of input per task.
    pub(super) fn task_bytes(&self) -> u64 {
        self.bytes.checked_div(self.tasks).unwrap_or(0)
    }

    /// Whether something can be leased out: tasks, or combinations once all tasks have ended.
    pub(super) fn has_work(&self) -> bool {
        let tasks = !self.is_stopped() && self.ready.len() > 0;
        // Pausing holds up tasks; combining is left when all of them have ended.
        let combines = !self.held && self.all_ended();
        tasks || (combines && self.reduction.as_ref().is_some_and(Reduction::has_work))
    }

    pub(super) fn check_invariants(&self) {
        let accounted = self.unleased() + self.leased + self.ended();
        assert_eq!(accounted, self.tasks, "every task is ready, waiting, leased or ended");
        for (_, range) in self.ready.iter() {
            assert!(range.end <= self.tasks);
            assert!(self.failed.overlap(range).next().is_none(), "a failed task is ready");
        }
        let max = self.spec.attempts_max();
        assert!(self.charged.values().all(|charged| charged.total() < max), "a budget is used up");
    }
}

/// Tasks that may run and that nobody has, by the attempt they are up to. A lease takes from one attempt only,
/// so that all of its tasks have the same.
#[derive(Debug, Default)]
pub(super) struct Ready {
    attempts: BTreeMap<u32, RangeSet>,
    len: u64,
}

impl Ready {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn insert(&mut self, attempt: u32, range: IndexRange) {
        if range.is_empty() {
            return;
        }
        let tasks = self.attempts.entry(attempt).or_default();
        let before = tasks.len();
        tasks.insert(range);
        self.len += tasks.len() - before;
    }

    /// Takes up to `count` of the lowest tasks of the highest attempt: what was tried before goes first. The
    /// end is cut at a multiple of `leaf` where the tasks allow it.
    pub(super) fn take(&mut self, count: u64, leaf: u64) -> Option<(u32, IndexRange)> {
        let (&attempt, tasks) = self.attempts.last_key_value()?;
        let first = tasks.first()?;
        let mut end = first.start.saturating_add(count).min(first.end);
        if leaf > 1 && end < first.end {
            let aligned = end - end % leaf;
            // A leaf that lost its head stays whole behind it.
            end = if aligned > first.start { aligned } else { (aligned + leaf).min(first.end) };
        }
        let range = IndexRange::new(first.start, end);
        let tasks = self.attempts.get_mut(&attempt)?;
        tasks.remove(range);
        if tasks.is_empty() {
            self.attempts.remove(&attempt);
        }
        self.len -= range.len();
        Some((attempt, range))
    }

    /// Takes those of these tasks that are here; the attempt is the highest that any of them is up to.
    pub(super) fn take_these(&mut self, wanted: &RangeSet) -> Option<(u32, RangeSet)> {
        let (mut attempt, mut taken) = (0, RangeSet::new());
        for (&of, tasks) in &mut self.attempts {
            let mut here: Vec<IndexRange> = Vec::new();
            wanted.iter().for_each(|range| here.extend(tasks.overlap(range)));
            for &range in &here {
                self.len -= tasks.remove(range);
                taken.insert(range);
            }
            if !here.is_empty() {
                attempt = attempt.max(of);
            }
        }
        self.attempts.retain(|_, tasks| !tasks.is_empty());
        (!taken.is_empty()).then_some((attempt, taken))
    }

    /// How many of these tasks are here.
    pub(super) fn count_of(&self, wanted: &RangeSet) -> u64 {
        let of = |tasks: &RangeSet| -> u64 {
            wanted.iter().map(|range| tasks.overlap(range).map(IndexRange::len).sum::<u64>()).sum()
        };
        self.attempts.values().map(of).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, IndexRange)> + '_ {
        self.attempts.iter().flat_map(|(&attempt, tasks)| tasks.iter().map(move |range| (attempt, range)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retried_tasks_go_first_and_leases_never_mix_attempts() {
        let mut ready = Ready::default();
        ready.insert(1, IndexRange::new(0, 10));
        ready.insert(2, IndexRange::new(20, 22));
        assert_eq!(ready.take(5, 1), Some((2, IndexRange::new(20, 22))));
        assert_eq!(ready.take(5, 1), Some((1, IndexRange::new(0, 5))));
        assert_eq!(ready.len(), 5);
    }

    #[test]
    fn leaves_are_not_cut() {
        let mut ready = Ready::default();
        ready.insert(1, IndexRange::new(0, 21));
        assert_eq!(ready.take(6, 4), Some((1, IndexRange::new(0, 4))));
        assert_eq!(ready.take(2, 4), Some((1, IndexRange::new(4, 8))));
        assert_eq!(ready.take(100, 4), Some((1, IndexRange::new(8, 21))));
    }
}
