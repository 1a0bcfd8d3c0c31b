//! All indexes of the scheduler compared with each other. Simulation and tests call this after each step.

use super::Scheduler;
use super::lease::Work;
use crate::id::{JobId, WorkerId};
use alloc::collections::BTreeMap;

impl Scheduler {
    /// Panics when the scheduler's own records disagree: a bug in the scheduler, never in its callers.
    pub fn check_invariants(&self) {
        let mut leased: BTreeMap<JobId, u64> = BTreeMap::new();
        let mut combining: BTreeMap<JobId, usize> = BTreeMap::new();
        let mut tasks: BTreeMap<WorkerId, u64> = BTreeMap::new();
        let mut ranges: BTreeMap<JobId, alloc::vec::Vec<_>> = BTreeMap::new();
        for (id, lease) in self.leases.iter() {
            let worker = self.fleet.get(lease.worker).expect("a lease belongs to a worker that is there");
            let job = self.jobs.get(&lease.job).expect("a lease belongs to a job that has not ended");
            assert_eq!(worker.leases.get(lease.place), Some(&id), "a worker lists its leases");
            assert!(job.workers.contains(&lease.worker) && worker.jobs.contains(&lease.job));
            assert!(lease.attempt >= 1 && lease.units() > 0, "an empty lease is in force");
            *tasks.entry(lease.worker).or_default() += lease.units();
            match &lease.work {
                Work::Run { outstanding } => {
                    // What both leases of a pair have counts with the second.
                    let mut own = outstanding.clone();
                    if self.stragglers.other(id).is_some_and(|other| other > id) {
                        self.held_elsewhere(id).iter().for_each(|shared| _ = own.remove(shared));
                    }
                    *leased.entry(lease.job).or_default() += own.len();
                    ranges.entry(lease.job).or_default().extend(own.iter());
                }
                Work::Combine { .. } => *combining.entry(lease.job).or_default() += 1,
            }
        }
        for (id, worker) in self.fleet.iter() {
            let recallable = worker.leases.iter().filter_map(|id| self.leases.get(*id));
            let recallable = recallable.filter(|lease| lease.is_recallable()).count();
            assert_eq!(worker.recallable as usize, recallable, "{id}: leases to call back from");
            assert_eq!(worker.tasks, tasks.get(&id).copied().unwrap_or(0), "{id}: tasks out on leases");
            assert!(worker.jobs.iter().all(|job| self.jobs[job].workers.contains(&id)));
        }
        for (&id, job) in &self.jobs {
            job.check_invariants();
            assert_eq!(job.leased, leased.get(&id).copied().unwrap_or(0), "{id}: tasks out on leases");
            assert_eq!(
                self.ready.contains(&id),
                job.has_work() && !self.suits_nobody(id),
                "{id} is filed wrongly"
            );
            assert!(!job.is_over(), "{id} is over and still there");
            let mut held = ranges.remove(&id).unwrap_or_default();
            held.extend(job.ready.iter().map(|(_, range)| range));
            for (&index, &(due, _)) in &job.later {
                held.push(crate::range::IndexRange::from_count(index, 1));
                assert!(self.waiting.contains(due, id, index), "{id}: nobody wakes {index}");
            }
            held.extend(job.failed.iter());
            held.sort_unstable();
            assert!(
                held.windows(2).all(|pair| pair[0].end <= pair[1].start),
                "{id}: a task is in two places"
            );
            if let Some(reduction) = &job.reduction {
                assert_eq!(reduction.leased, combining.get(&id).copied().unwrap_or(0));
                let blocks: alloc::vec::Vec<_> = reduction.blocks().collect();
                assert!(blocks.windows(2).all(|pair| pair[0].range().end <= pair[1].start), "blocks overlap");
            }
            assert!(job.workers.iter().all(|worker| self.fleet.get(*worker).is_some()));
        }
        let later: usize = self.jobs.values().map(|job| job.later.len()).sum();
        assert_eq!(later, self.waiting.len(), "tasks wait that are not there");
        self.fleet.check_invariants(&self.config);
        self.check_pairs();
        self.check_unfit();
        assert!(self.next_check.is_some() || self.fleet.len() == 0, "nobody looks for silent workers");
    }
}
