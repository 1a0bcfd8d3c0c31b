//! A job is paused when an attempt ends an executor and more than half of the last ones were the first of their task to
//! do so, and only then.

use super::{Checker, Fact, Verdict, hold};
use muster_core::id::JobId;
use muster_core::scheduler::{Config, FailureClass, Input, Output, Scheduler};
use muster_core::time::Time;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Debug, Default)]
struct Ends {
    /// Whether each of the last attempts was the first of its task to end an executor, the newest last.
    last: VecDeque<bool>,
    culprits: BTreeSet<u64>,
    failed: BTreeSet<u64>,
    /// An attempt ended an executor, and the job must be paused by now.
    due: bool,
    paused: bool,
}

#[derive(Debug)]
pub(super) struct Pauses {
    window: usize,
    jobs: BTreeMap<JobId, Ends>,
}

impl Pauses {
    pub(super) fn new(config: &Config) -> Self {
        Self { window: config.pause_window as usize, jobs: BTreeMap::new() }
    }

    fn failed(&mut self, job: JobId, index: u64, class: FailureClass, again: bool) {
        let Some(ends) = self.jobs.get_mut(&job) else { return };
        if class.ends_executor() {
            if ends.culprits.insert(index) {
                ends.add(true, self.window);
            }
        } else {
            ends.add(false, self.window);
        }
        let due = class.ends_executor() && crashes(ends, self.window).is_some();
        ends.due |= due;
        if !again {
            ends.failed.insert(index);
            ends.culprits.remove(&index);
        }
    }

    fn compare(&mut self, scheduler: &Scheduler) -> Verdict {
        for (job, ends) in &mut self.jobs {
            let Some(view) = scheduler.job(*job) else { return Err(format!("{job} is gone")) };
            hold!(view.paused == ends.paused, "{job} is paused: {}, was said: {}", view.paused, ends.paused);
            let due = std::mem::take(&mut ends.due);
            let missed = due && !ends.paused && view.ready + view.leased > 0;
            hold!(
                !missed,
                "most of {} attempts of {job} crashed and it goes on: {:?}",
                self.window,
                ends.last
            );
        }
        Ok(())
    }
}

/// How many of the last attempts crashed, when these are most.
fn crashes(ends: &Ends, window: usize) -> Option<usize> {
    let crashed = ends.last.iter().filter(|&&crashed| crashed).count();
    (window > 0 && ends.last.len() == window && 2 * crashed > window).then_some(crashed)
}

impl Ends {
    fn add(&mut self, crashed: bool, window: usize) {
        self.last.push_back(crashed);
        self.cut(window);
    }

    fn cut(&mut self, window: usize) {
        self.last.drain(..self.last.len().saturating_sub(window));
    }
}

impl Checker for Pauses {
    fn name(&self) -> &'static str {
        "pauses"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Told(Input::Submit { job, .. }) => drop(self.jobs.insert(*job, Ends::default())),
            Fact::Said { output: Output::Commit { job, range, .. }, .. } => {
                let Some(ends) = self.jobs.get_mut(job) else { return Ok(()) };
                // A block leaves failed tasks out.
                for index in (range.start..range.end).filter(|index| !ends.failed.contains(index)) {
                    ends.culprits.remove(&index);
                    ends.last.push_back(false);
                }
                ends.cut(self.window);
            }
            Fact::Said { output: Output::Retry { job, index, class, .. }, .. } => {
                self.failed(*job, *index, *class, true);
            }
            Fact::Said { output: Output::Fail { job, index, class, .. }, .. } => {
                self.failed(*job, *index, *class, false);
            }
            Fact::Said { output: Output::Paused { job, crashed, ended, .. }, .. } => {
                let Some(ends) = self.jobs.get(job) else { return Err(format!("{job} is not there")) };
                let expected = crashes(ends, self.window);
                let said = (Some(*crashed as usize), *ended as usize);
                hold!(
                    said == (expected, self.window),
                    "{job} is paused for {said:?}, and {expected:?} crashed"
                );
                if let Some(ends) = self.jobs.get_mut(job) {
                    ends.paused = true;
                }
            }
            Fact::Said { output: Output::Released { job, tasks, .. }, .. } => {
                if let Some(ends) = self.jobs.get_mut(job) {
                    ends.failed.retain(|&index| !tasks.contains(index));
                    (ends.paused, ends.last) = (false, VecDeque::new());
                }
            }
            Fact::Said { output: Output::Ended { job, .. }, .. } => {
                self.jobs.remove(job);
            }
            Fact::Settled(scheduler) => self.compare(scheduler)?,
            Fact::Restarted { jobs, .. } => {
                let ends = |job: &muster_core::scheduler::RecoveredJob| {
                    let culprits = job.charged.iter().filter(|(_, charges)| charges.ended_executor());
                    let culprits = culprits.map(|(&index, _)| index).collect();
                    let failed = job.failed.iter().flat_map(|range| range.start..range.end).collect();
                    Ends { culprits, failed, paused: job.paused, ..Ends::default() }
                };
                self.jobs = jobs.iter().map(|job| (job.job, ends(job))).collect();
            }
            _ => {}
        }
        Ok(())
    }
}
