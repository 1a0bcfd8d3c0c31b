//! The worker: an agent that takes leases from a coordinator, and the executors that run their tasks.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod arena;
pub mod frame;
pub mod os;
pub mod page;

mod executor;

pub use executor::run_if_executor;
