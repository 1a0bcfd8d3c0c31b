//! Reading results from the store and sending them in index order.

use super::Shared;
use crate::driver::{Command, ResultsAsk};
use crate::items;
use crate::store::{Failure, OpenReader, Piece, Reader, StoreError};
use muster_core::id::JobId;
use muster_core::range::IndexRange;
use muster_proto::packed::Packed;
use muster_proto::v1;
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::Status;

/// Bytes of results in one message, more or less.
const MESSAGE_BYTES: usize = 1 << 20;
/// Failures in one message.
const FAILURES_MAX: usize = 1_000;

type Parts = mpsc::Sender<Result<v1::ResultsReply, Status>>;

/// Where results are read.
#[derive(Clone)]
pub struct Outputs {
    open: OpenReader,
    blocking: bool,
}

impl Outputs {
    /// Results behind `open`; `blocking`: reading may wait for a disk.
    pub fn new(open: OpenReader, blocking: bool) -> Self {
        Self { open, blocking }
    }

    /// Reads with `reader`, on a thread where waiting is allowed when it may wait.
    pub async fn read<T: Send + 'static>(
        &self,
        reader: &mut Option<Box<dyn Reader>>,
        read: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Status> {
        let open = Arc::clone(&self.open);
        let held = reader.take();
        let work = move || {
            let mut reader = match held {
                Some(reader) => reader,
                None => open()?,
            };
            let found = read(&mut *reader)?;
            Ok((reader, found))
        };
        let done: Result<_, StoreError> = if self.blocking {
            let joined = tokio::task::spawn_blocking(work).await;
            joined.map_err(|_| Status::internal("reading results did not end well"))?
        } else {
            work()
        };
        let (held, found) = done.map_err(|error| Status::data_loss(error.to_string()))?;
        *reader = Some(held);
        Ok(found)
    }
}

/// Sends what was asked for. Tasks that failed come in parts of their own, without results; tasks of a job
/// that ended early have neither and are left out.
pub async fn send_all(
    shared: &Shared,
    outputs: &Outputs,
    reader_id: u64,
    asked: v1::ResultsRequest,
    parts: &Parts,
) -> Result<(), Status> {
    let mut reader = None;
    let mut ask = ResultsAsk {
        reader: reader_id,
        job: JobId(asked.job),
        from: asked.from,
        sent_bytes: 0,
        follow: asked.follow,
    };
    let mut last = asked.last;
    loop {
        let page = tokio::select! {
            page = shared.driver.ask(|reply| Command::Results(ask, reply)) => page?,
            () = parts.closed() => return Ok(()),
        };
        if page.reduced {
            return send_reduced(outputs, &mut reader, ask.job, parts).await;
        }
        let mut range = page.range;
        if last > 0 {
            range = IndexRange::new(range.start.max(range.end.saturating_sub(last)), range.end);
            last = 0;
        }
        ask.sent_bytes = 0;
        if !range.is_empty() {
            let (from, to) = (range.start, range.end);
            let Some((sent_bytes, sent_to)) =
                send_part(outputs, &mut reader, ask.job, IndexRange::new(from, to), parts).await?
            else {
                return Ok(());
            };
            ask.sent_bytes = sent_bytes;
            ask.from = sent_to;
        }
        if page.last && ask.from >= page.range.end {
            let end = v1::ResultsReply { start: page.range.end, end: true, ..v1::ResultsReply::default() };
            let _ = parts.send(Ok(end)).await;
            return Ok(());
        }
    }
}

