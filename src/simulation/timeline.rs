//! Utilisation, queue and workers of a run over time.

use super::plan::Point as Run;
use crate::summary::number;
use muster_core::time::Time;
use muster_sim::chart::{Step, TimePanel, Timeline};
use muster_sim::measure;
use muster_sim::outcome::Report;
use muster_sim::scenario::Scenario;

/// A coordinator that is busy for less of its time needs no panel.
const LOAD_SHOWN: f64 = 0.01;

/// When the last job ended, or the simulation.
pub fn end_of(report: &Report) -> Time {
    report.jobs.iter().filter_map(|job| job.submitted).min().unwrap_or_default() + report.makespan
}

/// Whether there were other slots than at the start.
pub fn slots_changed(report: &Report) -> bool {
    report.measures.series.points().iter().any(|point| point.slots != report.slots)
}

/// How one run went over time; none when no time passed.
pub fn timeline(run: &Run, report: &Report) -> Option<Timeline> {
    let end = end_of(report);
    let steps = steps(&run.scenario, report, end);
    if steps.is_empty() {
        return None;
    }
    let mut panels = vec![utilisation(&steps, report), queue(&steps)];
    if report.coordinator_load() >= LOAD_SHOWN {
        let busy = |step: &Passed| 100.0 * step.point.coordinating_ns as f64 / step.length_ns();
        let remark = format!("mean {:.1}", report.coordinator_load() * 100.0);
        panels.push(panel("coordinator, % busy", remark, 100.0, 3, &steps, &|step| [busy(step); 2]));
    }
    panels.extend(workers(&steps));
    let policy = &run.scenario.scheduling.policy;
    Some(Timeline {
        title: format!("{}: utilisation and queue", run.scenario.name),
        subtitle: format!("simulated with policy {policy}, seed {}", report.seed),
        end_s: end.0 as f64 / 1e9,
        panels,
    })
}

/// A step of a series between how things were at its start and at its end.
struct Passed {
    from: Time,
    until: Time,
    before: measure::Point,
    point: measure::Point,
    /// Of jobs that were submitted in it.
    submitted: u64,
}

impl Passed {
    fn length_ns(&self) -> f64 {
        self.until.since(self.from).0 as f64
    }

    /// What a submission adds is gone at the end of its step when there were slots for it.
    fn queued_most(&self) -> u64 {
        self.point.queued_most.max(self.before.queued + self.submitted)
    }
}

/// The steps of a run. The series knows the ends of steps only: the first one starts with all workers, and with the
/// tasks of the jobs that are there from the start.
fn steps(scenario: &Scenario, report: &Report, end: Time) -> Vec<Passed> {
    let workers = scenario.workers.iter().map(|group| u64::from(group.count)).sum();
    let mut before = measure::Point { workers, slots: report.slots, ..measure::Point::default() };
    // A job that is submitted as the run ends belongs to its last step.
    let submitted = |from: Time, until: Time| -> u64 {
        let is_in = |at: Time| from <= at && (at < until || at == end && until == end);
        let jobs = report.jobs.iter().filter(|job| job.submitted.is_some_and(is_in));
        jobs.map(|job| job.tasks).sum()
    };
    let spans = report.measures.series.spans(end).map(|(from, until, point)| {
        let at_start = submitted(from, Time(from.0 + 1));
        let start = measure::Point { queued: before.queued + at_start, ..before };
        before = point;
        Passed { from, until, before: start, point, submitted: submitted(from, until) - at_start }
    });
    spans.collect()
}

fn panel(
    label: &str,
    remark: String,
    max: f64,
    rows: usize,
    steps: &[Passed],
    values: &dyn Fn(&Passed) -> [f64; 2],
) -> TimePanel {
    let secs = |time: Time| time.0 as f64 / 1e9;
    let step = |step: &Passed| {
        let [first, last] = values(step);
        Step { from: secs(step.from), until: secs(step.until), values: (first, last) }
    };
    TimePanel { label: label.to_owned(), remark, max, steps: steps.iter().map(step).collect(), rows }
}

fn utilisation(steps: &[Passed], report: &Report) -> TimePanel {
    // When within a step its slots came and went is not known: that alone makes nothing more than 100 %.
    let busy = |step: &Passed| {
        let (before, after) = (step.before.slots as f64, step.point.slots as f64);
        let threads = 100.0 * step.point.busy_ns as f64 / step.length_ns();
        let of = |slots: f64| if slots > 0.0 { threads / slots } else { 0.0 };
        // Those that were away at both ends of a step may have been there in between.
        let most = before.max(after).max(report.slots as f64);
        of((before + after) / 2.0).min(of(most).max(100.0))
    };
    let most = steps.iter().map(busy).fold(100.0, f64::max);
    let of = if slots_changed(report) { " of the slots at the start" } else { "" };
    let remark = format!("mean {:.1}{of}", report.utilisation() * 100.0);
    panel("utilisation, % of slots", remark, most, 6, steps, &|step| [busy(step); 2])
}

fn queue(steps: &[Passed]) -> TimePanel {
    let most = steps.iter().map(Passed::queued_most).max().unwrap_or_default();
    let remark = format!("at most {}", number(most));
    panel("queue, tasks", remark, most.max(1) as f64, 4, steps, &|step| {
        [step.before.queued, step.point.queued].map(|queued| queued as f64)
    })
}

/// How many workers there were, when that changed.
fn workers(steps: &[Passed]) -> Option<TimePanel> {
    let least = steps.iter().map(|step| step.point.workers_least.min(step.before.workers)).min()?;
    let most = steps.iter().map(|step| step.point.workers_most.max(step.before.workers)).max()?;
    let remark = format!("{} to {}", number(least), number(most));
    (least != most).then(|| {
        panel("workers", remark, most.max(1) as f64, 3, steps, &|step| {
            [step.before.workers, step.point.workers].map(|workers| workers as f64)
        })
    })
}
