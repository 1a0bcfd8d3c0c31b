//! What the agent tells an executor.

use super::codec::{FrameError, Reader, Writer};
use super::sandbox::{sandbox, write_sandbox};
use crate::sandbox::Sandbox;
use bytes::Bytes;
use muster_core::arrivals::{Arrivals, Pattern};
use muster_core::shape::{Flow, Gil};
use muster_core::time::Span;

/// What the agent says. `Load` travels with the descriptors of the crash record and the shelf, `OpenJob` with three: the job
/// page, the input arena and the regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToExecutor {
    /// Load this plugin: the first frame.
    Load {
        /// Its file.
        path: String,
        /// BLAKE3 of the file.
        digest: [u8; 32],
        /// Whether a descriptor of the crash record travels with this.
        record: bool,
        /// Whether that of a shelf travels behind it.
        shelf: bool,
        /// What the executor takes from itself before that.
        sandbox: Sandbox,
        /// The folder in which its tasks may have theirs; empty: there is none.
        scratch: String,
    },
    /// Take tasks of a job.
    Open(OpenJob),
    /// Close the job when its running tasks have ended.
    Close {
        /// The job.
        job: u64,
    },
    /// End when the running tasks have ended.
    Stop,
}

/// A job as an executor needs to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenJob {
    /// The job.
    pub job: u64,
    /// Its parameters, JSON.
    pub params: Bytes,
    /// Its seed.
    pub seed: u64,
    /// Its number of tasks; 0: not known yet.
    pub tasks: u64,
    /// Threads to run.
    pub threads: u32,
    /// The page slot of the first of them.
    pub first_slot: u32,
    /// Tasks in a leaf of the reduction; 0: results are not combined.
    pub reduce_leaf: u64,
    /// The largest result of one task, in bytes.
    pub result_bytes_max: u64,
    /// Attempts at one task.
    pub max_attempts: u32,
    /// The time limit of an attempt in nanoseconds; 0: none.
    pub timeout_ns: u64,
    /// The time from telling a task to stop until its executor is killed, in nanoseconds.
    pub grace_ns: u64,
    /// The memory that the executor may have; 0: any amount.
    pub memory_bytes: u64,
    /// What tasks are to take longer, in millionths of their time.
    pub extra_millionths: u64,
    /// Where its tasks may have folders; empty: nowhere.
    pub scratch: String,
    /// How its threads go through their tasks.
    pub flow: Flow,
    /// The lock that tasks hold while they compute.
    pub gil: Option<Gil>,
    /// When its tasks are to start; `None`: as soon as a thread is free.
    pub arrivals: Option<Arrivals>,
    /// Tasks that are looked at one by one.
    pub task_samples: u32,
}

const LOAD: u8 = 1;
const OPEN: u8 = 2;
const CLOSE: u8 = 3;
const STOP: u8 = 4;

