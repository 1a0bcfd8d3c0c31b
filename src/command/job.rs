//! `muster job`.

use super::push::{find, manifest};
use super::run::exit_of;
use crate::cli::{ClusterArg, JobCommand, JobRef, ViewArgs};
use crate::cluster::{Session, clients, session};
use crate::exit::{Exit, Failure, Outcome};
use crate::input::Names;
use crate::interrupt::Interrupt;
use crate::job::{
    Line, Progress, follow_until_still, how_it_stopped, is_final, is_paused, short, take, wait_until_stopped,
};
use crate::output::{Sink, Target};
use crate::summary::{Column, Facts, Report, hex, list, number, seconds, state_name};
use crate::terminal::{self, note};
use muster_proto::v1;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Does what a `job` command says.
pub async fn job(command: JobCommand) -> Outcome {
    match command {
        JobCommand::Ls { limit, view } => ls(limit, &view).await,
        JobCommand::Info { job, view } => info(job, &view).await,
        JobCommand::Wait { job, timeout, view } => wait(job, timeout, &view).await,
        JobCommand::Cancel { job, no_wait, view } => cancel(job, no_wait, &view).await,
        JobCommand::Rm { jobs, view } => remove(&jobs, &view).await,
        JobCommand::Retry { job, index, view } => retry(job, index, &view).await,
        JobCommand::Logs(args) => super::logs::logs(&args).await,
        JobCommand::Why(args) => super::why::why(&args).await,
        JobCommand::Results { job, from, tail, now, out, cluster } => {
            let request = v1::ResultsRequest { job: job.0, from, follow: !now, last: tail.unwrap_or(0) };
            results(request, &out, &cluster).await
        }
    }
}

async fn ls(limit: u32, view: &ViewArgs) -> Outcome {
    let session = session(&view.cluster).await?;
    let reply = clients::jobs(&session.link).list(v1::ListJobsRequest { limit }).await;
    let jobs = reply.map_err(|status| Failure::from_status("listing jobs", &status))?.into_inner().jobs;
    if view.json {
        let jobs: Vec<Report> = jobs.iter().map(|status| report(status, &session)).collect();
        return super::printed(terminal::print_json(&serde_json::json!({ "jobs": jobs })));
    }
    let columns = [
        Column::number("JOB"),
        Column::text("STATE"),
        Column::text("PLUGIN"),
        Column::number("TASKS"),
        Column::number("OK"),
        Column::number("FAILED"),
        Column::number("TIME"),
        Column::number("TASKS/S").wide(),
        Column::number("SUBMITTED").wide(),
        Column::text("REASON").wide(),
    ];
    super::printed(terminal::print(list(&columns, jobs.iter().map(row).collect())))
}

fn row(status: &v1::JobStatus) -> Vec<String> {
    let plugin = status.spec.as_ref().and_then(|spec| spec.plugin.as_ref());
    let begun = |text: String| if status.wall_s > 0.0 { text } else { "-".into() };
    let done = (status.ok + status.failed) as f64;
    vec![
        status.job.to_string(),
        state_name(status.state()).to_owned(),
        plugin.map(|plugin| plugin.name.clone()).unwrap_or_default(),
        number(status.tasks),
        number(status.ok),
        number(status.failed),
        begun(seconds(status.wall_s)),
        begun(short(done / status.wall_s)),
        ago(status.submitted_s),
        status.reason.clone(),
    ]
}

/// How long ago a Unix time is.
pub fn ago(then: f64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    format!("{} ago", whole_units((now - then).max(0.0) as u64))
}

/// A time that is long or short, in whole units that fit into a column.
pub fn whole_units(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

async fn info(job: JobRef, view: &ViewArgs) -> Outcome {
    let session = session(&view.cluster).await?;
    let status = get(&session, job).await?;
    show(&status, &session, view.json)
}

async fn wait(job: JobRef, timeout: Option<Duration>, view: &ViewArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let session = session(&view.cluster).await?;
    // `last` is settled once: a newer job must not take its place.
    let job = get(&session, job).await?.job;
    let mut progress = Progress::new(terminal::watched(), None);
    let bar = progress.handle();
    let line = Line::of(&session).await;
    let limit = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        status = follow_until_still(&line, job, |status| progress.update(status)) => status,
        () = limit => Err(Failure::new(Exit::Limit, format_args!("job {job} has not ended yet")).hint("it goes on")),
        _ = interrupt.next() => {
            Err(Failure::new(Exit::Interrupted, format_args!("stopped waiting; job {job} goes on")))
        }
    };
    bar.finish();
    let status = outcome?;
    show(&status, &session, view.json)?;
    exit_of(&status, false)
}

