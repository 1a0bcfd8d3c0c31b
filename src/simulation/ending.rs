//! What is said of runs that did not end.

use super::figures::time_short;
use super::plan::Plan;
use super::report::{Content, Report};
use crate::summary::number;

/// What did not end, a line each.
pub fn not_ended(plan: &Plan, report: &Report) -> Vec<String> {
    match &report.content {
        Content::One(run) => {
            let until = plan.points[0].scenario.until;
            let jobs = run.jobs.iter().filter(|job| job.outcome.is_none());
            jobs.map(|job| {
                let left = number(job.tasks - job.ok - job.failed);
                format!(
                    "job {} did not end: {left} of {} tasks were left after {} (until is {})",
                    job.name,
                    number(job.tasks),
                    time_short(run.makespan_s),
                    time_short(super::run::secs(until))
                )
            })
            .collect()
        }
        Content::Many { runs, .. } => {
            let count = runs.iter().filter(|run| !run.ended).count();
            if count == 0 {
                return Vec::new();
            }
            vec![format!(
                "{} of {} runs did not end: their makespans are lower bounds, and so are the means",
                number(count as u64),
                number(runs.len() as u64)
            )]
        }
    }
}
