//! Everything that can be wrong with a plugin file, in words.

use crate::elf::PLUGIN_SIZE_MAX;
use crate::manifest::ManifestError;
use muster_plugin_abi::{ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A plugin file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("plugin {}: {problem}", path.display())]
pub struct PluginError {
    path: PathBuf,
    problem: Box<Problem>,
}

impl PluginError {
    pub(crate) fn new(path: &Path, problem: Problem) -> Self {
        Self { path: path.to_owned(), problem: Box::new(problem) }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

/// What is wrong with a plugin, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No such file.
    #[error("no such file; build the plugin first, or check the path")]
    Missing,
    /// The system refuses to give its bytes.
    #[error("cannot be read: {source}")]
    Unreadable {
        /// What the system said.
        source: std::io::Error,
    },
    /// A directory, FIFO, socket or device.
    #[error("is a {kind}, not a file; name the shared object (.so) itself")]
    NotAFile {
        /// What it is.
        kind: &'static str,
    },
    /// No bytes.
    #[error("is empty; build or copy it again")]
    Empty,
    /// More than [`PLUGIN_SIZE_MAX`].
    #[error(
        "has {size} bytes, more than the {PLUGIN_SIZE_MAX} allowed; strip it or keep data in files of its own"
    )]
    TooLarge {
        /// Its size.
        size: u64,
    },
    /// Not in ELF format.
    #[error("is {looks_like}, not a shared object for Linux; name the .so that the build made")]
    NotElf {
        /// A guess.
        looks_like: &'static str,
    },
    /// Shorter than its own headers say.
    #[error("is cut off: it has {size} bytes and its headers speak of {needed}; build or copy it again")]
    Truncated {
        /// Its size.
        size: u64,
        /// The size its headers imply.
        needed: u64,
    },
    /// A 32-bit file.
    #[error("is a 32-bit object; muster runs 64-bit plugins only, build it for a 64-bit target")]
    ThirtyTwoBit,
    /// A big-endian file.
    #[error("is for a big-endian machine; muster runs little-endian plugins only")]
    BigEndian,
    /// For another kind of processor.
    #[error("is built for {found}, this machine is {here}; build it for {here}")]
    OtherMachine {
        /// Of the file.
        found: String,
        /// Of this process.
        here: &'static str,
    },
    /// For another system.
    #[error("is built for another operating system (ELF OS ABI {os_abi}); build it for Linux")]
    OtherSystem {
        /// `EI_OSABI` of the file.
        os_abi: u8,
    },
    /// A program.
    #[error("is an executable, not a shared object; build it as a library (cdylib, or cc -shared -fPIC)")]
    Executable,
    /// An object or core file.
    #[error("is {kind}, not a shared object; link it with cc -shared")]
    NotShared {
        /// What it is.
        kind: &'static str,
    },
    /// ELF headers that contradict each other.
    #[error("has broken ELF headers ({reason}); build or copy it again")]
    Malformed {
        /// Where reading stopped.
        reason: String,
    },
    /// Needs a newer C library.
    #[error(
        "needs glibc {}.{}, this machine has {}.{}; build it on a system with glibc {}.{} or older",
        needed.0, needed.1, here.0, here.1, here.0, here.1
    )]
    NeedsGlibc {
        /// Major and minor version that the file asks for.
        needed: (u32, u32),
        /// Those of this process.
        here: (u32, u32),
    },
    /// The entry symbol is not there.
    #[error(
        "does not export {ENTRY_SYMBOL}; it is no muster plugin, or lacks muster_sdk::export! (C: the entry function)"
    )]
    NoEntry,
    /// No manifest note.
    #[error(
        "carries no manifest; add muster_sdk::export! (C: MUSTER_MANIFEST), and keep .note.muster when linking"
    )]
    NoManifest,
    /// Several manifest notes.
    #[error(
        "carries {count} manifests; one shared object holds one plugin: keep one export! or MUSTER_MANIFEST"
    )]
    ManyManifests {
        /// How many.
        count: usize,
    },
    /// A manifest that cannot be used.
    #[error("its manifest is wrong: {0}")]
    BadManifest(#[from] ManifestError),
    /// Another major version of the ABI.
    #[error(
        "is built for plugin ABI {found}, this muster speaks {ABI_MAJOR}.{ABI_MINOR}; rebuild it with the current SDK"
    )]
    OtherAbi {
        /// Its major version.
        found: u32,
    },
    /// The dynamic linker found no definition.
    #[error(
        "needs the symbol {symbol}, which nothing here defines; link the library that has it into the plugin"
    )]
    UndefinedSymbol {
        /// The first such symbol.
        symbol: String,
    },
    /// The dynamic linker refused for another reason.
    #[error("cannot be loaded: {reason}")]
    Refused {
        /// What the dynamic linker said.
        reason: String,
    },
    /// The entry function returned null.
    #[error("refuses this muster (plugin ABI {ABI_MAJOR}.{ABI_MINOR}); it needs a newer one")]
    HostTooOld,
    /// A table shorter than version 1.0 has it.
    #[error(
        "its table has {found} bytes, plugin ABI 1.0 needs {needed}; rebuild it with the current SDK or header"
    )]
    ShortTable {
        /// Its `struct_size`.
        found: u32,
        /// That of version 1.0.
        needed: u32,
    },
    /// Table and manifest differ.
    #[error("its table says {field} {table:?}, its manifest {manifest:?}; make them the same")]
    Disagrees {
        /// `name`, `version`, `flags` or `reduce`.
        field: &'static str,
        /// In the table.
        table: String,
        /// In the manifest.
        manifest: String,
    },
    /// A required function is null.
    #[error("its table lacks {function}; set it")]
    NoFunction {
        /// Which.
        function: &'static str,
    },
    /// It is in this process already.
    #[error("is loaded in this process already; a process loads a plugin once")]
    LoadedTwice,
    /// Its `load` function failed.
    #[error("its load function failed: {error}")]
    LoadFailed {
        /// What it said.
        error: crate::TaskError,
    },
    /// The probe could not be started.
    #[error("could not be tried out: {source}")]
    ProbeNotStarted {
        /// What the system said.
        source: std::io::Error,
    },
    /// The probe was killed.
    #[error(
        "killed its process with {signal} while it was loaded{}; look at its constructors and load function",
        said(last_words)
    )]
    ProbeKilled {
        /// Name of the signal.
        signal: String,
        /// The end of what it wrote to standard error.
        last_words: String,
    },
    /// The probe ended without an answer.
    #[error(
        "ended its process with code {code} while it was loaded{}; a constructor or load function must not exit",
        said(last_words)
    )]
    ProbeExited {
        /// Exit code.
        code: i32,
        /// The end of what it wrote to standard error.
        last_words: String,
    },
    /// No answer in time.
    #[error("did not finish loading within {} s; look at its constructors and load function", limit.as_secs_f64())]
    ProbeHung {
        /// The time it had.
        limit: Duration,
    },
    /// The probe reports a problem that only loading shows.
    #[error("{reason}")]
    ProbeRefused {
        /// The problem as the probe words it.
        reason: String,
    },
}

fn said(last_words: &str) -> String {
    if last_words.is_empty() { String::new() } else { format!(" (it said: {last_words})") }
}
