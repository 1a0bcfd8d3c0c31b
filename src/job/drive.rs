//! Submits a job, sends its inputs, takes its results and follows it to its end.

use super::progress::Progress;
use super::take::{NotTaken, take_all};
use super::{
    Line, feed, follow_until_still, is_final, is_paused, subject, unfinished, wait_until_final,
    wait_until_stopped,
};
use crate::cluster::clients;
use crate::exit::{Exit, Failure};
use crate::input::Blocks;
use crate::interrupt::Interrupt;
use crate::output::Sink;
use muster_proto::hex;
use muster_proto::link::{Link, random_bytes};
use muster_proto::v1;
use std::time::Duration;

/// A job that has done nothing by then gets a word about why.
const LONG_WAIT: Duration = Duration::from_secs(2);

/// A job to be driven to its end.
pub struct Drive {
    pub line: Line,
    pub spec: v1::JobSpec,
    pub blocks: Option<Box<dyn Blocks>>,
    /// Takes the results; without it they are not asked for.
    pub sink: Option<Sink>,
    pub progress: Progress,
    /// The cluster goes on, and so do results in it that were not written.
    pub lasts: bool,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: v1::JobStatus,
    /// What took the results.
    pub sink: Option<Sink>,
    /// The signal that cancelled it.
    pub interrupted: Option<&'static str>,
    /// Why it was paused, and then cancelled, because its cluster ends with this command.
    pub paused: Option<String>,
    /// It was cancelled because nobody reads stdout any more.
    pub unread: bool,
}

impl Drive {
    /// Runs the job. The first interrupt cancels it and keeps what is there; the second one ends this at once.
    pub async fn run(mut self, interrupt: &mut Interrupt) -> Result<Ended, Failure> {
        let (_, link) = self.line.link();
        let job = submit(&link, std::mem::take(&mut self.spec)).await?;
        let results = if self.sink.is_some() { format!("; muster job results {job}") } else { String::new() };
        let lasts = self.lasts;
        self.follow(job, interrupt).await.map_err(|failure| match failure.exit {
            Exit::Connection if lasts => failure.hint(format_args!(
                "job {job} goes on as soon as its coordinator does: muster job wait {job}{results}"
            )),
            _ => failure,
        })
    }

