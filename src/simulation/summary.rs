//! The summary for people.

use super::comparison::{Comparison, Interval, PointSummary};
use super::pictures::{intervals, timeline};
use super::plan::Plan;
use super::pool::Finished;
use super::report::{Content, Report, Summary};
use super::run::{Job, Run, Times};
use crate::job::short;
use crate::summary::{Column, bytes, list, number, pairs, seconds};
use crate::terminal;
use muster_sim::chart;

/// Points that the tables show; the rest is in the files.
const POINTS_SHOWN: usize = 60;

/// Everything that is worth reading about what was simulated.
pub fn summary(plan: &Plan, finished: &Finished, report: &Report) -> String {
    let mut parts = match &report.content {
        Content::One(run) => one(plan, finished, run, report),
        Content::Many { summary, runs, .. } if plan.points.len() == 1 => {
            replicas(plan, finished, &summary.points[0], runs, report)
        }
        Content::Many { summary, .. } => many(plan, summary, report),
    };
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn one(plan: &Plan, finished: &Finished, run: &Run, report: &Report) -> Vec<String> {
    let wait = wait(&run.queue_wait_s);
    let mut rows = head(plan);
    rows.extend([
        ("tasks", tasks(run)),
        ("makespan", time(run.makespan_s)),
        ("throughput", format!("{} tasks/s", short(run.throughput))),
        ("utilisation", format!("{} of the slots' time", percent(run.utilisation))),
        ("queue wait", wait),
        ("lost work", format!("{}, {} of thread time", tasks_of(run.lost), seconds_or_0(run.lost_thread_s))),
        ("repeated", format!("{} run beyond once", tasks_of(run.repeated))),
        ("faults", faults(run)),
        ("workers lost", number(run.lost_workers)),
        ("coordinator", coordinator(run)),
        ("digest", run.digest.clone()),
    ]);
    rows.push(("simulated", cost(report, run.events)));
    vec![pairs(&rows), jobs(&run.jobs), over_time(plan, finished)]
}

fn replicas(
    plan: &Plan,
    finished: &Finished,
    point: &PointSummary,
    runs: &[Run],
    report: &Report,
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
        ("utilisation", with(&point.utilisation, &percent_number, " % of the slots' time")),
        ("queue wait", wait(&point.queue_wait_s)),
        ("lost work", with(&point.lost, &rounded, " tasks")),
        ("lost time", with(&point.lost_thread_s, &seconds_or_0, " of threads")),
        ("repeated", with(&point.repeated, &rounded, " tasks run beyond once")),
        ("faults", faults_of(runs)),
        ("workers lost", with(&point.lost_workers, &rounded, "")),
        ("coordinator", coordinator_of(point, runs, &with)),
        ("simulated", cost(report, runs.iter().map(|run| run.events).sum())),
    ]);
    let method = "± is half of the 95 % interval of the mean (Student's t), in brackets the runs";
    let of_first = over_time(plan, finished);
    let of_first = if of_first.is_empty() {
        of_first
    } else {
        format!("the first run, seed {}\n{of_first}", runs[0].seed)
    };
    vec![pairs(&rows), method.to_owned(), of_first]
}

fn many(plan: &Plan, summary: &Summary, report: &Report) -> Vec<String> {
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
        parts.push(format!("{rest} more points: -o DIR writes all of them"));
    }
    parts.push(format!(
        "makespan{}\n{}",
        if plan.replicas > 1 { ": mean and its 95 % interval" } else { "" },
        chart::intervals(&intervals(shown), terminal::columns(), terminal::colours())
    ));
    parts.push(comparisons(&summary.comparisons));
    parts
}

fn head(plan: &Plan) -> Vec<(&'static str, String)> {
    let scenario = &plan.points[0].scenario;
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

fn faults(run: &Run) -> String {
    counted(run.faults.iter().map(|(kind, count)| (*kind, *count)))
}

fn faults_of(runs: &[Run]) -> String {
    let mut all = std::collections::BTreeMap::new();
    for (kind, count) in runs.iter().flat_map(|run| &run.faults) {
        *all.entry(*kind).or_insert(0) += count;
    }
    let text = counted(all.into_iter());
    if text == "none" { text } else { format!("in all runs {text}") }
}

fn counted<'a>(faults: impl Iterator<Item = (&'a str, u64)>) -> String {
    let struck: Vec<String> = faults
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{kind} {}", number(count)))
        .collect();
    if struck.is_empty() { "none".to_owned() } else { struck.join(", ") }
}

