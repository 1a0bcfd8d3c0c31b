//! Lists of jobs, points and policies.

use super::comparison::{Comparison, Pair, PointSummary};
use super::figures::{count, percent, seconds_or_0, signed, time_short};
use super::run::Job;
use crate::job::short;
use crate::summary::{Column, list, list_and_left_out, number, paragraph};

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

/// A table of the points, and which of its columns found no room.
pub fn points(points: &[PointSummary]) -> String {
    let several = points.iter().any(|point| point.makespan_s.high.is_some());
    let columns = [
        Some(Column::text("POINT")),
        Some(Column::number("MAKESPAN")),
        several.then_some(Column::number("± 95 %")),
        Some(Column::number("TASKS/S").if_room()),
        Some(Column::number("BUSY").if_room()),
        Some(Column::number("COORDINATOR").if_room()),
        Some(Column::number("LOST").if_unbroken()),
        several.then_some(Column::number("LEAST").if_unbroken()),
        several.then_some(Column::number("GREATEST").if_unbroken()),
    ];
    let row = |point: &PointSummary| {
        let bound = if point.not_ended > 0 { "at least " } else { "" };
        let makespan = &point.makespan_s;
        let cells = [
            point.name.clone(),
            format!("{bound}{}", time_short(makespan.mean)),
            makespan.high.map_or_else(|| "-".to_owned(), |high| time_short(high - makespan.mean)),
            short(point.throughput.mean),
            percent(point.utilisation.mean),
            percent(point.coordinator_load.mean),
            count(point.lost.mean),
            time_short(makespan.min),
            time_short(makespan.max),
        ];
        let shown = cells.into_iter().zip(&columns).filter(|(_, column)| column.is_some());
        shown.map(|(cell, _)| cell).collect()
    };
    let rows: Vec<Vec<String>> = points.iter().map(row).collect();
    let shown: Vec<Column> = columns.into_iter().flatten().collect();
    let (table, left_out) = list_and_left_out(&shown, &rows);
    if left_out.is_empty() {
        return table;
    }
    let rest = format!("a wider window also shows {}; -o DIR writes all numbers", left_out.join(", "));
    format!("{table}\n{}", paragraph(&rest))
}

/// Policies against the first, and who wins.
pub fn comparisons(comparisons: &[Comparison]) -> String {
    let Some(first) = comparisons.first() else { return String::new() };
    let several = comparisons.len() > 1;
    let shown = &comparisons[..comparisons.len().min(POINTS_SHOWN)];
    let noise = shown.iter().flat_map(|one| &one.pairs).any(|pair| pair.difference_s.high.is_some());
    let columns = [
        several.then_some(Column::text("POINT")),
        Some(Column::text("POLICY")),
        Some(Column::number("DIFFERENCE")),
        noise.then_some(Column::number("± 95 %")),
        Some(Column::number("%")),
        noise.then_some(Column::text("NOISE?")),
    ];
    let row = |comparison: &Comparison, pair: &Pair| {
        let difference = &pair.difference_s;
        let half = difference.high.map(|high| high - difference.mean);
        let cells = [
            point(comparison),
            pair.policy.clone(),
            signed(difference.mean),
            half.map_or_else(|| "-".to_owned(), time_short),
            format!("{:+.2}", pair.relative * 100.0),
            match (half, pair.within_noise) {
                (None, _) => "one run".to_owned(),
                (_, true) => "yes".to_owned(),
                (_, false) => "no".to_owned(),
            },
        ];
        let shown = cells.into_iter().zip(&columns).filter(|(_, column)| column.is_some());
        shown.map(|(cell, _)| cell).collect::<Vec<String>>()
    };
    let rows = shown
        .iter()
        .flat_map(|comparison| comparison.pairs.iter().map(|pair| row(comparison, pair)))
        .collect();
    let verdict = |comparison: &Comparison| match several {
        true => paragraph(&format!("{}: {}", point(comparison), comparison.verdict)),
        false => paragraph(&comparison.verdict),
    };
    let verdicts: Vec<String> = shown.iter().map(verdict).collect();
    let columns: Vec<Column> = columns.iter().flatten().copied().collect();
    let title = paragraph(&format!("makespan against that of {}", first.base));
    format!("{title}\n{}\n{}", list(&columns, rows), verdicts.join("\n"))
}

/// What was swept beside the policy.
fn point(comparison: &Comparison) -> String {
    let pairs: Vec<String> = comparison.set.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(" ")
}
