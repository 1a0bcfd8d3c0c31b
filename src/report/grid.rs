//! Rows that form a grid of processes and threads, and which of them nothing beats.

use super::chart::{Drawing as _, HeatMap, Tile};
use super::html::{Table, paragraph};
use super::part::Part;
use super::row::what_is_compared;
use super::words::or_dash;
use crate::kept::Row;
use crate::summary::{bytes, seconds};

/// So much of a grid has to be there.
const FILLED_MIN: f64 = 0.75;

/// Shapes with their rows.
#[derive(Debug)]
struct Grid<'a> {
    processes: Vec<u32>,
    threads: Vec<u32>,
    /// Row by row.
    fields: Vec<Option<&'a Row>>,
}

/// Heat map and Pareto front, where the rows form a grid of at least 2 x 2.
pub fn section(part: &Part<'_>) -> Option<String> {
    let grid = Grid::of(part)?;
    let rows: Vec<&Row> = grid.fields.iter().flatten().copied().collect();
    let front = front(&rows);
    let is_in_front = |row: &Row| front.rows.iter().any(|other| std::ptr::eq(*other, row));
    let best = rows.iter().filter_map(|row| Some((*row, row.usable_time()?.median)));
    let best = best.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(row, _)| row);
    let tile = |row: &Row| {
        let time = row.shown_time()?;
        let is_best = best.is_some_and(|best| std::ptr::eq(best, row));
        let mut lines = vec![seconds(time.median)];
        lines.extend((!row.valid).then(|| "invalid".to_owned()));
        lines.extend(is_best.then(|| "fastest".to_owned()));
        lines.extend(is_in_front(row).then(|| "◆ front".to_owned()));
        Some(Tile { value: time.median, lines, is_marked: is_best, counts: row.valid })
    };
    let names = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect();
    let (_, label) = what_is_compared(rows.iter().copied());
    let map = HeatMap {
        title: part.titled(&format!("Median {label} by processes and threads")),
        across: "threads",
        down: "processes",
        columns: names(&grid.threads),
        rows: names(&grid.processes),
        tiles: grid.fields.iter().map(|row| row.and_then(tile)).collect(),
    };
    let shades =
        format!("The further the shade of a field is from that of the page, the longer the {label}.");
    Some(map.figure() + &paragraph("note", &shades) + &front.html(part, &rows))
}

impl<'a> Grid<'a> {
    fn of(part: &Part<'a>) -> Option<Self> {
        // Tasks in flight and locks are other questions than the shape.
        let plain = |row: &&Row| !row.gil && row.in_flight <= 1 && row.processes > 0 && row.threads > 0;
        let rows: Vec<&Row> = part.rows.iter().copied().filter(plain).collect();
        let numbers = |of: &dyn Fn(&Row) -> u32| {
            let mut numbers: Vec<u32> = rows.iter().map(|row| of(row)).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        let (processes, threads) = (numbers(&|row| row.processes), numbers(&|row| row.threads));
        if processes.len() < 2 || threads.len() < 2 {
            return None;
        }
        let at = |p: u32, t: u32| rows.iter().copied().find(|row| (row.processes, row.threads) == (p, t));
        let fields: Vec<Option<&Row>> = processes
            .iter()
            .flat_map(|&p| threads.iter().map(move |&t| (p, t)))
            .map(|(p, t)| at(p, t))
            .collect();
        let filled = fields.iter().flatten().count() as f64 / fields.len() as f64;
        (filled >= FILLED_MIN).then_some(Self { processes, threads, fields })
    }
}

/// The rows that no other row beats in everything.
#[derive(Debug)]
struct Front<'a> {
    rows: Vec<&'a Row>,
    /// What was looked at: what is known of every row.
    of: Vec<&'static str>,
}

/// A quantity of which less is better.
type Less = fn(&Row) -> Option<f64>;

const TIME: Less = |row| row.usable_time().map(|time| time.median);
const MEMORY: Less = |row| row.pss_peak_bytes.map(|peak| peak as f64);
const LOST: Less = |row| row.lost_by_one_crash.map(|lost| lost as f64);

