//! At most one commit per task, over all lives of the coordinator; and none of a task that failed for good.

use super::{Checker, Fact, Verdict, hold};
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::{Input, Output};
use muster_core::time::Time;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct Ends {
    committed: RangeSet,
    failed: RangeSet,
    reduce: bool,
}

#[derive(Debug, Default)]
pub(super) struct CommitOnce {
    jobs: BTreeMap<JobId, Ends>,
}

impl Checker for CommitOnce {
    fn name(&self) -> &'static str {
        "commit_once"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Told(Input::Submit { job, spec }) => {
                self.jobs.insert(*job, Ends { reduce: spec.reduce, ..Ends::default() });
            }
            Fact::Said { output: Output::Commit { job, range, .. }, .. } => {
                let ends = self.jobs.entry(*job).or_default();
                let failed: Vec<IndexRange> = ends.failed.overlap(*range).collect();
                hold!(ends.reduce || failed.is_empty(), "{range} of {job} is committed and had failed");
                // A block leaves failed tasks out.
                let mut good = RangeSet::from(*range);
                for gone in failed {
                    good.remove(gone);
                }
                for piece in good.iter() {
                    let again = ends.committed.overlap(piece).next();
                    hold!(again.is_none(), "{piece} of {job} is committed twice");
                    ends.committed.insert(piece);
                }
            }
            Fact::Said { output: Output::Fail { job, index, .. }, .. } => {
                let ends = self.jobs.entry(*job).or_default();
                hold!(!ends.committed.contains(*index), "{index} of {job} failed and had been committed");
                hold!(!ends.failed.contains(*index), "{index} of {job} failed for good twice");
                ends.failed.insert(IndexRange::from_count(*index, 1));
            }
            Fact::Said { output: Output::Released { job, tasks, .. }, .. } => {
                let ends = self.jobs.entry(*job).or_default();
                tasks.iter().for_each(|range| _ = ends.failed.remove(range));
            }
            Fact::Said { output: Output::Ended { job, .. }, .. } => {
                self.jobs.remove(job);
            }
            Fact::Restarted { jobs, .. } => {
                let ends = |job: &muster_core::scheduler::RecoveredJob| Ends {
                    committed: job.committed.clone(),
                    failed: job.failed.clone(),
                    reduce: job.spec.reduce,
                };
                self.jobs = jobs.iter().map(|job| (job.job, ends(job))).collect();
            }
            _ => {}
        }
        Ok(())
    }
}
