//! Charts of a report as inline SVG: drawn once for wide and once for narrow screens, so that words keep their size.
//! Series differ by marker, line and words, not by colour alone.

mod bars;
mod curves;
mod heat_map;
mod intervals;
mod svg;

pub use bars::{Bar, Bars};
pub use curves::{Curve, CurvePoint, Curves, Mark, Side};
pub use heat_map::{HeatMap, Tile};
pub use intervals::{Intervals, Lane};

use crate::report::html::escape;
use muster_sim::chart::{Scale, TimeUnit};
use svg::{Anchor, Canvas};

/// The widths that a chart is drawn for, in pixels; the style sheet shows one of them.
const WIDE: f64 = 820.0;
const NARROW: f64 = 360.0;
/// Below this width names stand above their lanes instead of beside them.
const STACKED_BELOW: f64 = 600.0;
/// The room of an axis below a chart: ticks and label.
const AXIS_HEIGHT: f64 = 42.0;

/// Whether a value has a place on an axis: those that no measurement gives are left to tables.
pub fn can_show(value: f64) -> bool {
    value == 0.0 || (1e-15..=1e15).contains(&value.abs())
}

/// Something that can be drawn as wide as is asked.
pub trait Drawing {
    /// What it shows.
    fn title(&self) -> &str;

    /// What there is to see in it, for those who do not see it.
    fn description(&self) -> String;

    /// Draws, and says how high it became.
    fn draw(&self, canvas: &mut Canvas) -> f64;

    /// A figure of a page.
    fn figure(&self) -> String {
        let (title, description) = (self.title(), self.description());
        let drawn = [("wide", WIDE), ("narrow", NARROW)].map(|(class, width)| {
            let mut canvas = Canvas::new(width);
            let height = self.draw(&mut canvas);
            canvas.finish(class, height, title, &description)
        });
        let caption = escape(title);
        format!("<figure>\n<figcaption>{caption}</figcaption>\n{}</figure>\n", drawn.concat())
    }
}

/// What an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Bytes,
    /// A ratio, a share or a count.
    Plain,
}

/// An axis: values in their own unit, and ticks in one that reads well.
#[derive(Clone, Debug)]
struct Axis {
    scale: Scale,
    /// So much of the values' unit is 1 on the scale.
    one: f64,
    label: String,
}

/// Where an axis begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At nothing: for lengths of bars.
    Zero,
    /// By the logarithm, unless all values are within a factor of two: for distributions.
    Multiples,
    /// At nothing, unless all values are so close together that nothing could be seen: for places of points.
    Near,
}

/// Values closer together than this part of the largest are shown without the way from nothing.
const CLOSE: f64 = 0.4;

impl Axis {
    /// Of values, all finite and at least 0; there is at least one.
    fn of(label: &str, unit: Unit, values: &[f64], start: Start) -> Self {
        let largest = values.iter().copied().fold(0.0, f64::max);
        let least = values.iter().copied().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        let (one, name) = unit.of_ticks(largest);
        let (low, high) = (least / one, largest / one);
        let is_log = match start {
            Start::Zero => false,
            Start::Multiples => high / low > 2.0,
            Start::Near => high / low > 20.0,
        };
        let is_close = start != Start::Zero && low.is_finite() && high - low < CLOSE * high;
        let mut label = if name.is_empty() { label.to_owned() } else { format!("{label}, {name}") };
        let scale = if is_log && low.is_finite() {
            label.push_str(" (logarithmic)");
            Scale::Log { min: low / 1.15, max: high * 1.15 }
        } else if is_close {
            let room = ((high - low) * 0.1).max(high * 0.01);
            label.push_str(" (does not begin at 0)");
            Scale::Linear { min: (low - room).max(0.0), max: high + room }
        } else {
            Scale::rounded_up_to(high * 1.02)
        };
        Self { scale, one, label }
    }

    /// 0 at its start, 1 at its end.
    fn place(&self, value: f64) -> f64 {
        self.scale.place(value / self.one)
    }

    /// Draws grid, ticks and label of a horizontal axis.
    fn draw_below(&self, canvas: &mut Canvas, (left, right): (f64, f64), (top, bottom): (f64, f64)) {
        let width = right - left;
        for (value, words) in self.scale.ticks((width / 80.0) as usize) {
            let x = left + self.scale.place(value) * width;
            canvas.line("grid", (x, top), (x, bottom));
            canvas.text_inside("tick", (x, bottom + 16.0), &words);
        }
        canvas.line("axis", (left, bottom), (right, bottom));
        canvas.text_inside("soft", (f64::midpoint(left, right), bottom + 34.0), &self.label);
    }

    /// Draws grid and ticks of a vertical axis; its label stands above it.
    fn draw_beside(&self, canvas: &mut Canvas, (left, right): (f64, f64), (top, bottom): (f64, f64)) {
        let height = bottom - top;
        for (value, words) in self.scale.ticks((height / 40.0) as usize) {
            let y = bottom - self.scale.place(value) * height;
            canvas.line("grid", (left, y), (right, y));
            canvas.text("tick", Anchor::End, (left - 6.0, y + 4.0), &words);
        }
        canvas.text("soft", Anchor::Start, (2.0, top - 10.0), &self.label);
    }
}

impl Unit {
    /// What 1 on an axis is, and how that is called.
    fn of_ticks(self, largest: f64) -> (f64, &'static str) {
        match self {
            Self::Seconds => {
                let unit = TimeUnit::up_to_seconds(largest);
                (unit.seconds, unit.name)
            }
            Self::Bytes => {
                let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
                let fits = |(size, _): &(u64, &str)| largest >= *size as f64;
                units.into_iter().find(fits).map_or((1.0, "bytes"), |(size, name)| (size as f64, name))
            }
            Self::Plain => (1.0, ""),
        }
    }

    /// A value with its unit.
    pub fn words(self, value: f64) -> String {
        match self {
            Self::Seconds => crate::summary::seconds(value),
            Self::Bytes => crate::summary::bytes(value.max(0.0) as u64),
            Self::Plain => crate::summary::plain(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_say_when_they_do_not_begin_at_nothing() {
        let axis = Axis::of("time", Unit::Seconds, &[0.100, 0.101], Start::Near);
        assert_eq!(axis.label, "time, ms (does not begin at 0)");
        assert!(axis.place(0.1) > 0.0 && axis.place(0.101) < 1.0);
        let axis = Axis::of("time", Unit::Seconds, &[0.1, 0.2], Start::Near);
        assert_eq!((axis.label.as_str(), axis.place(0.0)), ("time, ms", 0.0));
        let axis = Axis::of("time", Unit::Seconds, &[0.001, 0.2], Start::Near);
        assert_eq!(axis.label, "time, ms (logarithmic)");
        let axis = Axis::of("memory", Unit::Bytes, &[3e6, 3.1e6], Start::Zero);
        assert_eq!((axis.label.as_str(), axis.place(0.0)), ("memory, MiB", 0.0));
        let nothing = Axis::of("lost", Unit::Plain, &[0.0], Start::Near);
        assert!(nothing.place(0.0).is_finite());
    }
}
