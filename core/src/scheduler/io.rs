//! What the scheduler is told and what it says.

use super::retry::{Charges, RetryPolicy};
use crate::id::{JobId, LeaseId, LogPos, WorkerId};
use crate::range::{IndexRange, RangeSet};
use crate::reduce::Block;
use crate::shape::{Shape, ShapeRequest};
use crate::time::{Span, Time};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What a job is, as far as scheduling goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// Tasks it has from the start.
    pub tasks: u64,
    /// More tasks may come by [`Input::Extend`] until [`Input::Seal`].
    pub open: bool,
    /// Its share of the workers against other jobs of the same priority; at least 1.
    pub weight: u32,
    /// Jobs of a higher priority go first.
    pub priority: i32,
    /// How often one task may be tried when its own failures are to blame and `retry` says nothing else, and
    /// how often combining may be; at least 1.
    pub max_attempts: u32,
    /// How often one task may be tried by why it failed, and what it waits for before that.
    pub retry: RetryPolicy,
    /// The executors it wants on each worker.
    pub shape: ShapeRequest,
    /// Its shape may have more threads than a worker has slots.
    pub oversubscribe: bool,
    /// Results are combined to one.
    pub reduce: bool,
    /// Its tasks arrive one after the other, by the clock of the worker that has them: they form one queue, so one worker
    /// serves it, and tasks are claimed one by one.
    pub paced: bool,
}

impl Default for JobSpec {
    fn default() -> Self {
        Self {
            tasks: 0,
            open: false,
            weight: 1,
            priority: 0,
            max_attempts: 3,
            retry: RetryPolicy::default(),
            shape: ShapeRequest::default(),
            oversubscribe: false,
            reduce: false,
            paced: false,
        }
    }
}

/// Why a worker is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// Its stream ended.
    Disconnected,
    /// It was silent for a lease's length.
    Silent,
    /// It said goodbye.
    Left,
    /// It broke the protocol, or did not read what was sent to it.
    Misbehaved,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Disconnected, Self::Silent, Self::Left, Self::Misbehaved];

    /// The name in metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Silent => "silent",
            Self::Left => "left",
            Self::Misbehaved => "misbehaved",
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// It would fail again: not tried again.
    Failed,
    /// It may succeed another time.
    Transient,
    /// Its executor ended while it ran.
    Crashed,
    /// It was stopped because its job was cancelled.
    Cancelled,
    /// A panic or an exception was caught.
    Panicked,
    /// It went over a limit.
    Limit,
    /// It took longer than its time limit.
    Timeout,
    /// Its executor was over its memory limit.
    Memory,
}

impl FailureClass {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Failed,
        Self::Transient,
        Self::Crashed,
        Self::Cancelled,
        Self::Panicked,
        Self::Limit,
        Self::Timeout,
        Self::Memory,
    ];

    /// The name in metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Transient => "transient",
            Self::Crashed => "crashed",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
        }
    }

    /// Whether another attempt may end otherwise: these have a budget, see [`RetryPolicy`].
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::Transient | Self::Crashed | Self::Panicked | Self::Timeout | Self::Memory => true,
            Self::Failed | Self::Cancelled | Self::Limit => false,
        }
    }

    /// Whether the attempt ended its executor, or may have: what stops a task that is over its time can be that.
    #[must_use]
    pub const fn ends_executor(self) -> bool {
        match self {
            Self::Crashed | Self::Timeout | Self::Memory => true,
            Self::Failed | Self::Transient | Self::Cancelled | Self::Panicked | Self::Limit => false,
        }
    }

    /// Whether a task whose last failure is of this class is said to be in quarantine: it used up its attempts by
    /// ending executors or by panics.
    #[must_use]
    pub const fn quarantines(self) -> bool {
        self.ends_executor() || matches!(self, Self::Panicked)
    }
}

