//! What travels between the coordinator and its workers, and what happens next.

use super::network::Way;
use muster_core::id::{ExecutorId, JobId, LeaseId, WorkerId};
use muster_core::range::IndexRange;
use muster_core::scheduler::FailureClass;
use muster_core::shape::Shape;
use muster_core::time::Span;

/// Something that happens at a point in time. Numbers are places in the arrays of the simulation; `version` tells
/// whether what was to happen is still wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A job is submitted.
    Submit { job: u32 },
    /// The coordinator has written a message.
    Leave { message: u32 },
    /// A message reaches a worker.
    Down { message: u32 },
    /// A message reaches the coordinator.
    Up { message: u32 },
    /// Messages that were held up get through.
    Release { worker: u32, way: Way },
    /// The coordinator has read a message.
    Read { message: u32 },
    /// A message with bytes has passed a limited link.
    Passed { pipe: u32, version: u32 },
    /// A thread has run its claim.
    Ran { worker: u32, thread: u32, version: u32 },
    /// A thread has held results for as long as it may.
    Overdue { thread: u32, version: u32 },
    /// A thread runs into a task that ends its executor.
    Crash { thread: u32, version: u32 },
    /// A thread has waited long enough and computes now.
    Waited { thread: u32, version: u32 },
    /// A worker's computing threads share its cores: one of them is done.
    Computed { worker: u32, version: u32 },
    /// A worker that stood still goes on.
    Wake { page: u32, worker: u32 },
    /// An executor is ready for its job.
    Ready { worker: u32, life: u32, executor: u32 },
    /// The agent of a worker wanted to be called.
    AgentDue { worker: u32 },
    /// The scheduler wanted to be called.
    SchedulerDue,
    /// A worker says that it is alive.
    Beat { worker: u32, life: u32 },
    /// A fault strikes.
    Fault { fault: u32 },
    /// What a fault did to one worker is over, or noticed.
    Healed { worker: u32, what: Healing, life: u32 },
    /// The coordinator starts again.
    CoordinatorBack,
    /// That a job has ended is durable.
    Ended { job: u32 },
}

/// What is over for a worker, or noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Healing {
    /// It was down and starts again.
    Restart,
    /// It is connected again.
    Attach,
    /// The coordinator sees that its connection is gone.
    Notice,
}

/// A message to a worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Down {
    pub worker: u32,
    /// The connection it goes over.
    pub session: WorkerId,
    /// It travels with the one before it.
    pub follows: bool,
    pub bytes: u64,
    pub what: ToWorker,
}

/// What a worker is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum ToWorker {
    Welcome,
    Open {
        job: JobId,
        shape: Shape,
        leaf: Option<u64>,
    },
    Grant {
        lease: LeaseId,
        job: JobId,
        range: IndexRange,
        whole: bool,
    },
    Recall {
        lease: LeaseId,
        count: u64,
    },
    Close {
        job: JobId,
        cancel: bool,
    },
    /// The session is over.
    Farewell,
}

/// A message to the coordinator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Up {
    pub worker: u32,
    /// The connection it goes over.
    pub session: WorkerId,
    /// It travels with the one before it.
    pub follows: bool,
    pub bytes: u64,
    pub what: FromWorker,
}

/// What the coordinator is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum FromWorker {
    Done {
        lease: LeaseId,
        range: IndexRange,
        busy: Span,
    },
    Failed {
        lease: LeaseId,
        index: u64,
        class: FailureClass,
        busy: Span,
    },
    Returned {
        lease: LeaseId,
        range: IndexRange,
    },
    Trouble {
        job: JobId,
    },
    Heartbeat,
    /// It wants to go once it has finished what it has.
    Leaving,
}

/// An executor as its agent counts it, short enough for an event.
pub(super) const fn short(executor: ExecutorId) -> u32 {
    executor.0 as u32
}

/// Messages under way, by number.
#[derive(Debug)]
pub(super) struct Post<M> {
    places: Vec<M>,
    free: Vec<u32>,
}

impl<M> Default for Post<M> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<M: Copy> Post<M> {
    pub(super) fn put(&mut self, message: M) -> u32 {
        if let Some(at) = self.free.pop() {
            self.places[at as usize] = message;
            return at;
        }
        self.places.push(message);
        (self.places.len() - 1) as u32
    }

    pub(super) fn get(&self, at: u32) -> M {
        self.places[at as usize]
    }

    /// All that are under way.
    pub(super) fn iter(&self) -> impl Iterator<Item = M> + '_ {
        let free: std::collections::BTreeSet<u32> = self.free.iter().copied().collect();
        (0..self.places.len() as u32).filter(move |at| !free.contains(at)).map(|at| self.get(at))
    }

    pub(super) fn take(&mut self, at: u32) -> M {
        self.free.push(at);
        self.places[at as usize]
    }
}
