//! `muster job why`.

use crate::cli::{JobRef, WhyArgs};
use crate::cluster::{Choice, Session, choose, clients};
use crate::exit::{Exit, Failure, Outcome};
use crate::postmortem::{
    KeptCases, Object, Replay, Saved, TaskOf, job_text, last_lines, newest, save, task_text, told,
};
use crate::summary::{number, state_name};
use crate::terminal::{self, note};
use muster_proto::link::{Link, connect};
use muster_proto::v1::{self, JobState};

/// Post-mortems that are asked for at once: as many as a coordinator keeps.
const ALL: u32 = 100;
/// Tasks whose last lines are looked for on the workers.
const WITH_LINES_MAX: usize = 10;

/// Says why a job or a task failed.
pub async fn why(args: &WhyArgs) -> Outcome {
    let TaskOf { job, index } = args.task;
    match choose(&args.view.cluster)? {
        Choice::Existing { name, target } => {
            let session = Session { link: connect(&target).await?, name, target: Some(target) };
            of_cluster(args, &session, job, index).await
        }
        Choice::Private => of_last_run(args, job, index),
    }
}

async fn of_cluster(args: &WhyArgs, session: &Session, job: JobRef, index: Option<u64>) -> Outcome {
    let told = args.view.cluster.cluster.as_ref().and_then(|_| name_to_paste(&session.name));
    let (status, objects) = ask(&session.link, job.0, index, None, told).await?;
    if args.view.json {
        return print_json(index, &objects);
    }
    if let Some(index) = index {
        let Some(object) = objects.first() else { return Err(no_failure(&status, index)) };
        return super::printed(terminal::print(task_text(object)));
    }
    let mut text = about_job(&status);
    if !objects.is_empty() {
        text = format!("{text}\n\n{}", job_text(status.failed, &objects));
    }
    super::printed(terminal::print(text))
}

/// How a cluster that was named is named in a command; a join string is a secret, and stays where it was given.
fn name_to_paste(name: &str) -> Option<String> {
    let is_name = !name.contains(':') || name.starts_with("unix:");
    is_name.then(|| name.to_owned())
}

