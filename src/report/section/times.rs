//! How long runs took: intervals on one axis, and the same in numbers.

use crate::compare::{time_with_interval, with_interval};
use crate::kept::Row;
use crate::report::chart::{Drawing as _, Intervals, Lane, Unit};
use crate::report::html::{Table, paragraph};
use crate::report::part::Part;
use crate::report::row::what_is_compared;
use crate::report::words::{DASH, head, measure, or_dash};
use crate::summary::percent;

/// Chart and table of a part.
pub fn of(part: &Part<'_>) -> String {
    let lanes: Vec<Lane> =
        part.rows.iter().enumerate().filter_map(|(place, row)| lane(part, place, row)).collect();
    let (title, label) = what_is_compared(part.rows.iter().copied());
    let chart = if lanes.is_empty() {
        let few = "There is no chart: no row has a time with an interval, which needs at least 5 blocks.";
        paragraph("note", few)
    } else {
        let chart = Intervals {
            title: part.titled(&format!("{title} of a run, median with its interval of 95 %")),
            label: format!("{label} of a run"),
            unit: Unit::Seconds,
            lanes,
            band: band(part),
            reference: None,
        };
        chart.figure()
    };
    let answered = part.group.filter(|group| !group.verdict.is_empty());
    let verdict = answered.map_or_else(String::new, |group| paragraph("", &group.verdict.join(" ")));
    chart + &verdict + &table(part)
}

fn lane(part: &Part<'_>, place: usize, row: &Row) -> Option<Lane> {
    let spread = row.shown_time()?;
    let words = match row.words(part.enough) {
        words @ ("invalid" | "WRONG" | "best") => format!("{}, {words}", time_with_interval(&spread)),
        _ => time_with_interval(&spread),
    };
    Some(Lane { name: row.name.clone(), spread, words, counts: row.valid, series: place })
}

/// What is not told apart from the best.
fn band(part: &Part<'_>) -> Option<(f64, f64, String)> {
    let floor = part.noise_floor.filter(|floor| *floor > 0.0 && *floor < 10.0)?;
    let best = part.best()?.usable_time()?.median;
    let words = format!("noise floor of {}: less is not claimed", percent(floor));
    Some((best / (1.0 + floor), best * (1.0 + floor), words))
}

fn table(part: &Part<'_>) -> String {
    let (title, _) = what_is_compared(part.rows.iter().copied());
    let mut table = Table::new(part.titled(if title == "Time" { "Times" } else { title }));
    table.text("Configuration").number(format!("{title} (95 %)")).number("Times the best (95 %)");
    let has_baseline = part.rows.iter().any(|row| row.ratio_to_baseline.is_some());
    if has_baseline {
        table.number("Times the baseline (95 %)");
    }
    table.text("Claim");
    // Rows of a group measure the same quantities; where one lacks some, its cells say so.
    let mut quantities: Vec<(&str, &str)> = Vec::new();
    for value in part.rows.iter().flat_map(|row| &row.values) {
        let name = (value.name.as_str(), value.unit.as_str());
        if !quantities.contains(&name) {
            quantities.push(name);
        }
    }
    for (name, unit) in &quantities {
        table.number(head(name, unit));
    }
    for row in &part.rows {
        let mut cells =
            vec![row.name.clone(), row.told(), or_dash(row.ratio_to_best, |ratio| with_interval(&ratio))];
        if has_baseline {
            cells.push(or_dash(row.ratio_to_baseline, |ratio| with_interval(&ratio)));
        }
        cells.push(row.words(part.enough).to_owned());
        for (name, unit) in &quantities {
            let found =
                row.values.iter().find(|value| (value.name.as_str(), value.unit.as_str()) == (name, unit));
            cells.push(found.map_or_else(|| DASH.to_owned(), measure));
        }
        table.row_if(row.valid, cells);
    }
    table.html()
}
