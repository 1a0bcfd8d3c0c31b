//! Log lines of a job from all workers that have some, in the order of their times. Each worker is asked for a piece at a time,
//! and for the next when a client has read that one.

use super::Shared;
use crate::driver::{Command, LogSources, Refusal};
use muster_core::id::{JobId, WorkerId};
use muster_proto::convert::{LOG_TASKS_MAX, LogChunk, LogQuery, LogsAsk};
use muster_proto::v1::{JobState, LogLine, LogsReply};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::Status;

/// How often a followed job is asked about.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
/// How long a worker may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Bytes of lines in one message, more or less.
const MESSAGE_BYTES: usize = 256 << 10;
/// Bytes of the last lines that are kept to choose from.
const LAST_BYTES_MAX: usize = 32 << 20;

type Replies = mpsc::Sender<Result<LogsReply, Status>>;

/// What one worker has.
struct Source {
    id: WorkerId,
    name: String,
    after: u64,
    lines: VecDeque<LogLine>,
    end: bool,
}

/// Sends what was asked for. `failed`: the tasks whose lines are wanted, when only those are.
pub async fn send_all(
    shared: &Shared,
    ask: LogsAsk,
    failed: Option<Vec<u64>>,
    replies: &Replies,
) -> Result<(), Status> {
    let mut sending = Sending { replies, lines: Vec::new(), bytes: 0, last: Last::new(ask.last) };
    let tasks: Vec<Vec<u64>> = match (ask.task, failed) {
        (Some(task), Some(failed)) => vec![failed.into_iter().filter(|&index| index == task).collect()],
        (Some(task), None) => vec![vec![task]],
        (None, Some(failed)) => failed.chunks(LOG_TASKS_MAX).map(<[u64]>::to_vec).collect(),
        (None, None) => vec![Vec::new()],
    };
    let wants_some = ask.task.is_some() || ask.failed;
    let mut told = BTreeSet::new();
    let mut places = BTreeMap::new();
    for tasks in tasks.into_iter().filter(|tasks| !wants_some || !tasks.is_empty()) {
        let sources = sources(shared, ask.job, &mut told, replies).await?;
        places.clear();
        collect(shared, &sources, &tasks, ask, &mut places, &mut sending).await?;
        sending.finish().await?;
        if ask.follow {
            follow(shared, &tasks, ask, &mut told, &mut places, &mut sending).await?;
        }
    }
    sending.finish().await
}

async fn follow(
    shared: &Shared,
    tasks: &[u64],
    ask: LogsAsk,
    told: &mut BTreeSet<String>,
    places: &mut BTreeMap<WorkerId, u64>,
    sending: &mut Sending<'_>,
) -> Result<(), Status> {
    sending.last = Last::new(0);
    loop {
        let sources = sources(shared, ask.job, told, sending.replies).await?;
        let was_over = is_over(&sources);
        tokio::select! {
            () = tokio::time::sleep(FOLLOW_INTERVAL) => {}
            () = sending.replies.closed() => return Ok(()),
        }
        // Once more after the end: what was said last may have been on its way.
        let ask = LogsAsk { last: 0, ..ask };
        collect(shared, &sources, tasks, ask, places, sending).await?;
        sending.finish().await?;
        if was_over {
            if sources.status.state() == JobState::Paused {
                let job = sources.status.job;
                let text = format!(
                    "job {job} is paused: follow its log anew once `muster job retry {job}` has let it go on"
                );
                note(sending.replies, text).await;
            }
            return Ok(());
        }
    }
}

/// Whether nothing more is to be said, or not before somebody lets the job go on.
fn is_over(sources: &LogSources) -> bool {
    let state = sources.status.state();
    matches!(state, JobState::Done | JobState::Failed | JobState::Cancelled | JobState::Paused)
}

/// Who has lines; says once of each that is gone that it is.
async fn sources(
    shared: &Shared,
    job: JobId,
    told: &mut BTreeSet<String>,
    replies: &Replies,
) -> Result<LogSources, Status> {
    let sources = shared.driver.ask(|reply| Command::LogSources(job, reply)).await?;
    for name in &sources.gone {
        if told.insert(name.clone()) {
            note(replies, format!("worker {name} is gone and with it its part of the log")).await;
        }
    }
    Ok(sources)
}

async fn note(replies: &Replies, note: String) {
    let _ = replies.send(Ok(LogsReply { lines: Vec::new(), note })).await;
}

