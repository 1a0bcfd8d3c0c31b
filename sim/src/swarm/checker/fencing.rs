//! Only the lease in force commits, fails or retries a task.

use super::in_force::InForce;
use super::{Checker, Fact, Verdict, hold, source};
use muster_core::range::IndexRange;
use muster_core::scheduler::{Input, Output};
use muster_core::time::Time;

#[derive(Debug, Default)]
pub(super) struct Fencing {
    leases: InForce,
}

impl Checker for Fencing {
    fn name(&self) -> &'static str {
        "fencing"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        if let Fact::Said { output, cause, .. } = fact {
            let (job, range, whole) = match **output {
                Output::Commit { job, range, .. } => (job, range, false),
                Output::Combined { job, block, .. } => (job, block.range(), true),
                Output::Fail { job, index, .. } | Output::Retry { job, index, .. } => {
                    (job, IndexRange::from_count(index, 1), false)
                }
                _ => {
                    self.leases.follow(fact);
                    return Ok(());
                }
            };
            self.check(*cause, job, range, whole)?;
        }
        self.leases.follow(fact);
        Ok(())
    }
}

impl Fencing {
    fn check(
        &self,
        cause: Option<&Input>,
        job: muster_core::id::JobId,
        range: IndexRange,
        whole: bool,
    ) -> Verdict {
        let Some((worker, lease)) = source(cause) else {
            return Err(format!("{range} of {job} ends, and nobody said so"));
        };
        let Some(held) = self.leases.leases.get(&lease) else {
            return Err(format!("{range} of {job} ends by {worker} for {lease}, which is not in force"));
        };
        hold!(
            held.worker == worker && held.job == job,
            "{range} of {job} ends by {worker} for {lease}, which {} has for {}",
            held.worker,
            held.job
        );
        hold!(held.combines == whole, "{lease} of {job} is for something else");
        hold!(held.granted.intersect(range) == range, "{range} of {job} is not in {lease}: {}", held.granted);
        Ok(())
    }
}
