//! The coordinator's page of metrics.
//!
//! The driver counts in plain numbers of its own; nothing is recorded on the way of a task. A scrape asks for
//! these numbers and writes them out, family by family, as the table in `muster_core::metric` has them.

use crate::driver::Numbers;
use crate::service::calls::Counts;
use crate::store::EndedAs;
use crate::store::writer::CommitCounts;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use muster_core::agent::ExitCause;
use muster_core::exposition::Histogram;
use muster_core::metric::coordinator as table;
use muster_core::scheduler::{DropReason, Loss};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Why messages are refused: what [`crate::driver::reason`] gives.
const REASONS: [&str; 8] =
    ["exists", "invalid", "not_found", "other", "precondition", "stale", "too_much", "unauthenticated"];

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

/// A file system.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    /// What this user can still write.
    pub free_bytes: u64,
    /// Its size.
    pub size_bytes: u64,
}

impl Disk {
    /// The one that a folder is on, when the system tells.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
        // SAFETY: a statvfs of zeros is valid, and the call only writes it and reads the path, which ends with a zero.
        let stat = unsafe {
            let mut stat: libc::statvfs = std::mem::zeroed();
            (libc::statvfs(path.as_ptr(), &raw mut stat) == 0).then_some(stat)?
        };
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Some(Self { free_bytes: bytes(stat.f_bavail), size_bytes: bytes(stat.f_blocks) })
    }
}

/// Everything that the page shows beside the process itself.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// What the driver knows.
    pub numbers: Numbers,
    /// Messages that were refused, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// How gRPC requests ended.
    pub calls: Counts,
    /// What writing to the store cost.
    pub commits: CommitCounts,
    /// Commands that wait for the driver.
    pub waiting_commands: usize,
    /// Bytes of reports that wait for the driver or the store.
    pub backlog_bytes: u64,
    /// The file system of the state folder.
    pub disk: Option<Disk>,
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
    /// A page with the help texts of the process' own metrics.
    #[must_use]
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let process = metrics_process::Collector::default();
        metrics::with_local_recorder(&recorder, || process.describe());
        Self { handle: recorder.handle(), recorder, process }
    }

    /// Prometheus text.
    #[must_use]
    pub fn render(&self, shown: &Shown) -> String {
        metrics::with_local_recorder(&self.recorder, || self.process.collect());
        self.handle.run_upkeep();
        let mut text = self.handle.render();
        write_tasks(&mut text, &shown.numbers);
        write_workers(&mut text, &shown.numbers);
        write_leases(&mut text, &shown.numbers);
        write_messages(&mut text, shown);
        write_store(&mut text, shown);
        table::EPOCH.write(&mut text, [([], shown.numbers.epoch.0)]);
        table::BUILD_INFO.write(&mut text, [([env!("CARGO_PKG_VERSION"), "coordinator"], 1)]);
        text
    }
}

fn write_tasks(text: &mut String, numbers: &Numbers) {
    let plugins = || numbers.plugins.iter().map(|(name, counts)| (&**name, counts));
    let by_outcome =
        plugins().flat_map(|(name, counts)| [([name, "ok"], counts.ok), ([name, "failed"], counts.failed)]);
    table::TASKS.write(text, by_outcome);
    let phases = plugins()
        .flat_map(|(name, counts)| [([name, "queue"], &counts.queue), ([name, "report"], &counts.report)]);
    Histogram::of_times(table::TASK_PHASE).write(text, phases);
    table::QUARANTINED.write(text, plugins().map(|(name, counts)| ([name], counts.quarantined)));
    table::SPECULATIVE.write(text, [([], numbers.speculative_tasks)]);
    table::DUPLICATES.write(text, [([], numbers.duplicates)]);
    let queues =
        || numbers.queues.iter().map(|((name, priority), queue)| ([&**name, priority.name()], queue));
    table::QUEUE_TASKS.write(text, queues().map(|(labels, queue)| (labels, queue.tasks)));
    table::QUEUE_OLDEST.write(text, queues().map(|(labels, queue)| (labels, queue.oldest.as_secs_f64())));
    table::JOBS.write(text, [([], numbers.jobs_live)]);
    table::JOBS_PAUSED.write(text, [([], numbers.jobs_paused)]);
    table::JOBS_ENDED.write(text, all(EndedAs::ALL.map(EndedAs::name), &numbers.jobs_ended));
}

fn write_workers(text: &mut String, numbers: &Numbers) {
    table::WORKERS.write(
        text,
        [
            (["up"], numbers.workers_up),
            (["draining"], numbers.workers_draining),
            (["lost"], numbers.workers_lost),
            (["left"], numbers.workers_left),
        ],
    );
    table::REGISTRATIONS.write(text, [([], numbers.registrations)]);
    table::LOSSES.write(text, all(Loss::ALL.map(Loss::name), &numbers.losses));
    let idle = numbers.slots.saturating_sub(numbers.slots_busy);
    table::SLOTS.write(text, [(["busy"], numbers.slots_busy), (["idle"], idle)]);
    table::EXECUTORS.write(text, [([], numbers.executors)]);
    table::EXECUTOR_EXITS.write(text, all(ExitCause::ALL.map(ExitCause::name), &numbers.exits));
}

