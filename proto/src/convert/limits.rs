//! Bounds for what a task or its executor may use, as a client asks for them and as a worker gets them.

use muster_core::time::Span;

use super::{ConvertError, at_most};
use crate::v1;

/// The longest time limit and grace: a year.
pub const LIMIT_TIME_MAX: Span = Span::from_millis(8_760 * 3_600_000);
/// The least memory of an executor: below it no plugin can be loaded.
pub const MEMORY_MIN_BYTES: u64 = 4 << 20;
/// The most memory that can be said.
pub const MEMORY_MAX_BYTES: u64 = 1 << 48;
/// The least open files of an executor: it needs some itself.
pub const OPEN_FILES_MIN: u32 = 32;
/// The most open files and processes that can be said.
pub const COUNT_MAX: u32 = 1 << 22;
/// What is kept of a task's log unless the job says otherwise.
pub const LOG_DEFAULT_BYTES: u64 = 64 << 10;
/// The most that is kept of a task's log.
pub const LOG_MAX_BYTES: u64 = 1 << 30;
/// The time from the cancel flag to SIGKILL unless the job says otherwise.
pub const GRACE_DEFAULT: Span = Span::from_millis(5_000);

/// Bounds for what a task or its executor may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limits {
    /// Of an attempt at a task.
    pub timeout: Option<Span>,
    /// Of an executor.
    pub memory_bytes: Option<u64>,
    /// Of what a task writes and logs that is kept.
    pub log_bytes: u64,
    /// Of an executor.
    pub open_files: Option<u32>,
    /// Of an executor, threads among them.
    pub processes: Option<u32>,
    /// Of an executor, in its private folder.
    pub scratch_bytes: Option<u64>,
    /// From the cancel flag to SIGKILL; SIGTERM comes at half of it.
    pub grace: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: None,
            memory_bytes: None,
            log_bytes: LOG_DEFAULT_BYTES,
            open_files: None,
            processes: None,
            scratch_bytes: None,
            grace: GRACE_DEFAULT,
        }
    }
}

/// The limits of a job.
///
/// # Errors
/// A limit that nothing can run under, or that is beyond what can be kept.
pub fn limits(wire: Option<v1::Limits>) -> Result<Limits, ConvertError> {
    let Some(wire) = wire else { return Ok(Limits::default()) };
    let millis = |field, millis: u64| -> Result<Option<Span>, ConvertError> {
        let most = LIMIT_TIME_MAX.0 / 1_000_000;
        Ok((at_most(field, millis, most)? != 0).then(|| Span::from_millis(millis)))
    };
    let bytes = |field, bytes: u64| -> Result<Option<u64>, ConvertError> {
        Ok((at_most(field, bytes, MEMORY_MAX_BYTES)? != 0).then_some(bytes))
    };
    let memory_bytes = bytes("limits.memory_bytes", wire.memory_bytes)?;
    at_least("limits.memory_bytes", memory_bytes, MEMORY_MIN_BYTES)?;
    let open_files = (wire.open_files != 0).then_some(wire.open_files);
    at_least("limits.open_files", open_files.map(u64::from), OPEN_FILES_MIN.into())?;
    at_most("limits.open_files", wire.open_files, COUNT_MAX)?;
    at_most("limits.processes", wire.processes, COUNT_MAX)?;
    let scratch_bytes = bytes("limits.scratch_bytes", wire.scratch_bytes)?;
    if let Some(bytes) = scratch_bytes {
        let limit = "the size of a private folder cannot be limited yet; leave it out";
        return Err(ConvertError::wrong("limits.scratch_bytes", bytes, limit));
    }
    let log_bytes = match wire.log_bytes {
        0 => LOG_DEFAULT_BYTES,
        given => at_most("limits.log_bytes", given, LOG_MAX_BYTES)?,
    };
    Ok(Limits {
        timeout: millis("limits.timeout_ms", wire.timeout_ms)?,
        memory_bytes,
        log_bytes,
        open_files,
        processes: (wire.processes != 0).then_some(wire.processes),
        scratch_bytes,
        grace: millis("limits.grace_ms", wire.grace_ms)?.unwrap_or(GRACE_DEFAULT),
    })
}

fn at_least(field: &'static str, value: Option<u64>, least: u64) -> Result<(), ConvertError> {
    match value {
        Some(value) if value < least => {
            Err(ConvertError::wrong(field, value, format_args!("at least {least}").to_string()))
        }
        Some(_) | None => Ok(()),
    }
}

/// The limits for the wire.
#[must_use]
pub fn limits_to_wire(limits: &Limits) -> v1::Limits {
    let millis = |span: Span| span.0 / 1_000_000;
    v1::Limits {
        timeout_ms: limits.timeout.map_or(0, millis),
        memory_bytes: limits.memory_bytes.unwrap_or(0),
        log_bytes: limits.log_bytes,
        open_files: limits.open_files.unwrap_or(0),
        processes: limits.processes.unwrap_or(0),
        scratch_bytes: limits.scratch_bytes.unwrap_or(0),
        grace_ms: millis(limits.grace),
    }
}