/// Tasks that a worker has from a lease that ended when its link was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What the worker calls them.
    pub claim: u64,
    /// Their job.
    pub job: JobId,
    /// The attempt under which they run.
    pub attempt: u32,
    /// The tasks that it has not reported, or of whose report it does not know that it lasts.
    pub tasks: RangeSet,
    /// Whether it has the job open; otherwise it must be told of it again before it gets more.
    pub open: bool,
}

/// What the scheduler is told. Everything that comes from a worker may be late, repeated or wrong: it then
/// becomes an [`Output::Dropped`] and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A worker attached. Its id was never used before in this epoch; ids rise by one.
    Joined {
        /// The new worker.
        worker: WorkerId,
        /// Tasks it can run at the same time, at least 1.
        slots: u32,
    },
    /// As [`Input::Joined`], for a worker that still has tasks from before its link was lost, or from an earlier epoch.
    /// Those that nobody else has are leased to it as they are ([`Output::Adopted`]).
    Rejoined {
        /// The worker, by its new id.
        worker: WorkerId,
        /// Tasks it can run at the same time, at least 1.
        slots: u32,
        /// What it has.
        held: Vec<Held>,
    },
    /// A worker is gone; its leases end.
    Left {
        /// The worker.
        worker: WorkerId,
        /// Why.
        reason: Loss,
    },
    /// Give the worker nothing more; it leaves when it has finished ([`Output::Drained`]).
    Drain {
        /// The worker.
        worker: WorkerId,
    },
    /// The worker is alive: its leases are renewed. Every other message of it does the same.
    Heartbeat {
        /// The worker.
        worker: WorkerId,
    },
    /// A new job. Its id was never used before.
    Submit {
        /// The job's id.
        job: JobId,
        /// What it is.
        spec: JobSpec,
    },
    /// More tasks for an open job.
    Extend {
        /// The job.
        job: JobId,
        /// How many tasks more.
        tasks: u64,
        /// Bytes of their inputs together.
        bytes: u64,
    },
    /// An open job has all its tasks.
    Seal {
        /// The job.
        job: JobId,
    },
    /// Stop a job: no further lease, running tasks are told to stop. Results so far stay.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// A held job gets no lease until it is let go, and what nobody has started of it is called back, but for
    /// its lowest task: its results are not being fetched.
    Hold {
        /// The job.
        job: JobId,
        /// Hold or let go.
        held: bool,
    },
    /// A paused job goes on, and tasks of it that failed for good are tried again, with all their attempts before
    /// them. Those of a job with reduction are not.
    Retry {
        /// The job.
        job: JobId,
        /// The tasks; those that did not fail are passed over.
        tasks: RangeSet,
    },
    /// A worker finished tasks; their results are with the caller until it is told what to do with them.
    Done {
        /// The worker.
        worker: WorkerId,
        /// The lease the tasks belong to.
        lease: LeaseId,
        /// The tasks. For a job with reduction, one aligned block; for a combine lease, its whole range.
        range: IndexRange,
        /// Bytes of their results together.
        bytes: u64,
        /// Thread time they took together.
        busy: Span,
    },
    /// An attempt failed.
    Failed {
        /// The worker.
        worker: WorkerId,
        /// The lease the task belongs to.
        lease: LeaseId,
        /// The task.
        index: u64,
        /// Why.
        class: FailureClass,
        /// Thread time of the attempt that no [`Input::Done`] counts.
        busy: Span,
    },
    /// A worker gives back tasks that it did not start; an empty range answers a recall that found none.
    Returned {
        /// The worker.
        worker: WorkerId,
        /// The lease the tasks belong to.
        lease: LeaseId,
        /// The tasks.
        range: IndexRange,
    },
    /// A worker must not run a job, and as for this job it is not there: nothing is charged to anybody, and a job that suits
    /// no worker waits. To be said before the worker joins or the job is submitted or recovered, whichever comes later; it
    /// counts until either is gone.
    Unfit {
        /// The worker, which may be about to join.
        worker: WorkerId,
        /// The job, which may be about to be submitted.
        job: JobId,
    },
    /// A worker cannot run a job at all, for example because the plugin does not load there. Its leases of
    /// that job end, and it gets no more of them. When no worker is left that can, the job ends.
    Trouble {
        /// The worker.
        worker: WorkerId,
        /// The job.
        job: JobId,
    },
}

