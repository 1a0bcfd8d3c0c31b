//! A job in this executor: its threads and what they share.

use super::flush::{Bell, Holdings};
use super::gil::{Gil, Turn, Waits};
use super::interleaved;
use super::marks::Marks;
use super::outbox::Outbox;
use super::queue::Queue;
use super::thread;
use super::unfolded::HEAD_BYTES;
use crate::arena::ArenaView;
use crate::frame::OpenJob;
use crate::os::process;
use crate::page::{JobPage, PageError};
use muster_core::sampling::Sampling;
use muster_core::shape::Flow;
use muster_core::time::Span;
use muster_plugin_host::{Job, JobParams, Plugin, TaskError};
use muster_proto::PARTIAL_MAX_BYTES;
use muster_proto::convert::TaskSample;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The largest result of a task, whatever the job says: a message must hold it.
pub(super) const RESULT_BYTES_MAX: u64 = 60 << 20;

/// Why a job cannot run in this executor.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("the plugin refused the job: {0}")]
    Refused(#[from] TaskError),
    #[error("the parameters are not UTF-8")]
    Params,
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("slots {first} to {end} are not in a page of {slots} slots")]
    Slots { first: u32, end: u64, slots: u32 },
    #[error("a thread could not be started: {0}; lower the number of threads or raise the limit (ulimit -u)")]
    Thread(io::Error),
}

/// What the threads of a job share.
#[derive(Debug)]
pub(super) struct Shared {
    pub open: OpenJob,
    pub page: JobPage,
    pub arena: Arc<ArenaView>,
    pub plugin: Job,
    pub holdings: Holdings,
    pub outbox: Arc<Outbox>,
    /// The lock that tasks hold while they compute.
    pub gil: Option<Arc<Gil>>,
    /// The tasks that are looked at one by one.
    pub sampling: Option<Sampling>,
    /// What its only thread has written is marked; several cannot be told apart.
    pub marks: Option<Arc<Marks>>,
    bell: Bell,
    closing: AtomicBool,
    /// Held until all threads are there: a task must not take what the next thread needs.
    gate: Mutex<()>,
    threads_left: AtomicU32,
}

impl Shared {
    /// Whether the threads should end.
    pub fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    /// Whether tasks may be claimed: where they are timed, the time that they are counted from must be known.
    pub fn has_begun(&self) -> bool {
        let is_timed = self.open.arrivals.is_some() || self.sampling.is_some();
        !is_timed || self.page.zero_ns().is_some()
    }

    /// The queue of tasks that arrive, where they do, for the thread of a slot.
    pub fn queue(&self, slot: u32) -> Option<Queue<'_>> {
        self.open.arrivals.map(|arrivals| Queue::new(&self.page, slot, arrivals, self.open.seed))
    }

    /// What is told of one run of a task, when it is one that is looked at.
    pub fn sample(&self, index: u64, run: &Run) -> Option<TaskSample> {
        let zero_ns = self.sampling.filter(|sampling| sampling.has(index)).and(self.page.zero_ns())?;
        let since = |from: u64| Span(run.ended_ns.saturating_sub(from));
        let came_ns = run.due_ns.unwrap_or_else(|| self.page.published_ns(usize::from(run.entry)));
        Some(TaskSample {
            index,
            start: Span(run.begun_ns.saturating_sub(zero_ns)),
            run: since(run.begun_ns),
            latency: run.due_ns.map(since),
            failed: run.failed,
            crashed: false,
            // The agent knows which one this is.
            executor: 0,
            thread: run.thread,
            attempt: run.attempt,
            queued: Span(run.begun_ns.saturating_sub(came_ns)),
            lock_wait: run.waits.total(),
            lock_waits: run.waits.since(run.begun_ns),
        })
    }

    /// What a thread has waited for its lock since the last call, one by one, where somebody wants to know.
    pub fn take_waits(&self, thread: usize) -> Waits {
        self.gil.as_ref().map_or_else(Waits::default, |gil| gil.take_waits(thread as u32))
    }

    /// Waits for a thread's turn to compute, where threads take turns.
    pub fn turn(&self, thread: usize) -> Option<Turn<'_>> {
        self.gil.as_ref().map(|gil| gil.hold(thread as u32))
    }

    /// The largest result that a task may have.
    pub fn result_bytes_max(&self) -> usize {
        let max = self.open.result_bytes_max.min(RESULT_BYTES_MAX) as usize;
        // What is left of a fold is a list of results, see `tree`.
        if self.open.reduce_leaf > 0 { max.min(PARTIAL_MAX_BYTES - HEAD_BYTES) } else { max }
    }

    fn thread_ended(&self) {
        if self.threads_left.fetch_sub(1, SeqCst) == 1 {
            self.bell.ring();
        }
    }
}

