//! The facts that last.

use bytes::Bytes;
use muster_core::id::{Incarnation, JobId};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::Block;
use muster_proto::v1::Packed;

/// One fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A plugin was pushed; its file is in the blob folder under its digest.
    PluginAdded(PluginRecord),
    /// A plugin was removed.
    PluginRemoved {
        /// Its digest.
        digest: [u8; 32],
    },
    /// A worker attached: another life of the coordinator waits for it.
    WorkerCame {
        /// Which life of a worker.
        incarnation: Incarnation,
    },
    /// A worker is gone: nobody waits for it.
    WorkerWent {
        /// Which life of a worker.
        incarnation: Incarnation,
    },
    /// A job was submitted.
    Submitted {
        /// The job.
        job: JobId,
        /// The client's own id of the request; the same one again means the same job.
        request_id: String,
        /// When, in nanoseconds of Unix time.
        at_unix_ns: u64,
        /// The encoded `muster.v1.JobSpec`.
        spec: Bytes,
    },
    /// Tasks were added to an open job.
    Extended {
        /// The job.
        job: JobId,
        /// The new tasks.
        range: IndexRange,
        /// One item for each, when the job has inputs.
        inputs: Option<Packed>,
    },
    /// An open job got its last task.
    Sealed {
        /// The job.
        job: JobId,
    },
    /// All tasks of the range have ended: their inputs may go.
    InputsDone {
        /// The job.
        job: JobId,
        /// The tasks, as they were added.
        range: IndexRange,
    },
    /// Tasks have results.
    Committed {
        /// The job.
        job: JobId,
        /// The tasks.
        range: IndexRange,
        /// Their results, when they are kept.
        outputs: Option<Packed>,
        /// What they add to the job's checksum.
        checksum: u64,
        /// Bytes of the results together.
        bytes: u64,
    },
    /// Results were fetched and will not be asked for again.
    Taken {
        /// The job.
        job: JobId,
        /// Results of tasks below this index may go.
        below: u64,
    },
    /// An attempt was charged to a task that will be tried again.
    Charged {
        /// The job.
        job: JobId,
        /// The task.
        index: u64,
        /// The number of the failure's class on the wire.
        class: i32,
        /// All failures of that class that were charged to it.
        charged: u32,
    },
    /// A task failed for good.
    TaskFailed {
        /// The job.
        job: JobId,
        /// The task.
        index: u64,
        /// The number of the class on the wire.
        class: i32,
        /// What went wrong.
        message: String,
    },
    /// A job is paused, and gets no lease until it is released.
    Paused {
        /// The job.
        job: JobId,
        /// Why, in words.
        reason: String,
    },
    /// A job goes on: its pause, its end, and the failures of and charges to these tasks are withdrawn,
    /// with what is known of them.
    Released {
        /// The job.
        job: JobId,
        /// The tasks.
        tasks: RangeSet,
    },
    /// How a task failed so far.
    PostMortem {
        /// The job.
        job: JobId,
        /// The task.
        index: u64,
        /// The encoded `muster.v1.PostMortem`; `None`: it is not kept any more.
        data: Option<Bytes>,
    },
    /// The partial result of a block of a reduction, in place of all blocks inside it.
    Partial {
        /// The job.
        job: JobId,
        /// The block.
        block: Block,
        /// The serialised partial result.
        data: Bytes,
    },
    /// The one output of a job with reduction, in place of all its blocks.
    Reduced {
        /// The job.
        job: JobId,
        /// The output.
        data: Bytes,
    },
    /// A job ended. Its inputs and partial results may go.
    Ended {
        /// The job.
        job: JobId,
        /// How.
        how: EndedAs,
        /// Why, when it could not run.
        reason: String,
        /// The encoded final `muster.v1.JobStatus`.
        status: Bytes,
    },
    /// A job and all its results were removed.
    Removed {
        /// The job.
        job: JobId,
    },
}

impl Record {
    /// The job it is about; plugins are about none.
    #[must_use]
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::PluginAdded(_)
            | Self::PluginRemoved { .. }
            | Self::WorkerCame { .. }
            | Self::WorkerWent { .. } => None,
            Self::Submitted { job, .. }
            | Self::Extended { job, .. }
            | Self::InputsDone { job, .. }
            | Self::Sealed { job }
            | Self::Committed { job, .. }
            | Self::Taken { job, .. }
            | Self::Charged { job, .. }
            | Self::TaskFailed { job, .. }
            | Self::Paused { job, .. }
            | Self::Released { job, .. }
            | Self::PostMortem { job, .. }
            | Self::Partial { job, .. }
            | Self::Reduced { job, .. }
            | Self::Ended { job, .. }
            | Self::Removed { job } => Some(*job),
        }
    }

    /// Roughly how many bytes it is, for limits on what waits to be written.
    #[must_use]
    pub fn weight(&self) -> usize {
        let packed = |packed: &Packed| packed.data.len() + packed.lengths.len() * 4;
        128 + match self {
            Self::Extended { inputs, .. } => inputs.as_ref().map_or(0, packed),
            Self::Committed { outputs, .. } => outputs.as_ref().map_or(0, packed),
            Self::Partial { data, .. } | Self::Reduced { data, .. } => data.len(),
            Self::Submitted { spec, .. } => spec.len(),
            Self::TaskFailed { message, .. } => message.len(),
            Self::Paused { reason, .. } => reason.len(),
            Self::Released { tasks, .. } => 16 * tasks.pieces(),
            Self::PostMortem { data, .. } => data.as_ref().map_or(0, Bytes::len),
            Self::Ended { status, .. } => status.len(),
            Self::PluginAdded(plugin) => plugin.manifest.len(),
            Self::PluginRemoved { .. }
            | Self::WorkerCame { .. }
            | Self::WorkerWent { .. }
            | Self::Sealed { .. }
            | Self::InputsDone { .. }
            | Self::Taken { .. }
            | Self::Charged { .. }
            | Self::Removed { .. } => 0,
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedAs {
    /// Every task has a result or a final failure.
    Done,
    /// It was cancelled.
    Cancelled,
    /// It could not run.
    Failed,
}

impl EndedAs {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Done, Self::Cancelled, Self::Failed];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Done => 1,
            Self::Cancelled => 2,
            Self::Failed => 3,
        }
    }

    /// The way with this number.
    #[must_use]
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::Done),
            2 => Some(Self::Cancelled),
            3 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// What the coordinator knows of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginRecord {
    /// BLAKE3 of the file.
    pub digest: [u8; 32],
    /// The name in its manifest.
    pub name: String,
    /// The version in its manifest.
    pub version: String,
    /// The target triple it was built for.
    pub target: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// The manifest, JSON.
    pub manifest: String,
    /// When it was pushed, in nanoseconds of Unix time.
    pub added_unix_ns: u64,
}