/// What a lease is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantKind {
    /// Run the tasks.
    Run,
    /// Combine these partial results, in order, to one for the lease's range.
    Combine {
        /// The blocks whose partial results are to be sent along.
        blocks: Vec<Block>,
        /// Make the job's output of it.
        finish: bool,
    },
}

/// Tasks given to a worker for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The lease.
    pub lease: LeaseId,
    /// The job its tasks belong to.
    pub job: JobId,
    /// The tasks; for combining, the block that the result stands for.
    pub range: IndexRange,
    /// 1 for tasks that were never leased before, then rising.
    pub attempt: u32,
    /// What to do with them.
    pub kind: GrantKind,
    /// Another worker has these tasks already, and takes too long.
    pub speculative: bool,
}

/// Why something a worker sent was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// No such lease is in force with this worker.
    StaleLease,
    /// The tasks are not, or no longer, part of the lease: most often a result given twice.
    NotOutstanding,
    /// No such worker is there.
    UnknownWorker,
    /// A job with reduction got something that is not one aligned block.
    NotABlock,
    /// The task failed for now, and another lease that is in force has it as well.
    OtherLease,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::StaleLease, Self::NotOutstanding, Self::UnknownWorker, Self::NotABlock, Self::OtherLease];

    /// The name in metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StaleLease => "stale_lease",
            Self::NotOutstanding => "not_outstanding",
            Self::UnknownWorker => "unknown_worker",
            Self::NotABlock => "not_a_block",
            Self::OtherLease => "other_lease",
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Every task has a result or a final failure.
    Done,
    /// It was cancelled.
    Cancelled,
    /// No worker can run it.
    Unrunnable,
    /// Its results could not be combined; why is known to whoever told of the last failed attempt.
    Uncombined {
        /// It was the last combination, which makes the output.
        finish: bool,
    },
}

