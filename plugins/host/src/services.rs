//! What the process that loads a plugin does for it.

use crate::region::{RegionError, alone};
use std::io::Write;
use std::path::PathBuf;
use std::ptr::NonNull;

/// How much a line of a plugin's log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Broken.
    Error,
    /// Somebody should look.
    Warn,
    /// A state changed.
    Info,
    /// An odd branch.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level of a number that a plugin gave, `MUSTER_LOG_*`; what is beyond them is the nearest.
    #[must_use]
    pub const fn from_abi(level: u32) -> Self {
        match level {
            0 | 1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            4 => Self::Debug,
            _ => Self::Trace,
        }
    }

    /// Lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Called from the threads that are inside the plugin, any number at once. A panic here aborts the process.
pub trait HostServices: Send + Sync + 'static {
    /// A line for the log; `slot` is none outside of tasks.
    fn log(&self, slot: Option<u32>, level: LogLevel, text: &str);

    /// The task of a slot could stop or let others go first here.
    fn checkpoint(&self, _slot: u32) {}

    /// The task of a slot waits from here and does not compute.
    fn blocking_begin(&self, _slot: u32) {}

    /// The task of a slot computes again.
    fn blocking_end(&self, _slot: u32) {}

    /// A region of memory that all processes of the job on this worker share: its first byte, aligned to a page. `len` is
    /// not 0 and the name is one that can be; the memory stays until the job's object is destroyed. By default the process is
    /// alone, and shares with nobody.
    ///
    /// # Errors
    /// Why there is none.
    fn region(&self, job: u128, name: &str, len: usize) -> Result<NonNull<u8>, RegionError> {
        alone(job, name, len)
    }

    /// Whether a function of the plugin's table, `hook::*` of `muster-plugin-abi`, is to panic now; none: this host does not
    /// rehearse panics.
    fn rehearses(&self, _hook: u32) -> Option<bool> {
        None
    }

    /// Where tasks of the open job may have folders; it need not be there yet, but the folder that it is in must. Whoever
    /// loads plugins removes it when this process has ended. `None`: tasks get none.
    fn scratch_root(&self) -> Option<PathBuf> {
        None
    }

    /// Monotonic nanoseconds.
    fn now_ns(&self) -> u64 {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the clock exists on every Linux, and `now` is valid for writing.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }
}

/// Writes the log to standard error and does nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct StderrServices;

impl HostServices for StderrServices {
    fn log(&self, slot: Option<u32>, level: LogLevel, text: &str) {
        let slot = slot.map(|slot| format!(" slot {slot}")).unwrap_or_default();
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(std::io::stderr(), "{}{slot}: {text}", level.name());
    }
}
