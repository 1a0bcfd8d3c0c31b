//! Means and their intervals in characters, a row each, above an axis of time.

use super::text::time_axis;
use super::{Scale, TimeUnit};

/// A mean time in seconds and the interval around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// What stands before it.
    pub name: String,
    /// In seconds.
    pub mean: f64,
    /// In seconds; none of a single run.
    pub ends: Option<(f64, f64)>,
}

/// Names take at most half of the width.
const NAME_PART: usize = 2;
const COLOUR: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";

/// Rows of at most `width` characters, and their axis in the unit of tables, seconds. Times that differ by
/// much have a logarithmic one, which says so.
#[must_use]
pub fn intervals(rows: &[Interval], width: usize, colours: bool) -> String {
    let longest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let gutter = longest.clamp(4, (width / NAME_PART).max(4)) + 1;
    let columns = width.saturating_sub(gutter + 1).max(10);
    let ends = rows.iter().flat_map(|row| {
        let (low, high) = row.ends.unwrap_or((row.mean, row.mean));
        [low, row.mean, high]
    });
    let seconds: Vec<f64> = ends.collect();
    let unit = TimeUnit::up_to_seconds(seconds.iter().copied().fold(0.0, f64::max));
    let scale = Scale::around(seconds.iter().map(|end| end / unit.seconds));
    let (before, after) = if colours { (COLOUR, PLAIN) } else { ("", "") };
    let place = |time: f64| {
        let place = scale.place(time / unit.seconds) * (columns - 1) as f64;
        libm::round(place) as usize
    };
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let mut cells = vec![' '; columns];
            if let Some((low, high)) = row.ends {
                let (low, high) = (place(low), place(high));
                cells[low..=high].fill('─');
                if high > low {
                    (cells[low], cells[high]) = ('├', '┤');
                }
            }
            cells[place(row.mean)] = '●';
            let cells: String = cells.into_iter().collect();
            let name = ending(&row.name, gutter - 1);
            format!("{name:<gutter$}│{before}{}{after}", cells.trim_end())
        })
        .collect();
    lines.extend(time_axis(&scale, unit, columns, gutter, ""));
    lines.join("\n")
}

/// The end of a name that is too long: names of points begin alike.
fn ending(name: &str, room: usize) -> String {
    let length = name.chars().count();
    if length <= room {
        return name.to_owned();
    }
    let end = name.chars().skip(length + 1 - room);
    core::iter::once('…').chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_and_share_an_axis() {
        let row = |name: &str, mean: f64, half: f64| Interval {
            name: name.to_owned(),
            mean,
            ends: Some((mean - half, mean + half)),
        };
        let rows = [
            row("fifo", 50.0, 10.0),
            row("a long name of a point of a sweep with policy fifo", 100.0, 0.001),
        ];
        for width in [40, 80, 120] {
            let text = intervals(&rows, width, false);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert_eq!(text.contains('…'), width < 100, "{text}");
            assert!(text.contains("policy fifo "), "{text}");
            assert!(
                text.contains("├") && text.contains("─┤") && text.contains('●') && text.contains("100 s"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_logarithmic_axis_says_so_and_times_are_in_seconds() {
        let row = |mean: f64| Interval { name: "workers=10".to_owned(), mean, ends: None };
        let text = intervals(&[row(10_021.6), row(20.0)], 80, false);
        assert!(text.lines().last().is_some_and(|line| line.starts_with("log scale ")), "{text}");
        assert!(text.contains(" 10,000 s") && !text.contains("min"), "{text}");
        let text = intervals(&[row(10_021.6), row(9_000.0)], 80, false);
        assert!(!text.contains("log") && text.contains("10,000 s"), "{text}");
    }
}
