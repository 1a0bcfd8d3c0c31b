//! Write a muster workload in Rust: implement [`Workload`], name it in [`export!`], build a `cdylib`.
//!
//! ```
//! use muster_sdk::{Context, Error, Job, Task, Workload};
//!
//! muster_sdk::params! {
//!     /// What every task does.
//!     pub struct Params {
//!         /// How often to add.
//!         pub rounds: u64 = 1_000 => 1..=1_000_000_000,
//!     }
//! }
//!
//! struct Adder {
//!     rounds: u64,
//! }
//!
//! impl Workload for Adder {
//!     type Params = Params;
//!     type Output = u64;
//!
//!     fn create(params: Params, _job: &Job) -> Result<Self, Error> {
//!         Ok(Self { rounds: params.rounds })
//!     }
//!
//!     fn run(&self, task: Task<'_>, _ctx: &mut Context<'_>) -> Result<u64, Error> {
//!         Ok((0..self.rounds).fold(task.index(), u64::wrapping_add))
//!     }
//! }
//!
//! muster_sdk::export! {
//!     Adder {
//!         name: "adder",
//!         description: "Adds numbers",
//!         default_tasks: 100,
//!         deterministic: true,
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! The crate needs `crate-type = ["cdylib"]`. Results that can be combined over tasks: [`Reduce`]. All of the
//! C border is here: panics are caught and become the task's failure, results are written into the host's
//! memory without an allocation per task, and a workload contains no `unsafe`. Tasks that mostly wait can have an
//! async form, with the feature `async`: `AsyncWorkload`. The feature `shared` has memory and locks that executors share. The SDK never starts a thread,
//! never reads a clock of its own and never prints, except that it leaves panics outside of calls to the
//! standard hook.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod workload;

mod cancel;
mod channel;
mod context;
mod error;
mod job;
mod log;
mod output;
mod params;
mod random;
mod task;

#[doc(hidden)]
pub mod border;
mod host;
#[cfg(feature = "async")]
mod interleaved;
#[doc(hidden)]
pub mod json;
#[doc(hidden)]
pub mod manifest;
mod panic;
#[doc(hidden)]
pub mod schema;
#[cfg(feature = "shared")]
pub mod shared;

pub use cancel::{CancelFlag, LentFlag};
pub use channel::{ChannelEnd, ChannelKind, ChannelSpec, Receiver, Sender, Side};
pub use context::Context;
pub use error::Error;
#[cfg(feature = "async")]
pub use interleaved::{AsyncContext, AsyncWorkload};
pub use job::{Counter, Gauge, Histogram, Job};
pub use log::{Level, Log};
pub use manifest::{Input, MetricSpec};
pub use output::{FromResult, Json, Output, Sink, Written};
pub use params::{ParamValue, Params};
pub use random::Random;
pub use task::Task;
pub use workload::{Reduce, Workload};

#[doc(hidden)]
pub use muster_plugin_abi as abi;
pub use serde;
pub use serde_json;
#[cfg(feature = "async")]
pub use tokio;
