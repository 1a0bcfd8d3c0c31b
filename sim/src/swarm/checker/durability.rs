//! What a client was told is there after every crash of the coordinator.

use super::{Checker, Fact, Verdict, hold};
use crate::swarm::disk::Entry;
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::RecoveredJob;
use muster_core::time::Time;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
struct Told {
    tasks: u64,
    sealed: bool,
    paused: bool,
    ended: RangeSet,
}

#[derive(Debug, Default)]
pub(super) struct Durability {
    jobs: BTreeMap<JobId, Told>,
    over: BTreeSet<JobId>,
}

impl Checker for Durability {
    fn name(&self) -> &'static str {
        "durability"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Shown(entry) => self.shown(entry),
            Fact::Restarted { jobs, ended } => {
                for id in &self.over {
                    hold!(ended.contains(id), "{id} had ended, a client was told, and it has not");
                }
                for (id, told) in &self.jobs {
                    let Some(job) = jobs.iter().find(|job| job.job == *id) else {
                        hold!(ended.contains(id), "{id} was accepted and is not there");
                        continue;
                    };
                    told.compare(job)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Durability {
    fn shown(&mut self, entry: &Entry) {
        let job = self.jobs.entry(entry.job()).or_default();
        match entry {
            Entry::Accepted { spec, .. } => job.tasks = spec.tasks,
            Entry::Extended { range, .. } => job.tasks = range.end,
            Entry::Sealed { .. } => job.sealed = true,
            Entry::Commit { range, .. } => job.ended.insert(*range),
            Entry::Fail { index, .. } => job.ended.insert(IndexRange::from_count(*index, 1)),
            Entry::Paused { .. } => job.paused = true,
            Entry::Released { tasks, .. } => {
                job.paused = false;
                tasks.iter().for_each(|range| _ = job.ended.remove(range));
            }
            Entry::Combined { .. } | Entry::Retry { .. } => {}
            Entry::Ended { job } => {
                self.jobs.remove(job);
                self.over.insert(*job);
            }
        }
    }
}

impl Told {
    fn compare(&self, job: &RecoveredJob) -> Verdict {
        let id = job.job;
        hold!(job.tasks >= self.tasks, "{id} had {} tasks and has {}", self.tasks, job.tasks);
        hold!(
            job.paused == self.paused,
            "{id} is paused: {}, a client was told: {}",
            job.paused,
            self.paused
        );
        hold!(job.sealed || !self.sealed, "{id} was sealed and is not");
        for range in self.ended.iter() {
            for index in range.start..range.end {
                let there = job.committed.contains(index) || job.failed.contains(index);
                hold!(there, "{index} of {id} had ended, a client was told, and it has not");
            }
        }
        Ok(())
    }
}
