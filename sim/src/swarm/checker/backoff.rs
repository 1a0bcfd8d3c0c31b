//! A task that is tried again waits between half of its backoff and all of it, and gets no lease before that.

use super::{Checker, Fact, Verdict, hold};
use muster_core::id::JobId;
use muster_core::scheduler::{Grant, GrantKind, Input, Output, RetryPolicy};
use muster_core::time::Time;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Backoff {
    jobs: BTreeMap<JobId, RetryPolicy>,
    /// Failures that were charged to a task, and until when it waits.
    tasks: BTreeMap<(JobId, u64), (u32, Time)>,
}

impl Backoff {
    fn retried(&mut self, now: Time, job: JobId, index: u64, not_before: Time) -> Verdict {
        let Some(policy) = self.jobs.get(&job) else { return Err(format!("{job} is not there")) };
        let (failures, due) = self.tasks.entry((job, index)).or_default();
        (*failures, *due) = (*failures + 1, not_before);
        let doubled = (1..*failures).fold(policy.backoff.0, |wait, _| wait.saturating_mul(2));
        let whole = doubled.min(policy.backoff_max.0);
        let wait = not_before.since(now).0;
        hold!(
            (whole / 2..=whole).contains(&wait),
            "{index} of {job} failed {failures} times and waits for {wait} ns, not half of {whole} to all of it"
        );
        Ok(())
    }

    fn granted(&self, now: Time, grant: &Grant) -> Verdict {
        let Grant { job, range, lease, .. } = *grant;
        let mut tasks = self.tasks.range((job, range.start)..(job, range.end));
        let early = tasks.find(|(_, (_, due))| *due > now);
        hold!(early.is_none() || grant.kind != GrantKind::Run, "{early:?} waits and is in {lease}");
        Ok(())
    }
}

impl Checker for Backoff {
    fn name(&self) -> &'static str {
        "backoff"
    }

    fn look(&mut self, now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Told(Input::Submit { job, spec }) => drop(self.jobs.insert(*job, spec.retry)),
            Fact::Said { output: Output::Retry { job, index, not_before, .. }, .. } => {
                self.retried(now, *job, *index, *not_before)?;
            }
            Fact::Said { output: Output::Grant { grant, .. }, .. } => self.granted(now, grant)?,
            Fact::Said { output: Output::Fail { job, index, .. }, .. } => {
                self.tasks.remove(&(*job, *index));
            }
            Fact::Said { output: Output::Ended { job, .. }, .. } => {
                self.jobs.remove(job);
                self.tasks.retain(|(other, _), _| other != job);
            }
            Fact::Restarted { jobs, .. } => {
                self.jobs = jobs.iter().map(|job| (job.job, job.spec.retry)).collect();
                let charged = jobs.iter().flat_map(|job| job.charged.iter().map(|it| (job.job, it)));
                self.tasks =
                    charged.map(|(job, (&index, it))| ((job, index), (it.total(), Time::ZERO))).collect();
            }
            _ => {}
        }
        Ok(())
    }
}
