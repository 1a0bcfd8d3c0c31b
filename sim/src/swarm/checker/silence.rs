//! A worker that says nothing for the length of a lease, and in its last chance, is given up.

use super::{Checker, Fact, Verdict, hold};
use muster_core::id::WorkerId;
use muster_core::scheduler::{Config, Input, Output};
use muster_core::time::{Span, Time};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Silence {
    patience: Span,
    heard: BTreeMap<WorkerId, Time>,
}

impl Silence {
    pub(super) fn new(config: &Config) -> Self {
        Self { patience: config.lease + Span(config.lease.0 / 10), heard: BTreeMap::new() }
    }
}

impl Checker for Silence {
    fn name(&self) -> &'static str {
        "silence"
    }

    fn look(&mut self, now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Told(Input::Joined { worker, .. }) => {
                self.heard.insert(*worker, now);
            }
            Fact::Told(
                Input::Heartbeat { worker }
                | Input::Done { worker, .. }
                | Input::Failed { worker, .. }
                | Input::Returned { worker, .. },
            ) => {
                if let Some(heard) = self.heard.get_mut(worker) {
                    *heard = now;
                }
            }
            Fact::Told(Input::Left { worker, .. }) => {
                self.heard.remove(worker);
            }
            Fact::Said { output: Output::Lost { worker }, .. } => {
                let heard = self.heard.remove(worker);
                let due = heard.is_some_and(|heard| now.since(heard) >= self.patience);
                hold!(due, "{worker} was heard at {heard:?} and is given up at {now:?}");
            }
            Fact::Settled(_) => {
                let silent = self.heard.iter().find(|(_, heard)| now.since(**heard) > self.patience);
                hold!(silent.is_none(), "{silent:?} is silent and still there at {now:?}");
            }
            Fact::Restarted { .. } => self.heard.clear(),
            _ => {}
        }
        Ok(())
    }
}
