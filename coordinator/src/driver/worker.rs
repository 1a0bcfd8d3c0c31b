//! A worker as the driver sees it, and what is about to be sent to it.

use muster_core::id::{JobId, WorkerId};
use muster_core::sandbox::need_texts;
use muster_core::time::Time;
use muster_proto::convert::{Heartbeat, Hello, level_to_wire, trust_to_wire};
use muster_proto::v1::{self, WorkerState};
use prost::Message;
use std::collections::BTreeSet;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tonic::Status;

/// Messages that may wait for a worker to read them. One that has more waiting is disconnected.
const QUEUE_MESSAGES: usize = 256;
/// A message takes no further lease above this size.
const MESSAGE_BYTES: usize = 8 << 20;

/// Ends of the queue of one worker.
pub type Outbound = mpsc::Receiver<Result<v1::ToWorker, Status>>;

/// A worker that is attached.
#[derive(Debug)]
pub struct Worker {
    /// What it said first.
    pub hello: Hello,
    /// The last thing heard.
    pub heartbeat: Heartbeat,
    /// When it last said something.
    pub heard: Time,
    /// It finishes what it has and leaves.
    pub draining: bool,
    /// Jobs it was told about.
    pub jobs: BTreeSet<JobId>,
    /// Tasks it committed.
    pub committed: u64,
    /// The task that reads its stream.
    pub reading: Option<AbortHandle>,
    queue: mpsc::Sender<Result<v1::ToWorker, Status>>,
    /// The first message, until it is sent.
    welcome: Option<v1::Welcome>,
    work: v1::Work,
    work_bytes: usize,
}

/// It does not read what is sent to it.
#[derive(Clone, Copy, Debug)]
pub struct NotReading;

impl Worker {
    /// A worker that just attached, and the queue its stream is fed from.
    pub fn new(hello: Hello, now: Time) -> (Self, Outbound) {
        let (queue, outbound) = mpsc::channel(QUEUE_MESSAGES);
        let worker = Self {
            hello,
            heartbeat: Heartbeat::default(),
            heard: now,
            draining: false,
            jobs: BTreeSet::new(),
            committed: 0,
            reading: None,
            queue,
            welcome: None,
            work: v1::Work::default(),
            work_bytes: 0,
        };
        (worker, outbound)
    }

    /// Greets it, before everything else.
    pub fn welcome(&mut self, welcome: v1::Welcome) {
        self.welcome = Some(welcome);
    }

    /// Says in the greeting that it keeps tasks.
    pub fn adopted(&mut self, adopted: v1::AdoptedTasks) {
        self.welcome.iter_mut().for_each(|welcome| welcome.adopted.push(adopted));
    }

    /// Says that its reports up to this number last, with the next message.
    pub fn lasts(&mut self, number: u64) {
        self.work.lasting = self.work.lasting.max(number);
    }

    /// Tells it about a job, with the next message.
    pub fn open(&mut self, open: v1::JobOpen) -> Result<(), NotReading> {
        // Opens go before closes in a message: a job that comes back must wait for the next one.
        if self.work.closes.iter().any(|close| close.job == open.job) {
            self.flush()?;
        }
        self.work_bytes += open.params.len();
        self.work.opens.push(open);
        Ok(())
    }

    /// Gives it a lease, with the next message.
    pub fn grant(&mut self, grant: v1::Grant) -> Result<(), NotReading> {
        let bytes = grant.encoded_len();
        if self.work_bytes > 0 && self.work_bytes + bytes > MESSAGE_BYTES {
            self.flush()?;
        }
        self.work_bytes += bytes;
        self.work.grants.push(grant);
        Ok(())
    }

    /// Asks for tasks back, with the next message.
    pub fn recall(&mut self, recall: v1::Recall) {
        self.work.recalls.push(recall);
    }

    /// Ends a job there, with the next message.
    pub fn close(&mut self, close: v1::JobClose) {
        self.jobs.remove(&JobId(close.job));
        self.work.closes.push(close);
    }

    /// Sends what was gathered.
    pub fn flush(&mut self) -> Result<(), NotReading> {
        self.greet()?;
        let work = std::mem::take(&mut self.work);
        self.work_bytes = 0;
        if work == v1::Work::default() {
            return Ok(());
        }
        self.send(v1::to_worker::Kind::Work(work))
    }

    /// Sends a message at once.
    pub fn send(&mut self, kind: v1::to_worker::Kind) -> Result<(), NotReading> {
        self.greet()?;
        self.queue(kind)
    }

    fn greet(&mut self) -> Result<(), NotReading> {
        self.welcome.take().map_or(Ok(()), |welcome| self.queue(v1::to_worker::Kind::Welcome(welcome)))
    }

    fn queue(&self, kind: v1::to_worker::Kind) -> Result<(), NotReading> {
        match self.queue.try_send(Ok(v1::ToWorker { kind: Some(kind) })) {
            // A closed queue is a stream that ended; whoever reads it says so.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(NotReading),
        }
    }

    /// Messages that wait for it to read them.
    pub fn waiting_messages(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Ends its stream.
    pub fn dismiss(self, status: Option<Status>) {
        if let Some(status) = status {
            // Without room the stream just ends.
            let _ = self.queue.try_send(Err(status));
        }
        if let Some(reading) = self.reading {
            reading.abort();
        }
    }

    /// What clients see of it.
    pub fn info(&self, id: WorkerId, now: Time, leased: u64) -> v1::WorkerInfo {
        let state = if self.draining { WorkerState::Draining } else { WorkerState::Up };
        v1::WorkerInfo {
            worker: id.0,
            name: self.hello.name.clone(),
            host: self.hello.host.clone(),
            pid: self.hello.pid,
            target: self.hello.target.clone(),
            version: self.hello.version.clone(),
            state: state.into(),
            slots: self.hello.slots,
            busy_slots: self.heartbeat.busy_slots.min(self.hello.slots),
            executors: self.heartbeat.executors,
            pss_bytes: self.heartbeat.pss_bytes,
            heartbeat_age_s: now.since(self.heard).as_secs_f64(),
            metrics_address: self.hello.metrics_address.clone(),
            leased,
            committed: self.committed,
            sandbox: level_to_wire(Some(self.hello.sandbox.level)).into(),
            sandbox_most: level_to_wire(Some(self.hello.sandbox.most)).into(),
            grants: need_texts(&self.hello.sandbox.grants),
            trust: Some(trust_to_wire(&self.hello.trust)),
        }
    }
}
