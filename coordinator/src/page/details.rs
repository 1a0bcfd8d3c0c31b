//! What is read only when somebody opens it: failures with their post-mortems, and logs.

use super::view::{QueryError, number, pairs};
use crate::service::JobsService;
use muster_proto::convert::{WHY_MAX, failure_class};
use muster_proto::v1::jobs_server::Jobs as _;
use muster_proto::v1::{self, LogSource};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_stream::StreamExt as _;
use tonic::{Request, Status};

/// Failed tasks that are shown.
const FAILURES_MAX: u32 = 50;
/// Log lines that are shown unless more are asked for, and at the most.
const LINES_DEFAULT: u64 = 200;
const LINES_MAX: u64 = 2_000;
/// Bytes of log lines in an answer.
const LINES_BYTES_MAX: usize = 1 << 20;
/// How long workers may take to answer.
const LINES_WAIT: Duration = Duration::from_secs(15);

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    /// The query cannot be taken.
    Query(QueryError),
    /// The coordinator refuses.
    Refused(Status),
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

/// How tasks of a job failed: `job=7`, and of one task alone `task=3`.
pub async fn failures(jobs: &JobsService, query: &str) -> Result<Value, Error> {
    let (job, task) = (number(query, "job")?.unwrap_or(0), number(query, "task")?);
    let limit = FAILURES_MAX.min(WHY_MAX);
    let asked = v1::WhyRequest { job, one: task.is_some(), index: task.unwrap_or(0), limit };
    let reply = jobs.why(Request::new(asked)).await?.into_inner();
    let status = reply.status.unwrap_or_default();
    let tasks: Vec<Value> = reply.tasks.iter().map(post_mortem).collect();
    Ok(json!({ "job": status.job, "failed": status.failed, "tasks": tasks, "more": reply.more }))
}

fn post_mortem(report: &v1::PostMortem) -> Value {
    let attempts: Vec<Value> = report.attempts.iter().map(attempt).collect();
    let mut shown = json!({
        "task": report.index, "final": report.r#final, "attempts": attempts, "forgotten": report.forgotten,
    });
    if let Some(input) = &report.input {
        shown["input_bytes"] = input.bytes.into();
    }
    shown
}

fn attempt(report: &v1::AttemptReport) -> Value {
    let class = failure_class(report.class).map_or("unknown", |class| class.name());
    let mut shown = json!({
        "attempt": report.attempt, "worker": report.worker, "class": class, "message": report.message,
    });
    if let Some(evidence) = &report.evidence {
        shown["evidence"] = self::evidence(evidence);
    }
    shown
}

fn evidence(evidence: &v1::Evidence) -> Value {
    let frame = |frame: &v1::Frame| {
        json!({
            "module": frame.module, "offset": format!("{:#x}", frame.offset), "function": frame.function,
            "file": frame.file, "line": frame.line,
        })
    };
    let mut shown = json!({
        "cause": evidence.cause, "frames": evidence.frames.iter().map(frame).collect::<Vec<_>>(),
        "last_lines": evidence.last_lines, "pid": evidence.pid, "executor": evidence.executor,
        "lost_tasks": evidence.lost_tasks, "truncated": evidence.truncated,
        "started_s": evidence.started_ns as f64 / 1e9, "ended_s": evidence.ended_ns as f64 / 1e9,
    });
    for (key, value, known) in [
        ("signal", json!(evidence.signal), evidence.signal != 0),
        ("exit_code", json!(evidence.exit_code), evidence.exited),
        ("address", json!(format!("{:#x}", evidence.address)), evidence.has_address),
        ("memory_peak", json!(evidence.memory_peak_bytes), evidence.memory_peak_bytes > 0),
        ("memory_limit", json!(evidence.memory_limit_bytes), evidence.memory_limit_bytes > 0),
    ] {
        if known {
            shown[key] = value;
        }
    }
    shown
}

/// The last log lines of a job: `job=7`, of one task alone `task=3`, of failed tasks alone `failed=1`, and `last=500`.
pub async fn logs(jobs: &JobsService, query: &str) -> Result<Value, Error> {
    let (job, task) = (number(query, "job")?.unwrap_or(0), number(query, "task")?);
    let last = number(query, "last")?.unwrap_or(LINES_DEFAULT).clamp(1, LINES_MAX);
    let failed = pairs(query).any(|(key, value)| key == "failed" && value == "1");
    let asked =
        v1::LogsRequest { job, one: task.is_some(), index: task.unwrap_or(0), failed, follow: false, last };
    let mut replies = jobs.logs(Request::new(asked)).await?.into_inner();
    let (mut lines, mut notes, mut bytes) = (Vec::new(), Vec::new(), 0);
    let read = async {
        while let Some(reply) = replies.next().await {
            let reply = reply?;
            notes.extend(Some(reply.note).filter(|note| !note.is_empty()));
            for it in reply.lines {
                bytes += it.text.len();
                if bytes > LINES_BYTES_MAX {
                    notes.push("the rest is too long for this page: muster job logs shows all".to_owned());
                    return Ok(());
                }
                lines.push(line(&it));
            }
        }
        Ok::<(), Status>(())
    };
    match tokio::time::timeout(LINES_WAIT, read).await {
        Ok(read) => read?,
        Err(_) => notes.push("not all workers have answered yet: try again".to_owned()),
    }
    Ok(json!({ "lines": lines, "notes": notes }))
}

fn line(line: &v1::LogLine) -> Value {
    const LEVELS: [&str; 6] = ["", "error", "warn", "info", "debug", "trace"];
    let level = match line.source() {
        LogSource::Call => LEVELS.get(line.level as usize).copied().unwrap_or_default(),
        LogSource::Output => "print",
        LogSource::Unspecified => "",
    };
    let mut shown = json!({
        "at_s": line.time_ns as f64 / 1e9, "worker": line.worker, "level": level,
        "text": String::from_utf8_lossy(&line.text),
    });
    if line.of_task {
        shown["task"] = line.index.into();
        shown["attempt"] = line.attempt.into();
    }
    shown
}
