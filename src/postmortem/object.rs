//! A post-mortem as JSON. `docs/failures.md` says what each field means.

use super::cause::{name, sentence};
use super::lines::told;
use super::replay::Replay;
use super::suggestion::{Failed, suggestion};
use muster_proto::v1::{self, AttemptReport, PostMortem};
use serde::{Deserialize, Serialize};

/// How one task failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    pub job: u64,
    pub task: u64,
    /// Of its last attempt.
    pub cause: String,
    pub message: String,
    pub signal: Option<i32>,
    pub exit_code: Option<i32>,
    /// Of the fault that raised the signal.
    #[serde(default)]
    pub address: Option<u64>,
    pub attempt: u32,
    pub worker: String,
    /// It is not tried again.
    pub r#final: bool,
    pub frames: Vec<Frame>,
    pub last_lines: Vec<String>,
    pub memory_peak_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    pub lost_tasks: u64,
    pub suggestion: String,
    pub replay: String,
    pub attempts: Vec<Attempt>,
    /// Older attempts that are not kept.
    pub forgotten_attempts: u32,
}

/// One call of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    pub function: Option<String>,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub module: String,
    pub offset: u64,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub attempt: u32,
    pub worker: String,
    pub cause: String,
    pub message: String,
    pub started_s: Option<f64>,
    pub ended_s: Option<f64>,
}

impl Object {
    /// The post-mortem of a task of a job.
    pub fn new(job: u64, replay: &Replay, report: &PostMortem) -> Self {
        let none = AttemptReport::default();
        let last = report.attempts.last().unwrap_or(&none);
        let evidence = last.evidence.clone().unwrap_or_default();
        let cause = name(last);
        let failed =
            Failed { cause: &cause, message: &last.message, has_frames: !evidence.frames.is_empty() };
        let suggestion = suggestion(failed).to_owned();
        let some = |bytes: u64| (bytes > 0).then_some(bytes);
        Self {
            job,
            task: report.index,
            message: last.message.clone(),
            signal: (evidence.signal != 0).then_some(evidence.signal),
            exit_code: evidence.exited.then_some(evidence.exit_code),
            address: evidence.has_address.then_some(evidence.address),
            attempt: last.attempt,
            worker: last.worker.clone(),
            r#final: report.r#final,
            frames: evidence.frames.into_iter().map(Frame::from).collect(),
            last_lines: told(evidence.last_lines),
            memory_peak_bytes: some(evidence.memory_peak_bytes),
            memory_limit_bytes: some(evidence.memory_limit_bytes),
            lost_tasks: evidence.lost_tasks,
            suggestion,
            replay: replay.command(job, report.index),
            attempts: report.attempts.iter().map(Attempt::from).collect(),
            forgotten_attempts: report.forgotten,
            cause,
        }
    }

    /// What is said first of it.
    pub fn sentence(&self) -> String {
        sentence(&self.cause, &self.message, self.signal, self.address)
    }
}

impl From<v1::Frame> for Frame {
    fn from(frame: v1::Frame) -> Self {
        let v1::Frame { module, offset, function, file, line } = frame;
        let some = |text: String| (!text.is_empty()).then_some(text);
        Self { function: some(function), file: some(file), line: (line > 0).then_some(line), module, offset }
    }
}

impl From<&AttemptReport> for Attempt {
    fn from(report: &AttemptReport) -> Self {
        let evidence = report.evidence.as_ref();
        let time = |ns: u64| (ns > 0).then_some(ns as f64 / 1e9);
        Self {
            attempt: report.attempt,
            worker: report.worker.clone(),
            cause: name(report),
            message: report.message.clone(),
            started_s: evidence.and_then(|evidence| time(evidence.started_ns)),
            ended_s: evidence.and_then(|evidence| time(evidence.ended_ns)),
        }
    }
}
