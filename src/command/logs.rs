//! `muster job logs`.

use super::job::{ago, get, how_it_ended};
use crate::cli::{JobRef, LogsArgs};
use crate::cluster::{clients, session};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::job::is_final;
use crate::postmortem::{LogText, TaskOf};
use crate::summary::{number, state_name};
use crate::terminal::{self, note};
use muster_proto::v1;
use std::io::Write as _;
use tokio_stream::StreamExt as _;

/// Prints the log lines of a job.
pub async fn logs(args: &LogsArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    if args.failed && args.follow {
        return Err(Failure::usage(
            "--failed and -f do not go together: which tasks fail is known when they have",
        )
        .hint("leave out -f, or follow all lines"));
    }
    let session = session(&args.view.cluster).await.map_err(|failure| match failure.exit {
        Exit::Connection if args.view.cluster.cluster.is_none() => {
            failure.hint("start one with muster up; of the last failed run on a private one: muster job why")
        }
        _ => failure,
    })?;
    let TaskOf { job, index } = args.task;
    let before = get(&session, job).await?;
    let job = before.job;
    if let Some(index) = index.filter(|&index| is_final(&before) && index >= before.tasks) {
        let text = format_args!("job {job} has no task {index}: it has {}", number(before.tasks));
        return Err(Failure::new(Exit::Job, text).hint("the first one has the index 0"));
    }
    let request = v1::LogsRequest {
        job,
        one: index.is_some(),
        index: index.unwrap_or(0),
        failed: args.failed,
        follow: args.follow,
        last: args.tail.unwrap_or(0),
    };
    let failed = |status: tonic::Status| Failure::about_job("reading the log", &status);
    let mut stream = clients::jobs(&session.link).logs(request).await.map_err(failed)?.into_inner();
    let text = LogText::new(terminal::colours_on_stdout());
    let mut lines = 0;
    loop {
        let reply = tokio::select! {
            reply = stream.next() => reply,
            _ = interrupt.next() => return Ok(Exit::Interrupted),
        };
        let Some(reply) = reply.transpose().map_err(failed)? else { break };
        if !reply.note.is_empty() {
            note(format_args!("note: {}", reply.note));
        }
        lines += reply.lines.len();
        let printed = print(&reply.lines, &text, args.view.json);
        match printed {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Exit::Ok),
            Err(error) => return super::printed(Err(error)),
        }
    }
    if lines == 0 {
        let status = get(&session, JobRef(job)).await?;
        note(nothing(args, &status));
    }
    Ok(Exit::Ok)
}

fn print(lines: &[v1::LogLine], text: &LogText, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        if json {
            serde_json::to_writer(&mut out, &text.object(line)).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
        } else {
            writeln!(out, "{}", text.line(line))?;
        }
    }
    out.flush()
}

/// Why there is nothing to print, and what may help.
fn nothing(args: &LogsArgs, status: &v1::JobStatus) -> String {
    let job = status.job;
    let (who, whose) = match args.task.index {
        Some(index) => (format!("task {index} of job {job}"), format!("{job}.{index}")),
        None if args.failed => (format!("no failed task of job {job}"), job.to_string()),
        None => (format!("no task of job {job}"), job.to_string()),
    };
    let what =
        if args.task.index.is_some() { "logged and wrote nothing" } else { "logged or wrote anything" };
    if !is_final(status) {
        let state = state_name(status.state());
        return format!(
            "note: {who} {what} yet; the job is {state}\nhint: wait for lines: muster job logs {whose} -f"
        );
    }
    let (ended, when) = (how_it_ended(status), ago(status.submitted_s));
    let hint = match status.failed {
        _ if args.failed && status.failed == 0 => format!("no task failed; all lines: muster job logs {job}"),
        0 => "a log goes when its worker ends, the oldest first when there are too many; run the job again"
            .to_owned(),
        _ => format!("the last lines of failed tasks are kept: muster job why {whose}"),
    };
    format!(
        "note: {who} {what} that is still there; the job was submitted {when} and has ended ({ended})\nhint: {hint}"
    )
}
