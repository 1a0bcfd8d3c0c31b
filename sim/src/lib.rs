//! Clusters in virtual time: the scheduler and the agents of real clusters, with workers, networks, tasks and
//! faults that are computed instead of waited for.
//!
//! Nothing here reads a clock or starts a thread for one simulation, and everything random follows from the
//! seed: the same scenario and seed give the same events to the last one.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod chart;
pub mod cluster;
pub mod digest;
pub mod measure;
pub mod open_metrics;
pub mod outcome;
mod prefetch;
pub mod queue;
pub mod scenario;
mod scheduling;
pub mod statistics;
pub mod swarm;
pub mod time_model;
