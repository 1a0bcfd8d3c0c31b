//! `muster submit`: gives a job and all its inputs to a cluster, prints its number and returns.

use super::push::{find_known, manifest, push};
use crate::cli::SubmitArgs;
use crate::cluster::{clients, session};
use crate::exit::{Exit, Failure, Outcome};
use crate::input::Names;
use crate::interrupt::Interrupt;
use crate::job::{Given, Line, Plan, feed, submit as submit_job};
use crate::plugin::{Located, locate, without_cluster};
use crate::terminal::{self, note};
use muster_proto::v1;

/// Submits a job.
pub async fn submit(args: &SubmitArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    // What is quickly seen to be wrong is said before a plugin is built.
    let given = Given::new(&args.job)?;
    let session = interrupt
        .or(session(&args.job.cluster))
        .await
        .map_err(|failure| without_cluster(&args.job.plugin, failure))?;
    let located = locate(&args.job.plugin, &mut interrupt).await?;
    note(format_args!("cluster: {}", session.name));
    let (manifest, file, known) = match located {
        Located::Here(file) => (file.manifest().clone(), Some(file), None),
        Located::Registered(query) => {
            let info = find_known(&session.link, &query).await?;
            (manifest(&info)?, None, info.plugin)
        }
    };
    let plan = Plan::new(&args.job, &manifest, given)?;
    let reference = match &file {
        Some(file) => {
            interrupt.or(async { Ok(file.try_out().await?) }).await?;
            push(&session.link, file).await?;
            file.reference()
        }
        None => known.unwrap_or_default(),
    };
    let spec = plan.spec(&args.job, reference.clone(), v1::Outputs::Keep);
    let tasks = plan.source.tasks();
    let job = submit_job(&session.link, spec).await?;
    let mut fed = tasks;
    if let Some(blocks) = plan.source.blocks(Names::default()) {
        let line = Line::of(&session).await;
        let feeding = feed(&line, job, blocks);
        let outcome = tokio::select! {
            outcome = feeding => outcome,
            _ = interrupt.next() => Err(Failure::new(Exit::Interrupted, "cancelled while inputs were sent")),
        };
        match outcome {
            Ok(count) => fed = Some(count),
            Err(failure) => {
                // Without all of its inputs the job would wait for ever.
                let _ = clients::jobs(&line.link().1).cancel(v1::JobRequest { job }).await;
                return Err(failure);
            }
        }
    }
    if !args.json {
        return super::printed(terminal::print(job));
    }
    let plugin = serde_json::json!({
        "name": reference.name, "version": reference.version, "digest": crate::summary::hex(&reference.digest),
    });
    let object = serde_json::json!({"job": job, "plugin": plugin, "tasks": fed, "cluster": session.name});
    super::printed(terminal::print_json(&object))
}
