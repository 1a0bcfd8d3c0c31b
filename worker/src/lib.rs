//! The worker: an agent that takes leases from a coordinator, and the executors that run their tasks.
//!
//! The agent ([`run`]) is one task on one thread. It holds the link, puts leases into the job page, starts
//! executors and forwards what they send; it never loads a plugin, never believes what an executor says
//! without checking it against the lease, and survives whatever a plugin does. An executor is a child process
//! made by running the same binary again: its main function calls [`run_if_executor`] first. A worker can seem farther
//! away, slower or cut off ([`emulation`]).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod args;
mod config;
mod cpus;
mod error;
mod life;

pub mod arena;
pub mod crash;
pub mod frame;
pub mod log;
pub mod os;
pub mod page;
pub mod region;
pub mod sandbox;

mod executor;
mod scratch;
mod shelf;
mod spawner;
mod symbols;

mod agent;
mod cache;
pub mod emulation;
mod http;
mod metrics;
mod process;
mod stand_in;
mod trust;
mod workload_metrics;

pub use agent::{Stop, run};
pub use args::WorkerArgs;
pub use cache::{CacheError, PluginCache, PluginFile};
pub use config::Config;
pub use cpus::usable_cpus;
pub use error::WorkerError;
pub use executor::run_if_executor;
pub use process::run_blocking;
pub use spawner::{Confinement, Spawned, Spawner};
pub use stand_in::stand_in;
