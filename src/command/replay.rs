//! `muster plugin test PLUGIN --case JOB.INDEX`.

use super::push::find_known;
use crate::cli::{ClusterArg, PluginTestArgs};
use crate::cluster::{Choice, Session, TempFolder, choose};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::output::output_line;
use crate::plugin::{Located, PluginFailure, PluginFile, Searched, locate};
use crate::postmortem::{Replay, TaskOf, task_text};
use crate::replay::{Case, Debugger, Ending, alone, of_cluster, of_last_run, pull, under};
use crate::terminal::{self, note};
use muster_proto::link::connect;
use muster_proto::v1::PluginRef;
use serde_json::json;

/// Runs one task again.
pub async fn replay(args: &PluginTestArgs, task: TaskOf) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let index = check(args, task)?;
    let debugger = args.debugger.as_deref().map(Debugger::find).transpose()?;
    let session = interrupt.or(session(&args.view.cluster)).await?;
    let case = interrupt.or(case(session.as_ref(), task.job.0, index)).await?;
    // Kept until the end: a fetched plugin is in it.
    let folder = TempFolder::new()?;
    let file = match locate(&args.plugin, &mut interrupt).await? {
        Located::Here(file) => *file,
        Located::Registered(query) => {
            interrupt.or(fetched(session.as_ref(), &query, Some(case.plugin()), &folder)).await?
        }
    };
    if let Some(text) = case.check_plugin(&file.reference())? {
        note(text);
    }
    if let Some(debugger) = debugger {
        return under(&debugger, &case, &file);
    }
    note(format_args!("task {} of job {}, alone", case.task, case.job));
    let replay = Replay::new(args.plugin.as_str(), args.view.cluster.cluster.clone());
    let outcome = Box::pin(alone(&case, &file, &replay, &mut interrupt)).await?;
    tell(&case, &file, outcome, args.view.json)
}

/// What does not go together.
fn check(args: &PluginTestArgs, task: TaskOf) -> Outcome<u64> {
    if let Some((name, _)) = args.params.first() {
        let message = format!("--case takes the parameters of its job, and {name} is given");
        return Err(Failure::usage(message).hint("leave it out, or run it anew: muster run"));
    }
    if args.tasks.is_some() || args.lines.is_some() {
        return Err(
            Failure::usage("--case takes tasks and inputs of its job").hint("leave out -n and --lines")
        );
    }
    let no_index = || {
        Failure::usage("--case names one task: JOB.INDEX, for example 3.17 or last.17")
            .hint("see which tasks failed: muster job why")
    };
    task.index.ok_or_else(no_index)
}

/// The cluster that is up, if any is.
pub(super) async fn session(cluster: &ClusterArg) -> Outcome<Option<Session>> {
    match choose(cluster)? {
        Choice::Private => Ok(None),
        Choice::Existing { name, target } => {
            Ok(Some(Session { link: connect(&target).await?, name, target: Some(target) }))
        }
    }
}

async fn case(session: Option<&Session>, job: u64, index: u64) -> Outcome<Case> {
    match session {
        Some(session) => of_cluster(&session.link, job, index).await,
        None => of_last_run(job, index),
    }
}

/// A registered plugin; `had`: that of a job, whose bytes it is when its name does not say otherwise.
pub(super) async fn fetched(
    session: Option<&Session>,
    query: &str,
    had: Option<PluginRef>,
    folder: &TempFolder,
) -> Outcome<PluginFile> {
    let Some(session) = session else {
        return Err(PluginFailure::not_found(query.to_owned(), Searched::FilesWithoutCluster).into());
    };
    let named = match had.filter(|had| query == had.name) {
        Some(had) => had,
        None => find_known(&session.link, query).await?.plugin.unwrap_or_default(),
    };
    pull(&session.link, &named, folder.path()).await
}

fn tell(case: &Case, file: &PluginFile, outcome: Ending, json: bool) -> Outcome {
    let Case { job, task, .. } = case;
    match outcome {
        Ending::Result(bytes) => {
            let line = output_line(file.manifest().output(), *task, &bytes);
            if !json {
                super::printed(terminal::print(line))?;
                note(format_args!("task {task} of job {job} ended well this time"));
                return Ok(Exit::Ok);
            }
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            let object =
                json!({"job": job, "task": task, "ok": true, "output": parsed["output"], "why": null});
            super::printed(terminal::print_json(&object))
        }
        Ending::Failed(object) => {
            let printed = if json {
                let object = json!({"job": job, "task": task, "ok": false, "output": null, "why": object});
                terminal::print_json(&object)
            } else {
                terminal::print(task_text(&object))
            };
            super::printed(printed).map(|_| Exit::TasksFailed)
        }
        Ending::Unrunnable(reason) => {
            Err(Failure::new(Exit::Job, format_args!("task {task} of job {job} cannot run: {reason}")))
        }
    }
}
