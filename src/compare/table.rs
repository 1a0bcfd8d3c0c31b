//! A comparison for people.

use super::result::{Comparison, Row};
use super::verdict::{percent, time_with_interval, with_interval};
use crate::summary::{Column, bytes, counted, list, number, paragraph, seconds};

/// Tables, what makes them fair, the verdict, and what to do next.
pub fn text(comparison: &Comparison) -> String {
    let mut parts = vec![times(comparison), costs(comparison)];
    parts.extend([fairness(comparison)]);
    let notes = comparison.notes.iter().map(|note| paragraph(&format!("note: {note}")));
    parts.extend((!comparison.notes.is_empty()).then(|| notes.collect::<Vec<_>>().join("\n")));
    parts.push(comparison.verdict.iter().map(|line| paragraph(line)).collect::<Vec<_>>().join("\n"));
    parts.join("\n\n")
}

fn times(comparison: &Comparison) -> String {
    let columns = [
        Column::text("CONFIGURATION"),
        Column::number("TIME (95 %)"),
        Column::number("TIMES THE BEST (95 %)"),
        Column::text(""),
    ];
    let row = |row: &Row| {
        let dash = || "-".to_owned();
        vec![
            row.name.clone(),
            row.time_s.as_ref().map_or_else(dash, time_with_interval),
            row.ratio_to_best.as_ref().map_or_else(dash, with_interval),
            if comparison.enough || !row.valid { words(row).to_owned() } else { String::new() },
        ]
    };
    list(&columns, comparison.rows.iter().map(row).collect())
}

/// What may be said of a row.
fn words(row: &Row) -> &'static str {
    match row.claim {
        _ if row.is_wrong => "WRONG",
        _ if !row.valid => "invalid",
        "best" => "best",
        "slower" => "slower",
        "no_difference" => "no difference",
        _ => "unclear",
    }
}

fn costs(comparison: &Comparison) -> String {
    let columns = [
        Column::text("A RUN"),
        Column::number("CPU"),
        Column::number("CORES"),
        Column::number("MEMORY"),
        Column::number("PEAK"),
        Column::number("SWITCHES"),
        Column::number("LOCK"),
        Column::number("LOST"),
        Column::number("CANCEL"),
    ];
    let row = |row: &Row| {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            row.name.clone(),
            seconds(row.cpu_s),
            format!("{:.2}", row.cores),
            or_dash(row.pss_base_bytes.map(bytes)),
            or_dash(row.pss_peak_bytes.map(bytes)),
            format!("{:.2}", row.ctx_switches_per_task),
            or_dash(row.gil_wait_share.map(|share| format!("{:.0} %", share * 100.0))),
            or_dash(row.lost_by_one_crash.map(|lost| lost.to_string())),
            or_dash(row.cancel_max_s.map(seconds)),
        ]
    };
    list(&columns, comparison.rows.iter().map(row).collect())
}

/// What is the same for all, and how sure it is.
fn fairness(comparison: &Comparison) -> String {
    let Comparison { plugin, tasks, blocks, noise_floor, stopped_by, .. } = comparison;
    let digest = plugin.digest.get(..12).unwrap_or_default();
    let floor = noise_floor.map_or_else(
        || "no noise floor yet".to_owned(),
        |floor| format!("noise floor {}: less is not claimed", percent(floor)),
    );
    let rows = &comparison.rows;
    let slots = |row: &Row| row.processes * row.threads;
    let equal = rows.iter().all(|row| slots(row) == slots(&rows[0]));
    let slots = if equal {
        format!("{} slots", slots(&rows[0]))
    } else {
        "different slots (see the names)".to_owned()
    };
    let lines = [
        format!(
            "each: {} {} ({digest}), {}, the same parameters and seed, {slots}, fresh processes",
            plugin.name,
            plugin.version,
            tasks_text(*tasks)
        ),
        format!(
            "{} in random order, until {}; {floor}",
            counted(*blocks as u32, "block", "blocks"),
            until(stopped_by)
        ),
        comparison.machine.describe(),
    ];
    lines.map(|line| paragraph(&line)).join("\n")
}

/// `1 task`, `12,000 tasks`.
pub fn tasks_text(tasks: u64) -> String {
    format!("{} {}", number(tasks), if tasks == 1 { "task" } else { "tasks" })
}

fn until(stopped_by: &str) -> &'static str {
    match stopped_by {
        "target" => "the target was reached",
        "blocks" => "there were as many as asked",
        "interrupted" => "it was interrupted",
        _ => "the budget was used up",
    }
}
