//! The coordinator: takes jobs from clients, leases their tasks to workers, and keeps what must last.
//!
//! One task, the [`driver`], owns the scheduler and decides; the [`service`]s translate. What must last goes
//! through the [`store`]. The coordinator never loads a plugin and never runs a task.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod args;
pub mod config;
mod joining;
pub mod limits;
pub mod quantity;
mod running;
mod serving;

pub mod driver;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod state;
pub mod store;

pub mod checksum;
pub mod items;
pub mod metrics;
pub mod plugin;

pub mod http;
pub mod page;
pub mod service;

pub use config::Config;
pub use running::{Coordinator, Running, StartError, raise_file_limit};
