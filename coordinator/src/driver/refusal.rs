//! Why a request was refused. Nothing has changed then.

use crate::limits::Limit;
use crate::store::blobs::hex;
use muster_core::id::JobId;
use muster_proto::convert::{ConvertError, NAME_MAX_BYTES, clip};
use tonic::{Code, Status};

/// Why a request was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// A field that cannot be taken.
    #[error(transparent)]
    Field(#[from] ConvertError),
    /// No such job.
    #[error("job is {}: there is no such job", .0.0)]
    NoJob(JobId),
    /// A job that is remembered no more.
    #[error(
        "job is {}: it has ended and was forgotten with its results: it was removed (muster job rm), or was more than the coordinator keeps \
         (--keep-jobs, --keep-for, --keep-results; without --state what fits into its memory)",
        .0.0
    )]
    Forgotten(JobId),
    /// There is no job at all.
    #[error("job: no job was submitted yet")]
    NoJobs,
    /// No such plugin.
    #[error("plugin {} is not registered here; push it first (muster plugin push)", shown(.0))]
    NoPlugin(String),
    /// Several plugins fit.
    #[error("plugin {query} is ambiguous: {count} digests begin like this; give more digits")]
    ManyPlugins {
        /// What was asked for.
        query: String,
        /// How many fit.
        count: usize,
    },
    /// A version must not change its meaning.
    #[error(
        "plugin {name}@{version} is registered with digest {}, this file has {}; raise the version, or remove the registered one (muster plugin rm {name})",
        hex(known),
        hex(new)
    )]
    OtherBytes {
        /// The plugin.
        name: String,
        /// Its version.
        version: String,
        /// The digest that is registered.
        known: [u8; 32],
        /// The digest of the refused file.
        new: [u8; 32],
    },
    /// Jobs that have not ended need it.
    #[error("plugin {plugin} is in use by job {}; cancel the job first", .job.0)]
    PluginInUse {
        /// The plugin.
        plugin: String,
        /// One of the jobs.
        job: JobId,
    },
    /// The job wants something the plugin does not do.
    #[error("spec.{field}: plugin {plugin} {why}")]
    PluginCannot {
        /// The field of the job.
        field: &'static str,
        /// The plugin.
        plugin: String,
        /// What it does or wants instead.
        why: &'static str,
    },
    /// The cluster is for work, and the plugin for breaking things.
    #[error(
        "spec.plugin: plugin {} is made to harm its process, which this cluster does not allow; run it in a private cluster \
         (--cluster private), or start this one with --allow-chaos",
        shown(.0)
    )]
    Chaos(String),
    /// Only jobs that have ended can be removed.
    #[error("job is {}: it has not ended; cancel it first", .0.0)]
    NotEnded(JobId),
    /// No worker loads the plugin, can keep from it what the job wants and grants what it needs.
    #[error("no worker that is here can run this job: {0}")]
    NoFit(String),
    /// No such worker.
    #[error("worker {} is not attached", shown(.0))]
    NoWorker(String),
    /// Several workers have the name.
    #[error("workers {numbers} are called {}; give a number", shown(.name))]
    ManyWorkers {
        /// The name.
        name: String,
        /// Their numbers, in words.
        numbers: String,
    },
    /// The job takes no more tasks.
    #[error("job {} takes no more tasks: {why}", .job.0)]
    Closed {
        /// The job.
        job: JobId,
        /// What it is instead of open.
        why: &'static str,
    },
    /// Tasks of the job cannot be tried again, or it has none that could be.
    #[error("job {} cannot be retried: {why}", .job.0)]
    NoRetry {
        /// The job.
        job: JobId,
        /// Why not.
        why: &'static str,
    },
    /// A task that was named has not failed.
    #[error("indexes: task {index} of job {} has not failed", .job.0)]
    NotFailed {
        /// The job.
        job: JobId,
        /// The task.
        index: u64,
    },
    /// A job has fewer tasks.
    #[error("index is {index}: job {} has {tasks} tasks", .job.0)]
    NoTask {
        /// The job.
        job: JobId,
        /// The task that was asked for.
        index: u64,
        /// How many there are.
        tasks: u64,
    },
    /// A task has ended, and its input went with it.
    #[error(
        "the input of task {index} of job {} is gone: inputs are kept until their tasks have ended, and then of failed tasks \
         whose post-mortems are kept",
        .job.0
    )]
    NoInput {
        /// The job.
        job: JobId,
        /// The task.
        index: u64,
    },
    /// There are no results to read.
    #[error("job {} was submitted with outputs checksummed and dropped; there are no results to read", .0.0)]
    NotKept(JobId),
    /// The results were fetched before.
    #[error("from is {from}: the results of job {} below {taken} were taken by who ran it and are gone; jobs of `muster submit` keep theirs", .job.0)]
    Taken {
        /// The job.
        job: JobId,
        /// The index asked for.
        from: u64,
        /// The lowest index that is still there.
        taken: u64,
    },
    /// Somebody else takes the results.
    #[error("the results of job {} are being taken by another client", .0.0)]
    BeingTaken(JobId),
    /// A limit of the coordinator.
    #[error(
        "{} is {}: at most {}; {}",
        .limit.row().what,
        .limit.row().unit.exactly(*.value),
        .limit.row().unit.exactly(*.max),
        .limit.setting()
    )]
    Limit {
        /// Of what.
        limit: Limit,
        /// How much there would be.
        value: u64,
        /// How much there may be.
        max: u64,
    },
    /// What a stale worker sent.
    #[error("epoch is {found}: this is epoch {current}; what was reported belongs to an earlier coordinator")]
    StaleEpoch {
        /// The epoch of the report.
        found: u64,
        /// The epoch of the coordinator.
        current: u64,
    },
    /// A newer life of the same worker attached.
    #[error("incarnation is {0:#x}: the same worker attached again, this stream is over")]
    Superseded(u64),
    /// The coordinator is going down.
    #[error("the coordinator is stopping")]
    Stopping,
}

