//! The summary for people.

use super::comparison::{Interval, PointSummary};
use super::figures::{count, percent, percent_number, rounded, seconds_or_0, span, time, time_short};
use super::pictures::intervals;
use super::plan::Plan;
use super::pool::Finished;
use super::report::{Content, Report, Summary};
use super::run::{Run, Times};
use super::tables::{POINTS_SHOWN, comparisons, jobs, points};
use super::timeline::{slots_changed, timeline};
use crate::job::short;
use crate::summary::{bytes, number, pairs, paragraph, seconds};
use crate::terminal;
use muster_core::time::Span;
use muster_sim::chart;
use muster_sim::scenario::{FaultKind, Scenario, When};
use std::collections::BTreeMap;

/// Everything that is worth reading about what was simulated.
pub fn summary(plan: &Plan, finished: &Finished, report: &Report, colours: bool) -> String {
    let mut parts = match &report.content {
        Content::One(run) => one(plan, finished, run, report, colours),
        Content::Many { summary, runs, .. } if plan.points.len() == 1 => {
            replicas(plan, &summary.points[0], runs, report, over_time(plan, finished, colours))
        }
        Content::Many { summary, .. } => many(plan, summary, report, colours),
    };
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn one(plan: &Plan, finished: &Finished, run: &Run, report: &Report, colours: bool) -> Vec<String> {
    let wait = wait(&run.queue_wait_s);
    let changed = finished.first.as_deref().is_some_and(slots_changed);
    let of = if changed { "the slots at the start" } else { "all slots" };
    let mut rows = head(plan);
    rows.extend([
        ("tasks", tasks(run)),
        (
            "makespan",
            if run.ended { time(run.makespan_s) } else { format!("at least {}", time(run.makespan_s)) },
        ),
        ("throughput", format!("{} tasks/s", short(run.throughput))),
        ("utilisation", format!("{} of the time of {of}", percent(run.utilisation))),
        ("queue wait", wait),
        ("lost work", format!("{}, {} of thread time", tasks_of(run.lost), seconds_or_0(run.lost_thread_s))),
        ("repeated", format!("{} run beyond once", tasks_of(run.repeated))),
        ("faults", faults(scenario(plan), std::slice::from_ref(run))),
        ("workers lost", number(run.lost_workers)),
        ("coordinator", coordinator(run)),
        ("digest", run.digest.clone()),
    ]);
    rows.push(("simulated", cost(report, run.events)));
    vec![pairs(&rows), jobs(&run.jobs), over_time(plan, finished, colours)]
}

fn replicas(
    plan: &Plan,
    point: &PointSummary,
    runs: &[Run],
    report: &Report,
    of_first: String,
) -> Vec<String> {
    let mut rows = head(plan);
    let with = |interval: &Interval, show: &dyn Fn(f64) -> String, unit: &str| {
        let half = interval.high.map(|high| format!(" ± {}", show(high - interval.mean)));
        let range = format!("{} to {}", show(interval.min), show(interval.max));
        format!("{}{} ({range}){unit}", show(interval.mean), half.unwrap_or_default())
    };
    let bound = if point.not_ended > 0 { "at least " } else { "" };
    rows.extend([
        (
            "runs",
            format!("{} with the seeds {} to {}", number(point.runs as u64), runs[0].seed, last_seed(runs)),
        ),
        ("makespan", bound.to_owned() + &with(&point.makespan_s, &time_short, "")),
        ("throughput", with(&point.throughput, &rounded, " tasks/s")),
        (
            "utilisation",
            with(&point.utilisation, &percent_number, " % of the time of the slots at the start"),
        ),
        ("queue wait", wait(&point.queue_wait_s)),
        ("lost work", with(&point.lost, &count, " tasks")),
        ("lost time", with(&point.lost_thread_s, &seconds_or_0, " of threads")),
        ("repeated", with(&point.repeated, &count, " tasks run beyond once")),
        ("faults", faults(scenario(plan), runs)),
        ("workers lost", with(&point.lost_workers, &count, "")),
        ("coordinator", coordinator_of(point, runs, &with)),
        ("simulated", cost(report, runs.iter().map(|run| run.events).sum())),
    ]);
    let method = "± is half of the 95 % interval of the mean (Student's t), in brackets the runs";
    let of_first = if of_first.is_empty() {
        of_first
    } else {
        format!("the first run, seed {}: {}\n{of_first}", runs[0].seed, time(runs[0].makespan_s))
    };
    vec![pairs(&rows), paragraph(method), of_first]
}

fn many(plan: &Plan, summary: &Summary, report: &Report, colours: bool) -> Vec<String> {
    let mut rows = head(plan);
    let runs = report.runs();
    let seeds = match plan.replicas {
        1 => "one seed".to_owned(),
        replicas => format!("the same {} seeds", number(replicas as u64)),
    };
    rows.push((
        "runs",
        format!(
            "{}: {} points with {seeds} each",
            number(runs.len() as u64),
            number(plan.points.len() as u64)
        ),
    ));
    rows.push(("simulated", cost(report, runs.iter().map(|run| run.events).sum())));
    let shown = &summary.points[..summary.points.len().min(POINTS_SHOWN)];
    let rest = summary.points.len() - shown.len();
    let mut parts = vec![pairs(&rows), points(shown)];
    if rest > 0 {
        parts.push(format!("{} more points: -o DIR writes all of them", number(rest as u64)));
    }
    parts.push(format!(
        "makespan{}\n{}",
        if plan.replicas > 1 { ": mean and its 95 % interval" } else { "" },
        chart::intervals(&intervals(shown), terminal::columns(), colours)
    ));
    parts.push(comparisons(&summary.comparisons));
    parts
}

/// The first, or the only one.
fn scenario(plan: &Plan) -> &Scenario {
    &plan.points[0].scenario
}

fn head(plan: &Plan) -> Vec<(&'static str, String)> {
    let scenario = scenario(plan);
    let mut rows = vec![("scenario", plan.name().to_owned())];
    let swept = |keys: &[&str]| plan.axes.iter().any(|axis| keys.iter().any(|key| axis.key.starts_with(key)));
    if !swept(&["policy"]) {
        rows.push(("policy", scenario.scheduling.policy.to_string()));
    }
    if !swept(&["workers"]) {
        let workers: u64 = scenario.workers.iter().map(|group| u64::from(group.count)).sum();
        let slots: u64 =
            scenario.workers.iter().map(|group| u64::from(group.count) * u64::from(group.slots)).sum();
        let word =
            |count: u64, word: &str| format!("{} {word}{}", number(count), if count == 1 { "" } else { "s" });
        rows.push(("cluster", format!("{} with {}", word(workers, "worker"), word(slots, "slot"))));
    }
    rows
}

fn tasks(run: &Run) -> String {
    let mut text = format!("{}: {} ok", number(run.tasks), number(run.ok));
    if run.failed > 0 {
        text.push_str(&format!(", {} failed", number(run.failed)));
    }
    if run.unfinished > 0 {
        text.push_str(&format!(", {} did not end", number(run.unfinished)));
    }
    text
}

fn tasks_of(count: u64) -> String {
    format!("{} task{}", number(count), if count == 1 { "" } else { "s" })
}

fn wait(times: &Times) -> String {
    let one = |name: &str, time: Option<f64>| {
        time.map_or_else(
            || format!("{name} too few samples"),
            |time| format!("{name} {}", seconds_or_0(time)),
        )
    };
    match times.mean {
        None => "no task started".to_owned(),
        Some(mean) => {
            let percentiles =
                [one("p50", times.p50), one("p95", times.p95), one("p99", times.p99)].join(", ");
            format!("{percentiles}, mean {}", seconds_or_0(mean))
        }
    }
}

/// Faults that struck, by kind, and those that come again and again, which may not have struck.
fn faults(scenario: &Scenario, runs: &[Run]) -> String {
    let mut struck = BTreeMap::new();
    for (kind, count) in runs.iter().flat_map(|run| &run.faults) {
        *struck.entry(*kind).or_insert(0) += count;
    }
    let mut again: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for fault in &scenario.faults {
        if let When::Every(gap) = fault.when {
            again.entry(fault.kind.name()).or_default().push(every(scenario, &fault.kind, gap));
            struck.entry(fault.kind.name()).or_insert(0);
        }
    }
    let words = struck.iter().filter(|(kind, count)| **count > 0 || again.contains_key(*kind));
    let words: Vec<String> = words
        .map(|(kind, count)| {
            let rule = again.get(kind).map(|rules| format!(" ({})", rules.join("; ")));
            format!("{kind} {}{}", number(*count), rule.unwrap_or_default())
        })
        .collect();
    match (&words[..], runs) {
        ([], _) => "none".to_owned(),
        (_, [_]) => words.join(", "),
        _ => format!("in all runs {}", words.join(", ")),
    }
}

/// `every 1h for each of 500 workers`.
fn every(scenario: &Scenario, kind: &FaultKind, gap: Span) -> String {
    let gap = span(gap);
    let Some(target) = kind.target() else { return format!("every {gap}") };
    let hit =
        scenario.workers.iter().enumerate().filter(|(at, _)| target.group.is_none_or(|group| group == *at));
    let workers: u64 = hit.map(|(_, group)| u64::from(group.count)).sum();
    format!("every {gap} for each of {} worker{}", number(workers), if workers == 1 { "" } else { "s" })
}

fn coordinator(run: &Run) -> String {
    match run.saturation {
        None if run.coordinator_load > 0.0 => format!("busy {} of the time", percent(run.coordinator_load)),
        None => "costs nothing in this scenario".to_owned(),
        Some(saturation) => format!(
            "busy {} of the time; saturated at {} tasks/s, {} workers like these",
            percent(run.coordinator_load),
            short(saturation.tasks_per_s),
            number(saturation.workers as u64)
        ),
    }
}

/// Shows an interval: how its numbers are written, and their unit.
type Show<'a> = &'a dyn Fn(&Interval, &dyn Fn(f64) -> String, &str) -> String;

fn coordinator_of(point: &PointSummary, runs: &[Run], show: Show<'_>) -> String {
    let found: Vec<_> = runs.iter().filter_map(|run| run.saturation).collect();
    if found.is_empty() && runs.iter().any(|run| run.coordinator_load > 0.0) {
        return show(&point.coordinator_load, &percent_number, " % of the time busy");
    }
    if found.is_empty() {
        return "costs nothing in this scenario".to_owned();
    }
    let mean = |numbers: &dyn Fn(&super::run::Saturation) -> f64| {
        found.iter().map(numbers).sum::<f64>() / found.len() as f64
    };
    let (rate, workers) = (mean(&|one| one.tasks_per_s), mean(&|one| one.workers));
    format!(
        "busy {}; saturated at {} tasks/s, {} workers like these",
        show(&point.coordinator_load, &percent_number, " % of the time"),
        short(rate),
        number(workers as u64)
    )
}

fn last_seed(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.seed).max().unwrap_or_default()
}

fn cost(report: &Report, events: u64) -> String {
    let rate = events as f64 / report.wall_s.max(1e-9);
    let memory = report.peak_rss_bytes.map(|peak| format!(", peak memory {}", bytes(peak)));
    format!("in {}, {} events/s{}", seconds(report.wall_s), short(rate), memory.unwrap_or_default())
}

fn over_time(plan: &Plan, finished: &Finished, colours: bool) -> String {
    let (point, _) = plan.run(0);
    let timeline = finished.first.as_ref().and_then(|report| timeline(point, report));
    timeline.map(|timeline| timeline.text(terminal::columns(), colours)).unwrap_or_default()
}