async fn cancel(job: JobRef, no_wait: bool, view: &ViewArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let session = session(&view.cluster).await?;
    // `last` is settled once.
    let before = get(&session, job).await?;
    if has_ended(&before) {
        return not_cancelled(&before, &session, view.json);
    }
    let mut status = crate::job::cancel(&session.link, before.job).await?;
    if !no_wait {
        let job = status.job;
        status = tokio::select! {
            stopped = wait_until_stopped(&session.link, status) => stopped?,
            _ = interrupt.next() => {
                let text = format_args!("stopped waiting; job {job} is cancelled, and its tasks are being stopped");
                return Err(Failure::new(Exit::Interrupted, text));
            }
        };
    }
    if status.state() != v1::JobState::Cancelled {
        // It ended by itself in between.
        return not_cancelled(&status, &session, view.json);
    }
    if view.json {
        return show(&status, &session, true);
    }
    let how = how_it_stopped(&status).map(|how| format!(": {how}")).unwrap_or_default();
    super::printed(terminal::print(format_args!("cancelled job {}{how}", status.job)))
}

/// One after the other; the first that cannot be removed ends it, and what was removed before is told.
async fn remove(jobs: &[JobRef], view: &ViewArgs) -> Outcome {
    let session = session(&view.cluster).await?;
    let mut client = clients::jobs(&session.link);
    let mut removed = Vec::new();
    let mut failed = None;
    for job in jobs {
        match client.remove(v1::JobRequest { job: job.0 }).await {
            Ok(status) => removed.push(status.into_inner().job),
            Err(status) => {
                failed = Some(Failure::about_job("removing the job", &status));
                break;
            }
        }
        if !view.json
            && let Some(job) = removed.last()
        {
            super::printed(terminal::print(format_args!("removed job {job}")))?;
        }
    }
    if view.json {
        super::printed(terminal::print_json(&serde_json::json!({ "removed": removed })))?;
    }
    failed.map_or(Ok(Exit::Ok), Err)
}

/// Whether there is nothing left to stop, not even a task of a job that was cancelled.
fn has_ended(status: &v1::JobStatus) -> bool {
    is_final(status) && (status.state() != v1::JobState::Cancelled || status.stopping == 0)
}

fn not_cancelled(status: &v1::JobStatus, session: &Session, json: bool) -> Outcome {
    if json {
        show(status, session, true)?;
    }
    let v1::JobStatus { job, ok, tasks, .. } = *status;
    let ended = how_it_ended(status);
    Err(Failure::usage(format_args!(
        "job {job} cannot be cancelled: it has ended ({ended}, {} of {} tasks ok)",
        number(ok),
        number(tasks)
    ))
    .hint(format_args!("what became of it: muster job info {job}")))
}

/// In a few words: `failed: no worker can run it`.
pub fn how_it_ended(status: &v1::JobStatus) -> String {
    let reason = if status.reason.is_empty() { String::new() } else { format!(": {}", status.reason) };
    format!("{}{reason}", state_name(status.state()))
}

async fn retry(job: JobRef, indexes: Vec<u64>, view: &ViewArgs) -> Outcome {
    let session = session(&view.cluster).await?;
    let reply = clients::jobs(&session.link).retry(v1::RetryRequest { job: job.0, indexes }).await;
    let reply = reply.map_err(|status| Failure::about_job("retrying the job", &status))?.into_inner();
    let (status, released) = (reply.status.unwrap_or_default(), reply.released);
    if view.json {
        return show(&status, &session, true);
    }
    let tasks = if released == 1 { "1 task is tried again" } else { "tasks are tried again" };
    let tasks = if released == 1 { tasks.to_owned() } else { format!("{} {tasks}", number(released)) };
    super::printed(terminal::print(format_args!("job {} goes on: {tasks}", status.job)))
}

pub async fn get(session: &Session, job: JobRef) -> Result<v1::JobStatus, Failure> {
    crate::job::status(&session.link, job.0).await
}

fn report(status: &v1::JobStatus, session: &Session) -> Report {
    let cluster = session.name.clone();
    Report::new(status, Facts { cluster, total_s: None, output: None, interrupted: false })
}

fn show(status: &v1::JobStatus, session: &Session, json: bool) -> Outcome {
    let report = report(status, session);
    super::printed(if json { terminal::print_json(&report) } else { terminal::print(report.table()) })
}

