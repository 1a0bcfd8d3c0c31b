//! A job is paused when enough of its tasks were given up because they end their executors, or several times as many have
//! ended one, while hardly any ended otherwise, and only then.

use super::{Checker, Fact, Verdict, hold};
use muster_core::id::JobId;
use muster_core::scheduler::{Config, Input, Output, Scheduler};
use muster_core::time::Time;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
struct Ends {
    /// Tasks that ended an executor.
    crashed: u64,
    given_up: u64,
    good: u64,
    /// Tasks that ended an executor and have not ended.
    culprits: BTreeSet<u64>,
    failed: BTreeSet<u64>,
    /// The last end was such that the job must be paused by now.
    due: bool,
    paused: bool,
}

#[derive(Debug)]
pub(super) struct Pauses {
    least: u64,
    jobs: BTreeMap<JobId, Ends>,
}

impl Pauses {
    pub(super) fn new(config: &Config) -> Self {
        Self { least: config.pause_crashes.into(), jobs: BTreeMap::new() }
    }

    fn compare(&mut self, scheduler: &Scheduler) -> Verdict {
        for (job, ends) in &mut self.jobs {
            let Some(view) = scheduler.job(*job) else { return Err(format!("{job} is gone")) };
            hold!(view.paused == ends.paused, "{job} is paused: {}, was said: {}", view.paused, ends.paused);
            let due = std::mem::take(&mut ends.due);
            let missed = due && !ends.paused && view.ready + view.leased > 0;
            hold!(!missed, "most tasks of {job} crashed and it goes on: {ends:?}");
        }
        Ok(())
    }

    fn said(&mut self, output: &Output) -> Verdict {
        let least = self.least;
        let (Output::Commit { job, .. }
        | Output::Fail { job, .. }
        | Output::Retry { job, .. }
        | Output::Paused { job, .. }
        | Output::Released { job, .. }) = output
        else {
            return Ok(());
        };
        let Some(ends) = self.jobs.get_mut(job) else { return Err(format!("{job} is not there")) };
        let mostly = |ends: &Ends| {
            let given_up = ends.given_up >= least && ends.given_up > 5 * ends.good;
            let hopeless = ends.crashed >= 5 * least && ends.crashed > 5 * ends.good;
            least > 0 && (given_up || hopeless)
        };
        match output {
            // A block leaves failed tasks out.
            Output::Commit { range, .. } => {
                for index in (range.start..range.end).filter(|index| !ends.failed.contains(index)) {
                    ends.culprits.remove(&index);
                    ends.good += 1;
                }
            }
            Output::Fail { index, class, .. } => {
                ends.blame(*index, class.ends_executor());
                ends.culprits.remove(index);
                ends.failed.insert(*index);
                ends.given_up += u64::from(class.ends_executor());
                ends.good += u64::from(!class.ends_executor());
                ends.due = class.ends_executor() && mostly(ends);
            }
            Output::Retry { index, class, .. } => {
                ends.blame(*index, class.ends_executor());
                ends.due = class.ends_executor() && mostly(ends);
            }
            Output::Paused { crashed, good, .. } => {
                hold!(mostly(ends), "{job} is paused, at least {least}: {ends:?}");
                let known = (ends.crashed, ends.good);
                hold!((*crashed, *good) == known, "{job} is paused for {crashed}, {good}, not {known:?}");
                ends.paused = true;
            }
            Output::Released { tasks, .. } => {
                ends.failed.retain(|&index| !tasks.contains(index));
                let (failed, culprits) =
                    (std::mem::take(&mut ends.failed), std::mem::take(&mut ends.culprits));
                *ends = Ends { failed, culprits, ..Ends::default() };
            }
            _ => {}
        }
        Ok(())
    }
}

impl Ends {
    fn blame(&mut self, index: u64, ended_executor: bool) {
        self.crashed += u64::from(ended_executor && self.culprits.insert(index));
    }
}

impl Checker for Pauses {
    fn name(&self) -> &'static str {
        "pauses"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Told(Input::Submit { job, .. }) => drop(self.jobs.insert(*job, Ends::default())),
            Fact::Said { output: Output::Ended { job, .. }, .. } => {
                self.jobs.remove(job);
            }
            Fact::Said { output, .. } => self.said(output)?,
            Fact::Settled(scheduler) => self.compare(scheduler)?,
            Fact::Restarted { jobs, .. } => {
                let ends = |job: &muster_core::scheduler::RecoveredJob| {
                    let failed = job.failed.iter().flat_map(|range| range.start..range.end).collect();
                    let culprits = job.charged.iter().filter(|(_, charges)| charges.ended_executor());
                    let culprits = culprits.map(|(&index, _)| index).collect();
                    Ends { failed, culprits, paused: job.paused, ..Ends::default() }
                };
                self.jobs = jobs.iter().map(|job| (job.job, ends(job))).collect();
            }
            _ => {}
        }
        Ok(())
    }
}