/// Sends what all workers have by now, in the order of time.
async fn collect(
    shared: &Shared,
    found: &LogSources,
    tasks: &[u64],
    ask: LogsAsk,
    places: &mut BTreeMap<WorkerId, u64>,
    sending: &mut Sending<'_>,
) -> Result<(), Status> {
    let place = |id: &WorkerId| places.get(id).copied().unwrap_or(0);
    let source = |(id, name): &(WorkerId, String)| Source {
        id: *id,
        name: name.clone(),
        after: place(id),
        lines: VecDeque::new(),
        end: false,
    };
    let mut sources: Vec<Source> = found.workers.iter().map(source).collect();
    let mut last = ask.last;
    loop {
        for source in sources.iter_mut().filter(|source| source.lines.is_empty() && !source.end) {
            // What is not in the files yet would come again.
            let waiting = !ask.follow;
            source.ask_on(shared, JobId(found.status.job), tasks, last, waiting, sending.replies).await?;
        }
        last = 0;
        if sources.iter().any(|source| source.lines.is_empty() && !source.end) {
            continue;
        }
        let first = sources.iter_mut().filter(|source| !source.lines.is_empty());
        let Some(source) = first.min_by_key(|source| source.lines.front().map(|line| line.time_ns)) else {
            break;
        };
        if let Some(line) = source.lines.pop_front() {
            let line = LogLine { worker: source.name.clone(), ..line };
            if !sending.add(line).await? {
                return Ok(());
            }
        }
    }
    places.extend(sources.into_iter().map(|source| (source.id, source.after)));
    Ok(())
}

impl Source {
    /// Asks for the next piece.
    async fn ask_on(
        &mut self,
        shared: &Shared,
        job: JobId,
        tasks: &[u64],
        last: u64,
        waiting: bool,
        replies: &Replies,
    ) -> Result<(), Status> {
        let query = LogQuery { query: 0, job, tasks: tasks.to_vec(), last, after: self.after };
        let asked = shared.driver.ask(|reply| Command::AskLog(self.id, query, reply));
        let answer = match tokio::time::timeout(ANSWER_WAIT, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(Refusal::NoWorker(_) | Refusal::Stopping)) | Err(_) => {
                self.end = true;
                note(
                    replies,
                    format!("worker {} does not answer: its part of the log is missing", self.name),
                )
                .await;
                return Ok(());
            }
            Ok(Err(refusal)) => return Err(refusal.into()),
        };
        let LogChunk { lines, end, next, error, .. } = answer;
        if !error.is_empty() {
            note(replies, format!("worker {}: {error}", self.name)).await;
        }
        // Without a step forward there is no end to it.
        self.end = end || next <= self.after;
        self.after = next.max(self.after);
        self.lines = lines.into_iter().filter(|line| waiting || line.position > 0).collect();
        Ok(())
    }
}

/// Lines on their way to the client.
struct Sending<'a> {
    replies: &'a Replies,
    lines: Vec<LogLine>,
    bytes: usize,
    last: Last,
}

/// Holds lines back when only the last are wanted.
struct Last {
    wanted: usize,
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl Last {
    fn new(wanted: u64) -> Self {
        Self { wanted: wanted as usize, lines: VecDeque::new(), bytes: 0 }
    }

    fn add(&mut self, line: LogLine) {
        self.bytes += line.text.len() + 64;
        self.lines.push_back(line);
        while self.lines.len() > self.wanted || (self.bytes > LAST_BYTES_MAX && self.lines.len() > 1) {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.text.len() + 64);
        }
    }
}

impl Sending<'_> {
    /// Takes a line; `false`: nobody listens any more.
    async fn add(&mut self, line: LogLine) -> Result<bool, Status> {
        if self.last.wanted > 0 {
            self.last.add(line);
            return Ok(true);
        }
        self.push(line).await
    }

    async fn push(&mut self, line: LogLine) -> Result<bool, Status> {
        self.bytes += line.text.len() + 64;
        self.lines.push(line);
        if self.bytes >= MESSAGE_BYTES { self.send().await } else { Ok(true) }
    }

    async fn send(&mut self) -> Result<bool, Status> {
        self.bytes = 0;
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return Ok(true);
        }
        Ok(self.replies.send(Ok(LogsReply { lines, note: String::new() })).await.is_ok())
    }

    /// Sends what was held back and what did not fill a message.
    async fn finish(&mut self) -> Result<(), Status> {
        for line in std::mem::take(&mut self.last.lines) {
            self.push(line).await?;
        }
        self.last.bytes = 0;
        self.send().await.map(drop)
    }
}