/// What the coordinator and the workers know. `plugin`: what the job was run with, when that is not its plugin's name.
async fn ask(
    link: &Link,
    job: u64,
    index: Option<u64>,
    plugin: Option<&str>,
    cluster: Option<String>,
) -> Result<(v1::JobStatus, Vec<Object>), Failure> {
    let request = v1::WhyRequest { job, one: index.is_some(), index: index.unwrap_or(0), limit: ALL };
    let reply = clients::jobs(link).why(request).await;
    let reply = reply.map_err(|status| Failure::about_job("looking for the job", &status))?.into_inner();
    let status = reply.status.unwrap_or_default();
    let registered = || {
        let plugin = status.spec.as_ref().and_then(|spec| spec.plugin.clone()).unwrap_or_default();
        format!("{}@{}", plugin.name, plugin.version)
    };
    let replay = Replay::new(plugin.map_or_else(registered, str::to_owned), cluster);
    // Of a whole job those tasks count that failed for good, unless there is none.
    let mut reports = reply.tasks;
    if index.is_none() && reports.iter().any(|report| report.r#final) {
        reports.retain(|report| report.r#final);
    }
    let mut objects: Vec<Object> =
        reports.iter().map(|report| Object::new(status.job, &replay, report)).collect();
    for object in objects.iter_mut().take(WITH_LINES_MAX) {
        let lines = last_lines(link, object).await;
        if !lines.is_empty() {
            object.last_lines = told(lines);
        }
    }
    Ok((status, objects))
}

/// Why it waits, goes on or ended.
fn about_job(status: &v1::JobStatus) -> String {
    let job = status.job;
    let reason = if status.reason.is_empty() { String::new() } else { format!(": {}", status.reason) };
    let counts = match status.failed {
        0 => "no task failed".to_owned(),
        failed => format!("{} of {} tasks failed", number(failed), number(status.tasks)),
    };
    let lost = match status.lost_workers {
        0 => String::new(),
        lost => format!("; {} lost while they had tasks of it, which ran again", workers(lost)),
    };
    match status.state() {
        JobState::Done if status.failed == 0 && status.retried == 0 => {
            format!("job {job} ran fine: {} tasks, {counts}{lost}", number(status.tasks))
        }
        state => format!("job {job} is {}{reason}; {counts}{lost}", state_name(state)),
    }
}

fn workers(count: u64) -> String {
    if count == 1 { "1 worker was".to_owned() } else { format!("{} workers were", number(count)) }
}

fn no_failure(status: &v1::JobStatus, index: u64) -> Failure {
    let job = status.job;
    if index >= status.tasks {
        return Failure::new(
            Exit::Job,
            format_args!("job {job} has no task {index}: it has {}", status.tasks),
        );
    }
    Failure::new(Exit::Job, format_args!("nothing is known of a failure of task {index} of job {job}")).hint(
        format_args!(
            "it did not fail, or it is not among the tasks whose attempts are kept: muster job why {job}"
        ),
    )
}

fn print_json(index: Option<u64>, objects: &[Object]) -> Outcome {
    match index {
        Some(_) => match objects.first() {
            Some(object) => super::printed(terminal::print_json(object)),
            None => super::printed(terminal::print_json(&serde_json::Value::Null)),
        },
        None => super::printed(terminal::print_json(&objects)),
    }
}

/// What the last failed `muster run` left.
fn of_last_run(args: &WhyArgs, job: JobRef, index: Option<u64>) -> Outcome {
    let saved = newest()?.ok_or_else(|| {
        Failure::new(Exit::Connection, "no cluster is up, and no failed run is remembered")
            .hint("start one with muster up, or name one with --cluster")
    })?;
    if job.0 != 0 && job.0 != saved.job {
        return Err(Failure::new(
            Exit::Connection,
            format_args!("no cluster is up that could know job {}", job.0),
        )
        .hint("muster job why tells of the last failed run; name a cluster with --cluster"));
    }
    let mut found = saved.objects.clone();
    found.retain(|object| index.is_none_or(|index| object.task == index));
    let replay = saved.replay(args.view.cluster.cluster.clone());
    for object in &mut found {
        object.replay = replay.command(object.job, object.task);
    }
    if args.view.json {
        return print_json(index, &found);
    }
    let when = super::job::ago(saved.ended_s);
    note(format_args!(
        "this is about the last failed run: muster run {} (job {}), {when}",
        saved.plugin, saved.job
    ));
    if let Some(index) = index {
        let object = found.first().ok_or_else(|| {
            Failure::new(Exit::Job, format_args!("nothing is known of a failure of task {index} of that run"))
        })?;
        return super::printed(terminal::print(task_text(object)));
    }
    let reason = if saved.reason.is_empty() { String::new() } else { format!(": {}", saved.reason) };
    let counts = format!("{} of {} tasks failed", number(saved.failed), number(saved.tasks));
    let text = format!("job {} was {}{reason}; {counts}", saved.job, saved.state);
    let text = if found.is_empty() { text } else { format!("{text}\n\n{}", job_text(saved.failed, &found)) };
    super::printed(terminal::print(text))
}

/// Keeps what is known of a failed run whose cluster is about to go. That it cannot be kept is no failure of the run.
pub async fn keep(link: &Link, status: &v1::JobStatus, plugin: &str, cluster: Option<String>) -> bool {
    if status.failed == 0 && status.state() != JobState::Failed {
        return false;
    }
    let kept = match ask(link, status.job, None, Some(plugin), cluster).await {
        Ok((_, objects)) => {
            let cases = cases(link, status, &objects).await;
            save(&Saved::new(plugin, status, objects, cases))
        }
        Err(failure) => Err(failure),
    };
    if let Err(failure) = &kept {
        note(format_args!("warning: what is known of the failures is not kept: {failure}"));
    }
    kept.is_ok()
}

/// What it takes to run those tasks again. An input that cannot be had is missing there.
async fn cases(link: &Link, status: &v1::JobStatus, objects: &[Object]) -> KeptCases {
    let spec = status.spec.clone().unwrap_or_default();
    let mut cases = KeptCases::new(&spec);
    if spec.has_inputs {
        for object in objects {
            let request = v1::CaseRequest { job: object.job, index: object.task };
            let reply = clients::jobs(link).case(request).await;
            if let Some(input) = reply.ok().and_then(|reply| reply.into_inner().input) {
                cases.add(object.task, &input);
            }
        }
    }
    cases
}
