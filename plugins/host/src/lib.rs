//! Checks, loads and calls muster plugins.
//!
//! [`inspect`] reads a plugin file without running any of its code, and says in words what is wrong with it.
//! [`Plugin::load`] brings it into this process, [`Plugin::create`] makes a job's object, [`Job::run_range`]
//! runs tasks on a [`Slot`] and [`Accumulator`] combines results. [`probe`] loads a plugin in a child process
//! first, because its constructors may abort, hang or exit.
//!
//! Loading a plugin is running native code: only executors and probes do it. This crate never unloads a
//! plugin, never starts a thread outside of [`probe`], and never trusts a plugin's numbers: what is out of
//! range becomes a named failure. What no library can check, a plugin that writes where it must not, is why
//! executors are processes of their own.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod problem;

mod elf;
mod inspect;
mod kind;
mod manifest;
mod params;
mod schema;
mod suggest;

mod accumulator;
mod callbacks;
mod channel;
mod interleaved;
mod job;
mod metrics;
mod outcome;
mod plugin;
mod progress;
mod range;
mod region;
mod scratch;
mod services;
mod slot;
pub mod stack;

pub mod futex;
mod probe;

pub use muster_plugin_abi::REGION_NAME_MAX;

pub use accumulator::{Accumulator, Take};
pub use elf::{Machine, PLUGIN_SIZE_MAX};
pub use inspect::{Digest, Inspection, inspect, inspect_any, inspect_bytes};
pub use interleaved::{EndedTask, NewTask, Next, TaskSource, Ticket};
pub use job::{Job, JobParams};
pub use kind::{InputKind, MetricKind, OutputKind};
pub use manifest::{Manifest, ManifestError, MetricSpec};
pub use metrics::{METRICS_MAX, MetricReading, MetricValue, Metrics};
pub use outcome::{ErrorKind, TaskError};
pub use params::{ParamError, check, from_pairs};
pub use plugin::Plugin;
pub use probe::{PROBE_ARGUMENT, probe, probe_main, take_stdout};
pub use problem::{PluginError, Problem};
pub use progress::{NOTHING_DONE, done_share};
pub use range::{Inputs, OutBuffer, RangeInput, RangeOutcome};
pub use region::RegionError;
pub use schema::{ParamKind, ParamSpec};
pub use services::{HostServices, LogLevel, StderrServices};
pub use slot::{Slot, SlotWords};

/// What manifests and rehearsals are asked about.
pub use muster_plugin_abi::{F_ASYNC, F_CONCURRENT, F_DETERMINISTIC, F_MULTI_JOB, F_THREADS_OK, hook};
