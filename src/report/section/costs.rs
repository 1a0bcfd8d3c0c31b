//! What configurations cost beside time: memory, processor time, crashes, cancelling.

use super::share;
use crate::kept::Row;
use crate::report::chart::{Bar, Bars, Drawing as _, Unit};
use crate::report::html::Table;
use crate::report::part::Part;
use crate::report::words::or_dash;
use crate::summary::{bytes, measured, seconds};

/// Chart and table of a part.
pub fn of(part: &Part<'_>) -> String {
    let bars: Vec<Bar> = part.rows.iter().filter_map(|row| bar(row)).collect();
    let chart = if bars.is_empty() {
        String::new()
    } else {
        let chart = Bars {
            title: part.titled("Memory of all processes (PSS)"),
            label: "memory".to_owned(),
            unit: Unit::Bytes,
            parts: ["before there was a job", "at its peak"],
            bars,
        };
        chart.figure()
    };
    chart + &table(part)
}

fn bar(row: &Row) -> Option<Bar> {
    let peak = row.pss_peak_bytes? as f64;
    let name = if row.valid { row.name.clone() } else { format!("{} (invalid)", row.name) };
    Some(Bar { name, base: row.pss_base_bytes.map(|base| base as f64), peak })
}

fn table(part: &Part<'_>) -> String {
    let mut table = Table::new(part.titled("Costs of a run"));
    table.text("Configuration");
    for name in [
        "Processor time",
        "Busy processors",
        "Memory, base",
        "Memory, peak",
        "Context switches a task",
        "Waits for the lock",
        "Lost by one crash",
        "Cancel, p95",
        "Cancel, longest",
    ] {
        table.number(name);
    }
    for row in &part.rows {
        table.row_if(
            row.valid,
            vec![
                if row.valid { row.name.clone() } else { format!("{} (invalid)", row.name) },
                or_dash(row.cpu_s, seconds),
                or_dash(row.cores, |cores| format!("{cores:.2}")),
                or_dash(row.pss_base_bytes, bytes),
                or_dash(row.pss_peak_bytes, bytes),
                or_dash(row.ctx_switches_per_task, measured),
                or_dash(row.gil_wait_share, share),
                or_dash(row.lost_by_one_crash, crate::summary::number),
                or_dash(row.cancel_p95_s, seconds),
                or_dash(row.cancel_max_s, seconds),
            ],
        );
    }
    table.html()
}
