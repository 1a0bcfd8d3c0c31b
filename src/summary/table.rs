//! Aligned text: lists and pairs.

use crate::terminal;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A column of a list.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    right: bool,
    wide_only: bool,
}

impl Column {
    /// Text, aligned to the left.
    pub const fn text(name: &'static str) -> Self {
        Self { name, right: false, wide_only: false }
    }

    /// A number, aligned to the right.
    pub const fn number(name: &'static str) -> Self {
        Self { name, right: true, wide_only: false }
    }

    /// Left out when there is little room.
    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.wide_only = true;
        self
    }
}

/// With at least this many columns, lists show everything.
const WIDE: usize = 110;

/// A list for the terminal's width.
pub fn list(columns: &[Column], rows: Vec<Vec<String>>) -> String {
    list_within(columns, rows, terminal::columns())
}

fn list_within(columns: &[Column], rows: Vec<Vec<String>>, width: usize) -> String {
    let shown: Vec<usize> =
        (0..columns.len()).filter(|&at| width >= WIDE || !columns[at].wide_only).collect();
    let mut table = empty(width);
    table.set_header(shown.iter().map(|&at| columns[at].name));
    for row in rows {
        table.add_row(shown.iter().map(|&at| row.get(at).cloned().unwrap_or_default()));
    }
    for (place, &at) in shown.iter().enumerate() {
        if let Some(column) = table.column_mut(place) {
            column.set_padding((0, 2));
            column.set_cell_alignment(if columns[at].right {
                CellAlignment::Right
            } else {
                CellAlignment::Left
            });
        }
    }
    trim(&table)
}

/// Names and values side by side, within the terminal's width.
pub fn pairs(rows: &[(&str, String)]) -> String {
    pairs_within(rows, terminal::columns())
}

fn pairs_within(rows: &[(&str, String)], width: usize) -> String {
    let mut table = empty(width);
    for (name, value) in rows {
        table.add_row([
            (*name).to_owned(),
            value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        ]);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 2));
    }
    if let Some(column) = table.column_mut(1) {
        column.set_padding((0, 0));
    }
    trim(&table)
}

fn empty(width: usize) -> Table {
    let width = u16::try_from(width).unwrap_or(u16::MAX);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table
}

fn trim(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// `12,345`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time with three digits and its unit.
pub fn seconds(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 7_200.0 => {
            let minutes = (s / 60.0).round() as u64;
            return format!("{} h {} min", minutes / 60, minutes % 60);
        }
        s if s >= 100.0 => {
            let whole = s.round() as u64;
            return format!("{} min {} s", whole / 60, whole % 60);
        }
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s if s >= 1e-6 => (s * 1e6, "us"),
        s => (s * 1e9, "ns"),
    };
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}

/// A size with its unit.
pub fn bytes(bytes: u64) -> String {
    for (scale, unit) in [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= scale {
            return format!("{:.1} {unit}", bytes as f64 / scale as f64);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [number(0), number(999), number(1_000), number(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!([seconds(0.0001234), seconds(1.5), seconds(125.0)], ["123 us", "1.50 s", "2 min 5 s"]);
        assert_eq!([seconds(119.7), seconds(40_680.0)], ["2 min 0 s", "11 h 18 min"]);
        assert_eq!([bytes(10), bytes(1536), bytes(3 << 20)], ["10 B", "1.5 KiB", "3.0 MiB"]);
    }

    #[test]
    fn pairs_take_what_they_need_up_to_the_width() {
        let rows = [("short", "x".to_owned()), ("long", "word ".repeat(18))];
        for (width, lines) in [(60, 3), (80, 3), (120, 2)] {
            let text = pairs_within(&rows, width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert_eq!(text.lines().count(), lines, "{text}");
        }
    }

    #[test]
    fn lists_fit_the_width() {
        let columns = [Column::number("JOB"), Column::text("PLUGIN"), Column::text("REASON").wide()];
        let rows = vec![vec!["1".into(), "primes".into(), "x ".repeat(100)]];
        for width in [80, 120] {
            let text = list_within(&columns, rows.clone(), width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert_eq!(text.contains("REASON"), width == 120);
        }
    }
}