    async fn follow(self, job: u64, interrupt: &mut Interrupt) -> Result<Ended, Failure> {
        let mut bar = self.progress;
        let progress = bar.handle();
        let line = &self.line;
        let (_, first) = line.link();
        let feeding = async {
            match self.blocks {
                Some(blocks) => feed(line, job, blocks).await.map(drop),
                None => Ok(()),
            }
        };
        let taking = async {
            match self.sink {
                Some(sink) => take_all(line, job, sink).await.map(Some),
                None => Ok(None),
            }
        };
        let lasts = self.lasts;
        let pause = progress.clone();
        let watching = async {
            let status = follow_until_still(line, job, |status| bar.update(status)).await?;
            let (_, link) = line.link();
            if !is_paused(&status) || lasts {
                return Ok((wait_until_stopped(&link, status).await?, None));
            }
            pause.note(&format!("job {job} is paused, and ends: {}", what_happened(&status.reason)));
            super::cancel(&link, job).await?;
            let ended = wait_until_final(&link, job, |_| {}).await?;
            Ok((wait_until_stopped(&link, ended).await?, Some(status.reason)))
        };
        let (mut feeding, mut taking, mut watching, mut waiting) =
            (Box::pin(feeding), Box::pin(taking), Box::pin(watching), Box::pin(why_it_waits(&first, job)));
        let mut course = Course { lasts: self.lasts, ..Course::default() };
        while course.goes_on() {
            let event = tokio::select! {
                outcome = &mut feeding, if !course.fed && course.status.is_none() => Event::Fed(outcome),
                outcome = &mut taking, if !course.taken => Event::Taken(outcome),
                outcome = &mut watching, if course.status.is_none() => Event::Ended(Box::new(outcome)),
                reason = &mut waiting, if !course.asked && course.status.is_none() => Event::Waits(reason),
                signal = interrupt.next() => Event::Interrupted(signal),
            };
            if let Event::Waits(Some(reason)) = &event {
                progress.note(&format!("note: job {job} {reason}"));
            }
            let before = course.interrupted;
            let cancel = course.take(event).inspect_err(|_| progress.finish())?;
            if course.interrupted.is_some() && before.is_none() {
                progress.note("cancelling; Ctrl-C again stops at once");
            }
            if cancel && course.status.is_none() {
                super::cancel(&line.link().1, job).await?;
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
    Taken(Result<Option<Sink>, NotTaken>),
    Ended(Box<Result<(v1::JobStatus, Option<String>), Failure>>),
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
    /// Why the job was paused before it was cancelled.
    paused: Option<String>,
    unread: bool,
    lasts: bool,
    /// Where the results begin that could not be written.
    unwritten: Option<u64>,
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
    fn take(&mut self, event: Event) -> Result<bool, Failure> {
        match event {
            Event::Fed(outcome) => {
                self.fed = true;
                return Ok(self.fails(outcome.err()));
            }
            Event::Taken(outcome) => {
                self.taken = true;
                match outcome {
                    Ok(sink) => self.sink = sink,
                    Err(error) if error.is_unread() => {
                        self.unread = true;
                        return Ok(true);
                    }
                    Err(error) => {
                        self.unwritten = Some(error.below);
                        let failure = Failure::from(error.cause);
                        // Nobody is there who could be asked to cancel the job.
                        if failure.exit == Exit::Connection {
                            return Err(failure);
                        }
                        return Ok(self.fails(Some(failure)));
                    }
                }
            }
            Event::Ended(outcome) => {
                let (status, paused) = (*outcome)?;
                // Results of a paused job go on coming only when somebody lets it.
                self.taken |= is_paused(&status);
                (self.status, self.paused) = (Some(status), paused);
            }
            Event::Waits(_) => self.asked = true,
            Event::Interrupted(_) if self.interrupted.is_some() || self.status.is_some() => {
                let rest = if self.lasts { "" } else { "; results on the way are lost" };
                return Err(Failure::new(Exit::Interrupted, format_args!("stopped at once{rest}")));
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
            (Some(failure), Some(status)) => {
                let is_cancelled = status.state() == v1::JobState::Cancelled;
                let hints = [
                    is_cancelled.then(|| cancelled(&status)),
                    self.lasts.then(|| self.unwritten.map(|below| kept(&status, below))).flatten(),
                ];
                let hints: Vec<String> = hints.into_iter().flatten().collect();
                if hints.is_empty() { Err(failure) } else { Err(failure.hint_if_none(hints.join("; "))) }
            }
            (Some(failure), None) => Err(failure),
            (None, Some(status)) if self.unread && status.state() == v1::JobState::Cancelled => {
                let cancelled = cancelled(&status);
                Err(Failure::new(Exit::Storage, format_args!("nobody reads stdout any more: {cancelled}")))
            }
            (None, Some(status)) => {
                let Self { sink, interrupted, paused, unread, .. } = self;
                Ok(Ended { status, sink, interrupted, paused, unread })
            }
            (None, None) => Err(Failure::new(Exit::Connection, "the job's end was not seen")),
        }
    }
}

/// Of the reason of a pause what is no advice.
pub fn what_happened(reason: &str) -> &str {
    reason.split_once(" - ").map_or(reason, |(what, _)| what)
}

/// How far a cancelled job came.
fn cancelled(status: &v1::JobStatus) -> String {
    let (job, done) = (status.job, status.ok + status.failed);
    format!("job {job} is cancelled with {done} of {} tasks done", status.tasks)
}

/// How to get the results that were not written.
fn kept(status: &v1::JobStatus, below: u64) -> String {
    let job = status.job;
    if status.spec.as_ref().is_some_and(|spec| spec.reduce) {
        return format!("the output is kept: muster job results {job} --out FILE");
    }
    format!("outputs from index {below} on are kept: muster job results {job} --from {below} --out FILE")
}

/// Why a job has done nothing after a while, when it has not.
async fn why_it_waits(link: &Link, job: u64) -> Option<String> {
    tokio::time::sleep(LONG_WAIT).await;
    let status = clients::jobs(link).get(v1::JobRequest { job }).await.ok()?.into_inner();
    if status.state() == v1::JobState::Waiting && !status.reason.is_empty() {
        return Some(format!("waits: {}", status.reason));
    }
    if status.ok + status.failed > 0 || is_final(&status) {
        return None;
    }
    // Its tasks may be at a worker already, behind those of other jobs.
    let mut others = unfinished(link).await.ok()?;
    others.retain(|other| other.job != job && other.leased > 0);
    let others = (!others.is_empty()).then(|| subject(&others, "uses", "use"))?;
    Some(format!("has no result yet: {others} the same workers"))
}

/// Submits a job; the request's id makes a repeated call harmless.
pub async fn submit(link: &Link, spec: v1::JobSpec) -> Result<u64, Failure> {
    submit_request(link, request(spec)?).await
}

/// What [`submit`] sends.
pub fn request(spec: v1::JobSpec) -> Result<v1::SubmitRequest, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Storage, error);
    let id: [u8; 16] = random_bytes().map_err(failed)?;
    Ok(v1::SubmitRequest { request_id: hex(&id), spec: Some(spec) })
}

/// Gives the number of the job that the request has made, however often it was sent.
pub async fn submit_request(link: &Link, request: v1::SubmitRequest) -> Result<u64, Failure> {
    let reply = clients::jobs(link).submit(request).await;
    reply
        .map(|reply| reply.into_inner().job)
        .map_err(|status| Failure::from_status("submitting the job", &status))
}
