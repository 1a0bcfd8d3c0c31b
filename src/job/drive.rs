//! Submits a job, sends its inputs, takes its results and follows it to its end.

use super::progress::Progress;
use super::{feed, wait_until_final};
use crate::cluster::clients;
use crate::exit::{Exit, Failure};
use crate::input::Blocks;
use crate::interrupt::Interrupt;
use crate::output::{Sink, SinkError};
use crate::terminal::note;
use muster_proto::link::{Link, random_bytes};
use muster_proto::v1;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt as _;

/// Result messages that were received and not yet written.
const REPLIES_AHEAD: usize = 4;
/// A job that has not begun by then gets a word about why.
const LONG_WAIT: Duration = Duration::from_secs(2);

/// A job to be driven to its end.
pub struct Drive {
    pub link: Link,
    pub spec: v1::JobSpec,
    pub blocks: Option<Box<dyn Blocks>>,
    /// Takes the results; without it they are not asked for.
    pub sink: Option<Sink>,
    pub progress: Progress,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: v1::JobStatus,
    /// What took the results.
    pub sink: Option<Sink>,
    /// The signal that cancelled it.
    pub interrupted: Option<&'static str>,
    /// It was cancelled because nobody reads stdout any more.
    pub unread: bool,
}

impl Drive {
    /// Runs the job. The first interrupt cancels it and keeps what is there; the second one ends this at once.
    pub async fn run(self, interrupt: &mut Interrupt) -> Result<Ended, Failure> {
        let job = submit(&self.link, self.spec).await?;
        let mut bar = self.progress;
        let progress = bar.handle();
        let feeding = async {
            match self.blocks {
                Some(blocks) => feed(clients::jobs(&self.link), job, blocks).await.map(drop),
                None => Ok(()),
            }
        };
        let taking = async {
            match self.sink {
                Some(sink) => take_results(&self.link, job, sink).await.map(Some),
                None => Ok(None),
            }
        };
        let watching = wait_until_final(&self.link, job, |status| bar.update(status));
        let (mut feeding, mut taking, mut watching, mut waiting) = (
            Box::pin(feeding),
            Box::pin(taking),
            Box::pin(watching),
            Box::pin(why_it_waits(&self.link, job)),
        );
        let mut course = Course::default();
        while course.goes_on() {
            let event = tokio::select! {
                outcome = &mut feeding, if !course.fed && course.status.is_none() => Event::Fed(outcome),
                outcome = &mut taking, if !course.taken => Event::Taken(outcome),
                outcome = &mut watching, if course.status.is_none() => Event::Ended(Box::new(outcome)),
                reason = &mut waiting, if !course.asked && course.status.is_none() => Event::Waits(reason),
                signal = interrupt.next() => Event::Interrupted(signal),
            };
            let before = course.interrupted;
            let cancel = course.take(event, job).inspect_err(|_| progress.finish())?;
            if course.interrupted.is_some() && before.is_none() {
                progress.note("cancelling; Ctrl-C again stops at once");
            }
            if cancel && course.status.is_none() {
                cancel_job(&self.link, job).await?;
            }
        }
        drop(watching);
        progress.finish();
        course.end()
    }
}

/// What happens to a running job.
enum Event {
    Fed(Result<(), Failure>),
    Taken(Result<Option<Sink>, Taking>),
    Ended(Box<Result<v1::JobStatus, Failure>>),
    Waits(Option<String>),
    Interrupted(&'static str),
}

/// What has happened so far.
#[derive(Default)]
struct Course {
    fed: bool,
    taken: bool,
    asked: bool,
    interrupted: Option<&'static str>,
    unread: bool,
    status: Option<v1::JobStatus>,
    sink: Option<Sink>,
    failure: Option<Failure>,
}

impl Course {
    /// Until the job has ended and its results were taken.
    const fn goes_on(&self) -> bool {
        self.status.is_none() || !self.taken
    }

