//! What a worker's agent is told and what it says.

use crate::id::{ExecutorId, JobId, LeaseId};
use crate::range::IndexRange;
use crate::scheduler::FailureClass;
use crate::shape::Shape;
use crate::time::Span;
use alloc::vec::Vec;

/// Which plugin a job needs, as a number the shell gives out (one per digest): executors whose plugin allows
/// several jobs stay for the next job with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginKey(pub u64);

/// Why an executor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExitCause {
    /// The agent told it to.
    Stopped,
    /// The agent killed it, because a job was cancelled.
    Killed,
    /// The plugin called `exit`, or the process ended by itself.
    Exited,
    /// A signal such as SIGSEGV ended it.
    Signal,
    /// SIGABRT ended it.
    Aborted,
    /// It could not load the plugin, or its job was refused.
    LoadFailed,
    /// It broke the protocol with its agent.
    Protocol,
    /// A task was over its time limit, and did not stop when it was told to.
    Timeout,
    /// It was over its memory limit, by the evidence of its cgroup.
    Memory,
    /// It ended because it had run the tasks that it was started for.
    Retired,
}

impl ExitCause {
    /// Every cause, for metrics that show each of them from the start.
    pub const ALL: [Self; 10] = [
        Self::Stopped,
        Self::Killed,
        Self::Exited,
        Self::Signal,
        Self::Aborted,
        Self::LoadFailed,
        Self::Protocol,
        Self::Timeout,
        Self::Memory,
        Self::Retired,
    ];

    /// The name in metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::Exited => "exited",
            Self::Signal => "signal",
            Self::Aborted => "aborted",
            Self::LoadFailed => "load_failed",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Retired => "retired",
        }
    }

    /// Why a task failed that ended its executor in this way.
    #[must_use]
    pub const fn failure_class(self) -> FailureClass {
        match self {
            Self::Timeout => FailureClass::Timeout,
            Self::Memory => FailureClass::Memory,
            Self::Stopped
            | Self::Killed
            | Self::Exited
            | Self::Signal
            | Self::Aborted
            | Self::LoadFailed
            | Self::Protocol
            | Self::Retired => FailureClass::Crashed,
        }
    }

    /// Whether the plugin is to blame.
    #[must_use]
    pub const fn is_crash(self) -> bool {
        match self {
            Self::Exited | Self::Signal | Self::Aborted | Self::Protocol | Self::Timeout | Self::Memory => {
                true
            }
            Self::Stopped | Self::Killed | Self::LoadFailed | Self::Retired => false,
        }
    }
}

/// A lease as it reaches the agent. What the lease is for (run or combine) is the shell's knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The lease.
    pub lease: LeaseId,
    /// Its job, opened before.
    pub job: JobId,
    /// Its tasks. For a combine lease the range that the result stands for.
    pub range: IndexRange,
    /// The tasks cannot be divided: combine leases are claimed as a whole.
    pub whole: bool,
}

/// What the agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The link to a coordinator stands that lets this worker keep nothing. Leases of an earlier one are void: what runs
    /// of them is stopped being wanted, and their results are refused.
    Attached,
    /// A job whose leases will come.
    Open {
        /// The job.
        job: JobId,
        /// Its executors here.
        shape: Shape,
        /// Its plugin.
        plugin: PluginKey,
        /// The plugin's executors may serve another job afterwards.
        reusable: bool,
        /// Results come as partial results of aligned blocks.
        reduce: bool,
        /// How long its tasks may take to stop when it is cancelled; SIGTERM comes at half of it.
        grace: Span,
    },
    /// Tasks to do.
    Grant(Grant),
    /// The coordinator wants up to `count` unstarted tasks of a lease back.
    Recall {
        /// The lease.
        lease: LeaseId,
        /// How many tasks.
        count: u64,
    },
    /// The job is over for this worker.
    Close {
        /// The job.
        job: JobId,
        /// Stop what runs of it.
        cancel: bool,
    },
    /// An executor has opened the job it was given and will claim.
    ExecutorReady {
        /// The executor.
        executor: ExecutorId,
    },
    /// An executor has closed its job and can take another.
    ExecutorIdle {
        /// The executor.
        executor: ExecutorId,
    },
    /// An executor is gone, after everything it sent was handed in.
    ExecutorExited {
        /// The executor.
        executor: ExecutorId,
        /// Why.
        cause: ExitCause,
        /// What its threads had claimed and not delivered, by the page.
        held: Vec<(LeaseId, IndexRange)>,
        /// The tasks its threads were running, by the page.
        running: Vec<(LeaseId, u64)>,
        /// Those of them that ended it: the one whose thread crashed, by the record that the executor wrote as it died,
        /// or all that were over their time. None: whoever ran may have done it.
        culprits: Vec<(LeaseId, u64)>,
    },
    /// Results of an executor arrived.
    Done {
        /// The lease.
        lease: LeaseId,
        /// The tasks.
        range: IndexRange,
    },
    /// A task failed in an executor.
    Failed {
        /// The lease.
        lease: LeaseId,
        /// The task.
        index: u64,
        /// Why.
        class: FailureClass,
    },
    /// What [`Output::Reclaim`] got back from one page entry.
    Reclaimed {
        /// The job whose page it is.
        job: JobId,
        /// The page entry.
        entry: usize,
        /// The tasks; empty: all were claimed.
        range: IndexRange,
    },
    /// Every thread of the job waits for work, and everything its executors sent was handed in. Tasks that are
    /// still owed by then were lost, for example because a plugin wrote into the page: they run again.
    Quiet {
        /// The job.
        job: JobId,
    },
    /// The page does not say what it should: a plugin wrote into it. Nobody knows which of its executors did.
    PageLost {
        /// The job whose page it was.
        job: JobId,
    },
    /// Every task of a page entry has been claimed or taken back: its word's next and end are equal. The shell
    /// looks at the words whenever something of the job arrives, and after each reclaim.
    Drained {
        /// The job whose page it is.
        job: JobId,
        /// The page entry.
        entry: usize,
    },
}

