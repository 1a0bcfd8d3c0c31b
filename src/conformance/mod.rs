//! Whether a plugin keeps its promises: it runs under every model that its manifest allows, gives the same bytes under
//! all of them, stops when it is asked to, leaves nothing behind, and refuses what it cannot take.
//!
//! Jobs run on a private cluster, the way of every other job. What is about one process (a thousand jobs in it, panics on
//! request) happens in a child of this binary, which may die of it.

mod ask;
mod cancel;
mod check;
mod inside;
mod lives;
mod models;
mod outputs;
mod panics;
mod params;
mod subject;
mod table;

pub use check::{Check, Verdict};
pub use inside::run_if_inside;
pub use subject::Subject;
pub use table::{json, table};

use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::terminal::note;
use crate::trial::Trial;

/// Slots of the cluster: as many as the widest shape has.
const SLOTS: u32 = 4;

/// Does all checks, one after the other.
pub async fn conformance(subject: &Subject, interrupt: &mut Interrupt) -> Result<Vec<Check>, Failure> {
    let trial = interrupt.or(Trial::start(&subject.file, SLOTS)).await?;
    let done = interrupt.or(all(subject, &trial)).await;
    trial.stop(done.is_err()).await;
    done
}

async fn all(subject: &Subject, trial: &Trial) -> Result<Vec<Check>, Failure> {
    note("running it under every model");
    let runs = models::runs(subject, trial).await?;
    let mut checks: Vec<Check> = runs.iter().map(|run| run.check.clone()).collect();
    checks.push(outputs::outputs(subject, &runs));
    checks.push(outputs::reduction(subject, trial, &runs).await?);
    note("asking its tasks to stop");
    checks.push(cancel::cancel(subject, trial, &runs).await?);
    note("giving it wrong parameters");
    checks.push(params::params(subject, trial).await?);
    note("making and destroying 1,000 jobs in one process, and having its functions panic");
    checks.push(lives::check(subject).await?);
    checks.push(panics::check(subject, &runs).await?);
    Ok(checks)
}