async fn send_reduced(
    outputs: &Outputs,
    reader: &mut Option<Box<dyn Reader>>,
    job: JobId,
    parts: &Parts,
) -> Result<(), Status> {
    let data = outputs.read(reader, move |reader| reader.reduced(job)).await?;
    let failures = outputs
        .read(reader, move |reader| reader.failures(job, IndexRange::new(0, u64::MAX >> 1), FAILURES_MAX))
        .await?;
    let mut reply = v1::ResultsReply { end: true, ..v1::ResultsReply::default() };
    reply.failures = failures.into_iter().map(to_wire).collect();
    if let Some(data) = data {
        reply.reduced = true;
        reply.results = Some(Packed::from_lengths(vec![data.len() as u32], data));
    }
    let _ = parts.send(Ok(reply)).await;
    Ok(())
}

/// Sends one read of results from the start of `range`. Gives their bytes and where to go on; `None`: nobody
/// listens any more.
async fn send_part(
    outputs: &Outputs,
    reader: &mut Option<Box<dyn Reader>>,
    job: JobId,
    range: IndexRange,
    parts: &Parts,
) -> Result<Option<(u64, u64)>, Status> {
    let (pieces, failures) = outputs
        .read(reader, move |reader| {
            let pieces = reader.results(job, range, MESSAGE_BYTES)?;
            // Failures up to where the results reach, or all when there is no further result.
            let reach = pieces.last().map_or(range.end, |piece| piece.range.end);
            let within = IndexRange::new(range.start, reach);
            Ok((pieces, reader.failures(job, within, FAILURES_MAX + 1)?))
        })
        .await?;
    let mut sent_bytes = 0;
    let (replies, reached) = in_order(range, pieces, failures);
    for reply in replies {
        sent_bytes += reply.results.as_ref().map_or(0, |results| results.data.len() as u64);
        if parts.send(Ok(reply)).await.is_err() {
            return Ok(None);
        }
    }
    Ok(Some((sent_bytes, reached)))
}

/// Results and failures in the order of their indexes, and the index up to which they are complete.
fn in_order(
    range: IndexRange,
    pieces: Vec<Piece>,
    mut failures: Vec<Failure>,
) -> (Vec<v1::ResultsReply>, u64) {
    let mut reached = pieces.last().map_or(range.end, |piece| piece.range.end);
    if failures.len() > FAILURES_MAX {
        // The next read goes on with the first failure that has no room here.
        failures.truncate(FAILURES_MAX + 1);
        reached = reached.min(failures.pop().map_or(reached, |failure| failure.index));
    }
    let mut replies = Vec::new();
    let mut failures = failures.into_iter().filter(|failure| failure.index < reached).peekable();
    for piece in pieces {
        let mut before = Vec::new();
        while let Some(failure) = failures.next_if(|failure| failure.index < piece.range.start) {
            before.push(failure);
        }
        push_failures(&mut replies, before);
        let part = IndexRange::new(piece.range.start, piece.range.end.min(reached));
        if !part.is_empty() {
            replies.push(results_reply(piece, part));
        }
    }
    push_failures(&mut replies, failures.collect());
    (replies, reached)
}

fn results_reply(piece: Piece, part: IndexRange) -> v1::ResultsReply {
    let Piece { range, items: packed } = piece;
    let results = if range == part {
        packed
    } else {
        let Packed { width, lengths, data } = packed;
        items::copy_part(range.start, range.len(), width, &lengths, &data, part, usize::MAX).items
    };
    v1::ResultsReply {
        start: part.start,
        count: part.len(),
        results: Some(results),
        ..v1::ResultsReply::default()
    }
}

/// One reply per run of neighbouring failures.
fn push_failures(replies: &mut Vec<v1::ResultsReply>, failures: Vec<Failure>) {
    for run in failures.chunk_by(|a, b| a.index + 1 == b.index) {
        replies.push(v1::ResultsReply {
            start: run[0].index,
            count: run.len() as u64,
            failures: run.iter().cloned().map(to_wire).collect(),
            ..v1::ResultsReply::default()
        });
    }
}

fn to_wire(failure: Failure) -> v1::TaskFailure {
    let Failure { index, class, message } = failure;
    v1::TaskFailure { index, class, message, ..Default::default() }
}