fn front<'a>(rows: &[&'a Row]) -> Front<'a> {
    let rows: Vec<&Row> = rows.iter().copied().filter(|row| TIME(row).is_some()).collect();
    let (_, label) = what_is_compared(rows.iter().copied());
    let all: [(&'static str, Less); 3] =
        [(label, TIME), ("peak of memory", MEMORY), ("tasks lost by one crash", LOST)];
    let known: Vec<(&'static str, Less)> =
        all.into_iter().filter(|(_, of)| rows.iter().all(|row| of(row).is_some())).collect();
    let beats = |a: &Row, b: &Row| {
        let pairs: Vec<(f64, f64)> = known.iter().filter_map(|(_, of)| of(a).zip(of(b))).collect();
        pairs.iter().all(|(a, b)| a <= b) && pairs.iter().any(|(a, b)| a < b)
    };
    let unbeaten = rows.iter().copied().filter(|row| !rows.iter().any(|other| beats(other, row)));
    Front { rows: unbeaten.collect(), of: known.into_iter().map(|(name, _)| name).collect() }
}

impl Front<'_> {
    fn html(&self, part: &Part<'_>, rows: &[&Row]) -> String {
        let (title, label) = what_is_compared(rows.iter().copied());
        let names: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
        let sentence = format!(
            "Pareto front over {}: {}. No other shape is at least as good in all of these and better in one; medians \
             are compared as they are, whatever their intervals.",
            self.of.join(", "),
            names.join(", ")
        );
        let mut table = Table::new(part.titled(&format!("Shapes: {label}, memory, blast radius")));
        table
            .text("Shape")
            .number(format!("{title} (95 %)"))
            .number("Memory, peak")
            .number("Lost by one crash")
            .text("");
        for row in rows {
            let is_in_front = self.rows.iter().any(|other| std::ptr::eq(*other, *row));
            let words = if !row.valid {
                "invalid"
            } else if is_in_front {
                "◆ front"
            } else {
                "beaten"
            };
            let cells = vec![
                row.name.clone(),
                row.told(),
                or_dash(row.pss_peak_bytes, bytes),
                or_dash(row.lost_by_one_crash, |lost| lost.to_string()),
                words.to_owned(),
            ];
            table.row_if(row.valid, cells);
        }
        paragraph("", &sentence) + &table.html()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Spread;

    fn row(processes: u32, threads: u32, time: f64, memory: u64, lost: u64) -> Row {
        Row {
            name: format!("{processes}x{threads}"),
            processes,
            threads,
            valid: true,
            time_s: Some(Spread { median: time, lo: time, hi: time }),
            pss_peak_bytes: Some(memory),
            lost_by_one_crash: Some(lost),
            ..Row::default()
        }
    }

    #[test]
    fn what_is_beaten_in_everything_is_not_in_front() {
        let rows =
            [row(1, 1, 4.0, 10, 4), row(1, 2, 2.0, 11, 4), row(2, 1, 2.0, 20, 2), row(2, 2, 3.0, 20, 3)];
        let rows: Vec<&Row> = rows.iter().collect();
        let names = |front: &Front<'_>| front.rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>();
        let found = front(&rows);
        assert_eq!((names(&found), found.of.len()), (vec!["1x1".into(), "1x2".into(), "2x1".into()], 3));
        let unknown = Row { pss_peak_bytes: None, ..rows[0].clone() };
        let found = front(&[&unknown, rows[1], rows[2], rows[3]]);
        assert_eq!((names(&found), found.of), (vec!["2x1".into()], vec!["time", "tasks lost by one crash"]));
    }

    #[test]
    fn three_shapes_of_equal_size_are_no_grid() {
        let rows = [row(1, 4, 1.0, 1, 1), row(4, 1, 1.0, 1, 1), row(2, 2, 1.0, 1, 1), row(1, 2, 1.0, 1, 1)];
        let part = |rows: &'static [Row]| Part {
            name: None,
            rows: rows.iter().collect(),
            noise_floor: None,
            enough: true,
            group: None,
        };
        let rows: &'static [Row] = Box::leak(Box::new(rows));
        assert!(section(&part(&rows[..3])).is_none());
        let rows: &'static [Row] =
            Box::leak(Box::new([row(1, 1, 1.0, 1, 1), row(2, 2, 1.0, 1, 1), row(1, 2, 1.0, 1, 1)]));
        assert!(section(&part(rows)).is_some());
    }
}
