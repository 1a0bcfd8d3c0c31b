//! The metrics that plugins declare, added up over executors, also those that are gone. A plugin's metric
//! appears as `muster_plugin_<plugin>_<metric>`.

use crate::frame::Reading;
use muster_core::id::ExecutorId;
use muster_core::metric::worker as table;
use muster_plugin_host::{MetricKind, MetricSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Plugins whose metrics are kept; those of further ones are dropped.
const PLUGINS_MAX: usize = 256;

/// The metrics of all plugins.
#[derive(Debug, Default)]
pub(crate) struct WorkloadMetrics {
    plugins: BTreeMap<String, PluginMetrics>,
}

#[derive(Debug, Default)]
struct PluginMetrics {
    specs: Vec<MetricSpec>,
    live: BTreeMap<ExecutorId, Vec<Reading>>,
    /// What executors that are gone had counted.
    gone: Vec<Reading>,
}

impl WorkloadMetrics {
    /// What an executor's metrics stand at; those that do not fit the manifest are dropped.
    pub fn read(&mut self, plugin: &str, specs: &[MetricSpec], executor: ExecutorId, readings: Vec<Reading>) {
        let fits = readings.len() == specs.len()
            && readings.iter().zip(specs).all(|(reading, spec)| kind_of(reading) == spec.kind);
        if !fits || (!self.plugins.contains_key(plugin) && self.plugins.len() >= PLUGINS_MAX) {
            return;
        }
        let metrics = self.plugins.entry(plugin.to_owned()).or_default();
        if metrics.specs != specs {
            // Another version of the plugin: its metrics begin anew.
            *metrics = PluginMetrics { specs: specs.to_vec(), ..PluginMetrics::default() };
        }
        metrics.live.insert(executor, readings);
    }

    /// An executor is gone; what it counted stays.
    pub fn executor_ended(&mut self, plugin: &str, executor: ExecutorId) {
        let Some(metrics) = self.plugins.get_mut(plugin) else { return };
        let Some(readings) = metrics.live.remove(&executor) else { return };
        metrics.gone = sum([metrics.gone.as_slice(), &readings].into_iter());
        for reading in &mut metrics.gone {
            if let Reading::Gauge(value) = reading {
                *value = 0.0;
            }
        }
    }

    /// Appends the text for Prometheus.
    pub fn render(&self, text: &mut String) {
        // A name that the worker has itself, or that another plugin came to first, would make the page one that cannot
        // be read.
        let mut taken: BTreeSet<String> = table::ALL.iter().map(|metric| metric.name.to_owned()).collect();
        for (plugin, metrics) in &self.plugins {
            let parts = metrics.live.values().map(Vec::as_slice).chain([metrics.gone.as_slice()]);
            for (spec, reading) in metrics.specs.iter().zip(sum(parts)) {
                let name = name(plugin, spec);
                if taken.insert(name.clone()) {
                    render(text, &name, spec, &reading);
                }
            }
        }
    }
}

const fn kind_of(reading: &Reading) -> MetricKind {
    match reading {
        Reading::Counter(_) => MetricKind::Counter,
        Reading::Gauge(_) => MetricKind::Gauge,
        Reading::Histogram { .. } => MetricKind::Histogram,
    }
}

/// Metric by metric; shorter parts are as zero.
fn sum<'a>(parts: impl Iterator<Item = &'a [Reading]>) -> Vec<Reading> {
    let mut total: Vec<Reading> = Vec::new();
    for part in parts {
        for (at, reading) in part.iter().enumerate() {
            match total.get_mut(at) {
                Some(known) => add(known, reading),
                None => total.push(reading.clone()),
            }
        }
    }
    total
}

