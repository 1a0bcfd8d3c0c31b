//! Attempts rise with each lease, within one life of the coordinator; only what came back unstarted keeps its number.

use super::in_force::InForce;
use super::{Checker, Fact, Verdict, hold};
use muster_core::id::JobId;
use muster_core::scheduler::{Grant, GrantKind, Output};
use muster_core::time::Time;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Attempts {
    leases: InForce,
    /// The last attempt of each task that was leased out, and whether that came back unstarted.
    last: BTreeMap<(JobId, u64), (u32, bool)>,
}

impl Checker for Attempts {
    fn name(&self) -> &'static str {
        "attempts"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        self.leases.follow(fact);
        for back in self.leases.back.iter().filter(|back| back.unstarted) {
            for index in back.range.start..back.range.end {
                // Of two leases the one with the higher number counts.
                if let Some((last, unstarted)) = self.last.get_mut(&(back.job, index)) {
                    *unstarted |= *last == back.attempt;
                }
            }
        }
        match fact {
            Fact::Said { output: Output::Grant { grant, .. }, .. } => self.granted(grant)?,
            // What failed in an earlier life goes on behind the highest attempt of its job in this one.
            Fact::Said { output: Output::Released { job, tasks, .. }, .. } => {
                for index in tasks.iter().flat_map(|range| range.start..range.end) {
                    self.last.entry((*job, index)).or_insert((0, false));
                }
            }
            Fact::Said { output: Output::Ended { job, .. }, .. } => {
                self.last.retain(|(other, _), _| other != job);
            }
            Fact::Restarted { .. } => self.last.clear(),
            _ => {}
        }
        Ok(())
    }
}

impl Attempts {
    fn granted(&mut self, grant: &Grant) -> Verdict {
        let Grant { job, range, attempt, ref kind, lease, .. } = *grant;
        hold!(attempt >= 1, "{lease} of {job} is attempt 0");
        if *kind != GrantKind::Run {
            return Ok(());
        }
        for index in range.start..range.end {
            match self.last.insert((job, index), (attempt, false)) {
                None => hold!(attempt == 1, "the first attempt of {index} of {job} is number {attempt}"),
                Some((last, true)) => {
                    hold!(attempt >= last, "attempt {attempt} of {index} of {job} follows {last}, unstarted");
                }
                Some((last, false)) => {
                    hold!(attempt > last, "attempt {attempt} of {index} of {job} follows {last}");
                }
            }
        }
        Ok(())
    }
}
