//! Charts in characters: areas of eighths of blocks above an axis of time.

use super::{Scale, TimeUnit, Timeline};

/// An empty column to a full one.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Room for the numbers beside an axis.
const GUTTER: usize = 8;
/// A tick of the time axis wants this much room.
const TICK_COLUMNS: usize = 12;
const COLOURS: [&str; 3] = ["\x1b[36m", "\x1b[33m", "\x1b[35m"];
const PLAIN: &str = "\x1b[0m";

pub(super) fn text(timeline: &Timeline, width: usize, colours: bool) -> String {
    let columns = width.saturating_sub(GUTTER + 1).max(10);
    let mut lines = Vec::new();
    for (at, panel) in timeline.panels.iter().enumerate() {
        let title = format!("{}: {}", panel.label, panel.remark);
        // Above the area where there is room.
        let indent = width.saturating_sub(title.chars().count()).min(GUTTER + 1);
        lines.push(format!("{}{title}", " ".repeat(indent)).chars().take(width).collect());
        let scale = Scale::up_to(panel.max);
        let shares: Vec<f64> =
            panel.means(timeline.end_s, columns).into_iter().map(|mean| scale.place(mean)).collect();
        let (before, after) = if colours { (COLOURS[at % COLOURS.len()], PLAIN) } else { ("", "") };
        let top = significant(panel.max);
        for row in 0..panel.rows {
            let words = if row == 0 { top.as_str() } else { "" };
            let area = area_row(&shares, panel.rows, row);
            let area = area.trim_end();
            let coloured = if area.is_empty() { String::new() } else { format!("{before}{area}{after}") };
            lines.push(format!("{words:>GUTTER$}┤{coloured}"));
        }
    }
    let unit = TimeUnit::of(timeline.end_s);
    lines.extend(time_axis(&Scale::up_to(timeline.end_s / unit.seconds), unit, columns, GUTTER, "0"));
    lines.join("\n")
}

/// A number with three digits.
fn significant(value: f64) -> String {
    let (scale, unit) = match value {
        value if value >= 1e9 => (1e9, " G"),
        value if value >= 1e6 => (1e6, " M"),
        value if value >= 1e4 => (1e3, " k"),
        _ => (1.0, ""),
    };
    let value = value / scale;
    let decimals = match value {
        value if value >= 100.0 || value == libm::round(value) => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}{unit}")
}

/// One row of characters of an area chart, counted from the top; what is above nothing shows at least a line.
fn area_row(shares: &[f64], rows: usize, row: usize) -> String {
    let below = (rows - 1 - row) as f64;
    let cell = |share: f64| {
        let eighths = libm::round((share * rows as f64 - below) * 8.0).clamp(0.0, 8.0) as usize;
        let shown = if below == 0.0 && share > 0.0 { eighths.max(1) } else { eighths };
        EIGHTHS[shown]
    };
    shares.iter().map(|&share| cell(share)).collect()
}

/// The line below a chart, and the words below that. `zero` stands beside the line, which begins after `gutter`.
pub(super) fn time_axis(
    scale: &Scale,
    unit: TimeUnit,
    columns: usize,
    gutter: usize,
    zero: &str,
) -> [String; 2] {
    let mut line: Vec<char> = vec!['─'; columns];
    let mut words: Vec<char> = vec![' '; gutter + 1 + columns];
    let mut free = 0;
    if matches!(scale, Scale::Log { .. }) {
        let log = if gutter > 10 { "log scale" } else { "log" };
        words.splice(0..log.len().min(gutter), log.chars());
        free = log.len() + 1;
    }
    for (value, tick) in scale.ticks((columns / TICK_COLUMNS).max(2)) {
        let at = libm::round(scale.place(value) * (columns - 1) as f64) as usize;
        line[at] = '┬';
        let tick = if unit.seconds == 1.0 && (value >= 1e4 || value >= 1e3 && !tick.contains('.')) {
            grouped(value)
        } else {
            tick
        };
        let label: Vec<char> = format!("{tick} {}", unit.name).chars().collect();
        // Centred below its tick where there is room.
        let centred = (at + gutter + 1).saturating_sub(label.len() / 2);
        let start = centred.min(words.len() - label.len().min(words.len()));
        if start >= free {
            words[start..start + label.len()].copy_from_slice(&label);
            free = start + label.len() + 1;
        }
    }
    let line: String = line.into_iter().collect();
    let words: String = words.into_iter().collect();
    [format!("{zero:>gutter$}┼{line}"), words.trim_end().to_owned()]
}

/// `10,000`: times are never `10 k s`.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_as_high_as_its_share() {
        let rows = |share: f64| -> String {
            (0..2).map(|row| area_row(&[share], 2, row)).collect::<Vec<_>>().concat()
        };
        assert_eq!(rows(0.0), "  ");
        assert_eq!(rows(0.001), " ▁");
        assert_eq!(rows(0.25), " ▄");
        assert_eq!(rows(0.5), " █");
        assert_eq!(rows(0.75), "▄█");
        assert_eq!(rows(1.0), "██");
    }

    #[test]
    fn ticks_stand_below_their_places() {
        let [line, words] = time_axis(&Scale::up_to(100.0), TimeUnit::of(100.0), 71, GUTTER, "0");
        assert!(line.starts_with("       0┼┬─"), "{line}");
        assert!(words.contains("0 s") && words.contains("20 s") && words.contains("100 s"), "{words}");
        assert!(words.chars().count() <= 80);
    }
}