impl ToExecutor {
    /// The frame, with its length in front.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = Writer::begin();
        match self {
            Self::Load { path, digest, record, shelf, sandbox, scratch } => {
                frame.u8(LOAD);
                frame.text(path);
                frame.digest(digest);
                frame.u8(u8::from(*record));
                frame.u8(u8::from(*shelf));
                write_sandbox(&mut frame, sandbox);
                frame.text(scratch);
            }
            Self::Open(open) => {
                frame.u8(OPEN);
                frame.u64(open.job);
                frame.bytes(&open.params);
                frame.u64(open.seed);
                frame.u64(open.tasks);
                frame.u32(open.threads);
                frame.u32(open.first_slot);
                frame.u64(open.reduce_leaf);
                frame.u64(open.result_bytes_max);
                frame.u32(open.max_attempts);
                frame.u64(open.timeout_ns);
                frame.u64(open.grace_ns);
                frame.u64(open.memory_bytes);
                frame.u64(open.extra_millionths);
                frame.text(&open.scratch);
                write_flow(&mut frame, open.flow);
                frame.u32(open.gil.map_or(0, |gil| gil.domains));
                frame.u64(open.gil.map_or(0, |gil| gil.switch.0));
                write_arrivals(&mut frame, open.arrivals);
                frame.u32(open.task_samples);
            }
            Self::Close { job } => {
                frame.u8(CLOSE);
                frame.u64(*job);
            }
            Self::Stop => frame.u8(STOP),
        }
        frame.finish(0)
    }

    /// Reads a frame without its length.
    pub fn decode(frame: Bytes) -> Result<Self, FrameError> {
        let mut fields = Reader::new(frame);
        let message = match fields.u8("kind")? {
            LOAD => Self::Load {
                path: fields.text("path")?,
                digest: fields.digest("digest")?,
                record: fields.u8("record")? != 0,
                shelf: fields.u8("shelf")? != 0,
                sandbox: sandbox(&mut fields)?,
                scratch: fields.text("scratch")?,
            },
            OPEN => Self::Open(OpenJob {
                job: fields.u64("job")?,
                params: fields.bytes("params")?,
                seed: fields.u64("seed")?,
                tasks: fields.u64("tasks")?,
                threads: fields.u32("threads")?,
                first_slot: fields.u32("first_slot")?,
                reduce_leaf: fields.u64("reduce_leaf")?,
                result_bytes_max: fields.u64("result_bytes_max")?,
                max_attempts: fields.u32("max_attempts")?,
                timeout_ns: fields.u64("timeout_ns")?,
                grace_ns: fields.u64("grace_ns")?,
                memory_bytes: fields.u64("memory_bytes")?,
                extra_millionths: fields.u64("extra_millionths")?,
                scratch: fields.text("scratch")?,
                flow: flow(&mut fields)?,
                gil: gil(&mut fields)?,
                arrivals: arrivals(&mut fields)?,
                task_samples: fields.u32("task_samples")?,
            }),
            CLOSE => Self::Close { job: fields.u64("job")? },
            STOP => Self::Stop,
            kind => return Err(FrameError::UnknownKind { kind }),
        };
        fields.end()?;
        Ok(message)
    }
}

/// One task and then the end; numbers above are tasks in flight.
const FLOW_ONCE: u32 = 1;

fn write_flow(frame: &mut Writer, flow: Flow) {
    match flow {
        Flow::InTurn => frame.u32(0),
        Flow::Once => frame.u32(FLOW_ONCE),
        Flow::InFlight(tasks) => frame.u32(tasks.saturating_add(FLOW_ONCE)),
    }
}

fn flow(fields: &mut Reader) -> Result<Flow, FrameError> {
    Ok(match fields.u32("flow")? {
        0 => Flow::InTurn,
        FLOW_ONCE => Flow::Once,
        tasks => Flow::InFlight(tasks - FLOW_ONCE),
    })
}

fn write_arrivals(frame: &mut Writer, arrivals: Option<Arrivals>) {
    frame.u64(arrivals.map_or(0, |arrivals| arrivals.rate_per_s().to_bits()));
    frame.u8(u8::from(arrivals.is_some_and(|arrivals| arrivals.pattern() == Pattern::Poisson)));
}

fn arrivals(fields: &mut Reader) -> Result<Option<Arrivals>, FrameError> {
    let rate_per_s = f64::from_bits(fields.u64("arrivals' rate")?);
    let is_poisson = fields.u8("arrivals' pattern")? != 0;
    let pattern = if is_poisson { Pattern::Poisson } else { Pattern::Constant };
    if rate_per_s == 0.0 {
        return Ok(None);
    }
    let wrong = FrameError::Inconsistent { field: "arrivals' rate" };
    Arrivals::try_new(rate_per_s, pattern).map(Some).ok_or(wrong)
}

fn gil(fields: &mut Reader) -> Result<Option<Gil>, FrameError> {
    let (domains, switch) = (fields.u32("gil's domains")?, Span(fields.u64("gil's switch")?));
    Ok((domains > 0).then_some(Gil { domains, switch }))
}
