//! Estimates with their intervals, a lane each, on one axis.

use super::svg::{Anchor, Canvas, shortened, text_width};
use super::{AXIS_HEIGHT, Axis, Drawing, STACKED_BELOW, Start, Unit};
use crate::compare::Spread;

/// The chart.
#[derive(Clone, Debug)]
pub struct Intervals {
    pub title: String,
    /// What the axis counts.
    pub label: String,
    pub unit: Unit,
    pub lanes: Vec<Lane>,
    /// Values in here are not told apart, and how that is called.
    pub band: Option<(f64, f64, String)>,
    /// A value of which it matters on which side an interval is.
    pub reference: Option<f64>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Lane {
    pub name: String,
    pub spread: Spread,
    /// What is said beside it, with its numbers.
    pub words: String,
    pub counts: bool,
    /// Its marker and colour.
    pub series: usize,
}

const LANE: f64 = 30.0;
const STACKED_LANE: f64 = 44.0;
const TOP: f64 = 8.0;
/// The words of a band, above the lanes.
const HEADROOM: f64 = 20.0;
const CAP: f64 = 5.0;

impl Drawing for Intervals {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        let lanes: Vec<String> =
            self.lanes.iter().map(|lane| format!("{}: {}", lane.name, lane.words)).collect();
        let band = self.band.as_ref().map(|band| format!(" Hatched: {}.", band.2)).unwrap_or_default();
        format!("Estimates with intervals of 95 %. {}.{band}", lanes.join("; "))
    }

    fn draw(&self, canvas: &mut Canvas) -> f64 {
        let stacked = canvas.width < STACKED_BELOW;
        let (left, right) = self.sides(canvas.width, stacked);
        let lane_height = if stacked { STACKED_LANE } else { LANE };
        let top = TOP + if self.band.is_some() { HEADROOM } else { 0.0 };
        let bottom = top + lane_height * self.lanes.len() as f64;
        let axis = self.axis();
        let x = |value: f64| left + axis.place(value) * (right - left);
        axis.draw_below(canvas, (left, right), (top, bottom));
        if let Some((from, to, words)) = &self.band {
            let (from, to) = (x(*from), x(*to));
            canvas.rect("band", (from, top), ((to - from).max(1.0), bottom - top));
            canvas.text_inside("soft", (f64::midpoint(from, to), TOP + 6.0), words);
        }
        if let Some(value) = self.reference {
            canvas.line("reference", (x(value), top), (x(value), bottom));
        }
        for (at, lane) in self.lanes.iter().enumerate() {
            let middle = top + lane_height * at as f64 + if stacked { 32.0 } else { lane_height / 2.0 };
            draw_lane(canvas, lane, [lane.spread.lo, lane.spread.median, lane.spread.hi].map(x), middle);
            let class = if lane.counts { "name" } else { "name void" };
            let line = if stacked { middle - 13.0 } else { middle + 4.5 };
            let room = ((if stacked { right - text_width(&lane.words) } else { left }) / super::svg::LETTER)
                as usize;
            canvas.text(class, Anchor::Start, (2.0, line), &shortened(&lane.name, room.max(8)));
            let end = if stacked { right } else { canvas.width - 2.0 };
            canvas.text("tick", Anchor::End, (end, line), &lane.words);
        }
        bottom + AXIS_HEIGHT
    }
}

impl Intervals {
    /// Where lanes begin and end: names are left of them and numbers right, where there is room.
    fn sides(&self, width: f64, stacked: bool) -> (f64, f64) {
        if stacked {
            return (12.0, width - 12.0);
        }
        let longest = |texts: &dyn Fn(&Lane) -> f64| self.lanes.iter().map(texts).fold(0.0, f64::max);
        let names = longest(&|lane| text_width(&lane.name)).min(width * 0.28);
        let words = longest(&|lane| text_width(&lane.words)).min(width * 0.35);
        (names + 14.0, width - words - 14.0)
    }

    fn axis(&self) -> Axis {
        let spreads = self.lanes.iter().flat_map(|lane| [lane.spread.lo, lane.spread.median, lane.spread.hi]);
        let band = self.band.iter().flat_map(|(from, to, _)| [*from, *to]);
        let values: Vec<f64> = spreads.chain(band).chain(self.reference).collect();
        Axis::of(&self.label, self.unit, &values, Start::Near)
    }
}

fn draw_lane(canvas: &mut Canvas, lane: &Lane, [lo, median, hi]: [f64; 3], y: f64) {
    let class = if lane.counts {
        format!("whisker c{}", lane.series % super::svg::SERIES)
    } else {
        "whisker void".into()
    };
    canvas.line(&class, (lo, y), (hi, y));
    for end in [lo, hi] {
        canvas.line(&class, (end, y - CAP), (end, y + CAP));
    }
    canvas.marker(lane.series, (median, y), lane.counts);
}
