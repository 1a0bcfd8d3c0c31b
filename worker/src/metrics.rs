//! The worker's metrics. Names are constants here. Counters and gauges go through the exporter; times of tasks
//! come as bucket counts from the executors, are kept as such, and are rendered beside the exporter's text.

use crate::cache::PluginFile;
use crate::frame::Reading;
use crate::workload_metrics::WorkloadMetrics;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use muster_core::agent::ExitCause;
use muster_core::exposition::{Family, Histogram, TASKS_BOUNDS, TIME_BOUNDS_NS, escape};
use muster_core::id::ExecutorId;
use muster_core::scheduler::FailureClass;
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Attempts at tasks that ended, by plugin and outcome.
pub const ATTEMPTS_TOTAL: Family =
    Family { name: "muster_attempts_total", help: "Attempts at tasks, by plugin and outcome" };
const PHASE_SECONDS: Histogram = Histogram {
    name: "muster_task_phase_seconds",
    help: "Time of tasks by plugin and phase; run is sampled.",
    bounds: &TIME_BOUNDS_NS,
    per_unit: 1e9,
};
const SLOTS: &str = "muster_slots";
const EXECUTORS: &str = "muster_executors";
const EXECUTOR_EXITS: &str = "muster_executor_exits_total";
const PLUGIN_LOADS: &str = "muster_plugin_loads_total";
const LEASE_TASKS: Histogram = Histogram {
    name: "muster_lease_tasks",
    help: "Tasks of the leases that arrived.",
    bounds: &TASKS_BOUNDS,
    per_unit: 1.0,
};
const RESULTS_REFUSED: &str = "muster_results_refused_total";
const MEMORY: &str = "muster_worker_pss_bytes";
const CONNECTED: &str = "muster_worker_connected";
const BUILD_INFO: &str = "muster_build_info";

/// The phases that a worker measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// From the lease's arrival in the page until a thread claimed the task.
    Dispatch,
    /// In the plugin, sampled.
    Run,
    /// From the task's end until its result was handed to the link.
    Report,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Run => "run",
            Self::Report => "report",
        }
    }
}

/// Everything that /metrics shows.
pub struct Metrics {
    recorder: PrometheusRecorder,
    process: metrics_process::Collector,
    busy: Gauge,
    idle: Gauge,
    executors: Gauge,
    memory: Gauge,
    connected: Gauge,
    refused: Counter,
    own: Mutex<Own>,
}

#[derive(Default)]
struct Own {
    phases: BTreeMap<(String, Phase), Sketch>,
    lease_tasks: Sketch,
    attempts: BTreeMap<(String, &'static str), Counter>,
    workloads: WorkloadMetrics,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics of a worker that has done nothing.
    #[must_use]
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let process = metrics_process::Collector::default();
        with_local_recorder(&recorder, || {
            describe();
            process.describe();
            gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION"), "role" => "worker").set(1.0);
            // A rate needs a first value: what has not happened yet is 0.
            for cause in ExitCause::ALL {
                counter!(EXECUTOR_EXITS, "cause" => cause.name()).absolute(0);
            }
            for result in ["ok", "failed"] {
                counter!(PLUGIN_LOADS, "result" => result).absolute(0);
            }
            let [busy, idle] = ["busy", "idle"].map(|state| gauge!(SLOTS, "state" => state));
            (busy, idle, gauge!(EXECUTORS), gauge!(MEMORY), gauge!(CONNECTED), counter!(RESULTS_REFUSED))
        })
        .into_metrics(recorder, process)
    }

    /// How many slots run tasks, of all.
    pub fn set_slots(&self, busy: u32, all: u32) {
        self.busy.set(f64::from(busy));
        self.idle.set(f64::from(all.saturating_sub(busy)));
    }

    /// Executor processes.
    pub fn set_executors(&self, executors: usize) {
        self.executors.set(executors as f64);
    }

    /// Memory of the worker and its executors.
    pub fn set_memory(&self, bytes: u64) {
        self.memory.set(bytes as f64);
    }

    /// Whether the link to the coordinator stands.
    pub fn set_connected(&self, connected: bool) {
        self.connected.set(f64::from(u8::from(connected)));
    }

    /// Attempts that ended well.
    pub fn attempts_ok(&self, plugin: &str, tasks: u64) {
        self.attempts(plugin, "ok", tasks);
    }

    /// An attempt that failed.
    pub fn attempt_failed(&self, plugin: &str, class: FailureClass) {
        self.attempts(plugin, class.name(), 1);
    }

    /// What a plugin's own metrics stand at in one executor.
    pub fn workload(&self, plugin: &PluginFile, executor: ExecutorId, readings: Vec<Reading>) {
        self.own().workloads.read(&plugin.name, &plugin.metrics, executor, readings);
    }

    /// An executor ended.
    pub fn executor_ended(&self, plugin: &str, executor: ExecutorId, cause: ExitCause) {
        self.own().workloads.executor_ended(plugin, executor);
        with_local_recorder(&self.recorder, || {
            counter!(EXECUTOR_EXITS, "cause" => cause.name()).increment(1)
        });
    }

