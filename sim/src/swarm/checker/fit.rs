//! A job goes to no worker that must not run it.

use super::{Checker, Fact, Verdict, hold};
use muster_core::id::{JobId, WorkerId};
use muster_core::scheduler::{Input, Output};
use muster_core::time::Time;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct Fit {
    unfit: BTreeSet<(WorkerId, JobId)>,
}

impl Checker for Fit {
    fn name(&self) -> &'static str {
        "fit"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        let (worker, job) = match fact {
            Fact::Told(Input::Unfit { worker, job }) => {
                self.unfit.insert((*worker, *job));
                return Ok(());
            }
            Fact::Restarted { .. } => {
                self.unfit.clear();
                return Ok(());
            }
            Fact::Said { output: Output::Open { worker, job, .. }, .. } => (*worker, *job),
            Fact::Said { output: Output::Grant { worker, grant }, .. } => (*worker, grant.job),
            _ => return Ok(()),
        };
        hold!(!self.unfit.contains(&(worker, job)), "{worker} must not run {job} and gets it");
        Ok(())
    }
}