/// The times of one run of a task, by the machine's monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub begun_ns: u64,
    pub ended_ns: u64,
    /// When it was due, where tasks arrive.
    pub due_ns: Option<u64>,
    pub failed: bool,
    /// Where it was claimed.
    pub entry: u16,
    pub thread: u32,
    pub attempt: u32,
    /// For its lock.
    pub waits: Waits,
}

/// A job whose threads run.
#[derive(Debug)]
pub(super) struct RunningJob {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl RunningJob {
    /// Makes the plugin's object for the job. Nothing runs before [`RunningJob::start`].
    pub fn open(
        plugin: &Plugin,
        open: OpenJob,
        page: OwnedFd,
        arena: OwnedFd,
        outbox: &Arc<Outbox>,
        bell: &Bell,
        marks: Option<&Arc<Marks>>,
    ) -> Result<Self, OpenError> {
        let page = JobPage::map(page)?;
        let end = u64::from(open.first_slot) + u64::from(open.threads);
        if open.threads == 0 || end > u64::from(page.slots()) {
            return Err(OpenError::Slots { first: open.first_slot, end, slots: page.slots() });
        }
        if matches!(open.flow, Flow::InFlight(_)) {
            // Tasks that wait at the same time hold a connection each; the usual limit is 1,024. A limit of the job's own
            // is the highest that there is.
            process::raise_file_limit();
        }
        let params = String::from_utf8(open.params.to_vec()).map_err(|_| OpenError::Params)?;
        let job = plugin.create(JobParams {
            id: u128::from(open.job),
            params,
            seed: open.seed,
            threads: open.threads,
            tasks: (open.tasks != 0).then_some(open.tasks),
            memory_limit: (open.memory_bytes != 0).then_some(open.memory_bytes),
        })?;
        let threads = open.threads;
        let shared = Arc::new(Shared {
            page,
            arena: Arc::new(ArenaView::new(arena)),
            plugin: job,
            holdings: Holdings::new(open.job, threads, open.reduce_leaf == 0, bell.clone()),
            outbox: Arc::clone(outbox),
            sampling: Sampling::new(open.task_samples, open.tasks, open.seed),
            gil: open.gil.map(|gil| Arc::new(Gil::new(gil, threads).watched(open.task_samples > 0))),
            marks: marks.filter(|_| threads == 1).map(Arc::clone),
            bell: bell.clone(),
            closing: AtomicBool::new(false),
            gate: Mutex::new(()),
            threads_left: AtomicU32::new(threads),
            open,
        });
        Ok(Self { shared, threads: Vec::new() })
    }

    /// Starts the threads. After an error the process must end, and with it the threads that did start.
    pub fn start(&mut self) -> Result<(), OpenError> {
        let shared = Arc::clone(&self.shared);
        let _closed = shared.gate.lock().unwrap_or_else(PoisonError::into_inner);
        for ordinal in 0..self.shared.open.threads {
            self.threads.push(self.start_thread(ordinal).map_err(OpenError::Thread)?);
        }
        Ok(())
    }

    fn start_thread(&self, ordinal: u32) -> io::Result<JoinHandle<()>> {
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new().name(format!("task-{ordinal}")).spawn(move || {
            drop(shared.gate.lock().unwrap_or_else(PoisonError::into_inner));
            match shared.open.flow {
                Flow::InTurn | Flow::Once => thread::run(&shared, ordinal),
                Flow::InFlight(tasks) => interleaved::run(&shared, ordinal, tasks),
            }
            shared.thread_ended();
        })
    }

    /// What its threads share.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub fn id(&self) -> u64 {
        self.shared.open.job
    }

    /// Tells the threads to end when their running claims have ended.
    pub fn close(&mut self) {
        self.shared.closing.store(true, SeqCst);
        self.shared.page.wake_slots(self.shared.open.first_slot, self.shared.open.threads);
    }

    /// Whether all threads have ended.
    pub fn has_ended(&self) -> bool {
        self.shared.threads_left.load(SeqCst) == 0
    }

    /// Destroys the plugin's object; all threads have ended.
    pub fn end(self) {
        for thread in self.threads {
            // A thread that panicked has aborted the process before this.
            let _ = thread.join();
        }
    }

    /// Whether it ends this process when its threads have ended.
    pub fn is_last(&self) -> bool {
        self.shared.open.flow == Flow::Once
    }

    /// The lock of its tasks.
    pub fn gil(&self) -> Option<Arc<Gil>> {
        self.shared.gil.clone()
    }

    pub fn holds_results(&self) -> bool {
        self.shared.holdings.any()
    }

    pub fn send_overdue(&self, outbox: &Outbox) {
        self.shared.holdings.send_overdue(outbox);
    }
}
