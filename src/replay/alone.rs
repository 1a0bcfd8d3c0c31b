//! A task by itself on a private cluster: the same way as before, with the same limits.

use super::case::Case;
use crate::cluster::clients;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::plugin::PluginFile;
use crate::postmortem::{Object, Replay, last_lines, told};
use crate::trial::Trial;
use bytes::Bytes;
use muster_proto::v1::{self, JobState};

/// How the task ended this time.
#[derive(Debug)]
pub enum Ending {
    /// With a result.
    Result(Bytes),
    /// It failed, as a post-mortem tells.
    Failed(Box<Object>),
    /// The job could not run at all, for this reason.
    Unrunnable(String),
}

/// Runs the task once; `replay` is how that is repeated.
pub async fn alone(
    case: &Case,
    file: &PluginFile,
    replay: &Replay,
    interrupt: &mut Interrupt,
) -> Result<Ending, Failure> {
    let trial = interrupt.or(Trial::start(file, 1)).await?;
    let outcome = Box::pin(interrupt.or(run(case, &trial, replay))).await;
    trial.stop(outcome.is_err()).await;
    outcome
}

async fn run(case: &Case, trial: &Trial, replay: &Replay) -> Result<Ending, Failure> {
    let ran = trial.run(case.job_spec(), None).await?;
    if let Some((_, result)) = ran.results.into_iter().find(|(index, _)| *index == case.task) {
        return Ok(Ending::Result(result));
    }
    let request = v1::WhyRequest { job: ran.status.job, one: true, index: case.task, limit: 1 };
    let reply = clients::jobs(trial.link()).why(request).await;
    let reply = reply.map_err(|status| Failure::about_job("looking for the failure", &status))?.into_inner();
    match reply.tasks.first() {
        Some(report) => {
            let mut object = Object::new(ran.status.job, replay, report);
            let lines = last_lines(trial.link(), &object).await;
            if !lines.is_empty() {
                object.last_lines = told(lines);
            }
            (object.job, object.replay) = (case.job, replay.command(case.job, case.task));
            Ok(Ending::Failed(Box::new(object)))
        }
        None if ran.status.state() == JobState::Failed => Ok(Ending::Unrunnable(ran.status.reason)),
        None => Ok(Ending::Unrunnable("it ended without a result and without a failure".to_owned())),
    }
}
