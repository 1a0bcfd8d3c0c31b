//! The words below an axis.

use super::Scale;

/// The mean width of a letter there, and the distance of lines.
const LETTER: f64 = 6.9;
pub(super) const TICK_ROW: f64 = 14.0;
/// The room of a number.
const TICK: f64 = 80.0;

/// How the words below the axis stand.
pub(super) struct Labels {
    /// Each in lines.
    pub(super) ticks: Vec<(f64, Vec<String>)>,
    /// In degrees.
    pub(super) turned: Option<f64>,
    /// What they take beyond one line.
    pub(super) more: f64,
}

impl Labels {
    /// Below an axis of this width that has so much room at its left. Every name has one: broken into lines or turned, where they have no room beside each other.
    pub(super) fn of(scale: &Scale, width: f64, left: f64) -> Self {
        const LINES_MAX: usize = 4;
        let Scale::Names(names) = scale else {
            let ticks = scale.ticks((width / TICK) as usize).into_iter();
            return Self {
                ticks: ticks.map(|(value, words)| (value, vec![words])).collect(),
                turned: None,
                more: 0.0,
            };
        };
        let slot = width / names.len().max(1) as f64;
        let room = (slot - 8.0).max(0.0) / LETTER;
        let fits = |line: &String| line.chars().count() as f64 <= room;
        let lines: Vec<Vec<String>> = names.iter().map(|name| wrapped(name, room as usize)).collect();
        let most = lines.iter().map(Vec::len).max().unwrap_or(1);
        if most <= LINES_MAX && lines.iter().flatten().all(fits) {
            let ticks = lines.into_iter().enumerate().map(|(at, lines)| (at as f64, lines));
            return Self { ticks: ticks.collect(), turned: None, more: (most - 1) as f64 * TICK_ROW };
        }
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(1) as f64 * LETTER;
        let left = left + slot / 2.0 - 6.0;
        let angle = [40.0f64, 60.0].into_iter().find(|angle| longest * libm::cos(angle.to_radians()) <= left);
        let angle = angle.unwrap_or(90.0);
        // Names beyond what can be read beside each other have dots only.
        let every = libm::ceil(TICK_ROW / slot).max(1.0) as usize;
        let ticks = names.iter().enumerate().step_by(every).map(|(at, name)| (at as f64, vec![name.clone()]));
        let more = (longest * libm::sin(angle.to_radians()) - 6.0).max(0.0);
        Self { ticks: ticks.collect(), turned: Some(angle), more }
    }
}

/// Lines of at most so many letters, broken after spaces and the joints of names; a longer piece stands alone.
pub(super) fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in text.split_inclusive([' ', '+', ',', '=']) {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + piece.trim_end().chars().count() > letters {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(piece);
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}