async fn results(mut request: v1::ResultsRequest, out: &Path, cluster: &ClusterArg) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let session = session(cluster).await?;
    let status = get(&session, JobRef(request.job)).await?;
    request.job = status.job;
    if request.follow && is_paused(&status) {
        note(format_args!("note: job {} is paused: {}", status.job, status.reason));
    }
    check_has_parts(&request, &status)?;
    check_not_gone(&request, &status)?;
    if request.last > 0 {
        // The last ones are asked for, whatever was written before.
        request.from = status.results_from;
    }
    let (job, spec) = (status.job, status.spec.clone().unwrap_or_default());
    let (reference, reduced) = (spec.plugin.unwrap_or_default(), spec.reduce);
    // The plugin may have been removed since: its outputs are bytes then.
    let kind = match find(&session.link, &hex(&reference.digest)).await? {
        Some(info) => manifest(&info)?.output_of(reduced),
        None => {
            note(format_args!(
                "note: plugin {} is not registered any more, which said what its outputs are: they are shown as base64",
                reference.name
            ));
            muster_plugin_host::OutputKind::Bytes
        }
    };
    let target = Target::new(out);
    check_not_lost(&request, &target)?;
    let sink = Sink::new(Some(target.open()?), kind, &reference.name, Names::default());
    let from = if request.last > 0 { u64::MAX } else { request.from };
    tokio::select! {
        taken = take(&session.link, request, status.results_from, sink) => match taken {
            Ok(sink) if reduced && sink.reduced().is_none() => no_output(&get(&session, JobRef(job)).await?),
            Ok(mut sink) => {
                sink.finish()?;
                Ok(Exit::Ok)
            }
            Err(error) if error.is_unread() => Ok(Exit::Ok),
            Err(error) if error.below > from => {
                let rest = format!("the rest: muster job results {} --from {}", status.job, error.below);
                Err(Failure::from(error.cause).hint_if_none(rest))
            }
            Err(error) => Err(error.cause.into()),
        },
        _ = interrupt.next() => Ok(Exit::Interrupted),
    }
}

/// One combined output has no indexes to choose from.
fn check_has_parts(request: &v1::ResultsRequest, status: &v1::JobStatus) -> Result<(), Failure> {
    let flag = match request {
        _ if !status.spec.as_ref().is_some_and(|spec| spec.reduce) => return Ok(()),
        v1::ResultsRequest { last: 1.., .. } => "--tail",
        v1::ResultsRequest { from: 1.., .. } => "--from",
        _ => return Ok(()),
    };
    let job = status.job;
    Err(Failure::usage(format_args!("{flag} chooses among results, and job {job} has one combined output"))
        .hint(format_args!("leave it out: muster job results {job}")))
}

/// Results that `run` wrote are not kept a second time.
fn check_not_gone(request: &v1::ResultsRequest, status: &v1::JobStatus) -> Result<(), Failure> {
    let (job, from) = (status.job, status.results_from);
    if request.last > 0 || request.from >= from {
        return Ok(());
    }
    let hint = if from < status.tasks {
        format!("the rest is kept: muster job results {job} --from {from}")
    } else {
        "jobs of muster submit keep their results".to_owned()
    };
    let gone =
        format_args!("the results of job {job} below index {from} were written by who ran it and are gone");
    Err(Failure::new(Exit::Job, gone).hint(hint))
}

/// Why a job whose results are combined has no output.
fn no_output(status: &v1::JobStatus) -> Outcome {
    let job = status.job;
    match status.state() {
        v1::JobState::Failed | v1::JobState::Cancelled => exit_of(status, false),
        v1::JobState::Done => Err(Failure::new(
            Exit::TasksFailed,
            format_args!("job {job} has no output: all of its {} tasks failed", number(status.tasks)),
        )),
        v1::JobState::Unspecified | v1::JobState::Waiting | v1::JobState::Running | v1::JobState::Paused => {
            note(format_args!("note: job {job} has no output yet: it is {}", state_name(status.state())));
            Ok(Exit::Ok)
        }
    }
}

/// The rest of the results must not take the place of those before it.
fn check_not_lost(request: &v1::ResultsRequest, target: &Target) -> Result<(), Failure> {
    let is_rest = request.last == 0 && request.from > 0 && matches!(target, Target::File(_));
    if !is_rest || target.existing().is_none_or(|file| file.len() == 0) {
        return Ok(());
    }
    let out = target.name();
    Err(Failure::new(
        Exit::Job,
        format_args!("{out} is not empty, and results from --from on would replace it"),
    )
    .hint(format_args!("append them: leave --out away and write >> {out}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_has_not_begun_has_no_time() {
        let times = |wall_s: f64| row(&v1::JobStatus { wall_s, ok: 3, ..Default::default() })[6..8].to_vec();
        assert_eq!(times(0.0), ["-", "-"]);
        assert!(times(1.5).iter().all(|text| text != "-"), "{:?}", times(1.5));
    }
}
