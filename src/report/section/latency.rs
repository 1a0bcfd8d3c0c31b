//! How long single tasks took until their end: curves over percentiles.

use crate::kept::Row;
use crate::report::chart::{Curve, CurvePoint, Curves, Drawing as _, Side, Unit, can_show};
use crate::report::html::{Table, paragraph};
use crate::report::part::Part;
use crate::report::words::or_dash;
use crate::summary::{number, seconds};

/// Chart and table of a part; nothing where no latencies were measured.
pub fn of(part: &Part<'_>) -> String {
    let curves: Vec<Curve> = part.rows.iter().filter_map(|row| curve(row)).collect();
    let mut html = String::new();
    if !curves.is_empty() {
        let chart = Curves {
            title: part.titled("Latency of tasks by percentile"),
            description: curves.iter().map(describe).collect::<Vec<_>>().join(" "),
            bottom: Side::Quantiles,
            label: "latency".to_owned(),
            unit: Unit::Seconds,
            curves,
            marks: Vec::new(),
        };
        html.push_str(&chart.figure());
    }
    if part.rows.iter().any(|row| row.latency_s.is_some()) {
        html.push_str(&table(part));
    }
    html
}

fn curve(row: &Row) -> Option<Curve> {
    let known =
        |(quantile, time): &&(f64, f64)| (0.0..1.0).contains(quantile) && *time > 0.0 && can_show(*time);
    let point = |&(x, y): &(f64, f64)| CurvePoint { x, y, interval: None, counts: row.valid };
    let mut points: Vec<CurvePoint> = row.latency.iter().filter(known).map(point).collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    let name = if row.valid { row.name.clone() } else { format!("{} (invalid)", row.name) };
    (!points.is_empty()).then_some(Curve { name, points })
}

fn describe(curve: &Curve) -> String {
    let (first, last) = (curve.points[0], curve.points[curve.points.len() - 1]);
    let at = |point: CurvePoint| format!("{} at {:.2} %", seconds(point.y), point.x * 100.0);
    format!("{}: from {} to {}.", curve.name, at(first), at(last))
}

fn table(part: &Part<'_>) -> String {
    let mut table = Table::new(part.titled("Latency of tasks"));
    table.text("Configuration").number("p50").number("p95").number("p99").number("Longest").number("Samples");
    table.text("Counted");
    for row in &part.rows {
        let latency = row.latency_s.clone().unwrap_or_default();
        let is_known = row.latency_s.is_some();
        table.row_if(
            row.valid,
            vec![
                if row.valid { row.name.clone() } else { format!("{} (invalid)", row.name) },
                or_dash(latency.p50, seconds),
                or_dash(latency.p95, seconds),
                or_dash(latency.p99, seconds),
                or_dash(latency.max, seconds),
                or_dash(is_known.then_some(latency.samples), number),
                or_dash(is_known.then_some(latency.kind), |kind| kind),
            ],
        );
    }
    let note = "A percentile is given when at least ten samples are above it.";
    table.html() + &paragraph("note", note)
}