fn add(total: &mut Reading, more: &Reading) {
    match (total, more) {
        (Reading::Counter(total), Reading::Counter(more)) | (Reading::Gauge(total), Reading::Gauge(more)) => {
            *total += more;
        }
        (
            Reading::Histogram { sum, buckets },
            Reading::Histogram { sum: more_sum, buckets: more_buckets },
        ) => {
            *sum += more_sum;
            for &(border, count) in more_buckets {
                match buckets.binary_search_by(|(known, _)| known.total_cmp(&border)) {
                    Ok(at) => buckets[at].1 += count,
                    Err(at) => buckets.insert(at, (border, count)),
                }
            }
        }
        // Kinds were compared with the manifest before.
        _ => {}
    }
}

/// The name of the series.
fn name(plugin: &str, spec: &MetricSpec) -> String {
    let mut name = format!("muster_plugin_{}_{}", plugin.replace('-', "_"), spec.name);
    if spec.kind == MetricKind::Counter && !name.ends_with("_total") {
        name.push_str("_total");
    }
    name
}

fn render(text: &mut String, name: &str, spec: &MetricSpec, reading: &Reading) {
    let help = spec.help.replace('\\', "\\\\").replace('\n', "\\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", spec.kind.name());
    match reading {
        Reading::Counter(value) | Reading::Gauge(value) => {
            let _ = writeln!(text, "{name} {value}");
        }
        Reading::Histogram { sum, buckets } => {
            let mut below = 0;
            for (border, count) in buckets.iter().filter(|(border, _)| border.is_finite()) {
                below += count;
                let _ = writeln!(text, "{name}_bucket{{le=\"{border}\"}} {below}");
            }
            let count: u64 = buckets.iter().map(|(_, count)| count).sum();
            let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "{name}_sum {sum}\n{name}_count {count}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, kind: MetricKind) -> MetricSpec {
        MetricSpec { name: name.to_owned(), kind, help: format!("All {name}") }
    }

    #[test]
    fn executors_add_up_and_leave_their_counts_behind() {
        let specs = [
            spec("words", MetricKind::Counter),
            spec("depth", MetricKind::Gauge),
            spec("bytes", MetricKind::Histogram),
        ];
        let readings = |count: f64, border: f64| {
            let bytes = Reading::Histogram { sum: 10.0, buckets: vec![(border, 2), (f64::INFINITY, 1)] };
            vec![Reading::Counter(count), Reading::Gauge(3.0), bytes]
        };
        let mut metrics = WorkloadMetrics::default();
        metrics.read("word-count", &specs, ExecutorId(1), readings(5.0, 4.0));
        metrics.read("word-count", &specs, ExecutorId(1), readings(7.0, 4.0));
        metrics.read("word-count", &specs, ExecutorId(2), readings(1.0, 2.0));
        metrics.read("word-count", &specs, ExecutorId(3), vec![Reading::Counter(9.0)]);
        metrics.executor_ended("word-count", ExecutorId(1));
        let mut text = String::new();
        metrics.render(&mut text);
        for line in [
            "# TYPE muster_plugin_word_count_words_total counter",
            "muster_plugin_word_count_words_total 8",
            "muster_plugin_word_count_depth 3",
            "muster_plugin_word_count_bytes_bucket{le=\"2\"} 2",
            "muster_plugin_word_count_bytes_bucket{le=\"4\"} 4",
            "muster_plugin_word_count_bytes_bucket{le=\"+Inf\"} 6",
            "muster_plugin_word_count_bytes_sum 20",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
    #[test]
    fn a_name_is_there_once() {
        let mut metrics = WorkloadMetrics::default();
        let mut read = |plugin: &str, metric: &str| {
            let specs = [spec(metric, MetricKind::Counter)];
            metrics.read(plugin, &specs, ExecutorId(1), vec![Reading::Counter(1.0)]);
        };
        read("cache", "requests");
        read("a-b", "c");
        read("a", "b_c");
        let mut text = String::new();
        metrics.render(&mut text);
        let heads: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        assert_eq!(heads, ["# TYPE muster_plugin_a_b_c_total counter"]);
    }
}