impl Refusal {
    /// The gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Field(error) if error.too_much => Code::ResourceExhausted,
            Self::Field(error) if error.field == "protocol" => Code::FailedPrecondition,
            Self::Field(_) => Code::InvalidArgument,
            Self::NoJob(_)
            | Self::Forgotten(_)
            | Self::NoJobs
            | Self::NoPlugin(_)
            | Self::NoWorker(_)
            | Self::NoTask { .. } => Code::NotFound,
            Self::ManyPlugins { .. } | Self::ManyWorkers { .. } => Code::InvalidArgument,
            Self::OtherBytes { .. } => Code::AlreadyExists,
            Self::PluginInUse { .. }
            | Self::NotEnded(_)
            | Self::PluginCannot { .. }
            | Self::Chaos(_)
            | Self::NoFit(_)
            | Self::Closed { .. }
            | Self::NoRetry { .. }
            | Self::NotFailed { .. }
            | Self::NoInput { .. }
            | Self::NotKept(_)
            | Self::Taken { .. }
            | Self::BeingTaken(_) => Code::FailedPrecondition,
            Self::Limit { .. } => Code::ResourceExhausted,
            Self::StaleEpoch { .. } | Self::Superseded(_) => Code::Aborted,
            Self::Stopping => Code::Unavailable,
        }
    }

    /// The label under which it is counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        reason(self.code())
    }
}

/// The label under which refusals with this code are counted.
#[must_use]
pub const fn reason(code: Code) -> &'static str {
    match code {
        Code::NotFound => "not_found",
        Code::InvalidArgument => "invalid",
        Code::ResourceExhausted | Code::OutOfRange => "too_much",
        Code::Aborted => "stale",
        Code::AlreadyExists => "exists",
        Code::FailedPrecondition => "precondition",
        Code::Unauthenticated | Code::PermissionDenied => "unauthenticated",
        _ => "other",
    }
}

/// What somebody asked for, short and on one line: a status travels in a header.
fn shown(text: &str) -> String {
    let mut shown: String = clip(text, NAME_MAX_BYTES)
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.len() > NAME_MAX_BYTES {
        shown.push_str("...");
    }
    shown
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code(), refusal.to_string())
    }
}

impl Refusal {
    /// As a gRPC status.
    #[must_use]
    pub fn into_status(self) -> Status {
        self.into()
    }
}
