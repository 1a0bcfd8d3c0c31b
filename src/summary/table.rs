//! Aligned text: lists and pairs.

use crate::terminal;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A column of a list.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    right: bool,
    shown: Shown,
}

/// When a column is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Always,
    /// When there are at least [`WIDE`] columns.
    WhenWide,
    /// When no cell has to be broken for it.
    IfUnbroken,
    /// When all columns find room, with cells broken.
    IfRoom,
}

impl Column {
    /// Text, aligned to the left.
    pub const fn text(name: &'static str) -> Self {
        Self { name, right: false, shown: Shown::Always }
    }

    /// A number, aligned to the right.
    pub const fn number(name: &'static str) -> Self {
        Self { name, right: true, shown: Shown::Always }
    }

    /// Left out when there is little room.
    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.shown = Shown::WhenWide;
        self
    }

    /// Left out when a cell would have to be broken for it.
    #[must_use]
    pub const fn if_unbroken(mut self) -> Self {
        self.shown = Shown::IfUnbroken;
        self
    }

    /// Left out when there is no room for it, even if cells are broken.
    #[must_use]
    pub const fn if_room(mut self) -> Self {
        self.shown = Shown::IfRoom;
        self
    }
}

/// With at least this many columns, lists show everything.
const WIDE: usize = 110;
/// Between columns.
const GAP: usize = 2;
/// A word that has to be broken is broken after one of these.
const BREAKS: [char; 4] = ['+', ',', '/', '='];

/// A list for the terminal's width.
pub fn list(columns: &[Column], rows: Vec<Vec<String>>) -> String {
    list_within(columns, &rows, terminal::columns()).0
}

/// A list for the terminal's width, and the columns that found no room.
pub fn list_and_left_out(columns: &[Column], rows: &[Vec<String>]) -> (String, Vec<&'static str>) {
    list_within(columns, rows, terminal::columns())
}

fn list_within(columns: &[Column], rows: &[Vec<String>], width: usize) -> (String, Vec<&'static str>) {
    let shown = shown(columns, rows, width);
    let widths = widths(columns, rows, &shown, width);
    let mut table = empty(width);
    table.set_header(shown.iter().map(|&at| columns[at].name));
    for row in rows {
        table.add_row(shown.iter().zip(&widths).map(|(&at, &width)| {
            let cell = row.get(at).map_or("", String::as_str);
            if columns[at].right { cell.to_owned() } else { broken(cell, width) }
        }));
    }
    for (place, &at) in shown.iter().enumerate() {
        if let Some(column) = table.column_mut(place) {
            column.set_padding((0, if place + 1 < shown.len() { GAP as u16 } else { 0 }));
            column.set_cell_alignment(if columns[at].right {
                CellAlignment::Right
            } else {
                CellAlignment::Left
            });
        }
    }
    let left_out = (0..columns.len()).filter(|at| !shown.contains(at)).map(|at| columns[at].name);
    (trim(&table), left_out.collect())
}

/// The longest of a column's name and cells, by some length of cells.
fn longest(column: Column, at: usize, rows: &[Vec<String>], length: &dyn Fn(&str) -> usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| length(cell));
    cells.max().unwrap_or(0).max(chars(column.name))
}

/// The room that a column takes unbroken, and the least that it can do with.
fn room(columns: &[Column], rows: &[Vec<String>], at: usize) -> (usize, usize) {
    let column = columns[at];
    let whole = longest(column, at, rows, &chars);
    let pieces = |cell: &str| cell.split_inclusive(' ').flat_map(pieces).map(chars).max().unwrap_or(0);
    (whole, if column.right { whole } else { longest(column, at, rows, &pieces) })
}

/// Which columns find room; those further right go first.
fn shown(columns: &[Column], rows: &[Vec<String>], width: usize) -> Vec<usize> {
    let mut shown: Vec<usize> =
        (0..columns.len()).filter(|&at| width >= WIDE || columns[at].shown != Shown::WhenWide).collect();
    for (what, whole) in [(Shown::IfUnbroken, true), (Shown::IfRoom, false)] {
        let takes = |shown: &[usize]| -> usize {
            let one = |&at: &usize| {
                let room = room(columns, rows, at);
                GAP + if whole { room.0 } else { room.1 }
            };
            shown.iter().map(one).sum::<usize>().saturating_sub(GAP)
        };
        while takes(&shown) > width
            && let Some(place) = shown.iter().rposition(|&at| columns[at].shown == what)
        {
            shown.remove(place);
        }
    }
    shown
}

/// The widths of the columns: where not all have what they want, the widest text gives way.
fn widths(columns: &[Column], rows: &[Vec<String>], shown: &[usize], width: usize) -> Vec<usize> {
    let rooms: Vec<(usize, usize)> = shown.iter().map(|&at| room(columns, rows, at)).collect();
    let mut widths: Vec<usize> = rooms.iter().map(|room| room.0).collect();
    let gaps = GAP * shown.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > width {
        let can_give = (0..widths.len()).filter(|&place| widths[place] > rooms[place].1);
        let Some(widest) = can_give.max_by_key(|&place| widths[place]) else { break };
        widths[widest] -= 1;
    }
    widths
}

/// A text in lines of the terminal's width.
pub fn paragraph(text: &str) -> String {
    broken(text, terminal::columns())
}

/// Lines of at most `width` characters, broken at spaces and in words only where a word is too long.
fn broken(text: &str, width: usize) -> String {
    let (mut done, mut line) = (String::with_capacity(text.len()), String::new());
    for word in text.split(' ') {
        let is_long = chars(word) > width;
        let parts = if is_long { pieces(word) } else { vec![word] };
        for (at, part) in parts.into_iter().enumerate() {
            let space = if at == 0 && !line.is_empty() { " " } else { "" };
            if !line.is_empty() && chars(&line) + space.len() + chars(part) > width {
                done.push_str(&line);
                done.push('\n');
                line.clear();
                line.push_str(part);
            } else {
                line.push_str(space);
                line.push_str(part);
            }
        }
    }
    done + &line
}

/// The parts of a word between which it may be broken.
fn pieces(word: &str) -> Vec<&str> {
    word.trim_end().split_inclusive(BREAKS).collect()
}

fn chars(text: &str) -> usize {
    text.chars().count()
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
            let (text, left_out) = list_within(&columns, &rows, width);
            assert_eq!(left_out.is_empty(), width == 120);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert_eq!(text.contains("REASON"), width == 120);
        }
    }

    #[test]
    fn words_are_broken_where_they_have_a_joint() {
        assert_eq!(broken("a fifo+adaptive+speculation b", 15), "a fifo+\nadaptive+\nspeculation b");
        assert_eq!(broken("no winner is named", 9), "no winner\nis named");
        let columns = [
            Column::text("POLICY"),
            Column::number("MAKESPAN"),
            Column::number("BUSY").if_room(),
            Column::number("LOST").if_unbroken(),
        ];
        let rows =
            vec![vec!["fifo+adaptive+speculation".into(), "1,421.0 s".into(), "9 %".into(), "0".into()]];
        let within = |width| list_within(&columns, &rows, width);
        assert_eq!(within(60).1, [""; 0]);
        assert_eq!(within(44).1, ["LOST"]);
        let (text, left_out) = within(40);
        assert_eq!(
            (text.contains("fifo+adaptive+ ") && text.contains("\nspeculation"), left_out.len()),
            (true, 1)
        );
        assert_eq!(within(24).1, ["BUSY", "LOST"]);
    }
}
