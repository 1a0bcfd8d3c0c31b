//! Names of the coordinator's metrics, and how they are rendered.
//!
//! The driver counts in plain numbers of its own; nothing is recorded on the way of a task. A scrape asks for
//! these numbers, sets them in a recorder and appends the histograms, which are rendered here from exact
//! bucket counts.

use crate::driver::Numbers;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use muster_core::agent::ExitCause;
use muster_core::exposition::{Family, Histogram, TASKS_BOUNDS, TIME_BOUNDS_NS, escape};
use muster_core::sketch::Sketch;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Tasks that ended, by plugin and outcome (ok, failed). Counts commits.
pub const TASKS_TOTAL: Family =
    Family { name: "muster_tasks_total", help: "Tasks that ended, by plugin and outcome." };
/// Time of tasks in each phase, by plugin; here queue and report, at the workers dispatch, run and report.
pub const TASK_PHASE_SECONDS: Histogram = Histogram {
    name: "muster_task_phase_seconds",
    help: "Time of tasks by plugin and phase.",
    bounds: &TIME_BOUNDS_NS,
    per_unit: 1e9,
};
/// Tasks that nobody has.
pub const QUEUE_TASKS: Family = Family { name: "muster_queue_tasks", help: "Tasks that no worker has." };
/// Workers by state.
pub const WORKERS: Family = Family {
    name: "muster_workers",
    help: "Workers by state; lost and left count since the coordinator started.",
};
/// Slots by state.
pub const SLOTS: Family = Family { name: "muster_slots", help: "Slots of the attached workers by state." };
/// Executors of all workers.
pub const EXECUTORS: Family = Family { name: "muster_executors", help: "Executors of all workers." };
/// Executors that ended, by cause.
pub const EXECUTOR_EXITS_TOTAL: Family =
    Family { name: "muster_executor_exits_total", help: "Executors that ended, by cause." };
/// Lengths of leases.
const LEASE_TASKS: Histogram =
    Histogram { name: "muster_lease_tasks", help: "Tasks of a lease.", bounds: &TASKS_BOUNDS, per_unit: 1.0 };
/// Jobs that have not ended.
pub const JOBS: Family = Family { name: "muster_jobs", help: "Jobs that have not ended." };
/// Jobs that are paused because most of their attempts crash.
pub const JOBS_PAUSED: Family = Family {
    name: "muster_jobs_paused",
    help: "Jobs that are paused because most of their attempts end their executor.",
};
/// Tasks that used up their attempts by ending executors or by panics, by plugin; those that were retried count again.
pub const QUARANTINED_TASKS_TOTAL: Family = Family {
    name: "muster_quarantined_tasks_total",
    help: "Tasks that used up their attempts by ending executors or by panics, by plugin.",
};
/// Messages that were refused, by reason; nothing has changed then.
pub const REJECTED_MESSAGES_TOTAL: Family =
    Family { name: "muster_rejected_messages_total", help: "Messages that were refused, by reason." };
/// What workers reported too late, twice or for leases that are void, by reason.
pub const DROPPED_REPORTS_TOTAL: Family = Family {
    name: "muster_dropped_reports_total",
    help: "Late, repeated or void reports of workers, by reason.",
};
/// Tasks that were leased to a second worker because the first took too long.
pub const SPECULATIVE_TASKS_TOTAL: Family = Family {
    name: "muster_speculative_tasks_total",
    help: "Tasks leased to a second worker because the first took too long.",
};
/// This life of the coordinator.
pub const EPOCH: &str = "muster_epoch";
/// 1, with the version as a label.
pub const BUILD_INFO: &str = "muster_build_info";

