//! Charts computed: where lines, bands and ticks go. Nothing here writes a file or knows a terminal.

mod interval;
mod labels;
mod scale;
mod svg;
mod text;
mod timeline;

pub use interval::{Interval, intervals};
pub use scale::{Scale, TimeUnit};
pub use timeline::{Step, TimePanel, Timeline};

/// Lines of one panel that can be told apart by their colours.
pub const LINES_MAX: usize = 8;

/// Panels above each other that share the axis at the bottom.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// Of what.
    pub subtitle: String,
    /// The shared axis.
    pub x: Axis,
    /// From top to bottom, at least one.
    pub panels: Vec<Panel>,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it counts, with its unit.
    pub label: String,
    /// How values become places.
    pub scale: Scale,
}

/// Lines with a vertical axis of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Its axis.
    pub y: Axis,
    /// At most [`LINES_MAX`] of them.
    pub lines: Vec<Line>,
    /// The area below a line is filled; without it points have dots.
    pub filled: bool,
    /// In pixels.
    pub height: u32,
}

/// A line through points.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Shown when there are several.
    pub name: String,
    /// By rising `x`.
    pub points: Vec<Point>,
}

/// A point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// On the shared axis.
    pub x: f64,
    /// On the panel's.
    pub y: f64,
    /// The interval around `y`, if there is one.
    pub band: Option<(f64, f64)>,
}

impl Axis {
    /// What stands beside it.
    fn words(&self) -> String {
        match self.scale {
            Scale::Log { .. } => format!("{}, log scale", self.label),
            Scale::Linear { .. } | Scale::Names(_) => self.label.clone(),
        }
    }
}

impl Chart {
    /// The picture as SVG that needs no other file and reads well on light and dark pages.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::svg(self)
    }
}