/// What the scheduler says. Outputs come in the order in which they must be acted on. `pos` is the place in
/// the log that a fact gets; what carries `after` may be shown to others once that place is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Log that the job exists; answer the client when durable.
    Accepted {
        /// The job.
        job: JobId,
        /// Its place in the log.
        pos: LogPos,
    },
    /// Log that an open job has `tasks` tasks now; answer the client when durable.
    Extended {
        /// The job.
        job: JobId,
        /// The new tasks.
        range: IndexRange,
        /// Place in the log.
        pos: LogPos,
    },
    /// Log that an open job got its last task.
    Sealed {
        /// The job.
        job: JobId,
        /// Place in the log.
        pos: LogPos,
    },
    /// Tell the worker about a job before its first lease there.
    Open {
        /// The worker.
        worker: WorkerId,
        /// The job.
        job: JobId,
        /// The job's executors there.
        shape: Shape,
        /// Results are combined, in a tree with so many tasks per leaf.
        leaf: Option<u64>,
    },
    /// Send a lease to a worker. Needs not be durable first.
    Grant {
        /// The worker.
        worker: WorkerId,
        /// The lease.
        grant: Grant,
    },
    /// A worker that came back keeps these tasks: say so with its greeting. Whatever else it still had is of no use.
    Adopted {
        /// The worker.
        worker: WorkerId,
        /// What the worker calls them, as in [`Held`].
        claim: u64,
        /// Their job, which the worker knows.
        job: JobId,
        /// Its executors there.
        shape: Shape,
        /// Their lease from now on.
        lease: LeaseId,
        /// The attempt that the lease counts as.
        attempt: u32,
        /// The tasks.
        tasks: RangeSet,
    },
    /// Ask the worker for up to `count` unstarted tasks from the lease's end.
    Recall {
        /// The worker.
        worker: WorkerId,
        /// The lease.
        lease: LeaseId,
        /// How many.
        count: u64,
    },
    /// The worker needs the job no longer.
    Close {
        /// The worker.
        worker: WorkerId,
        /// The job.
        job: JobId,
        /// Stop what runs of it.
        cancel: bool,
    },
    /// Commit the results of these tasks, out of the message being handled. For a job with reduction the
    /// range is one block and stands for its partial result.
    Commit {
        /// The job.
        job: JobId,
        /// The tasks.
        range: IndexRange,
        /// Place in the log.
        pos: LogPos,
    },
    /// Commit the combined result, out of the message being handled, in place of the blocks inside it.
    Combined {
        /// The job.
        job: JobId,
        /// The block it stands for.
        block: Block,
        /// It is the job's output.
        finished: bool,
        /// Place in the log.
        pos: LogPos,
    },
    /// Commit that a task failed for good.
    Fail {
        /// The job.
        job: JobId,
        /// The task.
        index: u64,
        /// Why the last attempt failed.
        class: FailureClass,
        /// How many of its attempts failed in this way.
        charged: u32,
        /// Place in the log.
        pos: LogPos,
    },
    /// Log that an attempt was charged to a task that will be tried again.
    Retry {
        /// The job.
        job: JobId,
        /// The task.
        index: u64,
        /// Why the attempt failed.
        class: FailureClass,
        /// How many of its attempts failed in this way so far.
        charged: u32,
        /// It is not leased out before this time.
        not_before: Time,
        /// Place in the log.
        pos: LogPos,
    },
    /// Log that a job is paused: it gets no lease until [`Input::Retry`], and what nobody has started of it is called
    /// back.
    Paused {
        /// The job.
        job: JobId,
        /// So many of its tasks ended an executor since it began, was released or was taken up again.
        crashed: u64,
        /// So many ended otherwise.
        good: u64,
        /// Place in the log.
        pos: LogPos,
    },
    /// Log that a job goes on if it was paused, and that the failures of these tasks do not count any more.
    Released {
        /// The job.
        job: JobId,
        /// Tasks that had failed for good.
        tasks: RangeSet,
        /// Place in the log.
        pos: LogPos,
    },
    /// Something a worker sent ended no task: count it and drop its bytes.
    Dropped {
        /// The worker that sent it.
        worker: WorkerId,
        /// The job it was for, when that is known.
        job: Option<JobId>,
        /// The tasks.
        range: IndexRange,
        /// Why.
        reason: DropReason,
    },
    /// The worker was silent for too long: it is gone for the scheduler; end its stream.
    Lost {
        /// The worker.
        worker: WorkerId,
    },
    /// A draining worker has nothing left to do.
    Drained {
        /// The worker.
        worker: WorkerId,
    },
    /// The job ended. Log it at `pos`, tell clients once that is durable.
    Ended {
        /// The job.
        job: JobId,
        /// How.
        outcome: Outcome,
        /// Place in the log.
        pos: LogPos,
    },
}

/// A job as the log knows it, for [`crate::scheduler::Scheduler::recover`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredJob {
    /// Its id.
    pub job: JobId,
    /// What was submitted.
    pub spec: JobSpec,
    /// All its tasks so far.
    pub tasks: u64,
    /// Bytes of its inputs together.
    pub bytes: u64,
    /// No more tasks come.
    pub sealed: bool,
    /// Tasks with a committed result.
    pub committed: RangeSet,
    /// Tasks that failed for good.
    pub failed: RangeSet,
    /// Attempts charged to tasks that are neither committed nor failed.
    pub charged: BTreeMap<u64, Charges>,
    /// The highest attempt that any of its tasks is known to have had, or 0.
    pub last_attempt: u32,
    /// It is paused.
    pub paused: bool,
    /// Reduction: the blocks whose partial results are kept, and how many bytes these have.
    pub blocks: Vec<(Block, u64)>,
}
