//! Curves of several series over one quantity.

use super::svg::{Anchor, Canvas, LETTER, line_class, shortened, text_width};
use super::{AXIS_HEIGHT, Axis, Drawing, STACKED_BELOW, Start, Unit};
use crate::summary::plain;
use muster_sim::chart::Scale;

/// The chart.
#[derive(Clone, Debug)]
pub struct Curves {
    pub title: String,
    pub description: String,
    pub bottom: Side,
    /// What the vertical axis counts.
    pub label: String,
    pub unit: Unit,
    pub curves: Vec<Curve>,
    /// Places that matter, with a word each.
    pub marks: Vec<Mark>,
}

/// The horizontal axis.
#[derive(Clone, Debug)]
pub enum Side {
    /// A quantity.
    Values {
        /// What it is.
        label: String,
    },
    /// Quantiles below 1: each nine more is equally long.
    Quantiles,
}

/// One series.
#[derive(Clone, Debug)]
pub struct Curve {
    pub name: String,
    /// By rising `x`, at least one.
    pub points: Vec<CurvePoint>,
}

/// One of its points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    pub x: f64,
    pub y: f64,
    pub interval: Option<(f64, f64)>,
    pub counts: bool,
}

/// A vertical line.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    pub x: f64,
    pub words: String,
}

/// More points than this are a line without markers.
const MARKERS_MAX: usize = 24;
const LEFT: f64 = 52.0;
const LEGEND_ROW: f64 = 20.0;
const LABEL_ROW: f64 = 24.0;
/// Where the first row of the legend stands.
const FIRST_LINE: f64 = 14.0;

impl Drawing for Curves {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    fn draw(&self, canvas: &mut Canvas) -> f64 {
        let stacked = canvas.width < STACKED_BELOW;
        let height = if stacked { 230.0 } else { 300.0 };
        // At the ends of the curves, where there is room for it.
        let names = self.curves.iter().map(|curve| text_width(&curve.name)).fold(0.0, f64::max).min(220.0);
        let right = canvas.width - if stacked { 14.0 } else { names + 20.0 };
        let legend = self.legend(canvas);
        let marks = LEGEND_ROW * self.marks.len().min(3) as f64;
        let top = legend + marks + LABEL_ROW;
        let bottom = top + height;
        let across = self.bottom_axis();
        let up = self.side_axis();
        let place = |point: (f64, f64)| {
            (LEFT + across.place(point.0) * (right - LEFT), bottom - up.place(point.1) * height)
        };
        across.draw(canvas, (LEFT, right), (top, bottom));
        up.draw_beside(canvas, (LEFT, right), (top, bottom));
        for (at, mark) in self.marks.iter().enumerate() {
            let (x, _) = place((mark.x, 0.0));
            let y = legend + LEGEND_ROW * (at % 3) as f64 + FIRST_LINE;
            canvas.line("reference", (x, y + 4.0), (x, bottom));
            canvas.text_inside("soft", (x, y), &mark.words);
        }
        for (series, curve) in self.curves.iter().enumerate() {
            draw_curve(canvas, series, curve, place);
        }
        if !stacked {
            self.names_at_ends(canvas, right + 10.0, (top, bottom), |point| place(point).1);
        }
        bottom + AXIS_HEIGHT
    }
}

impl Curves {
    fn points(&self) -> impl Iterator<Item = &CurvePoint> {
        self.curves.iter().flat_map(|curve| &curve.points)
    }

    fn side_axis(&self) -> Axis {
        let values: Vec<f64> = self
            .points()
            .flat_map(|point| [point.y].into_iter().chain(point.interval.iter().flat_map(|it| [it.0, it.1])))
            .collect();
        let start = match self.bottom {
            Side::Values { .. } => Start::Near,
            Side::Quantiles => Start::Multiples,
        };
        Axis::of(&self.label, self.unit, &values, start)
    }

    fn bottom_axis(&self) -> Bottom {
        let values: Vec<f64> = self.points().map(|point| point.x).collect();
        match &self.bottom {
            Side::Values { label } => Bottom::of(label, &values),
            Side::Quantiles => {
                let most = values.iter().copied().map(nines).fold(1.0, f64::max);
                Bottom {
                    scale: Scale::Linear { min: 0.0, max: most },
                    label: "percentile".into(),
                    ticks: quantile_ticks(most),
                    is_nines: true,
                }
            }
        }
    }

    /// Markers with their names in rows above everything; gives the height.
    fn legend(&self, canvas: &mut Canvas) -> f64 {
        let (mut x, mut y) = (8.0, FIRST_LINE);
        for (series, curve) in self.curves.iter().enumerate() {
            let name = shortened(&curve.name, (canvas.width / LETTER) as usize - 6);
            let width = 40.0 + text_width(&name);
            if x + width > canvas.width && x > 8.0 {
                (x, y) = (8.0, y + LEGEND_ROW);
            }
            canvas.line(&line_class(series), (x - 6.0, y - 4.0), (x + 18.0, y - 4.0));
            canvas.marker(series, (x + 6.0, y - 4.0), true);
            canvas.text("name", Anchor::Start, (x + 24.0, y), &name);
            x += width;
        }
        y + 10.0
    }

