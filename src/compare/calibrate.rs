//! How many tasks a run has: so many that it lasts long enough for its time to mean something.

use super::group::Case;
use crate::exit::{Exit, Failure, Outcome};
use std::time::Duration;

/// A run is to last this long,
const RUN: Duration = Duration::from_millis(200);
/// and is made a bit longer, because other configurations may be faster.
const MARGIN: f64 = 1.5;
/// A step grows by this at most: the first runs are mostly starts.
const GROWTH_MAX: f64 = 32.0;
/// Empty tasks would take more than anybody can wait for.
const TASKS_MAX: u64 = 1_000_000_000;

/// Finds the number by runs of one configuration; a multiple of `slots`, so that all slots can be busy to the end. With
/// inputs it is their number.
pub async fn tasks(case: &Case, slots: u32) -> Outcome<u64> {
    let slots = u64::from(slots.max(1));
    let mut tasks = slots;
    loop {
        let sample = case.run(tasks, 0).await?;
        if sample.failed > 0 {
            return Err(failed(case.name(), sample.failed, tasks, sample.first_failure.as_deref()));
        }
        let has_inputs = case.subject.inputs.is_some();
        if has_inputs || sample.time >= RUN || tasks >= TASKS_MAX {
            return Ok(sample.tasks);
        }
        tasks = next(tasks, sample.time, slots);
    }
}

/// Tasks must end well for their times to be compared.
pub fn failed(name: &str, failed: u64, tasks: u64, first: Option<&str>) -> Failure {
    let why = first.map(|message| format!(": {message}")).unwrap_or_default();
    Failure::new(Exit::TasksFailed, format_args!("{name}: {failed} of {tasks} tasks failed{why}"))
        .hint("only tasks that end well are compared; muster run shows more of a failure")
}

/// The next number, after a run that was too short.
fn next(tasks: u64, time: Duration, slots: u64) -> u64 {
    let growth = RUN.as_secs_f64() * MARGIN / time.as_secs_f64().max(1e-6);
    let wanted = (tasks as f64 * growth.clamp(1.1, GROWTH_MAX)).min(TASKS_MAX as f64) as u64;
    wanted.max(tasks + 1).next_multiple_of(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_until_a_run_is_long_enough() {
        assert_eq!(next(4, Duration::from_millis(100), 4), 12);
        assert_eq!(next(4, Duration::from_micros(10), 4), 128, "not more than 32 times");
        assert_eq!(next(10, Duration::from_millis(199), 4), 16, "1.5 times, and a multiple of 4");
        assert!(next(TASKS_MAX - 1, Duration::from_millis(1), 4) <= TASKS_MAX + 4);
    }
}
