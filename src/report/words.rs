//! Numbers with their units, as tables and charts of a report write them.

use crate::compare::percent;
use crate::kept::{Cell, Comparison, ValueOf};
use crate::summary::{bytes, number, seconds};

/// What is not known.
pub const DASH: &str = "-";

/// A value, or that it is not known.
pub fn or_dash<T>(value: Option<T>, words: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| DASH.to_owned(), words)
}

/// A number with as many digits as mean something: `0.25`, `12.3`, `1,234`.
pub fn plain(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !(1e-4..1e15).contains(&size) {
        return format!("{value:.2e}");
    }
    if size >= 1_000.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", number(size.round() as u64));
    }
    let decimals = (5 - size.log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The same with three digits, for what is measured.
pub fn measured(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !(1e-4..1_000.0).contains(&size) {
        return plain(value);
    }
    let decimals = (2 - size.log10().floor() as i32).clamp(0, 8) as usize;
    format!("{value:.decimals$}")
}

/// A value of a quantity: seconds, bytes and shares have words of their own, other units stand in the column's head.
pub fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "s" if value >= 0.0 => seconds(value),
        "B" if value >= 0.0 => bytes(value as u64),
        "share" => percent(value),
        _ if value.fract() == 0.0 => plain(value),
        _ => measured(value),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        let words = [0.0, 0.5, 1.0, 99.9, 99.9999, 100.0, 12_345.6, 1e-7].map(plain);
        assert_eq!(words, ["0", "0.5", "1", "99.9", "99.9999", "100", "12,346", "1.00e-7"]);
        assert_eq!([0.012_345, 1.0, 123.4].map(measured), ["0.0123", "1.00", "123"]);
        let units = [("s", "1.50 s"), ("B", "1 B"), ("share", "150.0 %"), ("tasks", "1.50")];
        for (unit, words) in units {
            assert_eq!(quantity(1.5, unit), words);
        }
        assert_eq!(quantity(1_000_000.0, "tasks"), "1,000,000");
    }
}
