//! Metrics with the times at which they had their values, as OpenMetrics text: what Prometheus takes in afterwards
//! (`promtool tsdb create-blocks-from openmetrics`). Times are virtual: seconds from the start of the simulation.

use muster_core::exposition::Histogram;
use muster_core::sketch::Sketch;
use muster_core::time::Time;
use std::fmt::Write as _;

/// Whether a number only rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only rises; its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A text that grows family by family.
#[derive(Clone, Debug, Default)]
pub struct OpenMetrics {
    text: String,
}

impl OpenMetrics {
    /// A family with its series: labels as they stand between the braces, and values by time, rising. All of a
    /// family come at once, because the format wants them together.
    pub fn family<S>(&mut self, kind: Kind, name: &str, help: &str, series: S)
    where
        S: IntoIterator<Item = (String, Vec<(Time, f64)>)>,
    {
        let (family, kind) = match kind {
            // The suffix belongs to the sample, not to the family.
            Kind::Counter => (name.strip_suffix("_total").unwrap_or(name), "counter"),
            Kind::Gauge => (name, "gauge"),
        };
        self.head(family, kind, help);
        for (labels, values) in series {
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            for (at, value) in values {
                let _ = writeln!(self.text, "{name}{labels} {value} {}", Stamp(at));
            }
        }
    }

    /// A family of histograms as they are at one time.
    pub fn histograms(&mut self, family: &Histogram, at: Time, series: &[(String, &Sketch)]) {
        self.head(family.metric.name, "histogram", family.metric.help);
        let mut lines = String::new();
        for (labels, sketch) in series {
            family.series(&mut lines, labels, sketch);
        }
        for line in lines.lines() {
            let _ = writeln!(self.text, "{line} {}", Stamp(at));
        }
    }

    /// The whole text with its last line.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }

    fn head(&mut self, family: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail, here and above.
        let help = help.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        let _ = writeln!(self.text, "# TYPE {family} {kind}\n# HELP {family} {help}");
    }
}

/// Prometheus counts time in milliseconds.
struct Stamp(Time);

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = millis(self.0);
        write!(f, "{}.{:03}", millis / 1_000, millis % 1_000)
    }
}

const fn millis(at: Time) -> u64 {
    at.0.div_ceil(1_000_000)
}

/// Only the last of the values that fall into the same millisecond: to Prometheus they would have the same time.
pub fn apart<T: Copy>(values: impl IntoIterator<Item = (Time, T)>) -> Vec<(Time, T)> {
    let mut kept: Vec<(Time, T)> = Vec::new();
    for (at, value) in values {
        if kept.last().is_some_and(|&(last, _)| millis(last) >= millis(at)) {
            kept.pop();
        }
        kept.push((at, value));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_core::metric::coordinator::LEASE_TASKS;
    use muster_core::time::Span;

    #[test]
    fn a_family_has_its_head_once_and_ends_with_eof() {
        let mut text = OpenMetrics::default();
        let values = vec![(Time(0), 0.0), (Time(1_500_000_000), 7.0)];
        text.family(Kind::Counter, "tasks_total", "Tasks.", [("outcome=\"ok\"".to_owned(), values)]);
        text.family(Kind::Gauge, "queue", "Queue.", [(String::new(), vec![(Time(1), 0.25)])]);
        let mut sketch = Sketch::new();
        sketch.record(Span(4));
        let lengths = Histogram::of_tasks(LEASE_TASKS);
        text.histograms(&lengths, Time(2_000_000_000), &[("a=\"b\"".to_owned(), &sketch)]);
        let text = text.finish();
        assert!(
            text.starts_with(
                "# TYPE tasks counter\n# HELP tasks Tasks.\ntasks_total{outcome=\"ok\"} 0 0.000\n\
                 tasks_total{outcome=\"ok\"} 7 1.500\n# TYPE queue gauge\n# HELP queue Queue.\nqueue 0.25 0.001\n\
                 # TYPE muster_lease_tasks histogram\n"
            ),
            "{text}"
        );
        assert!(text.contains("muster_lease_tasks_bucket{a=\"b\",le=\"+Inf\"} 1 2.000\n"), "{text}");
        assert!(text.ends_with("muster_lease_tasks_count{a=\"b\"} 1 2.000\n# EOF\n"), "{text}");
    }

    #[test]
    fn values_of_the_same_millisecond_become_the_last_of_them() {
        let values = [(Time(1), 1), (Time(900_000), 2), (Time(1_000_001), 3), (Time(5_000_000), 4)];
        assert_eq!(apart(values), [(Time(900_000), 2), (Time(1_000_001), 3), (Time(5_000_000), 4)]);
    }
}
