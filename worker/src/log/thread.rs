//! The thread that keeps the logs, and the way to it.

use super::console::{Console, Shown};
use super::job::JobLog;
use super::line::{Line, Source, TaskRef};
use super::speaker::{Of, Speaker};
use super::{JOBS_MAX, TASK_BYTES, TOTAL_BYTES_MAX};
use crate::life::LifeFolder;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Pieces of text and lines that wait for the thread.
const QUEUE_MAX: usize = 64;
/// Messages that are taken before the files are written.
const BATCH_MAX: usize = 64;
/// How long an executor's output waits for room in the queue before it is dropped.
const ROOM_WAIT: Duration = Duration::from_millis(50);
/// How long the agent waits for the thread's answer.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// Bytes of all last lines that wait to be written; above it they are.
const WAITING_BYTES_MAX: u64 = 16 << 20;

/// How logs are kept.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The folder under which each worker has its own.
    pub base: PathBuf,
    /// Which life of a worker this is.
    pub incarnation: u64,
    /// Lines are shown as a command of a person's own shows them.
    pub plain: bool,
    /// Bytes of all logs.
    pub total_bytes_max: u64,
}

impl LogSettings {
    /// The usual limits.
    #[must_use]
    pub fn new(base: PathBuf, incarnation: u64, plain: bool) -> Self {
        Self { base, incarnation, plain, total_bytes_max: TOTAL_BYTES_MAX }
    }
}

enum Message {
    Open { job: u64, task_bytes: u64 },
    Text { who: Who, of: Of, text: Bytes, ends: bool },
    Call { who: Who, of: Of, level: u8, text: Bytes },
    Ended { executor: u64, reply: oneshot::Sender<Vec<String>> },
    Close { job: u64 },
    Waiting { job: u64, reply: oneshot::Sender<Vec<Line>> },
    Forget,
    Finish { reply: oneshot::Sender<()> },
}

/// An executor and the job that it has.
#[derive(Clone, Debug)]
pub struct Who {
    /// The executor.
    pub executor: u64,
    /// Its job.
    pub job: u64,
    /// Its plugin.
    pub plugin: Arc<str>,
}

/// The way to the thread. Clones share it.
#[derive(Clone, Debug)]
pub struct Log {
    queue: mpsc::Sender<Message>,
    lost: Arc<AtomicU64>,
    /// Where this worker's logs are; `None`: they are not kept.
    folder: Option<Arc<PathBuf>>,
}

impl Log {
    /// Starts the thread. Without a folder that can be written to, lines are shown and not kept, which is said once.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(settings: LogSettings) -> io::Result<Self> {
        let folder = LifeFolder::create(&settings.base, settings.incarnation);
        if let Err(error) = &folder {
            tracing::warn!(folder = %settings.base.display(), %error, "what plugins log is not kept");
        }
        let folder = folder.ok();
        let path = folder.as_ref().map(|folder| Arc::new(folder.path().to_owned()));
        let (queue, messages) = mpsc::channel(QUEUE_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let keeper = Keeper {
            folder,
            total_bytes_max: settings.total_bytes_max,
            jobs: BTreeMap::new(),
            speakers: HashMap::new(),
            bytes: 0,
            stopped: false,
            console: Console::new(settings.plain),
            lost: Arc::clone(&lost),
        };
        std::thread::Builder::new()
            .name("log".to_owned())
            .stack_size(512 << 10)
            .spawn(move || keeper.run(messages))?;
        Ok(Self { queue, lost, folder: path })
    }

    /// A job begins here; `task_bytes` of what each of its tasks says are kept, 0 for the usual.
    pub fn open_job(&self, job: u64, task_bytes: u64) {
        // Without room the usual limit holds.
        let _ = self.queue.try_send(Message::Open { job, task_bytes });
    }

    /// A log call of a plugin. Never waits.
    pub fn call(&self, who: Who, of: Option<(u32, TaskRef)>, level: u8, text: String) {
        let bytes = text.len() as u64;
        if self.queue.try_send(Message::Call { who, of, level, text: text.into() }).is_err() {
            self.lost.fetch_add(bytes + 1, Relaxed);
        }
    }

