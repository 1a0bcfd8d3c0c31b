//! Says which Python runs the tasks.

use crate::running::Running;
use muster_sdk::{Job, info, warn};
use std::sync::atomic::Ordering::Relaxed;

/// A line in the log of each executor, gauges for each kind, and a line that people see without asking, once on each worker:
/// they need not hear it from every executor.
pub fn announce(running: &Running, job: &Job) {
    let shown = &running.shown;
    match &running.fallback {
        None => info!(job, "{shown}"),
        Some(why) => info!(job, "{shown} (no embedding: {why})"),
    }
    job.gauge(if running.is_embedded() { "embedded" } else { "child" }).set(1.0);
    if is_first(job) {
        match &running.fallback {
            None => eprintln!("{shown}"),
            Some(why) => warn!(job, "{shown}, because {why}"),
        }
    }
}

fn is_first(job: &Job) -> bool {
    let word = job.shared("python", size_of::<u64>()).and_then(|region| region.word(0));
    // Where nothing is shared nobody knows, and the log has it.
    word.is_ok_and(|word| word.fetch_add(1, Relaxed) == 0)
}
