//! Answers what the coordinator asks about logs. Files are read beside the loop, and an answer leaves only while there is
//! room for a report and a heartbeat beside it.

use super::driver::Driver;
use super::session::Session;
use crate::log::{Line, Log, Query, Reply, Source, read};
use muster_proto::convert::LogQuery;
use muster_proto::v1::{FromWorker, LogChunk, LogLine, LogSource, from_worker};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;

/// Bytes of one answer.
const ANSWER_BYTES: usize = 256 << 10;
/// Questions that are worked on at the same time.
const QUERIES_MAX: usize = 16;
/// Places in the queue that others need.
const PLACES_KEPT: usize = 2;
/// How often it is looked for room in the queue.
const ROOM_POLL: Duration = Duration::from_millis(5);

/// How many questions are being answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Arc<AtomicUsize>);

impl Driver {
    pub fn on_log_query(&self, query: LogQuery, session: &Session) {
        let (log, outgoing, asked) = (self.log.clone(), session.outgoing.clone(), self.asked.clone());
        if asked.0.fetch_add(1, Relaxed) >= QUERIES_MAX {
            asked.0.fetch_sub(1, Relaxed);
            tokio::spawn(send(
                outgoing,
                refused(query.query, "the worker is answering too many questions about logs"),
            ));
            return;
        }
        tokio::spawn(async move {
            let chunk = answer(&log, &query).await;
            asked.0.fetch_sub(1, Relaxed);
            send(outgoing, chunk).await;
        });
    }
}

async fn answer(log: &Log, query: &LogQuery) -> LogChunk {
    let Some(folder) = log.of_job(query.job.0) else {
        return refused(query.query, "the worker cannot write to its log folder");
    };
    let wanted = Query {
        tasks: (!query.tasks.is_empty()).then(|| query.tasks.iter().copied().collect()),
        last: query.last,
        after: query.after,
        bytes_max: ANSWER_BYTES,
    };
    // Asked first: it is also in the files what was said before.
    let mut waiting = log.waiting(query.job.0).await;
    waiting.retain(|line| wanted.wants(line.task.map(|task| task.index)));
    let found = tokio::task::spawn_blocking(move || read(&folder, &wanted)).await;
    let Reply { lines, next, end } = match found {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => return refused(query.query, &format!("the worker cannot read its log: {error}")),
        Err(_) => return refused(query.query, "the worker cannot read its log"),
    };
    let mut lines: Vec<LogLine> = lines.into_iter().map(|(line, position)| to_wire(line, position)).collect();
    if end {
        let mut left = ANSWER_BYTES;
        let fits = |line: &Line| {
            left = left.saturating_sub(line.text.len() + 1);
            left > 0
        };
        let mut last: Vec<Line> = waiting.into_iter().rev().take_while(fits).collect();
        last.reverse();
        lines.extend(last.into_iter().map(|line| to_wire(line, 0)));
    }
    LogChunk { query: query.query, lines, end, next, error: String::new() }
}

fn refused(query: u64, error: &str) -> LogChunk {
    LogChunk { query, end: true, error: error.to_owned(), ..LogChunk::default() }
}

fn to_wire(line: Line, position: u64) -> LogLine {
    let Line { time_ns, executor, task, source, text } = line;
    let (source, level) = match source {
        Source::Call(level) => (LogSource::Call, level.into()),
        Source::Output => (LogSource::Output, 0),
    };
    LogLine {
        time_ns,
        executor,
        of_task: task.is_some(),
        index: task.map_or(0, |task| task.index),
        attempt: task.map_or(0, |task| task.attempt),
        source: source.into(),
        level,
        text,
        position,
        worker: String::new(),
    }
}

/// Sends an answer when nothing else waits to be sent.
async fn send(outgoing: mpsc::Sender<FromWorker>, chunk: LogChunk) {
    while outgoing.capacity() <= PLACES_KEPT {
        if outgoing.is_closed() {
            return;
        }
        tokio::time::sleep(ROOM_POLL).await;
    }
    // There is room: nobody else ran in between.
    let _ = outgoing.try_send(FromWorker { kind: Some(from_worker::Kind::Log(chunk)) });
}
