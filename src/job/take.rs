//! Takes a job's results to where they are written, and tells the coordinator what it need not keep any more.

use super::Line;
use crate::cluster::clients;
use crate::exit::{Exit, Failure};
use crate::output::{Sink, SinkError};
use muster_proto::link::Link;
use muster_proto::v1;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::StreamExt as _;

/// Result messages that were received and not yet written.
const REPLIES_AHEAD: usize = 4;
/// Results that were written are acknowledged this often.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(100);

/// Why not all results were taken.
#[derive(Debug)]
pub struct NotTaken {
    pub cause: Cause,
    /// Those below this index were written and acknowledged.
    pub below: u64,
}

#[derive(Debug)]
pub enum Cause {
    /// They could not be written.
    Sink(SinkError),
    /// They could not be read.
    Failed(Failure),
    /// The link was lost; what takes them can go on.
    Lost(Failure, Box<Sink>),
}

impl NotTaken {
    /// Nobody reads them any more.
    pub const fn is_unread(&self) -> bool {
        matches!(self.cause, Cause::Sink(SinkError::Closed))
    }
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Sink(error) => error.into(),
            Cause::Failed(failure) | Cause::Lost(failure, _) => failure,
        }
    }
}

/// Writes what was asked for to the sink and gives the sink back. The coordinator is told that it may drop what was
/// written, unless the request passes over results that it still has from `results_from` on.
pub async fn take(
    link: &Link,
    request: v1::ResultsRequest,
    results_from: u64,
    sink: Sink,
) -> Result<Sink, NotTaken> {
    let job = request.job;
    let (writer, written) = watch::channel(request.from);
    let passes_over = request.last > 0 || request.from > results_from;
    let acknowledging =
        async { if passes_over { Ok(()) } else { acknowledge(link, job, written.clone()).await } };
    let (taken, acknowledged) = tokio::join!(write_all(link, request, sink, writer), acknowledging);
    let cause = match (taken, acknowledged) {
        (Ok(sink), Ok(())) => return Ok(sink),
        (Ok(sink), Err(failure)) => lost_or_failed(failure, sink),
        (Err(cause), _) => cause,
    };
    Err(NotTaken { cause, below: *written.borrow() })
}

/// Writes on a thread of its own, because a pipe or a disk may make it wait. `written` follows how far it is.
async fn write_all(
    link: &Link,
    request: v1::ResultsRequest,
    mut sink: Sink,
    written: watch::Sender<u64>,
) -> Result<Sink, Cause> {
    let failed = |status: tonic::Status| Failure::about_job("reading results", &status);
    let mut replies = match clients::jobs(link).results(request).await {
        Ok(replies) => replies.into_inner(),
        Err(status) => return Err(lost_or_failed(failed(status), sink)),
    };
    let (sender, mut receiver) = mpsc::channel::<v1::ResultsReply>(REPLIES_AHEAD);
    let (done, outcome) = oneshot::channel();
    let write = move || {
        let mut outcome = Ok(());
        while let Some(reply) = receiver.blocking_recv() {
            outcome = sink.take(&reply);
            if outcome.is_err() {
                break;
            }
            written.send_replace(reply.start.saturating_add(reply.count));
        }
        drop(receiver);
        let _ = done.send(outcome.map(|()| sink));
    };
    let thread = std::thread::Builder::new().name("outputs".into()).spawn(write);
    thread.map_err(|error| Failure::new(Exit::Limit, error))?;
    let mut lost = Some(Failure::new(Exit::Connection, "the coordinator went away before all results came"));
    while let Some(reply) = replies.next().await {
        let reply = match reply {
            Ok(reply) => reply,
            Err(status) => {
                lost = Some(failed(status));
                break;
            }
        };
        let end = reply.end;
        if sender.send(reply).await.is_err() || end {
            lost = None;
            break;
        }
    }
    drop(sender);
    match (outcome.await, lost) {
        (Ok(Err(error)), _) => Err(Cause::Sink(error)),
        (Ok(Ok(sink)), Some(lost)) => Err(lost_or_failed(lost, sink)),
        (Err(_), Some(lost)) => Err(lost.into()),
        (Ok(Ok(sink)), None) => Ok(sink),
        (Err(_), None) => Err(Failure::new(Exit::Storage, "the thread that writes results ended").into()),
    }
}

fn lost_or_failed(failure: Failure, sink: Sink) -> Cause {
    match failure.exit {
        Exit::Connection => Cause::Lost(failure, Box::new(sink)),
        _ => Cause::Failed(failure),
    }
}

/// As [`take`] of all results while they come, also when the coordinator goes and comes back.
pub async fn take_all(line: &Line, job: u64, mut sink: Sink) -> Result<Sink, NotTaken> {
    let mut from = 0;
    loop {
        let (number, link) = line.link();
        let request = v1::ResultsRequest { job, from, follow: true, last: 0 };
        match take(&link, request, from, sink).await {
            Err(NotTaken { cause: Cause::Lost(lost, back), below }) => {
                let restored = line.restore(number, lost).await;
                restored.map_err(|failure| NotTaken { cause: failure.into(), below })?;
                (sink, from) = (*back, below);
            }
            outcome => return outcome,
        }
    }
}

/// Tells the coordinator how far results were written, now and then and at the end.
async fn acknowledge(link: &Link, job: u64, mut written: watch::Receiver<u64>) -> Result<(), Failure> {
    let mut client = clients::jobs(link);
    let mut told = *written.borrow();
    let mut goes_on = true;
    while goes_on {
        goes_on = written.changed().await.is_ok();
        let soon = tokio::time::sleep(ACKNOWLEDGE_EVERY);
        tokio::pin!(soon);
        while goes_on && !soon.is_elapsed() {
            tokio::select! {
                () = &mut soon => {}
                changed = written.changed() => goes_on = changed.is_ok(),
            }
        }
        let below = *written.borrow_and_update();
        if below > told {
            let request = v1::AcknowledgeRequest { job, below };
            let reply = client.acknowledge(request).await;
            reply.map_err(|status| Failure::about_job("acknowledging results", &status))?;
            told = below;
        }
    }
    Ok(())
}
