//! Cells and heads of the tables of a report.

use crate::kept::{Cell, Comparison, ValueOf};
use crate::summary::{number, quantity};

/// What is not known.
pub const DASH: &str = "-";

/// A value, or that it is not known.
pub fn or_dash<T>(value: Option<T>, words: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| DASH.to_owned(), words)
}

/// The head of a column.
pub fn head(name: &str, unit: &str) -> String {
    match unit {
        "" | "s" | "B" | "share" => name.to_owned(),
        unit => format!("{name}, {unit}"),
    }
}

/// A cell of a table of quantities.
pub fn cell(cell: Option<&Cell>, unit: &str) -> String {
    match cell {
        None => DASH.to_owned(),
        Some(Cell::Text { text }) => text.clone(),
        Some(Cell::Number { number }) => quantity(*number, unit),
        Some(Cell::Measured { median, lo, hi, samples }) => {
            let of = samples.map(|samples| format!(", of {}", number(samples))).unwrap_or_default();
            format!("{} ({} to {}{of})", quantity(*median, unit), quantity(*lo, unit), quantity(*hi, unit))
        }
    }
}

/// A further quantity of a row.
pub fn measure(found: &ValueOf) -> String {
    let median = quantity(found.median, &found.unit);
    match (found.lo, found.hi) {
        (Some(lo), Some(hi)) => {
            format!("{median} ({} to {})", quantity(lo, &found.unit), quantity(hi, &found.unit))
        }
        _ => median,
    }
}

/// Why there are no more blocks.
pub fn stopped(comparison: &Comparison) -> String {
    match comparison.stopped_by.as_deref() {
        Some("target") => "the target was reached".to_owned(),
        Some("blocks") => "there were as many as asked".to_owned(),
        Some("interrupted") => "it was interrupted".to_owned(),
        Some("budget") => "the budget was used up".to_owned(),
        Some(other) => other.to_owned(),
        None => "not known".to_owned(),
    }
}

/// Parameters as they are written on a command line; `none` where there are none.
pub fn params(params: &serde_json::Value) -> String {
    let Some(params) = params.as_object().filter(|params| !params.is_empty()) else {
        return "none".to_owned();
    };
    let one = |(name, value): (&String, &serde_json::Value)| match value.as_str() {
        Some(text) => format!("{name}={text}"),
        None => format!("{name}={value}"),
    };
    params.iter().map(one).collect::<Vec<_>>().join(" ")
}
