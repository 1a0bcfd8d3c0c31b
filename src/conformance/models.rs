//! The plugin under every model of concurrency.

use super::check::Check;
use super::subject::Subject;
use crate::exit::Failure;
use crate::job::{ShapePlan, cancel};
use crate::summary::seconds;
use crate::trial::{Ran, Trial};
use muster_core::shape::ShapeRequest;
use muster_plugin_host::{F_ASYNC, F_CONCURRENT, F_THREADS_OK};
use muster_proto::v1::{self, JobState};
use std::time::{Duration, Instant};

/// A job that takes longer is cancelled, and no other one is begun.
const JOB_LIMIT: Duration = Duration::from_secs(60);

/// A model and what came of running under it.
#[derive(Debug)]
pub struct Run {
    pub model: &'static str,
    pub check: Check,
    /// When all of its tasks ended well.
    pub ran: Option<Ran>,
}

/// The shape of a model, on at most four slots.
pub fn shape(model: &str) -> v1::Shape {
    let request = match model {
        "process" => ShapeRequest::Process { processes: Some(2) },
        "hybrid" => ShapeRequest::Hybrid { processes: Some(2), threads: Some(2) },
        "spawn" => ShapeRequest::Spawn { processes: Some(2) },
        "async" => ShapeRequest::Async { processes: Some(1), threads: Some(2), in_flight: Some(8) },
        _ => ShapeRequest::Thread { threads: Some(2) },
    };
    let gil = (model == "gil").then_some(v1::Gil { domains: 1, switch_ns: 0 });
    v1::Shape { gil, ..ShapePlan::of(request, true).to_proto() }
}

/// One job under each model.
pub async fn runs(subject: &Subject, trial: &Trial) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for model in ["thread", "process", "hybrid", "spawn", "async", "gil"] {
        let is_too_long = runs.iter().any(|run: &Run| run.check.measured == too_long());
        runs.push(if is_too_long { left_out(model) } else { run(subject, trial, model).await? });
    }
    Ok(runs)
}

fn too_long() -> String {
    format!("did not end within {} s", JOB_LIMIT.as_secs())
}

fn left_out(model: &'static str) -> Run {
    let check = Check::not_checked(format!("model {model}"), "the job took too long under another model", "");
    Run { model, check, ran: None }
}

async fn run(subject: &Subject, trial: &Trial, model: &'static str) -> Result<Run, Failure> {
    let name = format!("model {model}");
    let shares = matches!(model, "thread" | "hybrid" | "async" | "gil");
    if shares && !subject.manifest().has(F_THREADS_OK) {
        let why = "its manifest does not say threads_ok: it wants a process for each thread";
        let advice = "add the flag threads_ok when tasks may share a process";
        return Ok(Run { model, check: Check::not_checked(name, why, advice), ran: None });
    }
    let began = Instant::now();
    let outcome = within_limit(trial, subject.spec(shape(model)), subject.inputs()).await?;
    let took = began.elapsed().as_secs_f64();
    let (check, ran) = match outcome {
        Ok(ran) => {
            let words = format!("{} tasks in {}{}", subject.tasks, seconds(took), how(subject, model, &ran));
            (Check::pass(name, words), Some(ran))
        }
        Err(Trouble { what, advice }) => (Check::fail(name, what, advice), None),
    };
    Ok(Run { model, check, ran })
}

/// What is not as the name of the model says.
fn how(subject: &Subject, model: &str, ran: &Ran) -> String {
    let manifest = subject.manifest();
    if model == "async" && !manifest.has(F_ASYNC) {
        return format!(", on {} stand-in threads: it has no async form", ran.status.stand_ins);
    }
    let overlaps = matches!(model, "thread" | "hybrid" | "gil");
    if overlaps && !manifest.has(F_CONCURRENT) {
        return ", one after the other in each process: it is not concurrent".to_owned();
    }
    String::new()
}

/// Why a job did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub what: String,
    pub advice: String,
}

/// Runs a job; one that takes too long is cancelled.
pub async fn within_limit(
    trial: &Trial,
    spec: v1::JobSpec,
    inputs: Option<&[Vec<u8>]>,
) -> Result<Result<Ran, Trouble>, Failure> {
    let job = trial.submit(spec, inputs).await?;
    let Ok(ended) = tokio::time::timeout(JOB_LIMIT, trial.end_of(job)).await else {
        cancel(trial.link(), job).await?;
        trial.end_of(job).await?;
        let advice = "give parameters that make tasks shorter, or a smaller -n".to_owned();
        return Ok(Err(Trouble { what: too_long(), advice }));
    };
    let ran = ended?;
    let status = &ran.status;
    if status.state() != JobState::Done {
        let advice = "it must accept the parameters that its manifest allows".to_owned();
        return Ok(Err(Trouble { what: format!("the job failed: {}", status.reason), advice }));
    }
    if status.failed == 0 && status.exits.is_empty() {
        return Ok(Ok(ran));
    }
    let failed = trial.first_failure(job).await?;
    Ok(Err(failed.map_or_else(
        || Trouble {
            what: "an executor ended that had no task".to_owned(),
            advice: "look at what create, destroy and threads of its own do".to_owned(),
        },
        |object| Trouble {
            what: format!(
                "{} of {} tasks failed; task {}: {}",
                status.failed,
                status.tasks,
                object.task,
                object.sentence()
            ),
            advice: object.suggestion,
        },
    )))
}
