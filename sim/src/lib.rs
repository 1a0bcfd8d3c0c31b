//! Clusters in virtual time: the scheduler and the agents of real clusters, with workers, networks, tasks and
//! faults that are computed instead of waited for.
//!
//! Nothing here reads a clock or starts a thread for one simulation, and everything random follows from the
//! seed: the same scenario and seed give the same events to the last one.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod random;
pub mod scenario;
pub mod time_model;
