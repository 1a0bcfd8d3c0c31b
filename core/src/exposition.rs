//! Histograms in Prometheus' text format, from exact bucket counts. Coordinator and workers write theirs here, so
//! that a family has the same bounds in both and can be added up.

use crate::sketch::{Sketch, bucket_floor};
use alloc::string::String;
use core::fmt::Write;

/// A family of counters or gauges.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its HELP text.
    pub help: &'static str,
}

/// A family of histograms.
#[derive(Clone, Copy, Debug)]
pub struct Histogram {
    /// Its name.
    pub name: &'static str,
    /// Its HELP text.
    pub help: &'static str,
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
    /// The two lines before the first histogram of the family.
    pub fn head(&self, text: &mut String) {
        let Self { name, help, .. } = self;
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
    }

    /// One histogram with exact count and sum. `labels` is what stands between the braces. A bucket of the sketch
    /// belongs to the first bound that covers all of it, so a bound may count a bucket's width (at most 6 %) too
    /// little, never too much; whole numbers up to 31 have buckets of their own.
    pub fn series(&self, text: &mut String, labels: &str, sketch: &Sketch) {
        let Self { name, bounds, per_unit, .. } = *self;
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
    use crate::time::Span;

    const LENGTHS: Histogram =
        Histogram { name: "lengths", help: "Lengths.", bounds: &TASKS_BOUNDS, per_unit: 1.0 };

    #[test]
    fn small_numbers_are_counted_exactly_and_bounds_belong_to_their_bucket() {
        let mut sketch = Sketch::new();
        [1, 4, 5, 16, 17].into_iter().for_each(|length| sketch.record(Span(length)));
        let mut text = String::new();
        LENGTHS.head(&mut text);
        LENGTHS.series(&mut text, "", &sketch);
        assert!(text.starts_with("# HELP lengths Lengths.\n# TYPE lengths histogram\n"), "{text}");
        for line in ["le=\"1\"} 1", "le=\"4\"} 2", "le=\"16\"} 4", "le=\"64\"} 5", "le=\"+Inf\"} 5"] {
            assert!(text.contains(&alloc::format!("lengths_bucket{{{line}\n")), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("lengths_sum 43\nlengths_count 5\n"), "{text}");
    }

    #[test]
    fn labels_stand_before_the_bound_and_in_braces() {
        let mut text = String::new();
        LENGTHS.series(&mut text, &alloc::format!("plugin=\"{}\"", escape("a\"b")), &Sketch::new());
        assert!(text.starts_with("lengths_bucket{plugin=\"a\\\"b\",le=\"1\"} 0\n"), "{text}");
        assert!(text.ends_with("lengths_count{plugin=\"a\\\"b\"} 0\n"), "{text}");
    }
}