    /// Takes what happened; `true`: the job is to be cancelled. The first failure is the one that is told.
    fn take(&mut self, event: Event, job: u64) -> Result<bool, Failure> {
        match event {
            Event::Fed(outcome) => {
                self.fed = true;
                return Ok(self.fails(outcome.err()));
            }
            Event::Taken(outcome) => {
                self.taken = true;
                match outcome {
                    Ok(sink) => self.sink = sink,
                    Err(Taking::Sink(SinkError::Closed)) => {
                        self.unread = true;
                        return Ok(true);
                    }
                    Err(error) => return Ok(self.fails(Some(error.into()))),
                }
            }
            Event::Ended(outcome) => self.status = Some((*outcome)?),
            Event::Waits(reason) => {
                self.asked = true;
                if let Some(reason) = reason {
                    note(format_args!("note: job {job} waits: {reason}"));
                }
            }
            Event::Interrupted(_) if self.interrupted.is_some() || self.status.is_some() => {
                return Err(Failure::new(Exit::Interrupted, "stopped at once; results on the way are lost"));
            }
            Event::Interrupted(signal) => {
                self.interrupted = Some(signal);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn fails(&mut self, failure: Option<Failure>) -> bool {
        let failed = failure.is_some();
        self.failure = self.failure.take().or(failure);
        failed
    }

    fn end(self) -> Result<Ended, Failure> {
        match (self.failure, self.status) {
            (Some(failure), Some(status)) if status.state() == v1::JobState::Cancelled => {
                Err(failure.hint_if_none(cancelled(&status)))
            }
            (Some(failure), _) => Err(failure),
            (None, Some(status)) if self.unread && status.state() == v1::JobState::Cancelled => {
                let cancelled = cancelled(&status);
                Err(Failure::new(Exit::Storage, format_args!("nobody reads stdout any more: {cancelled}")))
            }
            (None, Some(status)) => {
                let Self { sink, interrupted, unread, .. } = self;
                Ok(Ended { status, sink, interrupted, unread })
            }
            (None, None) => Err(Failure::new(Exit::Connection, "the job's end was not seen")),
        }
    }
}

/// How far a cancelled job came.
fn cancelled(status: &v1::JobStatus) -> String {
    let (job, done) = (status.job, status.ok + status.failed);
    format!("job {job} is cancelled with {done} of {} tasks done", status.tasks)
}

/// Why a job has not begun after a while, when it has not.
async fn why_it_waits(link: &Link, job: u64) -> Option<String> {
    tokio::time::sleep(LONG_WAIT).await;
    let status = clients::jobs(link).get(v1::JobRequest { job }).await.ok()?.into_inner();
    let waits = status.state() == v1::JobState::Waiting && !status.reason.is_empty();
    waits.then_some(status.reason)
}

/// Submits a job; the request's id makes a repeated call harmless.
pub async fn submit(link: &Link, spec: v1::JobSpec) -> Result<u64, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Storage, error);
    let id: [u8; 16] = random_bytes().map_err(failed)?;
    let request_id = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let request = v1::SubmitRequest { request_id, spec: Some(spec) };
    let reply = clients::jobs(link).submit(request).await;
    reply
        .map(|reply| reply.into_inner().job)
        .map_err(|status| Failure::from_status("submitting the job", &status))
}

async fn cancel_job(link: &Link, job: u64) -> Result<(), Failure> {
    let reply = clients::jobs(link).cancel(v1::JobRequest { job }).await;
    reply.map(drop).map_err(|status| Failure::from_status("cancelling the job", &status))
}

/// Why no more results were taken.
pub enum Taking {
    Sink(SinkError),
    Failed(Failure),
}

impl From<Taking> for Failure {
    fn from(taking: Taking) -> Self {
        match taking {
            Taking::Sink(error) => error.into(),
            Taking::Failed(failure) => failure,
        }
    }
}

/// Follows a job's results from the first to the last.
async fn take_results(link: &Link, job: u64, sink: Sink) -> Result<Sink, Taking> {
    take(link, v1::ResultsRequest { job, from: 0, follow: true, last: 0 }, sink).await
}

/// Writes results to the sink on a thread of its own, because a pipe or a disk may make it wait. Gives the sink
/// back.
pub async fn take(link: &Link, request: v1::ResultsRequest, mut sink: Sink) -> Result<Sink, Taking> {
    let failed = |status: tonic::Status| Taking::Failed(Failure::from_status("reading results", &status));
    let mut replies = clients::jobs(link).results(request).await.map_err(failed)?.into_inner();
    let (sender, mut receiver) = mpsc::channel::<v1::ResultsReply>(REPLIES_AHEAD);
    let (done, written) = oneshot::channel();
    let write = move || {
        let mut outcome = Ok(());
        while let Some(reply) = receiver.blocking_recv() {
            outcome = sink.take(&reply);
            if outcome.is_err() {
                break;
            }
        }
        drop(receiver);
        let _ = done.send(outcome.map(|()| sink));
    };
    let thread = std::thread::Builder::new().name("outputs".into()).spawn(write);
    thread.map_err(|error| Taking::Failed(Failure::new(Exit::Limit, error)))?;
    let mut lost = None;
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
            break;
        }
    }
    drop(sender);
    match (written.await, lost) {
        (Ok(Err(error)), _) => Err(Taking::Sink(error)),
        (_, Some(lost)) => Err(lost),
        (Ok(Ok(sink)), None) => Ok(sink),
        (Err(_), None) => {
            Err(Taking::Failed(Failure::new(Exit::Storage, "the thread that writes results ended")))
        }
    }
}
