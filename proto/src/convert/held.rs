//! What a worker still has of leases that ended with its link.

use super::{ConvertError, TASKS_MAX, at_most, some_range};
use crate::v1;
use muster_core::id::JobId;
use muster_core::range::RangeSet;
use muster_core::scheduler::Held;

/// Ranges that one greeting may name, over all leases. What a worker has beyond that it does not keep.
pub const HELD_RANGES_MAX: usize = 1 << 18;

/// Checks all of it.
pub(super) fn all_held(wire: Vec<v1::HeldTasks>) -> Result<Vec<Held>, ConvertError> {
    let ranges = wire.iter().map(|held| held.starts.len().max(1)).sum::<usize>();
    at_most("held (ranges)", ranges, HELD_RANGES_MAX)?;
    wire.into_iter().map(held).collect()
}

fn held(wire: v1::HeldTasks) -> Result<Held, ConvertError> {
    if wire.starts.len() != wire.counts.len() {
        let found = format!("{} with {} starts", wire.counts.len(), wire.starts.len());
        return Err(ConvertError::wrong("held.counts", found, "one for each start is wanted"));
    }
    let (mut tasks, mut end) = (RangeSet::new(), 0);
    for (&start, &count) in wire.starts.iter().zip(&wire.counts) {
        let range = some_range("held.counts", start, count)?;
        if range.start < end {
            return Err(ConvertError::wrong("held.starts", start, "ranges must rise and not overlap"));
        }
        end = at_most("held (tasks)", range.end, TASKS_MAX)?;
        tasks.insert(range);
    }
    Ok(Held { claim: wire.claim, job: JobId(wire.job), attempt: wire.attempt, tasks, open: wire.open })
}

/// The message.
#[must_use]
pub fn held_to_wire(held: &Held) -> v1::HeldTasks {
    let (starts, counts) = held.tasks.iter().map(|range| (range.start, range.len())).unzip();
    let Held { claim, job, attempt, open, tasks: _ } = *held;
    v1::HeldTasks { claim, job: job.0, attempt, starts, counts, open }
}
