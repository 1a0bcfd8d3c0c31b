//! What plugins say, kept on the worker: their log calls, and what their executors write to standard output and standard
//! error.
//!
//! A thread of its own does all of it, because nothing that the agent does may wait for a disk or a console: the agent
//! hands over pieces through a bounded queue, and what finds no room there is counted. Each job has a folder of
//! segments: the texts of all lines behind each other, and beside them an index of fixed size per line, so that the lines
//! of one task are found without reading those of others. The folder of a worker goes with the worker.

mod console;
mod job;
mod line;
pub(crate) mod marker;
mod query;
mod quota;
mod segment;
mod speaker;
mod thread;

pub use line::{Line, Source, TaskRef};
pub use query::{Query, Reply, read};
pub use thread::{Log, LogSettings, Who};

/// Bytes of what a task writes and logs that are kept, unless its job says otherwise.
pub const TASK_BYTES: u64 = 64 << 10;
/// The same for what an executor says of which nobody knows the task.
pub const EXECUTOR_BYTES: u64 = 8 << 20;
/// Bytes of all logs of a worker.
pub const TOTAL_BYTES_MAX: u64 = 256 << 20;
/// Jobs whose logs are kept.
pub const JOBS_MAX: usize = 1_000;
/// A segment that has so many bytes of text is followed by the next one.
pub const SEGMENT_BYTES: u64 = 8 << 20;
/// A longer line is kept in pieces.
pub const LINE_BYTES_MAX: usize = 8 << 10;
/// How many last lines of an executor are remembered, and how much of each.
pub const LAST_LINES: usize = 50;
/// Characters of a last line.
pub const LAST_LINE_CHARS: usize = 1_000;
