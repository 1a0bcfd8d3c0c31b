//! Histograms in Prometheus' text format, from exact bucket counts. Coordinator and workers write theirs here, so
//! that a family has the same bounds in both and can be added up.

use crate::metric::Metric;
use crate::sketch::{Sketch, bucket_floor};
use alloc::string::String;
use core::fmt::Write;

/// A family of histograms.
#[derive(Clone, Copy, Debug)]
pub struct Histogram {
    /// Its row in the table of series.
    pub metric: Metric,
    /// Upper bounds of the buckets, rising, in what the sketch counts.
    pub bounds: &'static [u64],
    /// How much of what the sketch counts makes one of the family's unit: 1e9 for nanoseconds shown as seconds.
    pub per_unit: f64,
}

/// Powers of four from about 1 us to about 69 s, in nanoseconds; they are borders of sketch buckets.
pub const TIME_BOUNDS_NS: [u64; 14] = powers_of_four(10);
/// Powers of four from 1 to 16 M, the longest lease.
pub const TASKS_BOUNDS: [u64; 13] = powers_of_four(0);

impl Histogram {
    /// A family of times, counted in nanoseconds and shown in seconds.
    #[must_use]
    pub const fn of_times(metric: Metric) -> Self {
        Self { metric, bounds: &TIME_BOUNDS_NS, per_unit: 1e9 }
    }

    /// A family of numbers of tasks.
    #[must_use]
    pub const fn of_tasks(metric: Metric) -> Self {
        Self { metric, bounds: &TASKS_BOUNDS, per_unit: 1.0 }
    }

    /// The whole family, a histogram for each row, which starts with the values of the labels; nothing without rows.
    pub fn write<'a, const N: usize>(
        &self,
        text: &mut String,
        rows: impl IntoIterator<Item = ([&'a str; N], &'a Sketch)>,
    ) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return;
        }
        self.metric.head(text);
        for (values, sketch) in rows {
            self.series(text, &self.metric.label_text(&values), sketch);
        }
    }

    /// One histogram with exact count and sum. `labels` is what stands between the braces. A bucket of the sketch
    /// belongs to the first bound that covers all of it, so a bound may count a bucket's width (at most 6 %) too
    /// little, never too much; whole numbers up to 31 have buckets of their own.
    pub fn series(&self, text: &mut String, labels: &str, sketch: &Sketch) {
        let Self { metric: Metric { name, .. }, bounds, per_unit } = *self;
        let comma = if labels.is_empty() { "" } else { "," };
        let mut buckets = sketch.buckets().peekable();
        // Counts come from workers, and are what they say.
        let mut below = 0u64;
        for &bound in bounds {
            while let Some((_, count)) =
                buckets.next_if(|&(bucket, _)| bucket_floor(bucket + 1) <= bound.saturating_add(1))
            {
                below = below.saturating_add(count);
            }
            let le = bound as f64 / per_unit;
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{le}\"}} {below}");
        }
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        let (count, sum) = (sketch.count(), sketch.sum().0 as f64 / per_unit);
        let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}");
        let _ = writeln!(
            text,
            "{name}_sum{open}{labels}{close} {sum}\n{name}_count{open}{labels}{close} {count}"
        );
    }
}

/// A label's value as it stands between its quotes.
#[must_use]
pub fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const fn powers_of_four<const N: usize>(first_exponent: u32) -> [u64; N] {
    let mut bounds = [0; N];
    let mut at = 0;
    while at < N {
        bounds[at] = 1 << (first_exponent + 2 * at as u32);
        at += 1;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::coordinator::{LEASE_TASKS, TASK_PHASE};
    use crate::time::Span;

    const LENGTHS: Histogram = Histogram::of_tasks(LEASE_TASKS);

    #[test]
    fn small_numbers_are_counted_exactly_and_bounds_belong_to_their_bucket() {
        let mut sketch = Sketch::new();
        [1, 4, 5, 16, 17].into_iter().for_each(|length| sketch.record(Span(length)));
        let mut text = String::new();
        LENGTHS.write(&mut text, [([], &sketch)]);
        assert!(text.starts_with(
            "# HELP muster_lease_tasks Tasks of a lease.\n# TYPE muster_lease_tasks histogram\n"
        ));
        for line in ["le=\"1\"} 1", "le=\"4\"} 2", "le=\"16\"} 4", "le=\"64\"} 5", "le=\"+Inf\"} 5"] {
            assert!(
                text.contains(&alloc::format!("muster_lease_tasks_bucket{{{line}\n")),
                "{line} is not in\n{text}"
            );
        }
        assert!(text.ends_with("muster_lease_tasks_sum 43\nmuster_lease_tasks_count 5\n"), "{text}");
    }

    #[test]
    fn labels_stand_before_the_bound_and_in_braces() {
        let (mut text, none) = (String::new(), Sketch::new());
        Histogram::of_times(TASK_PHASE).write(&mut text, [(["a\"b", "run"], &none)]);
        let labels = r#"{plugin="a\"b",phase="run""#;
        let first = alloc::format!("muster_task_phase_seconds_bucket{labels},le=\"0.000001024\"}} 0\n");
        assert!(text.contains(&first), "{text}");
        assert!(text.ends_with(&alloc::format!("muster_task_phase_seconds_count{labels}}} 0\n")), "{text}");
    }
}
