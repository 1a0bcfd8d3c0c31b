//! The worker's page of metrics. The agent counts here in plain numbers; times of tasks come as bucket counts from the
//! executors and are kept as such. A scrape writes them out, family by family, as the table in
//! `muster_core::metric` has them.

use crate::cache::{Origin, PluginFile, Usage};
use crate::frame::Reading;
use crate::workload_metrics::WorkloadMetrics;
use metrics::with_local_recorder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use muster_core::agent::ExitCause;
use muster_core::exposition::Histogram;
use muster_core::id::ExecutorId;
use muster_core::metric::worker as table;
use muster_core::metric::{OTHER, PLUGINS_MAX};
use muster_core::scheduler::FailureClass;
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use muster_proto::convert::Phases;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Everything that /metrics shows.
pub struct Metrics {
    recorder: PrometheusRecorder,
    process: metrics_process::Collector,
    own: Mutex<Own>,
}

/// How many executors do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Executors {
    /// They load their plugin or open their first job.
    pub starting: u32,
    /// They have a job.
    pub busy: u32,
    /// They wait for one.
    pub idle: u32,
}

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the coordinator.
    In,
    /// To it.
    Out,
}

/// What is counted.
#[derive(Debug, Default)]
struct Own {
    plugins: BTreeMap<String, PluginNumbers>,
    workloads: WorkloadMetrics,
    cancel_latency: Sketch,
    busy_slots: u32,
    slots: u32,
    leases: usize,
    lease_tasks: Sketch,
    executors: Executors,
    starts: u64,
    restarts: u64,
    exits: BTreeMap<ExitCause, u64>,
    loads_ok: u64,
    loads_failed: u64,
    cache_hits: u64,
    cache_fetched: u64,
    cache_failed: u64,
    refused: u64,
    bytes_in: u64,
    bytes_out: u64,
    connected: bool,
    connects: u64,
    memory_bytes: u64,
    has_cgroups: bool,
}

