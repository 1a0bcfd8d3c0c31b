//! A worker's agent answers for each task of a lease once: by a result, a failure or giving it back.

use super::{Checker, Fact, Verdict, hold};
use muster_core::agent::{Input, Output};
use muster_core::id::LeaseId;
use muster_core::range::{IndexRange, RangeSet};
use muster_core::time::Time;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Owed {
    tasks: RangeSet,
    failed: RangeSet,
    whole: bool,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    owed: BTreeMap<(usize, LeaseId), Owed>,
}

impl Checker for Answers {
    fn name(&self) -> &'static str {
        "answers"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Handed { machine, input: Input::Grant(grant) } => {
                let tasks = RangeSet::from(grant.range);
                let owed = Owed { tasks, failed: RangeSet::new(), whole: grant.whole };
                self.owed.entry((*machine, grant.lease)).or_insert(owed);
            }
            Fact::Handed { machine, input: Input::Attached } | Fact::Born { machine } => {
                // What was owed to an earlier session is void once the agent has taken this in.
                self.owed.retain(|(other, _), _| other != machine);
            }
            Fact::Answered { machine, output } => self.answered(*machine, output)?,
            _ => {}
        }
        Ok(())
    }
}

impl Answers {
    fn answered(&mut self, machine: usize, output: &Output) -> Verdict {
        let (lease, range) = match *output {
            Output::Forward { lease, range } | Output::Return { lease, range } => (lease, range),
            Output::ReportFailed { lease, index, .. } => (lease, IndexRange::from_count(index, 1)),
            Output::ForgetLease { lease } => {
                self.owed.remove(&(machine, lease));
                return Ok(());
            }
            _ => return Ok(()),
        };
        if range.is_empty() {
            return Ok(());
        }
        let Some(owed) = self.owed.get_mut(&(machine, lease)) else {
            return Err(format!("{output:?}, and nothing is owed of {lease}"));
        };
        if owed.whole {
            let entire = matches!(output, Output::ReportFailed { .. }) || owed.tasks.covers(range);
            hold!(entire && !owed.tasks.is_empty(), "{output:?}, and {:?} is owed", owed.tasks);
            owed.tasks.clear();
            return Ok(());
        }
        // A block of a reduction leaves tasks out that failed.
        let mut good = RangeSet::from(range);
        let failed: Vec<IndexRange> = owed.failed.overlap(range).collect();
        for gone in failed {
            good.remove(gone);
        }
        hold!(!good.is_empty(), "{output:?}, and all of it had failed");
        for piece in good.iter() {
            hold!(owed.tasks.covers(piece), "{output:?}, and {:?} is owed", owed.tasks);
            owed.tasks.remove(piece);
        }
        if matches!(output, Output::ReportFailed { .. }) {
            owed.failed.insert(range);
        }
        Ok(())
    }
}
