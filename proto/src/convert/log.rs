//! What is asked about logs and failures, and the lines that workers answer with.

use super::{ConvertError, TASKS_MAX, at_most, clip, words};
use crate::v1;
use muster_core::id::JobId;

/// Tasks that one question about lines may name.
pub const LOG_TASKS_MAX: usize = 1_000;
/// Last lines that may be asked for.
pub const LOG_LAST_MAX: u64 = 100_000;
/// Lines of one answer.
pub const LOG_CHUNK_LINES_MAX: usize = 65_536;
/// Bytes of one line.
pub const LOG_LINE_BYTES_MAX: usize = 64 << 10;
/// Post-mortems of one answer, and of one that does not say how many.
pub const WHY_MAX: u32 = 100;
const WHY_DEFAULT: u32 = 10;

/// What a worker is asked about its logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// For the answer.
    pub query: u64,
    /// The job.
    pub job: JobId,
    /// Of these tasks alone; none: of all.
    pub tasks: Vec<u64>,
    /// Only the last so many lines; 0: all.
    pub last: u64,
    /// Behind this position; 0: from the first.
    pub after: u64,
}

/// Lines of a worker's logs.
#[derive(Clone, Debug, PartialEq)]
pub struct LogChunk {
    /// The question.
    pub query: u64,
    /// The lines.
    pub lines: Vec<v1::LogLine>,
    /// Nothing was there behind them.
    pub end: bool,
    /// Where to go on.
    pub next: u64,
    /// Why there are none, when they cannot be read.
    pub error: String,
}

/// What a client asks about logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogsAsk {
    /// The job; 0: the newest.
    pub job: JobId,
    /// Of this task alone.
    pub task: Option<u64>,
    /// Of failed tasks alone.
    pub failed: bool,
    /// Until the job has ended.
    pub follow: bool,
    /// Only the last so many lines; 0: all.
    pub last: u64,
}

/// What a client asks about failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhyAsk {
    /// The job; 0: the newest.
    pub job: JobId,
    /// This task alone.
    pub task: Option<u64>,
    /// Post-mortems at most.
    pub limit: usize,
}

impl TryFrom<v1::LogQuery> for LogQuery {
    type Error = ConvertError;

    fn try_from(wire: v1::LogQuery) -> Result<Self, ConvertError> {
        let mut tasks = wire.indexes;
        tasks.extend(wire.one.then_some(wire.index));
        at_most("log.indexes (tasks)", tasks.len(), LOG_TASKS_MAX)?;
        tasks.iter().try_for_each(|&index| at_most("log.indexes", index, TASKS_MAX - 1).map(drop))?;
        let last = at_most("log.last", wire.last, LOG_LAST_MAX)?;
        Ok(Self { query: wire.query, job: JobId(wire.job), tasks, last, after: wire.after })
    }
}

impl From<LogQuery> for v1::LogQuery {
    fn from(query: LogQuery) -> Self {
        let LogQuery { query, job, tasks, last, after } = query;
        Self { query, job: job.0, one: false, index: 0, last, after, indexes: tasks }
    }
}

impl TryFrom<v1::LogChunk> for LogChunk {
    type Error = ConvertError;

    fn try_from(wire: v1::LogChunk) -> Result<Self, ConvertError> {
        at_most("log.lines", wire.lines.len(), LOG_CHUNK_LINES_MAX)?;
        let mut lines = wire.lines;
        for line in &mut lines {
            check(line)?;
            line.worker = String::new();
        }
        Ok(Self { query: wire.query, lines, end: wire.end, next: wire.next, error: words(wire.error) })
    }
}

fn check(line: &v1::LogLine) -> Result<(), ConvertError> {
    at_most("log.lines.text (bytes)", line.text.len(), LOG_LINE_BYTES_MAX)?;
    at_most("log.lines.index", line.index, TASKS_MAX - 1)?;
    at_most("log.lines.level", line.level, 5)?;
    match v1::LogSource::try_from(line.source) {
        Ok(v1::LogSource::Call | v1::LogSource::Output) => Ok(()),
        Ok(v1::LogSource::Unspecified) | Err(_) => {
            Err(ConvertError::wrong("log.lines.source", line.source, "not a known source"))
        }
    }
}

impl TryFrom<v1::LogsRequest> for LogsAsk {
    type Error = ConvertError;

    fn try_from(wire: v1::LogsRequest) -> Result<Self, ConvertError> {
        if wire.failed && wire.follow {
            let limit = "which tasks fail is known when they have: ask for failed ones without follow";
            return Err(ConvertError::wrong("failed", "set together with follow", limit));
        }
        Ok(Self {
            job: JobId(wire.job),
            task: wire.one.then(|| at_most("index", wire.index, TASKS_MAX - 1)).transpose()?,
            failed: wire.failed,
            follow: wire.follow,
            last: at_most("last", wire.last, LOG_LAST_MAX)?,
        })
    }
}

impl TryFrom<v1::WhyRequest> for WhyAsk {
    type Error = ConvertError;

    fn try_from(wire: v1::WhyRequest) -> Result<Self, ConvertError> {
        let limit = if wire.limit == 0 { WHY_DEFAULT } else { at_most("limit", wire.limit, WHY_MAX)? };
        Ok(Self {
            job: JobId(wire.job),
            task: wire.one.then(|| at_most("index", wire.index, TASKS_MAX - 1)).transpose()?,
            limit: limit as usize,
        })
    }
}

/// What one attempt leaves, within its bounds.
#[must_use]
pub fn attempt_report(mut report: v1::AttemptReport) -> v1::AttemptReport {
    report.message = words(report.message);
    report.worker = clip(&report.worker, super::NAME_MAX_BYTES).to_owned();
    report
}
