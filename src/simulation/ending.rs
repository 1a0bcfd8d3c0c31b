//! What is said of runs that did not end.

use super::figures::span;
use super::plan::Plan;
use super::pool::Finished;
use super::report::{Content, Report};
use super::run::{Job, Run};
use super::timeline::end_of;
use crate::summary::number;
use muster_core::time::Time;
use muster_sim::outcome;
use muster_sim::scenario::{FaultKind, Scenario};

/// What did not end and why, a line each.
pub fn not_ended(plan: &Plan, finished: &Finished, report: &Report) -> Vec<String> {
    match &report.content {
        Content::One(run) => {
            let mut lines: Vec<String> =
                run.jobs.iter().filter(|job| job.outcome.is_none()).map(left).collect();
            if let Some(first) = finished.first.as_deref().filter(|_| !lines.is_empty()) {
                lines.push(reason(&plan.points[0].scenario, run, first));
            }
            lines
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

fn left(job: &Job) -> String {
    let (name, tasks) = (&job.name, number(job.tasks));
    if job.submitted_s.is_none() {
        return format!("job \"{name}\" was never submitted: all of its {tasks} tasks are left");
    }
    let left = number(job.tasks - job.ok - job.failed);
    format!("job \"{name}\" did not end: {left} of {tasks} tasks are left")
}

fn reason(scenario: &Scenario, run: &Run, report: &outcome::Report) -> String {
    let workers = report.measures.series.points().last().map(|point| point.workers);
    if workers == Some(0) {
        return format!("no worker is left: {}", gone(scenario, run));
    }
    if end_of(report) >= Time::ZERO + scenario.until {
        return format!("the time was over: until is {}", span(scenario.until));
    }
    "nothing could happen any more".to_owned()
}

/// Where all workers went.
fn gone(scenario: &Scenario, run: &Run) -> String {
    let struck = |kind: &str| run.faults.get(kind).copied().filter(|count| *count > 0);
    let crashed = struck("worker_crash").map(|count| format!("{} crashed", number(count)));
    let left = struck("leave").map(|count| format!("{} left", number(count)));
    let is_final = |kind: &FaultKind| matches!(kind, FaultKind::WorkerCrash { restart: None, .. });
    let rule = crashed.as_ref().filter(|_| scenario.faults.iter().any(|fault| is_final(&fault.kind)));
    let rule = rule.map(|_| "and workers without restart stay away".to_owned());
    let reasons: Vec<String> = [left, crashed, rule].into_iter().flatten().collect();
    if reasons.is_empty() {
        return format!("{} were given up", number(run.lost_workers));
    }
    reasons.join(", ")
}