fn coordinator(run: &Run) -> String {
    match run.saturation {
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

fn rounded(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { short(value) }
}

fn last_seed(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.seed).max().unwrap_or_default()
}

fn cost(report: &Report, events: u64) -> String {
    let rate = events as f64 / report.wall_s.max(1e-9);
    let memory = report.peak_rss_bytes.map(|peak| format!(", peak memory {}", bytes(peak)));
    format!("in {}, {} events/s{}", seconds(report.wall_s), short(rate), memory.unwrap_or_default())
}

/// A table of the jobs, when there are several.
fn jobs(jobs: &[Job]) -> String {
    if jobs.len() < 2 {
        return String::new();
    }
    let columns = [
        Column::text("JOB"),
        Column::text("STATE"),
        Column::number("TASKS"),
        Column::number("OK"),
        Column::number("FAILED"),
        Column::number("SUBMITTED"),
        Column::number("TIME"),
    ];
    let row = |job: &Job| {
        vec![
            job.name.clone(),
            job.outcome.unwrap_or("not ended").to_owned(),
            number(job.tasks),
            number(job.ok),
            number(job.failed),
            job.submitted_s.map_or_else(|| "never".to_owned(), seconds_or_0),
            job.makespan_s.map_or_else(|| "-".to_owned(), time_short),
        ]
    };
    list(&columns, jobs.iter().map(row).collect())
}

fn over_time(plan: &Plan, finished: &Finished) -> String {
    let (point, _) = plan.run(0);
    let timeline = finished.first.as_ref().and_then(|report| timeline(point, report));
    timeline.map(|timeline| timeline.text(terminal::columns(), terminal::colours())).unwrap_or_default()
}

fn points(points: &[PointSummary]) -> String {
    let columns = [
        Column::text("POINT"),
        Column::number("MAKESPAN"),
        Column::number("± 95 %"),
        Column::number("LEAST").wide(),
        Column::number("GREATEST").wide(),
        Column::number("TASKS/S"),
        Column::number("BUSY"),
        Column::number("COORDINATOR").wide(),
        Column::number("LOST").wide(),
    ];
    let row = |point: &PointSummary| {
        let bound = if point.not_ended > 0 { "at least " } else { "" };
        let makespan = &point.makespan_s;
        vec![
            point.name.clone(),
            format!("{bound}{}", time_short(makespan.mean)),
            makespan.high.map_or_else(|| "-".to_owned(), |high| seconds_or_0(high - makespan.mean)),
            time_short(makespan.min),
            time_short(makespan.max),
            short(point.throughput.mean),
            percent(point.utilisation.mean),
            percent(point.coordinator_load.mean),
            if point.lost.mean == 0.0 { "0".to_owned() } else { short(point.lost.mean) },
        ]
    };
    list(&columns, points.iter().map(row).collect())
}

fn comparisons(comparisons: &[Comparison]) -> String {
    if comparisons.is_empty() {
        return String::new();
    }
    let several = comparisons.len() > 1;
    let columns = [
        Column::text(if several { "POINT" } else { "" }),
        Column::text("POLICY"),
        Column::text("AGAINST"),
        Column::number("DIFFERENCE"),
        Column::number("± 95 %"),
        Column::number("%"),
        Column::text("NOISE?"),
    ];
    let point = |comparison: &Comparison| {
        let pairs: Vec<String> = comparison.set.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(" ")
    };
    let rows = comparisons.iter().take(POINTS_SHOWN).flat_map(|comparison| {
        comparison.pairs.iter().map(|pair| {
            let difference = &pair.difference_s;
            let half = difference.high.map(|high| high - difference.mean);
            vec![
                point(comparison),
                pair.policy.clone(),
                comparison.base.clone(),
                signed(difference.mean),
                half.map_or_else(|| "-".to_owned(), seconds_or_0),
                format!("{:+.2}", pair.relative * 100.0),
                match (half, pair.within_noise) {
                    (None, _) => "one run".to_owned(),
                    (_, true) => "yes".to_owned(),
                    (_, false) => "no".to_owned(),
                },
            ]
        })
    });
    let verdicts = comparisons.iter().take(POINTS_SHOWN).map(|comparison| {
        if several {
            format!("{}: {}", point(comparison), comparison.verdict)
        } else {
            comparison.verdict.clone()
        }
    });
    let verdicts: Vec<String> = verdicts.collect();
    format!("{}\n{}", list(&columns, rows.collect()), verdicts.join("\n"))
}

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

/// `1,001.9 s (16 min 42 s)`.
fn time(time: f64) -> String {
    let in_words = match time {
        time if time >= 86_400.0 * 2.0 => format!(" ({:.1} days)", time / 86_400.0),
        time if time >= 7_200.0 => {
            format!(" ({} h {:.0} min)", (time / 3_600.0) as u64, (time % 3_600.0) / 60.0)
        }
        time if time >= 120.0 => format!(" ({} min {} s)", (time / 60.0) as u64, (time % 60.0) as u64),
        _ => String::new(),
    };
    time_short(time) + &in_words
}

/// `1,001.9 s`: seconds with a decimal where there are many of them.
fn time_short(time: f64) -> String {
    if time < 100.0 {
        return seconds_or_0(time);
    }
    let tenths = (time * 10.0).round() as u64;
    format!("{}.{} s", number(tenths / 10), tenths % 10)
}

fn seconds_or_0(time: f64) -> String {
    if time == 0.0 { "0 s".to_owned() } else { seconds(time) }
}

fn signed(time: f64) -> String {
    let sign = if time < 0.0 { "-" } else { "+" };
    format!("{sign}{}", time_short(time.abs()))
}

fn percent_number(share: f64) -> String {
    format!("{:.2}", share * 100.0)
}

/// Three digits, and never 100 unless it is.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        percent if percent < 1.0 => format!("{percent:.2} %"),
        percent if percent > 99.9 && percent < 100.0 => format!("{:.2} %", (percent * 100.0).floor() / 100.0),
        percent => format!("{percent:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_exact_as_their_noise_needs() {
        assert_eq!(time(1_001.935_56), "1,001.9 s (16 min 41 s)");
        assert_eq!(time(12.3), "12.3 s");
        assert_eq!(time(90_000.0), "90,000.0 s (25 h 0 min)");
        assert_eq!((signed(-0.5), signed(2.0)), ("-500 ms".to_owned(), "+2.00 s".to_owned()));
        assert_eq!(
            [percent(0.99996), percent(1.0), percent(0.0), percent(0.001)],
            ["99.99 %", "100.0 %", "0 %", "0.10 %"]
        );
    }
}