/// What the agent says, in the order in which it must be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Make the job's page with this many slots.
    MakePage {
        /// The job.
        job: JobId,
        /// Its executors.
        shape: Shape,
    },
    /// Make the job's page anew, empty, for executors that are yet to start; nobody may claim from it.
    RenewPage {
        /// The job.
        job: JobId,
    },
    /// Start an executor process and give it the job.
    Start {
        /// Its new id.
        executor: ExecutorId,
        /// The job.
        job: JobId,
        /// Its threads.
        threads: u32,
        /// Its first slot in the page.
        first_slot: u32,
    },
    /// Give the job to an idle executor.
    Assign {
        /// The executor.
        executor: ExecutorId,
        /// The job.
        job: JobId,
        /// Its threads.
        threads: u32,
        /// Its first slot in the page.
        first_slot: u32,
    },
    /// Tell an executor to close its job when its running tasks have ended; it then becomes idle.
    CloseJob {
        /// The executor.
        executor: ExecutorId,
        /// The job.
        job: JobId,
    },
    /// Ask an executor that does not stop to end, by SIGTERM.
    Terminate {
        /// The executor.
        executor: ExecutorId,
    },
    /// End an executor: at once, or when its running tasks have ended.
    Stop {
        /// The executor.
        executor: ExecutorId,
        /// At once.
        kill: bool,
    },
    /// Tell the running tasks of a job to stop.
    CancelTasks {
        /// The job.
        job: JobId,
    },
    /// Put tasks into the job's page and wake its threads. A whole lease stands there as one task, its first.
    Publish {
        /// The job.
        job: JobId,
        /// The page entry.
        entry: usize,
        /// The lease.
        lease: LeaseId,
        /// The tasks.
        range: IndexRange,
        /// They are claimed as one.
        whole: bool,
    },
    /// Take up to `count` unclaimed tasks out of a page entry; answer by [`Input::Reclaimed`] at once.
    Reclaim {
        /// The job.
        job: JobId,
        /// The page entry.
        entry: usize,
        /// How many.
        count: u64,
    },
    /// Let this many threads of the job claim.
    Allow {
        /// The job.
        job: JobId,
        /// Threads.
        slots: u32,
    },
    /// Send the results just handed in to the coordinator.
    Forward {
        /// The lease.
        lease: LeaseId,
        /// The tasks.
        range: IndexRange,
    },
    /// Drop the results just handed in and count them: they are late, repeated or made up.
    Refuse {
        /// The lease.
        lease: LeaseId,
        /// The tasks.
        range: IndexRange,
    },
    /// Tell the coordinator that a task failed.
    ReportFailed {
        /// The lease.
        lease: LeaseId,
        /// The task.
        index: u64,
        /// Why.
        class: FailureClass,
    },
    /// Give tasks back to the coordinator; an empty range says that a recall found none.
    Return {
        /// The lease.
        lease: LeaseId,
        /// The tasks.
        range: IndexRange,
    },
    /// Tell the coordinator that this worker cannot run the job.
    ReportTrouble {
        /// The job.
        job: JobId,
    },
    /// A lease is done: whatever the shell keeps for it (inputs) can go.
    ForgetLease {
        /// The lease.
        lease: LeaseId,
    },
    /// Nothing of the job is left here: drop its page.
    ForgetJob {
        /// The job.
        job: JobId,
    },
}
