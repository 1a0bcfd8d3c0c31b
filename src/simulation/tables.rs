//! Lists of jobs, points and policies.

use super::comparison::{Comparison, PointSummary};
use super::figures::{percent, seconds_or_0, signed, time_short};
use super::run::Job;
use crate::job::short;
use crate::summary::{Column, list, number};

/// Points that the tables show; the rest is in the files.
pub const POINTS_SHOWN: usize = 60;

/// A table of the jobs, when there are several.
pub fn jobs(jobs: &[Job]) -> String {
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

pub fn points(points: &[PointSummary]) -> String {
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

pub fn comparisons(comparisons: &[Comparison]) -> String {
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
