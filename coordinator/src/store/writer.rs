//! One writer with group commit.
//!
//! A durable store gets a thread of its own, which commits everything that is queued in one transaction. A
//! store in memory is told at once. Either way the position up to which the log lasts is published; after an
//! error nothing further is written, and the error is published instead.

use super::{Record, Store, StoreError};
use muster_core::id::{Epoch, LogPos};
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Batches that wait for the writer; more are put together into one.
const QUEUE_BATCHES: usize = 64;
/// A transaction takes no further batch above this size, so that waiting clients hear something.
const TRANSACTION_BYTES: usize = 32 << 20;

type Batch = Vec<(LogPos, Record)>;

/// How far the log lasts.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    /// Everything up to here is durable.
    pub pos: LogPos,
    /// Why nothing further will be.
    pub failed: Option<Arc<StoreError>>,
}

/// What writing cost.
#[derive(Debug, Default)]
pub struct Commits {
    counts: Mutex<CommitCounts>,
}

/// The numbers at one moment.
#[derive(Clone, Debug, Default)]
pub struct CommitCounts {
    /// How long each batch took.
    pub times: Sketch,
    /// Records in all of them.
    pub records: u64,
}

impl Commits {
    /// The numbers so far.
    #[must_use]
    pub fn counts(&self) -> CommitCounts {
        self.lock().clone()
    }

    fn count(&self, took: Duration, records: usize) {
        let mut counts = self.lock();
        counts.times.record(Span(took.as_nanos() as u64));
        counts.records += records as u64;
    }

    fn lock(&self) -> MutexGuard<'_, CommitCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the log that is written to.
#[derive(Debug)]
pub struct Log {
    backend: Backend,
    durable: watch::Receiver<Durable>,
    commits: Arc<Commits>,
    /// Records for which the queue had no room.
    waiting: Batch,
}

enum Backend {
    Here { store: Box<dyn Store>, epoch: Epoch, durable: watch::Sender<Durable> },
    Thread { queue: mpsc::Sender<Batch>, thread: JoinHandle<()> },
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Here { .. } => "Here",
            Self::Thread { .. } => "Thread",
        })
    }
}

impl Log {
    /// Starts to write to `store` under `epoch`.
    ///
    /// # Errors
    /// When the writer's thread cannot be started.
    pub fn start(store: Box<dyn Store>, epoch: Epoch) -> std::io::Result<Self> {
        let (publish, durable) = watch::channel(Durable::default());
        let commits = Arc::new(Commits::default());
        if !store.durable() {
            let backend = Backend::Here { store, epoch, durable: publish };
            return Ok(Self { backend, durable, commits, waiting: Vec::new() });
        }
        let (queue, batches) = mpsc::channel(QUEUE_BATCHES);
        let counted = Arc::clone(&commits);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || write_all(store, epoch, batches, &publish, &counted))?;
        Ok(Self { backend: Backend::Thread { queue, thread }, durable, commits, waiting: Vec::new() })
    }

    /// Tells how far the log lasts, and wakes when that changes.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.clone()
    }

    /// What writing costs.
    #[must_use]
    pub fn commits(&self) -> Arc<Commits> {
        Arc::clone(&self.commits)
    }

    /// Adds records. They are durable when [`Log::durable`] says so. Never waits.
    pub fn append(&mut self, batch: Batch) {
        if self.waiting.is_empty() {
            self.waiting = batch;
        } else {
            self.waiting.extend(batch);
        }
        self.flush();
    }

    /// Queues what found no room before; to be called when [`Log::durable`] changed.
    pub fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match &mut self.backend {
            Backend::Here { store, epoch, durable } => {
                let batch = std::mem::take(&mut self.waiting);
                commit(&mut **store, *epoch, &batch, durable, &self.commits);
            }
            Backend::Thread { queue, .. } => match queue.try_reserve() {
                Ok(place) => place.send(std::mem::take(&mut self.waiting)),
                Err(mpsc::error::TrySendError::Full(())) => {}
                Err(mpsc::error::TrySendError::Closed(())) => self.waiting.clear(),
            },
        }
    }

    /// Writes what is queued and gives the store up.
    pub fn close(mut self) {
        if let Backend::Thread { queue, thread } = self.backend {
            if !self.waiting.is_empty() {
                let _ = queue.blocking_send(std::mem::take(&mut self.waiting));
            }
            drop(queue);
            let _ = thread.join();
        }
    }
}

fn write_all(
    mut store: Box<dyn Store>,
    epoch: Epoch,
    mut batches: mpsc::Receiver<Batch>,
    durable: &watch::Sender<Durable>,
    commits: &Commits,
) {
    let mut shrinking = true;
    loop {
        let next = match batches.try_recv() {
            Err(mpsc::error::TryRecvError::Empty) if shrinking => {
                match store.shrink() {
                    Ok(more) => shrinking = more,
                    Err(error) => return fail(durable, error),
                }
                continue;
            }
            Err(mpsc::error::TryRecvError::Empty) => batches.blocking_recv(),
            Err(mpsc::error::TryRecvError::Disconnected) => None,
            Ok(batch) => Some(batch),
        };
        let Some(mut batch) = next else { return };
        let mut bytes: usize = batch.iter().map(|(_, record)| record.weight()).sum();
        while bytes < TRANSACTION_BYTES
            && let Ok(more) = batches.try_recv()
        {
            bytes += more.iter().map(|(_, record)| record.weight()).sum::<usize>();
            batch.extend(more);
        }
        if !commit(&mut *store, epoch, &batch, durable, commits) {
            return;
        }
        // What else frees room is of jobs that go on, which need it again.
        shrinking |= batch.iter().any(|(_, record)| matches!(record, Record::Removed { .. }));
    }
}

/// Writes a batch and publishes what came of it; says whether to go on.
fn commit(
    store: &mut dyn Store,
    epoch: Epoch,
    batch: &[(LogPos, Record)],
    durable: &watch::Sender<Durable>,
    commits: &Commits,
) -> bool {
    if durable.borrow().failed.is_some() {
        return false;
    }
    let begun = Instant::now();
    match store.append(epoch, batch) {
        Ok(()) => {
            commits.count(begun.elapsed(), batch.len());
            if let Some((pos, _)) = batch.last() {
                durable.send_modify(|durable| durable.pos = durable.pos.max(*pos));
            }
            true
        }
        Err(error) => {
            fail(durable, error);
            false
        }
    }
}

fn fail(durable: &watch::Sender<Durable>, error: StoreError) {
    durable.send_modify(|durable| durable.failed = Some(Arc::new(error)));
}
