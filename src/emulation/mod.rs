//! Runs jobs on a cluster that is elsewhere only in appearance: a coordinator in this process, workers that are
//! processes of this machine behind emulated links, and a schedule of what is submitted and what goes wrong.
//!
//! `scenario` turns a scenario file into such an experiment, `beside` holds its outcome against the simulated one.
//! [`run`] takes plain data ([`Experiment`]) and gives what was measured ([`Repeated`]). The links and the slowness are
//! the workers' own work, see [`muster_worker::emulation`]; here processes are started, killed and stopped.

mod beside;
mod cluster;
mod course;
mod experiment;
mod outcome;
mod report;
mod room;
mod scenario;
mod schedule;
mod strikes;

pub use beside::{Beside, Simulated};
pub use experiment::{Event, Experiment, Fault, Job, Worker};
pub use muster_core::shape::ShapeRequest;
pub use muster_worker::emulation::{Direction, LinkModel, Speed};
pub use outcome::{JobRun, Repeated, Run, Spread};
pub use report::{Folder, Report};

pub(crate) use scenario::{Planned, experiment, has_lasting_faults, unusable};

use crate::exit::Failure;
use crate::interrupt::Interrupt;

/// Runs an experiment as often as it says, each time on a cluster of its own. Must be called on a thread that lives as
/// long as this does: the workers die with it. Two at the same time in one process would end each other's processes.
///
/// # Errors
/// What is wrong with the experiment, what kept it from running to its end, or the signal that ended it. Whatever
/// comes, no process is left.
pub async fn run(experiment: &Experiment, interrupt: &mut Interrupt) -> Result<Repeated, Failure> {
    run_each(experiment, interrupt, |_, _| {}).await
}

/// The same, and says after each run, counted from 1, what it came to.
pub(crate) async fn run_each(
    experiment: &Experiment,
    interrupt: &mut Interrupt,
    mut ran: impl FnMut(u64, &Run),
) -> Result<Repeated, Failure> {
    let schedule = schedule::Schedule::new(experiment)?;
    let jobs = course::Prepared::new(experiment, interrupt).await?;
    let mut runs = Vec::new();
    for number in 0..u64::from(experiment.repeats.max(1)) {
        let mut cluster = cluster::Cluster::start(experiment, &schedule, number).await?;
        let outcome = Box::pin(course::run(&jobs, &mut cluster, schedule.steps(), interrupt)).await;
        cluster.stop().await;
        let outcome = outcome?;
        ran(number + 1, &outcome);
        runs.push(outcome);
    }
    Ok(Repeated { runs })
}
