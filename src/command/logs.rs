//! `muster job logs`.

use super::job::get;
use crate::cli::LogsArgs;
use crate::cluster::{clients, session};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::postmortem::{LogText, TaskOf};
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
    let session = session(&args.view.cluster).await?;
    let TaskOf { job, index } = args.task;
    let job = get(&session, job).await?.job;
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
        note(format_args!("note: {}", nothing(args, job)));
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

fn nothing(args: &LogsArgs, job: u64) -> String {
    match args.task.index {
        Some(index) => format!("task {index} of job {job} logged and wrote nothing that is still there"),
        None if args.failed => {
            format!("no failed task of job {job} logged or wrote anything that is still there")
        }
        None => format!("the tasks of job {job} logged and wrote nothing that is still there"),
    }
}