/// Messages that were refused, by reason.
#[derive(Debug, Default)]
pub struct Rejected {
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Rejected {
    /// Counts one.
    pub fn count(&self, reason: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Renders the metrics of one coordinator.
#[derive(Debug)]
pub struct Page {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    process: metrics_process::Collector,
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

impl Page {
    /// A page with the help texts of all metrics.
    #[must_use]
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let process = metrics_process::Collector::default();
        metrics::with_local_recorder(&recorder, || {
            describe();
            process.describe();
        });
        Self { handle: recorder.handle(), recorder, process }
    }

    /// Prometheus text.
    #[must_use]
    pub fn render(&self, numbers: &Numbers, rejected: &Rejected) -> String {
        metrics::with_local_recorder(&self.recorder, || {
            set(numbers, rejected);
            self.process.collect();
        });
        self.handle.run_upkeep();
        let mut text = self.handle.render();
        write_phases(&mut text, numbers);
        write_leases(&mut text, &numbers.lease_tasks);
        text
    }
}

fn describe() {
    describe_counter!(TASKS_TOTAL.name, TASKS_TOTAL.help);
    describe_gauge!(QUEUE_TASKS.name, QUEUE_TASKS.help);
    describe_gauge!(WORKERS.name, WORKERS.help);
    describe_gauge!(SLOTS.name, SLOTS.help);
    describe_gauge!(EXECUTORS.name, EXECUTORS.help);
    describe_counter!(EXECUTOR_EXITS_TOTAL.name, EXECUTOR_EXITS_TOTAL.help);
    describe_gauge!(JOBS.name, JOBS.help);
    describe_gauge!(JOBS_PAUSED.name, JOBS_PAUSED.help);
    describe_counter!(QUARANTINED_TASKS_TOTAL.name, QUARANTINED_TASKS_TOTAL.help);
    describe_counter!(REJECTED_MESSAGES_TOTAL.name, REJECTED_MESSAGES_TOTAL.help);
    describe_counter!(DROPPED_REPORTS_TOTAL.name, DROPPED_REPORTS_TOTAL.help);
    describe_counter!(SPECULATIVE_TASKS_TOTAL.name, SPECULATIVE_TASKS_TOTAL.help);
    describe_gauge!(EPOCH, "This life of the coordinator.");
    describe_gauge!(BUILD_INFO, Unit::Count, "1, with the version as a label.");
}

fn set(numbers: &Numbers, rejected: &Rejected) {
    for (plugin, counts) in &numbers.plugins {
        let count =
            |outcome| counter!(TASKS_TOTAL.name, "plugin" => plugin.to_string(), "outcome" => outcome);
        count("ok").absolute(counts.ok);
        count("failed").absolute(counts.failed);
        counter!(QUARANTINED_TASKS_TOTAL.name, "plugin" => plugin.to_string()).absolute(counts.quarantined);
    }
    gauge!(QUEUE_TASKS.name).set(numbers.queued_tasks as f64);
    for (state, count) in [
        ("up", numbers.workers_up),
        ("draining", numbers.workers_draining),
        ("lost", numbers.workers_lost),
        ("left", numbers.workers_left),
    ] {
        gauge!(WORKERS.name, "state" => state).set(count as f64);
    }
    gauge!(SLOTS.name, "state" => "busy").set(numbers.slots_busy as f64);
    gauge!(SLOTS.name, "state" => "idle").set(numbers.slots.saturating_sub(numbers.slots_busy) as f64);
    gauge!(EXECUTORS.name).set(numbers.executors as f64);
    gauge!(JOBS.name).set(numbers.jobs_live as f64);
    gauge!(JOBS_PAUSED.name).set(numbers.jobs_paused as f64);
    gauge!(EPOCH).set(numbers.epoch.0 as f64);
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    for cause in ExitCause::ALL.map(ExitCause::name) {
        let count = numbers.exits.get(cause).copied().unwrap_or(0);
        counter!(EXECUTOR_EXITS_TOTAL.name, "cause" => cause).absolute(count);
    }
    for (reason, count) in rejected.counts() {
        counter!(REJECTED_MESSAGES_TOTAL.name, "reason" => reason).absolute(count);
    }
    counter!(SPECULATIVE_TASKS_TOTAL.name).absolute(numbers.speculative_tasks);
    for (reason, count) in &numbers.dropped {
        counter!(DROPPED_REPORTS_TOTAL.name, "reason" => *reason).absolute(*count);
    }
}

fn write_phases(text: &mut String, numbers: &Numbers) {
    if numbers.plugins.is_empty() {
        return;
    }
    TASK_PHASE_SECONDS.head(text);
    for (plugin, counts) in &numbers.plugins {
        for (phase, sketch) in [("queue", &counts.queue), ("report", &counts.report)] {
            let labels = format!("plugin=\"{}\",phase=\"{phase}\"", escape(plugin));
            TASK_PHASE_SECONDS.series(text, &labels, sketch);
        }
    }
    text.push('\n');
}

fn write_leases(text: &mut String, lengths: &Sketch) {
    LEASE_TASKS.head(text);
    LEASE_TASKS.series(text, "", lengths);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::PluginNumbers;
    use muster_core::time::Span;

    #[test]
    fn renders_every_family_once_with_help() {
        let mut numbers = Numbers { speculative_tasks: 4, jobs_paused: 2, ..Numbers::default() };
        let mut plugin = PluginNumbers { ok: 7, quarantined: 3, ..PluginNumbers::default() };
        plugin.queue.record(Span::from_micros(3));
        plugin.queue.record(Span::from_millis(2_000_000));
        numbers.plugins.insert("pri\"mes".into(), plugin);
        numbers.lease_tasks.record(Span(4));
        numbers.lease_tasks.record(Span(5));
        let rejected = Rejected::default();
        rejected.count("stale");
        let text = Page::new().render(&numbers, &rejected);
        let families: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let mut unique = families.clone();
        unique.dedup();
        assert_eq!(families, unique);
        for expected in [
            r#"muster_tasks_total{plugin="pri\"mes",outcome="ok"} 7"#,
            r#"muster_task_phase_seconds_bucket{plugin="pri\"mes",phase="queue",le="0.000004096"} 1"#,
            r#"muster_task_phase_seconds_bucket{plugin="pri\"mes",phase="queue",le="+Inf"} 2"#,
            r#"muster_task_phase_seconds_count{plugin="pri\"mes",phase="queue"} 2"#,
            r#"muster_lease_tasks_bucket{le="4"} 1"#,
            r#"muster_lease_tasks_bucket{le="16"} 2"#,
            "muster_lease_tasks_sum 9",
            "muster_jobs_paused 2",
            r#"muster_quarantined_tasks_total{plugin="pri\"mes"} 3"#,
            r#"muster_rejected_messages_total{reason="stale"} 1"#,
            "muster_speculative_tasks_total 4",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }
}