    /// Something that an executor wrote; `ends`: a line ends there. Waits for room, but not for long.
    pub async fn text(&self, who: Who, of: Option<(u32, TaskRef)>, text: Bytes, ends: bool) {
        let bytes = text.len() as u64;
        let message = Message::Text { who, of, text, ends };
        if timeout(ROOM_WAIT, self.queue.send(message)).await.is_err() {
            self.lost.fetch_add(bytes, Relaxed);
        }
    }

    /// An executor is gone; gives the last lines that it said.
    pub async fn ended(&self, executor: u64) -> Vec<String> {
        self.ask(|reply| Message::Ended { executor, reply }).await.unwrap_or_default()
    }

    /// A job is over here: what its tasks said last is written.
    pub fn close_job(&self, job: u64) {
        let queue = self.queue.clone();
        // The agent does not wait for room.
        tokio::spawn(async move { queue.send(Message::Close { job }).await });
    }

    /// What was said last in a job and waits to be written.
    pub async fn waiting(&self, job: u64) -> Vec<Line> {
        self.ask(|reply| Message::Waiting { job, reply }).await.unwrap_or_default()
    }

    /// Where the log of a job is; `None`: logs are not kept.
    #[must_use]
    pub fn of_job(&self, job: u64) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(job.to_string()))
    }

    /// The jobs of another coordinator come from now on, with the same numbers.
    pub fn forget_jobs(&self) {
        let queue = self.queue.clone();
        tokio::spawn(async move { queue.send(Message::Forget).await });
    }

    /// Ends the thread and removes the folder.
    pub async fn finish(&self) {
        let _ = self.ask(|reply| Message::Finish { reply }).await;
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.queue.send(message(reply)).await.ok()?;
            answer.await.ok()
        };
        timeout(ANSWER_WAIT, asked).await.ok().flatten()
    }
}

struct Keeper {
    folder: Option<LifeFolder>,
    total_bytes_max: u64,
    jobs: BTreeMap<u64, JobLog>,
    speakers: HashMap<u64, Speaker>,
    bytes: u64,
    /// The disk is full, or cannot be written to for another reason.
    stopped: bool,
    console: Console,
    lost: Arc<AtomicU64>,
}

