//! The one place where messages become core types and back. What a peer sent is checked here, once: counts,
//! ranges that overflow, sizes, closed sets. What passes carries the proof in its type; what does not becomes
//! a [`ConvertError`] that names the field, and nothing has changed.

mod arrivals;
mod case;
mod evidence;
mod held;
mod identity;
mod job;
mod limits;
mod log;
mod report;
mod sandbox;
mod scalar;
mod trust;
mod work;

pub use arrivals::{LOCK_WAITS_MAX, LockWait, TaskSample, arrivals_to_wire};
pub use case::{CaseAsk, OnlyTask};
pub use evidence::{
    Cause, EVIDENCE_TEXT_MAX_BYTES, Evidence, FRAMES_MAX, Frame, LAST_LINES_MAX, evidence_to_wire,
};
pub use held::{HELD_RANGES_MAX, held_to_wire};
pub use identity::{TOKEN_LIFE_MAX_S, roles, token_request};
pub use job::{
    Feed, Outputs, ResultsPart, RetryAsk, Submission, job_spec_to_show, job_spec_to_wire, results,
};
pub use limits::{
    COUNT_MAX, GRACE_DEFAULT, LIMIT_TIME_MAX, LOG_DEFAULT_BYTES, LOG_MAX_BYTES, Limits, MEMORY_MAX_BYTES,
    MEMORY_MIN_BYTES, OPEN_FILES_MIN, limits, limits_to_wire,
};
pub use log::{
    LOG_LAST_MAX, LOG_LINE_BYTES_MAX, LOG_TASKS_MAX, LogChunk, LogQuery, LogsAsk, WHY_MAX, WhyAsk,
    attempt_report,
};
pub use report::{
    ExecutorExit, Heartbeat, Hello, Phases, RanOn, Report, ResultBlock, Stopped, TaskFailure, Trouble,
    phases_to_wire,
};
pub use sandbox::{level_shown, level_to_wire};
pub use scalar::{
    PluginRef, block, block_to_wire, exit_cause, failure_class, failure_class_to_wire, gil, plugin,
    plugin_to_wire, range, shape, shape_request, shape_request_to_wire, shape_to_wire, sketch,
    sketch_to_wire,
};
pub use trust::trust_to_wire;
pub use work::{Adopted, GrantIn, JobOpen, Welcome, Work, grant_to_wire, job_open_to_wire};

use std::fmt;

use muster_core::range::IndexRange;
use tonic::Status;

use crate::PROTOCOL_VERSION;
use crate::packed::Malformed;

/// Tasks that one job may have. A power of two, so that the tree of a reduction reaches no further.
pub const TASKS_MAX: u64 = 1 << 40;
/// Slots that one worker may have, and processes and threads of a shape.
pub const SLOTS_MAX: u32 = 65_536;
/// Executors that one worker may have.
pub const EXECUTORS_MAX: u32 = 1 << 20;
/// Memory that one worker and its executors may have. Small enough that the sum over all workers fits.
pub const PSS_MAX_BYTES: u64 = 1 << 48;
/// Jobs of which one heartbeat may say how far they are.
pub const PROGRESS_JOBS_MAX: usize = 10_000;
/// Thread time that one block of results may have taken: two years.
pub const BUSY_MAX_NS: u64 = 1 << 56;
/// Bytes of a job's parameters.
pub const PARAMS_MAX_BYTES: usize = 1 << 20;
/// Bytes of names, labels, addresses and request ids.
pub const NAME_MAX_BYTES: usize = 256;
/// Bytes of a failure's or trouble's words. Longer ones are cut, not refused.
pub const WORDS_MAX_BYTES: usize = 8 << 10;
/// Blocks that one combine lease may bring together.
pub const COMBINE_BLOCKS_MAX: usize = 65_536;
/// The largest result that a job may ask for: with what surrounds it, it must fit into a message.
pub const RESULT_MAX_BYTES: u64 = 48 << 20;
/// A job's limit for one result unless it says otherwise.
pub const RESULT_DEFAULT_BYTES: u64 = 16 << 20;

/// A field of a message that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: {limit}")]
pub struct ConvertError {
    /// The field, as the `.proto` file calls it.
    pub field: &'static str,
    /// What it holds.
    pub value: String,
    /// What it may hold.
    pub limit: String,
    /// Whether it is too much rather than wrong.
    pub too_much: bool,
}

impl ConvertError {
    /// A field that holds what it may not hold.
    #[must_use]
    pub fn wrong(field: &'static str, value: impl fmt::Display, limit: impl fmt::Display) -> Self {
        let mut value = value.to_string();
        if value.contains(char::is_control) {
            value = value.escape_debug().to_string();
        }
        let value = clip(&value, NAME_MAX_BYTES).to_owned();
        Self { field, value, limit: limit.to_string(), too_much: false }
    }

    /// A field that holds more than it may.
    #[must_use]
    pub fn too_much(field: &'static str, value: impl fmt::Display, max: impl fmt::Display) -> Self {
        Self { too_much: true, ..Self::wrong(field, value, format_args!("at most {max} (fixed)")) }
    }

    fn missing(field: &'static str) -> Self {
        Self::wrong(field, "missing", "it must be set")
    }
}

impl From<ConvertError> for Status {
    fn from(error: ConvertError) -> Self {
        if error.too_much {
            Self::resource_exhausted(error.to_string())
        } else {
            Self::invalid_argument(error.to_string())
        }
    }
}

/// The beginning of a text, cut at a character.
#[must_use]
pub fn clip(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn words(text: String) -> String {
    if text.len() <= WORDS_MAX_BYTES { text } else { clip(&text, WORDS_MAX_BYTES).to_owned() }
}

/// A text that is shown in tables and metrics: short, and without control characters.
fn name(field: &'static str, text: String) -> Result<String, ConvertError> {
    if text.len() > NAME_MAX_BYTES {
        let found = format_args!("{} bytes long", text.len()).to_string();
        return Err(ConvertError::too_much(field, found, format_args!("{NAME_MAX_BYTES} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(ConvertError::wrong(
            field,
            format_args!("{text:?}"),
            "control characters are not allowed",
        ));
    }
    Ok(text)
}

fn named(field: &'static str, text: String) -> Result<String, ConvertError> {
    if text.is_empty() { Err(ConvertError::missing(field)) } else { name(field, text) }
}

fn at_most<T: PartialOrd + fmt::Display>(field: &'static str, value: T, max: T) -> Result<T, ConvertError> {
    if value > max { Err(ConvertError::too_much(field, value, max)) } else { Ok(value) }
}

fn protocol(found: u32) -> Result<(), ConvertError> {
    if found == PROTOCOL_VERSION {
        return Ok(());
    }
    let limit =
        format_args!("this muster speaks {PROTOCOL_VERSION}; use the same version everywhere").to_string();
    Err(ConvertError::wrong("protocol", found, limit))
}

fn some_range(field: &'static str, start: u64, count: u64) -> Result<IndexRange, ConvertError> {
    if count == 0 {
        return Err(ConvertError::wrong(field, 0, "at least one task is wanted"));
    }
    range(field, start, count)
}

fn all<T, W>(wire: Vec<W>) -> Result<Vec<T>, ConvertError>
where
    T: TryFrom<W, Error = ConvertError>,
{
    wire.into_iter().map(T::try_from).collect()
}

fn malformed(field: &'static str, error: Malformed) -> ConvertError {
    ConvertError::wrong(field, "malformed", error)
}