fn write_leases(text: &mut String, numbers: &Numbers) {
    table::LEASES.write(text, [([], numbers.leases)]);
    Histogram::of_tasks(table::LEASE_TASKS).write(text, [([], &numbers.lease_tasks)]);
    table::LEASES_RECALLED.write(text, [([], numbers.leases_recalled)]);
    table::TASKS_ADOPTED.write(text, [([], numbers.adopted_tasks)]);
    table::LEASES_EXPIRED.write(text, [([], numbers.leases_expired)]);
    table::DROPPED_REPORTS.write(text, all(DropReason::ALL.map(DropReason::name), &numbers.dropped));
}

fn write_messages(text: &mut String, shown: &Shown) {
    table::REJECTED_MESSAGES.write(text, all(REASONS, &shown.rejected));
    let ended = shown.calls.ended.iter();
    table::GRPC_REQUESTS.write(text, ended.map(|(&(method, code), count)| ([method, code], count)));
    table::GRPC_OPEN.write(text, [([], shown.calls.open)]);
    table::STREAM_QUEUE.write(text, [([], shown.numbers.stream_messages)]);
    table::STREAM_OVERRUNS.write(text, [([], shown.numbers.stream_overruns)]);
    table::REPORT_BACKLOG.write(text, [([], shown.backlog_bytes)]);
    table::DRIVER_QUEUE.write(text, [([], shown.waiting_commands)]);
}

fn write_store(text: &mut String, shown: &Shown) {
    Histogram::of_times(table::STORE_COMMIT).write(text, [([], &shown.commits.times)]);
    table::STORE_RECORDS.write(text, [([], shown.commits.records)]);
    table::STATE_FREE.write(text, shown.disk.map(|disk| ([], disk.free_bytes)));
    table::STATE_SIZE.write(text, shown.disk.map(|disk| ([], disk.size_bytes)));
}

/// A row for each value that a label can have. A rate needs a first value: what has not happened yet is 0.
fn all<const N: usize>(
    values: [&'static str; N],
    counts: &BTreeMap<&'static str, u64>,
) -> impl Iterator<Item = ([&'static str; 1], u64)> {
    values.into_iter().map(move |value| ([value], counts.get(value).copied().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{PluginNumbers, Priority, Queue};
    use muster_core::time::Span;

    fn shown() -> Shown {
        let mut numbers =
            Numbers { speculative_tasks: 4, jobs_paused: 2, duplicates: 6, ..Numbers::default() };
        let mut plugin = PluginNumbers { ok: 7, quarantined: 3, ..PluginNumbers::default() };
        plugin.queue.record(Span::from_micros(3));
        plugin.queue.record(Span::from_millis(2_000_000));
        numbers.plugins.insert("pri\"mes".into(), plugin);
        let queue = Queue { tasks: 5, oldest: Span::from_millis(1_500) };
        numbers.queues.insert(("pri\"mes".into(), Priority::High), queue);
        numbers.lease_tasks.record(Span(4));
        numbers.lease_tasks.record(Span(5));
        let mut calls = Counts { open: 2, ..Counts::default() };
        calls.ended.insert(("Jobs/Submit", "ok"), 9);
        Shown {
            numbers,
            calls,
            rejected: BTreeMap::from([("stale", 1)]),
            disk: Disk::of(Path::new("/")),
            backlog_bytes: 2048,
            ..Shown::default()
        }
    }

    #[test]
    fn numbers_come_out_exactly() {
        let text = Page::new().render(&shown());
        for expected in [
            r#"muster_tasks_total{plugin="pri\"mes",outcome="ok"} 7"#,
            r#"muster_task_phase_seconds_bucket{plugin="pri\"mes",phase="queue",le="0.000004096"} 1"#,
            r#"muster_task_phase_seconds_bucket{plugin="pri\"mes",phase="queue",le="+Inf"} 2"#,
            r#"muster_task_phase_seconds_count{plugin="pri\"mes",phase="queue"} 2"#,
            r#"muster_queue_tasks{plugin="pri\"mes",priority="high"} 5"#,
            r#"muster_queue_oldest_seconds{plugin="pri\"mes",priority="high"} 1.5"#,
            r#"muster_lease_tasks_bucket{le="4"} 1"#,
            r#"muster_lease_tasks_bucket{le="16"} 2"#,
            "muster_lease_tasks_sum 9",
            "muster_jobs_paused 2",
            "muster_duplicate_tasks_total 6",
            r#"muster_quarantined_tasks_total{plugin="pri\"mes"} 3"#,
            r#"muster_rejected_messages_total{reason="stale"} 1"#,
            r#"muster_rejected_messages_total{reason="not_found"} 0"#,
            r#"muster_grpc_requests_total{method="Jobs/Submit",code="ok"} 9"#,
            "muster_report_backlog_bytes 2048",
            "muster_speculative_tasks_total 4",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    /// Each family is on the page once, and no other.
    #[test]
    fn the_page_is_the_table() {
        let text = Page::new().render(&shown());
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE muster_"));
        let found: Vec<String> = types.map(|rest| format!("muster_{rest}")).collect();
        let mut expected: Vec<String> =
            table::ALL.iter().map(|metric| format!("{} {}", metric.name, metric.kind.name())).collect();
        let mut sorted = found.clone();
        sorted.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn every_reason_of_a_refusal_has_a_series() {
        for code in (0..17).map(tonic::Code::from) {
            assert!(REASONS.contains(&crate::driver::reason(code)), "{code:?}");
        }
    }
}
