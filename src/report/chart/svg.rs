//! The few shapes that charts consist of, as SVG. Colours and fonts come from the page's style.

use crate::report::html::escape;
use std::fmt::Write as _;

/// The mean width of a letter of labels, in pixels.
pub const LETTER: f64 = 7.2;
/// As many colours and markers as can be told apart; the next ones have broken lines.
pub const SERIES: usize = 8;

/// Where a text has its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing of fixed width whose height is known at the end.
#[derive(Debug)]
pub struct Canvas {
    body: String,
    /// In pixels.
    pub width: f64,
}

impl Canvas {
    /// Empty.
    pub const fn new(width: f64) -> Self {
        Self { body: String::new(), width }
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            self.body,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    /// A filled area.
    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let (width, height) = (width.max(0.0), height.max(0.0));
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }

    /// Lines from point to point.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(self.body, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    /// Words, on the line whose height is `y`.
    pub fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), words: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let words = escape(words);
        let _ =
            writeln!(self.body, "<text class=\"{class}\"{anchor} x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
    }

    /// Words in the middle above a place, moved as far as they would leave the drawing.
    pub fn text_inside(&mut self, class: &str, (x, y): (f64, f64), words: &str) {
        let (half, middle) = (text_width(words) / 2.0, self.width / 2.0);
        let x = x.clamp(half.min(middle), (self.width - half).max(middle));
        self.text(class, Anchor::Middle, (x, y), words);
    }

    /// The marker of a series, which differs in shape as well as in colour; hollow where it does not count.
    pub fn marker(&mut self, series: usize, (x, y): (f64, f64), counts: bool) {
        let shape = match series % SERIES {
            0 => "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0z",
            1 => "M-4,-4h8v8h-8z",
            2 => "M0,-5.2L5,4H-5z",
            3 => "M0,-5.6L5.6,0L0,5.6L-5.6,0z",
            4 => "M0,5.2L5,-4H-5z",
            5 => "M-1.6,-5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
            6 => "M-5,-2.5h10v5h-10z",
            _ => "M-2.5,-5h5v10h-5z",
        };
        let (class, colour) = (if counts { "mark" } else { "mark hollow" }, series % SERIES);
        let _ = writeln!(
            self.body,
            "<path class=\"{class} c{colour}\" transform=\"translate({x:.1},{y:.1})\" d=\"{shape}\"/>"
        );
    }

    /// The whole as an element of a page.
    pub fn finish(self, class: &str, height: f64, title: &str, description: &str) -> String {
        let (title, description) = (escape(title), escape(description));
        format!(
            "<svg class=\"chart {class}\" role=\"img\" viewBox=\"0 0 {width:.0} {height:.0}\">\
             <title>{title}</title><desc>{description}</desc>\n{body}</svg>\n",
            width = self.width,
            body = self.body
        )
    }
}

/// The classes of a series' line.
pub fn line_class(series: usize) -> String {
    format!("curve c{} d{}", series % SERIES, series / SERIES % 3)
}

/// A text of at most so many letters.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// About how wide a text is, in pixels.
pub fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}
