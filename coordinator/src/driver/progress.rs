//! How far the running tasks of a job say they are, by worker.

use muster_core::id::WorkerId;
use std::collections::BTreeMap;

/// What running tasks have done, in tasks. Workers tell it with their heartbeats; of most jobs nobody says anything.
#[derive(Debug, Default)]
pub struct Progress(BTreeMap<WorkerId, f64>);

impl Progress {
    /// What a worker says now.
    pub fn hear(&mut self, worker: WorkerId, tasks: f64) {
        if tasks > 0.0 {
            self.0.insert(worker, tasks);
        } else {
            self.0.remove(&worker);
        }
    }

    /// Tasks of a worker have ended since it last said something: what they had done must not count twice.
    pub fn ended(&mut self, worker: WorkerId, tasks: u64) {
        if let Some(known) = self.0.get_mut(&worker) {
            *known = (*known - tasks as f64).max(0.0);
        }
    }

    /// All of it; at most one for each of the tasks that are out on leases.
    pub fn tasks(&self, leased: u64) -> f64 {
        self.0.values().sum::<f64>().min(leased as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_counts_twice_and_workers_that_are_gone_do_not_count() {
        let mut progress = Progress::default();
        progress.hear(WorkerId(1), 1.5);
        progress.hear(WorkerId(2), 0.25);
        assert_eq!(progress.tasks(10), 1.75);
        assert_eq!(progress.tasks(1), 1.0, "never more than the tasks that are out");
        progress.ended(WorkerId(1), 1);
        progress.ended(WorkerId(3), 1);
        assert_eq!(progress.tasks(10), 0.75);
        progress.ended(WorkerId(1), 1);
        assert_eq!(progress.tasks(10), 0.25, "never less than nothing");
        progress.hear(WorkerId(2), 0.0);
        assert_eq!(progress.tasks(10), 0.0);
    }
}