/// What one plugin's tasks did here.
#[derive(Debug, Default)]
struct PluginNumbers {
    ok: u64,
    failed: BTreeMap<FailureClass, u64>,
    dispatch: Sketch,
    run: Sketch,
    report: Sketch,
    gil_wait: Sketch,
    gil_handovers: u64,
    start: Sketch,
    slot: Span,
    busy: Span,
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
        with_local_recorder(&recorder, || process.describe());
        Self { recorder, process, own: Mutex::default() }
    }

    /// How many slots run tasks, of all.
    pub fn set_slots(&self, busy: u32, all: u32) {
        let mut own = self.own();
        (own.busy_slots, own.slots) = (busy, all);
    }

    /// What executors do.
    pub fn set_executors(&self, executors: Executors) {
        self.own().executors = executors;
    }

    /// An executor was started; whether in place of one that had ended unasked.
    pub fn executor_started(&self, again: bool) {
        let mut own = self.own();
        own.starts += 1;
        own.restarts += u64::from(again);
    }

    /// Leases that the worker has.
    pub fn set_leases(&self, leases: usize) {
        self.own().leases = leases;
    }

    /// Memory of the worker and its executors.
    pub fn set_memory(&self, bytes: u64) {
        self.own().memory_bytes = bytes;
    }

    /// Whether the link to the coordinator stands.
    pub fn set_connected(&self, connected: bool) {
        let mut own = self.own();
        own.connected = connected;
        own.connects += u64::from(connected);
    }

    /// Control groups can be used here, and are where a job's limits need them.
    pub fn set_cgroups(&self) {
        self.own().has_cgroups = true;
    }

    /// A message of so many bytes went to the coordinator or came from it.
    pub fn message(&self, direction: Direction, bytes: usize) {
        let mut own = self.own();
        match direction {
            Direction::In => own.bytes_in += bytes as u64,
            Direction::Out => own.bytes_out += bytes as u64,
        }
    }

    /// A job of this plugin is here. A rate needs a first value: what has not happened yet is 0.
    pub fn know(&self, plugin: &str) {
        self.own().plugin(plugin);
    }

    /// Attempts that ended well.
    pub fn attempts_ok(&self, plugin: &str, tasks: u64) {
        self.own().plugin(plugin).ok += tasks;
    }

    /// An attempt that failed.
    pub fn attempt_failed(&self, plugin: &str, class: FailureClass) {
        *self.own().plugin(plugin).failed.entry(class).or_default() += 1;
    }

    /// What a plugin's own metrics stand at in one executor.
    pub fn workload(&self, plugin: &PluginFile, executor: ExecutorId, readings: Vec<Reading>) {
        self.own().workloads.read(&plugin.name, &plugin.metrics, executor, readings);
    }

    /// An executor ended.
    pub fn executor_ended(&self, plugin: &str, executor: ExecutorId, cause: ExitCause) {
        let mut own = self.own();
        own.workloads.executor_ended(plugin, executor);
        *own.exits.entry(cause).or_default() += 1;
    }

    /// A plugin was loaded by an executor, or could not be had or loaded.
    pub fn plugin_loaded(&self, well: bool) {
        let mut own = self.own();
        if well {
            own.loads_ok += 1;
        } else {
            own.loads_failed += 1;
        }
    }

    /// A plugin was wanted; `None`: it could not be had.
    pub fn plugin_wanted(&self, from: Option<Origin>) {
        let mut own = self.own();
        match from {
            Some(Origin::Cache) => own.cache_hits += 1,
            Some(Origin::Coordinator) => own.cache_fetched += 1,
            None => own.cache_failed += 1,
        }
    }

    /// Results of tasks that no lease waits for.
    pub fn results_refused(&self, tasks: u64) {
        self.own().refused += tasks;
    }

    /// A lease of so many tasks arrived.
    pub fn lease(&self, tasks: u64) {
        self.own().lease_tasks.record(Span(tasks));
    }

    /// The running tasks of a cancelled job have all stopped.
    pub fn cancelled(&self, took: Span) {
        self.own().cancel_latency.record(took);
    }

    /// Where the time of a job went.
    pub fn phases(&self, plugin: &str, phases: &Phases) {
        let mut own = self.own();
        let numbers = own.plugin(plugin);
        numbers.dispatch.merge(&phases.dispatch);
        numbers.run.merge(&phases.run);
        numbers.report.merge(&phases.report);
        numbers.gil_wait.merge(&phases.gil_wait);
        numbers.gil_handovers = numbers.gil_handovers.saturating_add(phases.gil_handovers);
        numbers.start.merge(&phases.start);
        numbers.slot += phases.slot;
        numbers.busy += phases.busy;
    }

    /// The text for Prometheus.
    #[must_use]
    pub fn render(&self, cache: Usage) -> String {
        with_local_recorder(&self.recorder, || self.process.collect());
        let handle = self.recorder.handle();
        handle.run_upkeep();
        let mut text = handle.render();
        let own = self.own();
        own.write_plugins(&mut text);
        own.write_executors(&mut text);
        own.write_cache(&mut text, cache);
        own.write_link(&mut text);
        own.workloads.render(&mut text);
        text
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Own {
    /// The numbers of a plugin. There is a limit to names.
    fn plugin(&mut self, name: &str) -> &mut PluginNumbers {
        let is_counted = self.plugins.contains_key(name) || self.plugins.len() < PLUGINS_MAX;
        let label = if is_counted { name } else { OTHER };
        self.plugins.entry(label.to_owned()).or_default()
    }

    fn write_plugins(&self, text: &mut String) {
        let plugins = || self.plugins.iter().map(|(name, numbers)| (name.as_str(), numbers));
        let attempts = plugins().flat_map(|(name, numbers)| {
            let failed = FailureClass::ALL
                .into_iter()
                .map(move |class| ([name, class.name()], numbers.failed.get(&class).copied().unwrap_or(0)));
            std::iter::once(([name, "ok"], numbers.ok)).chain(failed)
        });
        table::ATTEMPTS.write(text, attempts);
        let phases = plugins().flat_map(|(name, numbers)| {
            let PluginNumbers { dispatch, run, report, .. } = numbers;
            [([name, "dispatch"], dispatch), ([name, "run"], run), ([name, "report"], report)]
        });
        Histogram::of_times(table::TASK_PHASE).write(text, phases);
        let gil_waits = plugins().map(|(name, numbers)| ([name], &numbers.gil_wait));
        Histogram::of_times(table::GIL_WAIT).write(text, gil_waits);
        table::GIL_HANDOVERS.write(text, plugins().map(|(name, numbers)| ([name], numbers.gil_handovers)));
        Histogram::of_times(table::CANCEL_LATENCY).write(text, [([], &self.cancel_latency)]);
        table::SLOT_SECONDS.write(text, plugins().map(|(name, it)| ([name], it.slot.as_secs_f64())));
        table::SLOT_BUSY.write(text, plugins().map(|(name, it)| ([name], it.busy.as_secs_f64())));
        let starts = plugins().map(|(name, numbers)| ([name], &numbers.start));
        Histogram::of_times(table::EXECUTOR_START).write(text, starts);
    }

    fn write_executors(&self, text: &mut String) {
        let idle = self.slots.saturating_sub(self.busy_slots);
        table::SLOTS.write(text, [(["busy"], self.busy_slots), (["idle"], idle)]);
        table::LEASES.write(text, [([], self.leases)]);
        Histogram::of_tasks(table::LEASE_TASKS).write(text, [([], &self.lease_tasks)]);
        let Executors { starting, busy, idle } = self.executors;
        table::EXECUTORS.write(text, [(["starting"], starting), (["busy"], busy), (["idle"], idle)]);
        table::EXECUTOR_STARTS.write(text, [([], self.starts)]);
        table::EXECUTOR_RESTARTS.write(text, [([], self.restarts)]);
        let exits = ExitCause::ALL
            .into_iter()
            .map(|cause| ([cause.name()], self.exits.get(&cause).copied().unwrap_or(0)));
        table::EXECUTOR_EXITS.write(text, exits);
        let level = [(["process"], 1), (["cgroup"], i32::from(self.has_cgroups))];
        table::ISOLATION.write(text, level);
    }

    fn write_cache(&self, text: &mut String, cache: Usage) {
        table::PLUGIN_LOADS.write(text, [(["ok"], self.loads_ok), (["failed"], self.loads_failed)]);
        table::CACHE_REQUESTS.write(
            text,
            [(["hit"], self.cache_hits), (["fetched"], self.cache_fetched), (["failed"], self.cache_failed)],
        );
        table::CACHE_FILES.write(text, [([], cache.files)]);
        table::CACHE_BYTES.write(text, [([], cache.bytes)]);
    }

    fn write_link(&self, text: &mut String) {
        table::RESULTS_REFUSED.write(text, [([], self.refused)]);
        table::LINK_BYTES.write(text, [(["in"], self.bytes_in), (["out"], self.bytes_out)]);
        table::CONNECTED.write(text, [([], u8::from(self.connected))]);
        table::CONNECTS.write(text, [([], self.connects)]);
        table::MEMORY.write(text, [([], self.memory_bytes)]);
        table::BUILD_INFO.write(text, [([env!("CARGO_PKG_VERSION"), "worker"], 1)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> Metrics {
        let metrics = Metrics::new();
        metrics.set_slots(3, 4);
        metrics.set_executors(Executors { starting: 1, busy: 2, idle: 0 });
        metrics.attempts_ok("null", 1_000);
        metrics.attempts_ok("null", 1);
        metrics.attempt_failed("null", FailureClass::Panicked);
        metrics.executor_started(false);
        metrics.executor_started(true);
        metrics.executor_ended("null", ExecutorId(1), ExitCause::Signal);
        metrics.plugin_loaded(true);
        metrics.plugin_wanted(Some(Origin::Coordinator));
        metrics.lease(4_096);
        metrics.message(Direction::Out, 7);
        metrics.set_connected(true);
        metrics.cancelled(Span::from_millis(2));
        let mut phases = Phases { gil_handovers: 3, busy: Span::from_millis(250), ..Phases::default() };
        phases.run.record_many(Span(500), 7);
        phases.run.record(Span(2_000_000_000));
        metrics.phases("null", &phases);
        metrics.phases("null", &phases);
        metrics
    }

    #[test]
    fn everything_is_rendered_with_exact_counts() {
        let text = busy().render(Usage { files: 2, bytes: 1_234 });
        for line in [
            "muster_slots{state=\"busy\"} 3",
            "muster_slots{state=\"idle\"} 1",
            "muster_executors{state=\"busy\"} 2",
            "muster_attempts_total{plugin=\"null\",outcome=\"ok\"} 1001",
            "muster_attempts_total{plugin=\"null\",outcome=\"panicked\"} 1",
            "muster_attempts_total{plugin=\"null\",outcome=\"crashed\"} 0",
            "muster_executor_restarts_total 1",
            "muster_executor_exits_total{cause=\"signal\"} 1",
            "muster_executor_exits_total{cause=\"load_failed\"} 0",
            "muster_plugin_loads_total{result=\"failed\"} 0",
            "muster_plugin_loads_total{result=\"ok\"} 1",
            "muster_plugin_cache_requests_total{result=\"fetched\"} 1",
            "muster_plugin_cache_bytes 1234",
            "muster_task_phase_seconds_bucket{plugin=\"null\",phase=\"run\",le=\"0.000001024\"} 14",
            "muster_task_phase_seconds_bucket{plugin=\"null\",phase=\"run\",le=\"+Inf\"} 16",
            "muster_task_phase_seconds_count{plugin=\"null\",phase=\"run\"} 16",
            "muster_gil_handovers_total{plugin=\"null\"} 6",
            "muster_slot_busy_seconds_total{plugin=\"null\"} 0.5",
            "muster_cancel_latency_seconds_count 1",
            "muster_lease_tasks_sum 4096",
            "muster_lease_tasks_bucket{le=\"1024\"} 0",
            "muster_lease_tasks_bucket{le=\"16384\"} 1",
            "muster_link_bytes_total{direction=\"out\"} 7",
            "muster_isolation_info{level=\"cgroup\"} 0",
            "process_open_fds",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.contains("muster_build_info{"), "{text}");
    }

    /// Each family is on the page once, and no other.
    #[test]
    fn the_page_is_the_table() {
        let text = busy().render(Usage::default());
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE muster_"));
        let mut found: Vec<String> = types.map(|rest| format!("muster_{rest}")).collect();
        let mut expected: Vec<String> =
            table::ALL.iter().map(|metric| format!("{} {}", metric.name, metric.kind.name())).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn plugins_beyond_the_limit_are_counted_together() {
        let metrics = Metrics::new();
        for number in 0..PLUGINS_MAX + 10 {
            metrics.attempts_ok(&format!("p{number}"), 1);
        }
        let text = metrics.render(Usage::default());
        assert!(text.contains("muster_attempts_total{plugin=\"other\",outcome=\"ok\"} 10\n"), "{text}");
    }
}
