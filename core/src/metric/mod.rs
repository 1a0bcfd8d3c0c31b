//! All series that muster exports: one table per process. docs/metrics.md is written from it, and the processes
//! take names, labels and help texts from it, so that the three cannot differ.

pub mod coordinator;
pub mod worker;

use alloc::string::String;
use core::fmt::{Display, Write};

/// What a series' value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, until its process starts anew.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// As Prometheus' text format spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A family of series.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What its values do.
    pub kind: Kind,
    /// What its values count.
    pub unit: &'static str,
    /// Its labels, in this order; [`LABELS`] says what values each has.
    pub labels: &'static [&'static str],
    /// Its HELP text.
    pub help: &'static str,
}

/// The labels of all series, and where their values come from: each a closed set, or one with a limit.
pub const LABELS: &[(&str, &str)] = &[
    (
        "cause",
        "why an executor ended: `stopped`, `killed`, `exited`, `signal`, `aborted`, `load_failed`, `protocol`, `timeout`, `memory` or `retired`",
    ),
    ("code", "the gRPC status: `ok`, `cancelled`, `invalid_argument` and the other codes"),
    ("direction", "`in` or `out`"),
    ("level", "`process` or `cgroup`"),
    ("method", "a method as `Service/Method`; calls of methods that do not exist count as `other`"),
    ("outcome", "how a task, an attempt or a job ended; a closed set"),
    ("phase", "`queue`, `dispatch`, `run` or `report`"),
    ("plugin", "a plugin's name; after 256 of them further ones count as `other`"),
    ("priority", "`low` (below 0), `normal` (0) or `high`"),
    ("reason", "why; a closed set"),
    ("result", "what came of it; a closed set"),
    ("role", "`coordinator` or `worker`"),
    ("state", "a closed set"),
    ("version", "of muster"),
];

/// Plugins that have series of their own in one process.
pub const PLUGINS_MAX: usize = 256;
/// The plugin under which those beyond the limit are counted.
pub const OTHER: &str = "other";

impl Metric {
    /// The two lines before the samples of the family.
    pub fn head(&self, text: &mut String) {
        let Self { name, help, kind, .. } = self;
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
    }

    /// The whole family: a sample for each row, which starts with the values of the labels. Without rows nothing is
    /// written: a head alone is half a family.
    pub fn write<'a, const N: usize, V: Display>(
        &self,
        text: &mut String,
        rows: impl IntoIterator<Item = ([&'a str; N], V)>,
    ) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return;
        }
        self.head(text);
        for (values, value) in rows {
            let _ = writeln!(text, "{}{} {value}", self.name, Braces(&self.label_text(&values)));
        }
    }

    /// Labels as they stand between the braces.
    #[must_use]
    pub fn label_text(&self, values: &[&str]) -> String {
        debug_assert_eq!(self.labels.len(), values.len(), "labels of {}", self.name);
        let mut text = String::new();
        for (label, value) in self.labels.iter().zip(values) {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{label}=\"{}\"", crate::exposition::escape(value));
        }
        text
    }
}

struct Braces<'a>(&'a str);

impl Display for Braces<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{{{}}}", self.0) }
    }
}

/// Makes constants and the table of all of them.
macro_rules! table {
    ($($constant:ident $kind:ident $name:literal [$($label:literal)*] $unit:literal $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: super::Metric = super::Metric {
                name: $name,
                kind: super::Kind::$kind,
                unit: $unit,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// All of them, in the order of the page.
        pub const ALL: &[super::Metric] = &[$($constant),*];
    };
}
pub(crate) use table;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn names_follow_the_rules_and_labels_are_known() {
        for table in [coordinator::ALL, worker::ALL] {
            let names: BTreeSet<&str> = table.iter().map(|metric| metric.name).collect();
            assert_eq!(names.len(), table.len(), "a name stands twice");
            for metric in table {
                let Metric { name, kind, unit, labels, help } = metric;
                assert!(name.starts_with("muster_"), "{name}");
                assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
                assert!(
                    help.ends_with('.') && !help.contains('\n') && !help.contains('\\'),
                    "{name}: {help}"
                );
                let base = name.trim_end_matches("_total");
                if matches!(*unit, "seconds" | "bytes") {
                    assert!(base.ends_with(unit), "{name} counts {unit}");
                }
                for label in *labels {
                    assert!(LABELS.iter().any(|(known, _)| known == label), "{name}: {label}");
                }
            }
        }
        assert!(LABELS.is_sorted());
    }

    #[test]
    fn a_family_has_its_head_once_and_labels_in_order() {
        let mut text = String::new();
        coordinator::TASKS.write(&mut text, [(["a\"b", "ok"], 7), (["c", "failed"], 0)]);
        coordinator::JOBS.write(&mut text, [([], 1.5)]);
        coordinator::WORKERS.write(&mut text, core::iter::empty::<([&str; 1], u64)>());
        let expected = "# HELP muster_tasks_total Tasks that ended, by plugin and outcome.\n\
                        # TYPE muster_tasks_total counter\n\
                        muster_tasks_total{plugin=\"a\\\"b\",outcome=\"ok\"} 7\n\
                        muster_tasks_total{plugin=\"c\",outcome=\"failed\"} 0\n\
                        # HELP muster_jobs Jobs that have not ended.\n\
                        # TYPE muster_jobs gauge\n\
                        muster_jobs 1.5\n";
        assert_eq!(text, expected);
    }
}
