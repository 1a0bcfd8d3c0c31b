//! What muster decides, apart from what it does.
//!
//! [`scheduler::Scheduler`] says which worker gets which tasks; [`agent::Agent`] says what a worker does with
//! them. Both take inputs and the time and return outputs. Nothing here waits, spawns, logs, reads a clock or
//! rolls dice, and task data never enters: the core knows indexes, counts and times only. The coordinator,
//! the worker and the simulator are shells around the same code.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod hex;

pub mod id;
pub mod quantity;
pub mod random;
pub mod range;
pub mod spelling;
pub mod time;

pub mod arrivals;
pub mod claim;
pub mod exposition;
pub mod metric;
pub mod page;
pub mod reduce;
pub mod sampling;
pub mod sandbox;
pub mod shape;
pub mod sketch;
pub mod trust;

#[cfg(feature = "mutations")]
pub mod mutation;
#[cfg(not(feature = "mutations"))]
mod mutation;
mod small_map;

pub mod agent;
pub mod scheduler;

pub use hex::hex;
