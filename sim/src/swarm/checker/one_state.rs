//! Every acknowledged task is ready (or waits to be), out on a lease (or on two, of which the second is speculative), committed or
//! failed for good: one of these at any time.

use super::in_force::InForce;
use super::{Checker, Fact, Verdict, hold};
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::{GrantKind, Input, Outcome, Output, RecoveredJob, Scheduler};
use muster_core::time::Time;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct States {
    tasks: u64,
    ready: RangeSet,
    leased: RangeSet,
    committed: RangeSet,
    failed: RangeSet,
}

#[derive(Debug, Default)]
pub(super) struct OneState {
    leases: InForce,
    jobs: BTreeMap<JobId, States>,
}

/// Takes a range out of one state, where all of it must be.
fn leave(state: &mut RangeSet, name: &str, job: JobId, range: IndexRange) -> Verdict {
    hold!(state.covers(range), "{range} of {job} is not {name}");
    state.remove(range);
    Ok(())
}

impl States {
    fn recovered(job: &RecoveredJob) -> Self {
        let mut ready = RangeSet::from(IndexRange::new(0, job.tasks));
        job.committed.iter().chain(job.failed.iter()).for_each(|range| {
            ready.remove(range);
        });
        Self {
            tasks: job.tasks,
            ready,
            leased: RangeSet::new(),
            committed: job.committed.clone(),
            failed: job.failed.clone(),
        }
    }

    fn said(&mut self, job: JobId, output: &Output) -> Verdict {
        match output {
            Output::Extended { range, .. } => {
                hold!(range.start == self.tasks, "{job} had {} tasks and gets {range}", self.tasks);
                self.tasks = range.end;
                self.ready.insert(*range);
            }
            Output::Grant { grant, .. } if grant.kind == GrantKind::Run => {
                if grant.speculative {
                    hold!(self.leased.covers(grant.range), "{} of {job} is not leased", grant.range);
                } else {
                    leave(&mut self.ready, "ready", job, grant.range)?;
                    self.leased.insert(grant.range);
                }
            }
            Output::Commit { range, .. } => {
                // A block leaves failed tasks out.
                let mut good = RangeSet::from(*range);
                let failed: Vec<IndexRange> = self.failed.overlap(*range).collect();
                for gone in failed {
                    good.remove(gone);
                }
                for piece in good.iter() {
                    leave(&mut self.leased, "leased", job, piece)?;
                    self.committed.insert(piece);
                }
            }
            Output::Fail { index, .. } => {
                let range = IndexRange::from_count(*index, 1);
                leave(&mut self.leased, "leased", job, range)?;
                self.failed.insert(range);
            }
            Output::Retry { index, .. } => {
                let range = IndexRange::from_count(*index, 1);
                leave(&mut self.leased, "leased", job, range)?;
                self.ready.insert(range);
            }
            Output::Released { tasks, .. } => {
                for range in tasks.iter() {
                    leave(&mut self.failed, "failed", job, range)?;
                    self.ready.insert(range);
                }
            }
            Output::Ended { outcome: Outcome::Done, .. } => {
                let ended = self.committed.len() + self.failed.len();
                hold!(ended == self.tasks, "{job} is done and {ended} of {} tasks are", self.tasks);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Checker for OneState {
    fn name(&self) -> &'static str {
        "one_state"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        self.leases.follow(fact);
        for back in self.leases.back.iter().filter(|back| !back.elsewhere) {
            if let Some(states) = self.jobs.get_mut(&back.job) {
                leave(&mut states.leased, "leased", back.job, back.range)?;
                states.ready.insert(back.range);
            }
        }
        match fact {
            Fact::Told(Input::Submit { job, spec }) => {
                let ready = RangeSet::from(IndexRange::new(0, spec.tasks));
                self.jobs.insert(*job, States { tasks: spec.tasks, ready, ..States::default() });
            }
            Fact::Said { output, .. } => {
                let (Output::Extended { job, .. }
                | Output::Commit { job, .. }
                | Output::Fail { job, .. }
                | Output::Retry { job, .. }
                | Output::Released { job, .. }
                | Output::Ended { job, .. }
                | Output::Grant { grant: muster_core::scheduler::Grant { job, .. }, .. }) = output
                else {
                    return Ok(());
                };
                let Some(states) = self.jobs.get_mut(job) else { return Err(format!("{job} is not there")) };
                states.said(*job, output)?;
                if matches!(output, Output::Ended { .. }) {
                    self.jobs.remove(job);
                }
            }
            Fact::Settled(scheduler) => self.compare(scheduler)?,
            Fact::Restarted { jobs, .. } => {
                self.jobs = jobs.iter().map(|job| (job.job, States::recovered(job))).collect();
            }
            _ => {}
        }
        Ok(())
    }
}

impl OneState {
    fn compare(&self, scheduler: &Scheduler) -> Verdict {
        for (job, states) in &self.jobs {
            let Some(view) = scheduler.job(*job) else { return Err(format!("{job} is gone")) };
            let found = [view.tasks, view.ready, view.leased, view.committed, view.failed];
            let [ready, leased, committed, failed] =
                [&states.ready, &states.leased, &states.committed, &states.failed].map(RangeSet::len);
            let expected = [states.tasks, ready, leased, committed, failed];
            hold!(
                found == expected,
                "{job}: tasks, ready, leased, committed, failed: {found:?}, not {expected:?}"
            );
        }
        Ok(())
    }
}