    /// Each name beside the last point of its curve, moved down as far as others need room.
    fn names_at_ends(
        &self,
        canvas: &mut Canvas,
        x: f64,
        (top, bottom): (f64, f64),
        y: impl Fn((f64, f64)) -> f64,
    ) {
        let ends = self.curves.iter().filter_map(|curve| curve.points.last().map(|end| (end, curve)));
        let mut ends: Vec<(f64, &Curve)> = ends.map(|(end, curve)| (y((end.x, end.y)), curve)).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        const ROW: f64 = 16.0;
        let mut free = top;
        for (at, (y, curve)) in ends.iter().enumerate() {
            let below = ROW * (ends.len() - at) as f64;
            let line = y.min(bottom - below + ROW).max(free);
            canvas.text("name", Anchor::Start, (x, line + 4.5), &shortened(&curve.name, 30));
            free = line + ROW;
        }
    }
}

fn draw_curve(canvas: &mut Canvas, series: usize, curve: &Curve, place: impl Fn((f64, f64)) -> (f64, f64)) {
    let points: Vec<(f64, f64)> = curve.points.iter().map(|point| place((point.x, point.y))).collect();
    canvas.path(&line_class(series), &points);
    let every = curve.points.len().div_ceil(MARKERS_MAX);
    for (at, (point, middle)) in curve.points.iter().zip(&points).enumerate() {
        if let Some((lo, hi)) = point.interval {
            let class = format!("whisker c{}", series % super::svg::SERIES);
            let ends = [lo, hi].map(|end| place((point.x, end)));
            canvas.line(&class, ends[0], ends[1]);
            for (x, y) in ends {
                canvas.line(&class, (x - 4.0, y), (x + 4.0, y));
            }
        }
        if at % every == 0 || at + 1 == points.len() {
            canvas.marker(series, *middle, point.counts);
        }
    }
}

/// A horizontal axis of values of any kind.
struct Bottom {
    scale: Scale,
    label: String,
    ticks: Vec<(f64, String)>,
    is_nines: bool,
}

impl Bottom {
    /// With the values themselves as ticks, where there are few.
    fn of(label: &str, values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (least, most) = (values[0], values[values.len() - 1]);
        let (scale, label) = if least > 0.0 && most / least > 20.0 {
            (Scale::Log { min: least / 1.1, max: most * 1.1 }, format!("{label} (logarithmic)"))
        } else {
            let room = ((most - least) * 0.04).max(most.abs() * 1e-6).max(f64::MIN_POSITIVE);
            (Scale::Linear { min: least - room, max: most + room }, label.to_owned())
        };
        let ticks = if values.len() <= 7 {
            values.iter().map(|&value| (value, plain(value))).collect()
        } else {
            scale.ticks(7)
        };
        Self { scale, label, ticks, is_nines: false }
    }

    fn place(&self, value: f64) -> f64 {
        self.scale.place(if self.is_nines { nines(value) } else { value })
    }

    fn draw(&self, canvas: &mut Canvas, (left, right): (f64, f64), (top, bottom): (f64, f64)) {
        let mut free = f64::NEG_INFINITY;
        for (value, words) in &self.ticks {
            let x = left + self.place(*value) * (right - left);
            canvas.line("grid", (x, top), (x, bottom));
            let half = text_width(words) / 2.0 + 2.0;
            if x - half > free {
                canvas.text_inside("tick", (x, bottom + 16.0), words);
                free = x + half;
            }
        }
        canvas.line("axis", (left, bottom), (right, bottom));
        canvas.text_inside("soft", (f64::midpoint(left, right), bottom + 34.0), &self.label);
    }
}

/// How many nines a quantile has: 0.9 has one, 0.99 two. The largest value has as many as can be told.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile.clamp(0.0, 1.0)).max(1e-9).log10()
}

fn quantile_ticks(most: f64) -> Vec<(f64, String)> {
    let all = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999_999];
    let shown = all.into_iter().filter(|quantile| nines(*quantile) <= most + 0.01);
    shown.map(|quantile| (quantile, format!("{} %", plain(quantile * 100.0)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_is_equally_long() {
        assert!((nines(0.9) - 1.0).abs() < 1e-9 && (nines(0.999) - 3.0).abs() < 1e-9);
        assert_eq!(nines(1.0), 9.0);
        let words: Vec<String> = quantile_ticks(3.0).into_iter().map(|(_, words)| words).collect();
        assert_eq!(words, ["0 %", "50 %", "90 %", "99 %", "99.9 %"]);
    }

    #[test]
    fn values_are_ticks_where_they_are_few() {
        let bottom = Bottom::of("share", &[0.0, 0.5, 1.0, 0.5]);
        let words: Vec<&str> = bottom.ticks.iter().map(|(_, words)| words.as_str()).collect();
        assert_eq!(words, ["0", "0.5", "1"]);
        assert!(Bottom::of("concurrency", &[1.0, 100.0]).label.ends_with("(logarithmic)"));
        assert!(Bottom::of("one", &[0.0]).place(0.0).is_finite());
    }
}
