//! Threads that stand in for tasks in flight, where these cannot be kept going on a thread.

use crate::page::SLOTS_MAX;
use muster_core::shape::{Flow, Shape};

/// Threads of an executor, at the most, that stand in for tasks in flight.
const STAND_INS_MAX: u32 = 512;

/// What cannot keep many tasks going on a thread gets a thread for each, within bounds: says how many an executor has,
/// when the shape had to be changed.
pub fn stand_in(shape: &mut Shape) -> Option<u32> {
    let Flow::InFlight(tasks) = shape.flow else { return None };
    let most = (SLOTS_MAX / shape.processes.max(1)).clamp(1, STAND_INS_MAX);
    let threads = shape.threads.saturating_mul(tasks).clamp(1, most);
    *shape = Shape::new(shape.processes, threads);
    Some(threads)
}
