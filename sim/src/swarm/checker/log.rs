//! Places in the log rise by one.

use super::{Checker, Fact, Verdict, hold};
use muster_core::id::LogPos;
use muster_core::scheduler::Output;
use muster_core::time::Time;

/// The place an output has in the log, when it has one.
pub(in crate::swarm) const fn place(output: &Output) -> Option<LogPos> {
    match output {
        Output::Accepted { pos, .. }
        | Output::Extended { pos, .. }
        | Output::Sealed { pos, .. }
        | Output::Commit { pos, .. }
        | Output::Combined { pos, .. }
        | Output::Fail { pos, .. }
        | Output::Retry { pos, .. }
        | Output::Paused { pos, .. }
        | Output::Released { pos, .. }
        | Output::Ended { pos, .. } => Some(*pos),
        Output::Open { .. }
        | Output::Adopted { .. }
        | Output::Grant { .. }
        | Output::Recall { .. }
        | Output::Close { .. }
        | Output::Dropped { .. }
        | Output::Lost { .. }
        | Output::Drained { .. } => None,
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    last: Option<u64>,
}

impl Checker for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Said { output, .. } => {
                if let Some(LogPos(pos)) = place(output) {
                    let last = self.last.replace(pos);
                    hold!(last.is_none_or(|last| pos == last + 1), "place {pos} follows {last:?}");
                }
            }
            // What was not durable is written anew in the same places.
            Fact::Restarted { .. } => self.last = None,
            _ => {}
        }
        Ok(())
    }
}
