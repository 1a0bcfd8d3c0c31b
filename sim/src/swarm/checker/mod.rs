//! What must hold, each as a checker with a name and a memory of its own. Checkers see what the scheduler and the
//! agents are told and what they say; they know nothing of how these decide.

mod accounting;
mod answers;
mod attempts;
mod backoff;
mod budgets;
mod commit_once;
mod credits;
mod drains;
mod durability;
mod fencing;
mod fit;
mod in_force;
pub(super) mod log;
mod memory;
mod no_lease_after_end;
mod one_state;
mod order;
mod pauses;
mod reduction;
mod silence;
mod speculation;

use super::disk::Entry;
use super::partial::Partial;
use super::setting::Setting;
use muster_core::agent::{self, Agent};
use muster_core::scheduler::{Input, Output, RecoveredJob, Scheduler};
use muster_core::time::Time;

/// Something that happened.
pub(super) enum Fact<'a> {
    /// The scheduler is about to be told something.
    Told(&'a Input),
    /// The scheduler said something, about what it was told last when that was a message.
    Said { output: &'a Output, cause: Option<&'a Input>, subject: Option<&'a Partial> },
    /// The scheduler has said everything.
    Settled(&'a Scheduler),
    /// The coordinator started again with what was stored: jobs that had not ended, and those that had.
    Restarted { jobs: &'a [RecoveredJob], ended: &'a [muster_core::id::JobId] },
    /// A client was told what the log holds here.
    Shown(&'a Entry),
    /// An agent is new.
    Born { machine: usize },
    /// An agent is about to be told something.
    Handed { machine: usize, input: &'a agent::Input },
    /// An agent said something.
    Answered { machine: usize, output: &'a agent::Output },
    /// An agent has said everything.
    Rested { machine: usize, agent: &'a Agent },
    /// All jobs have ended, and everybody had the time to notice.
    Over { scheduler: &'a Scheduler, agents: &'a [&'a Agent] },
}

/// What a checker says: nothing, or what is wrong.
pub(super) type Verdict = Result<(), String>;

/// One property.
pub(super) trait Checker {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Takes a fact in.
    fn look(&mut self, now: Time, fact: &Fact<'_>) -> Verdict;
}

/// The name of the property that everything ends.
pub(super) const LIVENESS: &str = "liveness";
/// The name of what the state machines say about themselves.
pub(super) const INVARIANTS: &str = "invariants";

/// All of them, those that see most precisely what is wrong first.
pub(super) fn all(setting: &Setting) -> Vec<Box<dyn Checker>> {
    let config = &setting.config;
    vec![
        Box::new(log::Log::default()),
        Box::new(fencing::Fencing::default()),
        Box::new(commit_once::CommitOnce::default()),
        Box::new(speculation::Speculation::new(config)),
        Box::new(budgets::Budgets::new(config)),
        Box::new(backoff::Backoff::default()),
        Box::new(attempts::Attempts::default()),
        Box::new(fit::Fit::default()),
        Box::new(no_lease_after_end::NoLeaseAfterEnd::default()),
        Box::new(pauses::Pauses::new(config)),
        Box::new(credits::Credits::new(config)),
        Box::new(drains::Drains::default()),
        Box::new(reduction::Reduction::new(config)),
        Box::new(durability::Durability::default()),
        Box::new(silence::Silence::new(config)),
        Box::new(one_state::OneState::default()),
        Box::new(order::Order::new(config)),
        Box::new(accounting::Accounting::default()),
        Box::new(memory::Memory::default()),
        Box::new(answers::Answers::default()),
    ]
}

/// Every name that a violation can have.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let setting = Setting::draw(0, &super::Params::draw(0));
    all(&setting).iter().map(|checker| checker.name()).chain([LIVENESS, INVARIANTS]).collect()
}

/// Refuses with a text unless something holds.
macro_rules! hold {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err(format!($($text)*));
        }
    };
}
pub(super) use hold;

/// The worker and lease that a message is about.
pub(super) fn source(cause: Option<&Input>) -> Option<(muster_core::id::WorkerId, muster_core::id::LeaseId)> {
    match cause? {
        Input::Done { worker, lease, .. }
        | Input::Failed { worker, lease, .. }
        | Input::Returned { worker, lease, .. } => Some((*worker, *lease)),
        _ => None,
    }
}
