//! Findings as people read them.

use super::{Cell, Findings, Quantity, Table};
use crate::summary::{Column, bytes, list, number, paragraph, seconds};

/// The tables, then what came of it.
pub fn text(findings: &Findings) -> String {
    let tables = findings.tables.iter().map(|table| format!("{}\n{}\n", table.title, rows(table)));
    let verdict = findings.verdict.iter().map(|sentence| paragraph(sentence));
    let notes = findings.notes.iter().map(|note| paragraph(note));
    let parts: Vec<String> = tables.chain(verdict).chain([String::new()]).chain(notes).collect();
    parts.join("\n").trim_end().to_owned()
}

fn rows(table: &Table) -> String {
    // Names of columns are few, and the command ends when they were shown.
    let name = |name: &str| &*name.to_uppercase().leak();
    let mut columns = vec![Column::text(name(&table.of))];
    columns.extend(table.columns.iter().map(|column| Column::number(name(&column.name))));
    let rows = table.rows.iter().map(|row| {
        let cells = row.cells.iter().zip(&table.columns).map(|(cell, column)| words(cell, column));
        std::iter::once(row.name.clone()).chain(cells).collect()
    });
    list(&columns, rows.collect())
}

fn words(cell: &Cell, column: &Quantity) -> String {
    match cell {
        Cell::Measured { median, lo, hi, .. } => {
            let half = (hi - lo) / 2.0 / median.abs().max(f64::MIN_POSITIVE) * 100.0;
            format!("{} ±{half:.0} %", quantity(*median, column.unit))
        }
        Cell::Number { number } => quantity(*number, column.unit),
        Cell::Text { text } => text.clone(),
        Cell::Unknown => "-".to_owned(),
    }
}

fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "s" if value >= 0.0 => seconds(value),
        "s" => format!("-{}", seconds(-value)),
        "B" if value >= 0.0 => bytes(value as u64),
        "B" => format!("-{}", bytes(-value as u64)),
        "share" => format!("{:.1} %", value * 100.0),
        _ if value.fract() == 0.0 && value >= 0.0 => number(value as u64),
        _ if value >= 100.0 => number(value.round() as u64),
        _ => format!("{value:.2}"),
    }
}
