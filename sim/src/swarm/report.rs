//! What came of a run, and the command that makes it again.

use super::Options;
use super::checker::INVARIANTS;
use super::fault::Struck;
use super::params::Params;
use super::world::World;
use muster_core::time::Time;
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Something that must hold and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The checker that saw it.
    pub checker: &'static str,
    /// Events before it.
    pub step: u64,
    /// When, in virtual time.
    pub at: Time,
    /// What is wrong.
    pub what: String,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Its parameters.
    pub params: Params,
    /// Events that happened.
    pub events: u64,
    /// Inputs of the scheduler and of all agents.
    pub inputs: u64,
    /// Faults that struck.
    pub struck: Struck,
    /// Tasks that were committed.
    pub committed: u64,
    /// Second leases that were given.
    pub second_leases: u64,
    /// Jobs that ended.
    pub jobs: u64,
    /// How much of the time that everything may take after the faults was taken, in thousandths.
    pub patience_used: u64,
    /// Stands for everything that happened.
    pub digest: u64,
    /// How often a mutation made a difference.
    pub mutated: u64,
    /// What went wrong.
    pub violation: Option<Violation>,
}

impl Report {
    /// The command that makes this run again.
    #[must_use]
    pub fn command(&self, mutation: Option<&str>) -> String {
        let drawn = Params::draw(self.seed) == self.params;
        let params = if drawn { String::new() } else { format!(" --params '{}'", self.params) };
        let (features, mutation) = match mutation {
            Some(name) => (" --features mutations", format!(" --mutation {name}")),
            None => ("", String::new()),
        };
        let seed = self.seed;
        format!("cargo run --release -p muster-sim{features} --bin swarm -- --seed {seed}{params}{mutation}")
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checker, step, at, what } = self;
        write!(f, "{checker}: step {step}, {:.6} s: {what}", at.0 as f64 / 1e9)
    }
}

thread_local! {
    /// Where this thread's last panic was, and what it said.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static WATCHED: RefCell<bool> = const { RefCell::new(false) };
}

/// Panics of runs are kept for their report; others go where they went before.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if WATCHED.with(|watched| *watched.borrow()) {
                PANIC.with(|panic| *panic.borrow_mut() = Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}

/// Makes a run; a panic in it is a violation.
pub(super) fn watched(seed: u64, params: &Params, options: Options) -> Report {
    keep_panics();
    let mut world = World::new(seed, params, options);
    WATCHED.with(|watched| *watched.borrow_mut() = true);
    let end = catch_unwind(AssertUnwindSafe(|| world.run()));
    WATCHED.with(|watched| *watched.borrow_mut() = false);
    if let Err(payload) = end {
        let what = PANIC.with(|panic| panic.borrow_mut().take()).unwrap_or_else(|| text(payload.as_ref()));
        world.violate(INVARIANTS, what);
    }
    world.report()
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