    /// A plugin was loaded by an executor, or could not be had or loaded.
    pub fn plugin_loaded(&self, well: bool) {
        let result = if well { "ok" } else { "failed" };
        with_local_recorder(&self.recorder, || counter!(PLUGIN_LOADS, "result" => result).increment(1));
    }

    /// Results of tasks that no lease waits for.
    pub fn results_refused(&self, tasks: u64) {
        self.refused.increment(tasks);
    }

    /// A lease of so many tasks arrived.
    pub fn lease(&self, tasks: u64) {
        self.own().lease_tasks.record(Span(tasks));
    }

    /// Times of tasks.
    pub fn phase(&self, plugin: &str, phase: Phase, times: &Sketch) {
        if times.count() == 0 {
            return;
        }
        let mut own = self.own();
        match own.phases.get_mut(&(plugin.to_owned(), phase)) {
            Some(sum) => sum.merge(times),
            None => {
                own.phases.insert((plugin.to_owned(), phase), times.clone());
            }
        }
    }

    /// The text for Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        with_local_recorder(&self.recorder, || self.process.collect());
        let handle = self.recorder.handle();
        handle.run_upkeep();
        let mut text = handle.render();
        let own = self.own();
        PHASE_SECONDS.head(&mut text);
        for ((plugin, phase), times) in &own.phases {
            let labels = format!("plugin=\"{}\",phase=\"{}\"", escape(plugin), phase.name());
            PHASE_SECONDS.series(&mut text, &labels, times);
        }
        LEASE_TASKS.head(&mut text);
        LEASE_TASKS.series(&mut text, "", &own.lease_tasks);
        own.workloads.render(&mut text);
        text
    }

    fn attempts(&self, plugin: &str, outcome: &'static str, tasks: u64) {
        let mut own = self.own();
        let key = (plugin.to_owned(), outcome);
        let counter = own.attempts.entry(key).or_insert_with_key(|(plugin, outcome)| {
            let plugin = plugin.clone();
            with_local_recorder(
                &self.recorder,
                || counter!(ATTEMPTS_TOTAL.name, "plugin" => plugin, "outcome" => *outcome),
            )
        });
        counter.increment(tasks);
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handles that were made while the recorder was in force.
trait IntoMetrics {
    fn into_metrics(self, recorder: PrometheusRecorder, process: metrics_process::Collector) -> Metrics;
}

impl IntoMetrics for (Gauge, Gauge, Gauge, Gauge, Gauge, Counter) {
    fn into_metrics(self, recorder: PrometheusRecorder, process: metrics_process::Collector) -> Metrics {
        let (busy, idle, executors, memory, connected, refused) = self;
        let own = Mutex::default();
        Metrics { recorder, process, busy, idle, executors, memory, connected, refused, own }
    }
}

fn describe() {
    describe_counter!(ATTEMPTS_TOTAL.name, ATTEMPTS_TOTAL.help);
    describe_gauge!(SLOTS, "Slots of this worker by state");
    describe_gauge!(EXECUTORS, "Executor processes");
    describe_counter!(EXECUTOR_EXITS, "Executors that ended, by cause");
    describe_counter!(PLUGIN_LOADS, "Plugins loaded by executors, by result");
    describe_counter!(RESULTS_REFUSED, "Results of tasks that no lease in force waits for");
    describe_gauge!(MEMORY, "Proportional memory of the worker and its executors");
    describe_gauge!(CONNECTED, "1 while the link to the coordinator stands");
    describe_gauge!(BUILD_INFO, "Version of this worker");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_rendered_with_exact_counts() {
        let metrics = Metrics::new();
        metrics.set_slots(3, 4);
        metrics.attempts_ok("null", 1_000);
        metrics.attempts_ok("null", 1);
        metrics.attempt_failed("null", FailureClass::Panicked);
        metrics.executor_ended("null", ExecutorId(1), ExitCause::Signal);
        metrics.plugin_loaded(true);
        metrics.lease(4_096);
        let mut times = Sketch::new();
        times.record_many(Span(500), 7);
        times.record(Span(2_000_000_000));
        metrics.phase("null", Phase::Run, &times);
        metrics.phase("null", Phase::Run, &times);
        let text = metrics.render();
        for line in [
            "muster_slots{state=\"busy\"} 3",
            "muster_slots{state=\"idle\"} 1",
            "muster_attempts_total{plugin=\"null\",outcome=\"ok\"} 1001",
            "muster_attempts_total{plugin=\"null\",outcome=\"panicked\"} 1",
            "muster_executor_exits_total{cause=\"signal\"} 1",
            "muster_executor_exits_total{cause=\"load_failed\"} 0",
            "muster_plugin_loads_total{result=\"failed\"} 0",
            "muster_plugin_loads_total{result=\"ok\"} 1",
            "muster_task_phase_seconds_bucket{plugin=\"null\",phase=\"run\",le=\"0.000001024\"} 14",
            "muster_task_phase_seconds_bucket{plugin=\"null\",phase=\"run\",le=\"+Inf\"} 16",
            "muster_task_phase_seconds_count{plugin=\"null\",phase=\"run\"} 16",
            "muster_lease_tasks_sum 4096",
            "muster_lease_tasks_bucket{le=\"1024\"} 0",
            "muster_lease_tasks_bucket{le=\"16384\"} 1",
            "process_open_fds",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.contains("muster_build_info{"), "{text}");
    }
}