impl Keeper {
    fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while messages.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
            let mut asked = Vec::new();
            for message in batch.drain(..) {
                match message {
                    // Answered once the files hold what was said before.
                    Message::Waiting { job, reply } => asked.push((job, reply)),
                    Message::Finish { reply } => {
                        self.finish();
                        let _ = reply.send(());
                        return;
                    }
                    message => self.take(message),
                }
            }
            self.write();
            for (job, reply) in asked {
                let of_job = self.speakers.values().filter(|speaker| speaker.job == job);
                let _ = reply.send(of_job.flat_map(Speaker::waiting).collect());
            }
        }
        self.finish();
    }

    fn finish(&mut self) {
        self.console.tell_silence();
        self.jobs.clear();
        if let Some(folder) = self.folder.take() {
            folder.remove();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Open { job, task_bytes } => self.open(job, task_bytes),
            Message::Text { who, of, text, ends } => self.text(&who, of, &text, ends),
            Message::Call { who, of, level, text } => {
                let mut speaker = self.speaker(&who);
                for line in text.split(|&byte| byte == b'\n') {
                    self.line(&mut speaker, of, Source::Call(level), text.slice_ref(line));
                }
                self.speakers.insert(who.executor, speaker);
            }
            Message::Ended { executor, reply } => {
                let last = self.speakers.remove(&executor).map(|speaker| self.end(speaker));
                let _ = reply.send(last.unwrap_or_default());
            }
            Message::Close { job } => self.close(job),
            Message::Forget => {
                for (_, job) in std::mem::take(&mut self.jobs) {
                    self.bytes = self.bytes.saturating_sub(job.remove());
                }
            }
            Message::Waiting { .. } | Message::Finish { .. } => {}
        }
    }

    fn text(&mut self, who: &Who, of: Of, text: &[u8], ends: bool) {
        let mut speaker = self.speaker(who);
        speaker.hear(of, text, ends, |speaker, of, line| self.line(speaker, of, Source::Output, line));
        if speaker.waiting_bytes() > WAITING_BYTES_MAX {
            self.write_waiting(&mut speaker);
        }
        self.speakers.insert(who.executor, speaker);
    }

    /// The executor that speaks, taken out. One that has another job by now is done with the one before.
    fn speaker(&mut self, who: &Who) -> Speaker {
        let Some(mut speaker) = self.speakers.remove(&who.executor) else {
            self.write_waiting_of_all();
            return Speaker::new(who.executor, who.job, Arc::clone(&who.plugin));
        };
        if speaker.job != who.job {
            self.write_waiting(&mut speaker);
            speaker.begin_job(who.job);
        }
        speaker
    }

    /// Many executors together must not hold much either.
    fn write_waiting_of_all(&mut self) {
        if self.speakers.values().map(Speaker::waiting_bytes).sum::<u64>() > WAITING_BYTES_MAX {
            let mut speakers = std::mem::take(&mut self.speakers);
            speakers.values_mut().for_each(|speaker| self.write_waiting(speaker));
            self.speakers = speakers;
        }
    }

    fn line(&mut self, speaker: &mut Speaker, of: Of, source: Source, text: Bytes) {
        let (task, executor) = (of.map(|(_, task)| task), speaker.id);
        self.console.show(&Shown { plugin: &speaker.plugin, executor, task, source, text: &text });
        speaker.remember(&text);
        let lost = self.lost.swap(0, Relaxed);
        let (job, now) = (speaker.job, now_ns());
        if lost > 0 {
            let words =
                format!("muster: {lost} bytes were lost here: they came faster than they could be kept");
            self.add(job, &Line::note(now, executor, task, words));
        }
        let task_bytes = self.jobs.get(&job).map_or(TASK_BYTES, |job| job.task_bytes);
        speaker.keep(of, now, source, text, task_bytes, &mut |line| self.add(job, &line));
    }

    fn end(&mut self, mut speaker: Speaker) -> Vec<String> {
        speaker.end_line(&mut |speaker: &mut Speaker, of, line| self.line(speaker, of, Source::Output, line));
        self.write_waiting(&mut speaker);
        speaker.last_lines()
    }

    fn write_waiting(&mut self, speaker: &mut Speaker) {
        let job = speaker.job;
        speaker.drain().iter().for_each(|line| self.add(job, line));
    }

    fn open(&mut self, job: u64, task_bytes: u64) {
        let Some(folder) = &self.folder else { return };
        let task_bytes = if task_bytes == 0 { TASK_BYTES } else { task_bytes };
        let path = folder.path().join(job.to_string());
        self.jobs.entry(job).or_insert_with(|| JobLog::new(path, task_bytes)).task_bytes = task_bytes;
        while self.jobs.len() > JOBS_MAX
            && let Some((_, oldest)) = self.jobs.pop_first()
        {
            self.bytes = self.bytes.saturating_sub(oldest.remove());
        }
    }

    fn close(&mut self, job: u64) {
        let mut speakers = std::mem::take(&mut self.speakers);
        for speaker in speakers.values_mut().filter(|speaker| speaker.job == job) {
            speaker.end_line(&mut |speaker: &mut Speaker, of, line| {
                self.line(speaker, of, Source::Output, line);
            });
            self.write_waiting(speaker);
        }
        self.speakers = speakers;
        let closed = self.jobs.get_mut(&job).map(JobLog::finish_segment);
        self.note(closed.unwrap_or(Ok(())));
    }

    /// Puts a line into the log of its job.
    fn add(&mut self, job: u64, line: &Line) {
        if self.stopped {
            return;
        }
        if !self.jobs.contains_key(&job) {
            self.open(job, TASK_BYTES);
        }
        let Some(log) = self.jobs.get_mut(&job) else { return };
        match log.add(line) {
            Ok(bytes) => self.bytes += bytes,
            Err(error) => self.note(Err(error)),
        }
        while self.bytes > self.total_bytes_max
            && let Some(bytes) = self.jobs.values_mut().find_map(JobLog::remove_oldest)
        {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    fn write(&mut self) {
        if !self.stopped {
            let written = self.jobs.values_mut().try_for_each(JobLog::write);
            self.note(written);
        }
    }

    /// A disk that does not take more stops the logs, not the jobs.
    fn note(&mut self, written: io::Result<()>) {
        let Err(error) = written else { return };
        if !std::mem::replace(&mut self.stopped, true) {
            let folder = self.folder.as_ref().map(|folder| folder.path().display().to_string());
            tracing::warn!(folder, %error, "what plugins log is not kept any more; jobs go on");
        }
    }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}
