//! What a simulated cluster's coordinator and workers would have shown at `/metrics`, over virtual time, under the
//! names of the real ones.

use super::timeline::end_of;
use muster_core::exposition::{Histogram, escape};
use muster_core::metric::Metric;
use muster_core::metric::coordinator::{JOBS, QUEUE_TASKS, SLOTS, TASK_PHASE, TASKS, WORKERS};
use muster_core::metric::worker::ATTEMPTS;
use muster_core::time::{Span, Time};
use muster_sim::measure::Point;
use muster_sim::open_metrics::{Kind, OpenMetrics, apart};
use muster_sim::outcome::Report;
use muster_sim::scenario::Scenario;

/// What stands for the plugin where a model gives the times.
const MODEL: &str = "simulated";

/// The text of one run.
pub fn metrics(scenario: &Scenario, report: &Report) -> String {
    let end = end_of(report);
    let spans =
        report.measures.series.spans(end).map(|(from, until, point)| (until, (until.since(from), point)));
    let points = apart(spans);
    let plugin = plugin(scenario);
    let labels = |rest: &str| format!("plugin=\"{}\",{rest}", escape(plugin));
    let state = |state: &str| format!("state=\"{state}\"");
    let mut text = OpenMetrics::default();
    let over_time = |from: Option<f64>, value: &dyn Fn(Span, &Point) -> f64| -> Vec<(Time, f64)> {
        let start = from.map(|value| (Time::ZERO, value));
        start.into_iter().chain(points.iter().map(|(at, (step, point))| (*at, value(*step, point)))).collect()
    };
    let counted = |number: &dyn Fn(&Point) -> u64| over_time(Some(0.0), &|_, point| number(point) as f64);
    let gauge = |number: &dyn Fn(&Point) -> u64| over_time(None, &|_, point| number(point) as f64);
    let busy = |step: Span, point: &Point| point.busy_ns as f64 / step.0 as f64;
    let mut family = |kind, Metric { name, help, .. }: Metric, series: Vec<(String, Vec<(Time, f64)>)>| {
        text.family(kind, name, help, series);
    };
    family(
        Kind::Counter,
        TASKS,
        vec![
            (labels("outcome=\"ok\""), counted(&|point| point.committed)),
            (labels("outcome=\"failed\""), counted(&|point| point.failed)),
        ],
    );
    family(Kind::Counter, ATTEMPTS, vec![(labels("outcome=\"ok\""), counted(&|point| point.attempts))]);
    family(Kind::Gauge, QUEUE_TASKS, vec![(String::new(), gauge(&|point| point.queued))]);
    family(
        Kind::Gauge,
        WORKERS,
        vec![
            (state("up"), gauge(&|point| point.workers)),
            (state("lost"), gauge(&|point| point.workers_lost)),
        ],
    );
    family(
        Kind::Gauge,
        SLOTS,
        vec![
            (state("busy"), over_time(None, &busy)),
            (
                state("idle"),
                over_time(None, &|step, point| (point.slots as f64 - busy(step, point)).max(0.0)),
            ),
        ],
    );
    family(Kind::Gauge, JOBS, vec![(String::new(), gauge(&|point| point.jobs))]);
    let measures = &report.measures;
    text.histograms(
        &Histogram::of_times(TASK_PHASE),
        end,
        &[(labels("phase=\"queue\""), &measures.queue_wait), (labels("phase=\"run\""), &measures.run)],
    );
    text.finish()
}

/// The plugin that all jobs name, if they do.
fn plugin(scenario: &Scenario) -> &str {
    let name =
        |at: usize| scenario.jobs.get(at).and_then(|job| job.plugin.as_ref()).map(|plugin| &*plugin.name);
    match name(0) {
        Some(first) if (1..scenario.jobs.len()).all(|at| name(at) == Some(first)) => first,
        _ => MODEL,
    }
}
