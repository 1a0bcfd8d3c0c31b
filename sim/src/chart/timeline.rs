//! What happened over time: a picture, and the same in characters.

use super::{Axis, Chart, Line, Panel, Point, Scale, TimeUnit, text};

/// Numbers over the same time.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// What it shows.
    pub title: String,
    /// Of what.
    pub subtitle: String,
    /// The end of the axis in seconds.
    pub end_s: f64,
    /// From top to bottom.
    pub panels: Vec<TimePanel>,
}

/// One number over time.
#[derive(Clone, Debug, PartialEq)]
pub struct TimePanel {
    /// What it is, with its unit.
    pub label: String,
    /// In a few words what there is to see.
    pub remark: String,
    /// The top of its axis; its bottom is 0.
    pub max: f64,
    /// By rising time and without gaps.
    pub steps: Vec<Step>,
    /// Lines of characters that it takes in a terminal.
    pub rows: usize,
}

/// What a number is from one time to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// In seconds.
    pub from: f64,
    /// In seconds.
    pub until: f64,
    /// The number at its start and at its end; the same for a mean over the step.
    pub values: (f64, f64),
}

impl Timeline {
    /// As a picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let unit = TimeUnit::of(self.end_s);
        let panels = self.panels.iter().map(|panel| Panel {
            y: Axis { label: panel.label.clone(), scale: Scale::rounded_up_to(panel.max) },
            lines: vec![Line { name: panel.label.clone(), points: panel.corners(unit) }],
            filled: true,
            height: 40 + 24 * panel.rows as u32,
        });
        let chart = Chart {
            title: self.title.clone(),
            subtitle: self.subtitle.clone(),
            x: Axis {
                label: format!("virtual time ({})", unit.full_name),
                scale: Scale::up_to(self.end_s / unit.seconds),
            },
            panels: panels.collect(),
        };
        chart.svg()
    }

    /// In lines of at most `width` characters; with colours where they are seen.
    #[must_use]
    pub fn text(&self, width: usize, colours: bool) -> String {
        text::text(self, width, colours)
    }
}

impl TimePanel {
    fn corners(&self, unit: TimeUnit) -> Vec<Point> {
        let corner = |time: f64, y| Point { x: time / unit.seconds, y, band: None };
        let corners = |step: &Step| [corner(step.from, step.values.0), corner(step.until, step.values.1)];
        self.steps.iter().flat_map(corners).collect()
    }

    /// The mean over each of so many equal parts of the time up to `end_s`.
    pub(super) fn means(&self, end_s: f64, parts: usize) -> Vec<f64> {
        let (mut sums, length) = (vec![0.0; parts], end_s / parts as f64);
        for &Step { from, until, values } in &self.steps {
            let at = |time: f64| values.0 + (values.1 - values.0) * (time - from) / (until - from);
            let first = ((from / length) as usize).min(parts);
            for (part, sum) in sums.iter_mut().enumerate().skip(first) {
                let (start, end) = (part as f64 * length, (part + 1) as f64 * length);
                if start >= until {
                    break;
                }
                let (first, last) = (from.max(start), until.min(end));
                if last > first {
                    *sum += (at(first) + at(last)) / 2.0 * (last - first);
                }
            }
        }
        sums.into_iter().map(|sum| sum / length).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(steps: &[(f64, f64, f64)]) -> TimePanel {
        let steps =
            steps.iter().map(|&(from, until, value)| Step { from, until, values: (value, value) }).collect();
        TimePanel { label: "busy, %".to_owned(), remark: "mean 50".to_owned(), max: 100.0, steps, rows: 4 }
    }

    #[test]
    fn means_weigh_by_time() {
        let panel = panel(&[(0.0, 1.0, 100.0), (1.0, 3.0, 0.0), (3.0, 4.0, 50.0)]);
        assert_eq!(panel.means(4.0, 4), [100.0, 0.0, 0.0, 50.0]);
        assert_eq!(panel.means(4.0, 2), [50.0, 25.0]);
        assert_eq!(panel.means(4.0, 8)[..3], [100.0, 100.0, 0.0]);
    }

    #[test]
    fn what_changes_within_a_step_begins_where_it_was() {
        let mut panel = panel(&[]);
        panel.steps = vec![Step { from: 0.0, until: 2.0, values: (500.0, 100.0) }];
        assert_eq!(panel.means(2.0, 2), [400.0, 200.0]);
        assert_eq!(
            panel.corners(TimeUnit::of(2.0)).iter().map(|corner| corner.y).collect::<Vec<_>>(),
            [500.0, 100.0]
        );
    }

    #[test]
    fn a_long_title_moves_to_the_left() {
        let mut panel = panel(&[(0.0, 1.0, 50.0)]);
        panel.remark = "mean 83.5 of the slots at the start".to_owned();
        let timeline =
            Timeline { title: String::new(), subtitle: String::new(), end_s: 1.0, panels: vec![panel] };
        assert!(timeline.text(48, false).starts_with("    busy, %: mean 83.5 of the slots at the start\n"));
        assert!(timeline.text(80, false).starts_with("         busy, %: mean"));
    }

    #[test]
    fn both_forms_have_axes_and_fit() {
        let timeline = Timeline {
            title: "A & B".to_owned(),
            subtitle: "seed 1".to_owned(),
            end_s: 1_003.0,
            panels: vec![panel(&[(0.0, 900.0, 100.0), (900.0, 1_003.0, 20.0)])],
        };
        let svg = timeline.svg();
        for part in
            ["<svg", "A &amp; B", "virtual time (minutes)", "busy, %", "prefers-color-scheme: dark", "</svg>"]
        {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
        for width in [40, 80, 120] {
            let text = timeline.text(width, false);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert!(text.contains('█') && text.contains("100") && text.contains(" min"), "{text}");
            assert!(!text.contains('\x1b') && timeline.text(width, true).contains('\x1b'));
        }
    }
}
