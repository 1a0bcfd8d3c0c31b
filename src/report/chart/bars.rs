//! Bars from nothing, two a row: what there was before, and what came to it.

use super::svg::{Anchor, Canvas, LETTER, shortened, text_width};
use super::{AXIS_HEIGHT, Axis, Drawing, STACKED_BELOW, Start, Unit};

/// The chart.
#[derive(Clone, Debug)]
pub struct Bars {
    pub title: String,
    pub label: String,
    pub unit: Unit,
    /// What the two parts of a bar are called.
    pub parts: [&'static str; 2],
    pub bars: Vec<Bar>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Bar {
    pub name: String,
    /// The end of the first part; `None`: not known.
    pub base: Option<f64>,
    /// The end of the second.
    pub peak: f64,
}

const ROW: f64 = 30.0;
const STACKED_ROW: f64 = 46.0;
const THICK: f64 = 16.0;
const LEGEND: f64 = 30.0;

impl Drawing for Bars {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        let bars: Vec<String> =
            self.bars.iter().map(|bar| format!("{}: {}", bar.name, self.words(bar))).collect();
        format!("Bars from 0; {} and {}. {}.", self.parts[0], self.parts[1], bars.join("; "))
    }

    fn draw(&self, canvas: &mut Canvas) -> f64 {
        let stacked = canvas.width < STACKED_BELOW;
        let longest = |of: &dyn Fn(&Bar) -> f64| self.bars.iter().map(of).fold(0.0, f64::max);
        let names = longest(&|bar| text_width(&bar.name)).min(canvas.width * 0.3);
        let words = longest(&|bar| text_width(&self.words(bar))).min(canvas.width * 0.4);
        let (left, right) =
            if stacked { (4.0, canvas.width - 12.0) } else { (names + 14.0, canvas.width - words - 14.0) };
        let row = if stacked { STACKED_ROW } else { ROW };
        let bottom = LEGEND + row * self.bars.len() as f64;
        let peaks: Vec<f64> = self.bars.iter().map(|bar| bar.peak.max(bar.base.unwrap_or(0.0))).collect();
        let axis = Axis::of(&self.label, self.unit, &peaks, Start::Zero);
        let length = |value: f64| axis.place(value) * (right - left);
        axis.draw_below(canvas, (left, right), (LEGEND, bottom));
        self.legend(canvas);
        for (at, bar) in self.bars.iter().enumerate() {
            let middle = LEGEND + row * at as f64 + if stacked { 32.0 } else { row / 2.0 };
            let top = middle - THICK / 2.0;
            let base = length(bar.base.unwrap_or(0.0));
            canvas.rect("bar base", (left, top), (base, THICK));
            canvas.rect("bar more", (left + base, top), (length(bar.peak) - base, THICK));
            canvas.rect("bar edge", (left, top), (length(bar.peak), THICK));
            let line = if stacked { middle - 13.0 } else { middle + 4.5 };
            let words = self.words(bar);
            let room = if stacked { right - text_width(&words) } else { left };
            canvas.text("name", Anchor::Start, (2.0, line), &shortened(&bar.name, (room / LETTER) as usize));
            let end = if stacked { right } else { canvas.width - 2.0 };
            canvas.text("tick", Anchor::End, (end, line), &words);
        }
        bottom + AXIS_HEIGHT
    }
}

impl Bars {
    fn words(&self, bar: &Bar) -> String {
        let peak = self.unit.words(bar.peak);
        bar.base.map_or_else(|| peak.clone(), |base| format!("{} to {peak}", self.unit.words(base)))
    }

    fn legend(&self, canvas: &mut Canvas) {
        let mut x = 2.0;
        for (part, class) in self.parts.into_iter().zip(["bar base", "bar more"]) {
            canvas.rect(class, (x, 4.0), (16.0, 12.0));
            canvas.rect("bar edge", (x, 4.0), (16.0, 12.0));
            canvas.text("soft", Anchor::Start, (x + 22.0, 14.5), part);
            x += 22.0 + text_width(part) + 18.0;
        }
    }
}
