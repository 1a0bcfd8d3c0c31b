//! The numbers of a job, as `--json` prints them.

use crate::job::{is_final, short};
use crate::summary::table::{bytes, number, pairs, seconds};
use muster_core::shape::ShapeRequest;
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use muster_proto::convert::shape_request;
use muster_proto::v1::{self, JobState};
use serde::Serialize;
use std::collections::BTreeMap;

/// What the job's status does not know.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What people call the cluster.
    pub cluster: String,
    /// From submitting to the last result.
    pub total_s: Option<f64>,
    /// The reduced output as text, when it is short.
    pub output: Option<String>,
    /// Ctrl-C cancelled it.
    pub interrupted: bool,
}

/// The numbers of a job.
#[derive(Debug, Serialize)]
pub struct Report {
    job: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    plugin: Plugin,
    cluster: String,
    model: &'static str,
    workers: u32,
    processes: u32,
    threads: u32,
    /// Threads of all executors; workers may be of different sizes, then the two above are those of the largest.
    slots: u32,
    seed: u64,
    tasks: u64,
    ok: u64,
    failed: u64,
    retried: u64,
    duplicates: u64,
    /// What running tasks say they have done together, in tasks.
    in_progress: f64,
    wall_s: f64,
    total_s: Option<f64>,
    tasks_per_s: f64,
    run_s: RunTimes,
    queue_s: Times,
    dispatch_s: Times,
    report_s: Times,
    /// How long a task waited for the lock of its process, where it has one.
    /// From asking for an executor until it has the job open.
    start_s: Times,
    executors_started: u64,
    gil_wait_s: Option<Times>,
    gil_handovers: u64,
    /// Tasks that a thread keeps going.
    in_flight: u32,
    /// Threads of a process that stand in for an async form that the plugin does not have; 0: none.
    stand_in_threads: u32,
    /// Share of the slot time that the job had in which tasks ran; what other jobs had is not in it.
    busy_share: Option<f64>,
    leases: u64,
    lease_tasks: LeaseTasks,
    /// `null` for a job that was over before memory was looked at.
    peak_pss_bytes: Option<u64>,
    output_bytes: u64,
    results_from: u64,
    checksum: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    lost_workers: u64,
    executor_exits: u64,
    /// Executors that ended other than as told; the same as `executor_exits`.
    lost_executors: u64,
    /// Attempts that ended, in whatever way.
    attempts: u64,
    /// Failed tasks that used up their attempts by ending executors or by panics.
    quarantined: u64,
    /// Executors that ended other than as told, by cause.
    exits: BTreeMap<String, u64>,
    /// Tasks that ran beside one that ended their executor, and ran again.
    lost_tasks: u64,
    /// How the running tasks of a cancelled job came to a stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<Stopped>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
    interrupted: bool,
    failures: Vec<Failed>,
    /// Nothing will change any more.
    #[serde(skip)]
    ended: bool,
    /// What becomes of its outputs.
    #[serde(skip)]
    outputs: v1::Outputs,
    #[serde(skip)]
    reduces: bool,
    /// Why tasks were not in flight on the threads themselves.
    #[serde(skip)]
    why_stand_ins: &'static str,
}

#[derive(Debug, Serialize)]
struct Plugin {
    name: String,
    version: String,
    digest: String,
}

/// Seconds; `null` without ten samples above the percentile.
#[derive(Debug, Serialize)]
struct Times {
    p50: Option<f64>,
    p99: Option<f64>,
    mean: Option<f64>,
}

#[derive(Debug, Serialize)]
struct RunTimes {
    p50: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
    mean: Option<f64>,
    samples: u64,
}

#[derive(Debug, Serialize)]
struct LeaseTasks {
    min: u64,
    max: u64,
}

#[derive(Debug, Serialize)]
struct Stopped {
    asked: u64,
    terminated: u64,
    killed: u64,
    longest_s: f64,
}

impl Stopped {
    fn new(stopped: v1::JobStopped) -> Self {
        let v1::JobStopped { job: _, asked, terminated, killed, longest_ns } = stopped;
        Self { asked, terminated, killed, longest_s: longest_ns as f64 / 1e9 }
    }
}

#[derive(Debug, Serialize)]
struct Failed {
    index: u64,
    class: &'static str,
    message: String,
}

impl Report {
    /// The numbers of a status.
    pub fn new(status: &v1::JobStatus, facts: Facts) -> Self {
        let spec = status.spec.clone().unwrap_or_default();
        let plugin = spec.plugin.clone().unwrap_or_default();
        let run = sketch(status.run.as_ref());
        let done = status.ok + status.failed;
        let mut failures: Vec<Failed> = status.first_failures.iter().map(failed).collect();
        failures.sort_by_key(|failure| failure.index);
        Self {
            job: status.job,
            state: state_name(status.state()),
            reason: (!status.reason.is_empty()).then(|| status.reason.clone()),
            plugin: Plugin { name: plugin.name, version: plugin.version, digest: hex(&plugin.digest) },
            cluster: facts.cluster,
            model: model_name(spec.shape.unwrap_or_default().model()),
            workers: status.workers,
            processes: status.processes,
            threads: status.threads,
            slots: status.slots,
            seed: spec.seed,
            tasks: status.tasks,
            ok: status.ok,
            failed: status.failed,
            retried: status.retried,
            duplicates: status.duplicates,
            in_progress: status.in_progress,
            wall_s: status.wall_s,
            total_s: facts.total_s,
            tasks_per_s: if status.wall_s > 0.0 { done as f64 / status.wall_s } else { 0.0 },
            run_s: RunTimes {
                p50: at(&run, 0.5),
                p99: at(&run, 0.99),
                max: (run.count() > 0).then(|| secs(run.max())),
                mean: mean_run(status),
                samples: run.count(),
            },
            queue_s: times(status.queue.as_ref()),
            dispatch_s: times(status.dispatch.as_ref()),
            report_s: times(status.report.as_ref()),
            start_s: times(status.start.as_ref()),
            executors_started: sketch(status.start.as_ref()).count(),
            gil_wait_s: spec.shape.and_then(|shape| shape.gil).map(|_| times(status.gil_wait.as_ref())),
            gil_handovers: status.gil_handovers,
            in_flight: in_flight(&spec),
            stand_in_threads: status.stand_ins,
            busy_share: busy_share(status),
            leases: status.leases,
            lease_tasks: LeaseTasks { min: status.lease_tasks_min, max: status.lease_tasks_max },
            peak_pss_bytes: (status.peak_pss_bytes > 0).then_some(status.peak_pss_bytes),
            output_bytes: status.output_bytes,
            results_from: status.results_from,
            checksum: format!("{:016x}", status.checksum),
            output: facts.output,
            lost_workers: status.lost_workers,
            executor_exits: status.executor_exits,
            lost_executors: status.executor_exits,
            attempts: status.attempts,
            quarantined: status.quarantined,
            exits: status.exits.iter().map(|it| (it.cause.clone(), it.count)).collect(),
            lost_tasks: status.lost_tasks,
            stopped: status.stopped.filter(|_| status.state() == JobState::Cancelled).map(Stopped::new),
            notices: status.notices.clone(),
            interrupted: facts.interrupted,
            failures,
            ended: is_final(status),
            outputs: spec.outputs(),
            reduces: spec.reduce,
            why_stand_ins: why_stand_ins(spec.reduce),
        }
    }

    /// The summary for people.
    pub fn table(&self) -> String {
        let reason = self.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let Plugin { name, version, digest } = &self.plugin;
        let (shape, lock) = (self.shape(), self.gil_wait_s.as_ref().map_or("", |_| ", taking turns"));
        let mut rows = vec![
            ("job", format!("{} {}{reason}", self.job, self.state)),
            ("plugin", format!("{name} {version} ({})", digest.get(..12).unwrap_or_default())),
            ("ran on", format!("{}: {} ({}{lock})", self.cluster, shape, self.model)),
            ("tasks", self.tasks_row()),
        ];
        if self.wall_s > 0.0 {
            let ran = self.ok + self.failed > 0;
            let rate = if ran { format!(", {} tasks/s", short(self.tasks_per_s)) } else { String::new() };
            rows.push(("time", seconds(self.wall_s) + &rate));
        }
        if let Some(mean) = self.run_s.mean {
            rows.push(("a task", self.run_row(mean)));
        }
        let busy = self.busy_share.map(|share| format!("{:.1} % busy while it had them", share * 100.0));
        let memory = self.peak_pss_bytes.map(|peak| format!("peak memory {}", bytes(peak)));
        let slots: Vec<String> = busy.into_iter().chain(memory).collect();
        if !slots.is_empty() {
            rows.push(("slots", slots.join(", ")));
        }
        if self.model == "spawn"
            && let Some(mean) = self.start_s.mean
        {
            rows.push((
                "a start",
                format!("{} mean, of {} processes", seconds(mean), number(self.executors_started)),
            ));
        }
        if let Some(wait) = &self.gil_wait_s {
            rows.push(("lock", self.lock_row(wait)));
        }
        if self.stand_in_threads > 0 {
            let threads = counted(self.stand_in_threads, "thread", "threads");
            rows.push(("async", format!("{threads} of each process stood in: {}", self.why_stand_ins)));
        }
        if let Some(output) = &self.output {
            rows.push(("output", output.clone()));
        } else if self.output_bytes > 0 {
            rows.push(("outputs", format!("{}, checksum {}", bytes(self.output_bytes), self.checksum)));
        }
        rows.extend(self.failures.iter().map(|failure| ("failed", failure.line())));
        let more = self.failed.saturating_sub(self.failures.len() as u64);
        if more > 0 {
            rows.push(("failed", format!("and {} more{}", number(more), self.all_failures())));
        }
        pairs(&rows)
    }

    /// What the lock did.
    fn lock_row(&self, wait: &Times) -> String {
        let mean = wait.mean.map_or_else(String::new, |mean| format!("waited {} a task, ", seconds(mean)));
        let p99 = wait.p99.map_or_else(String::new, |p99| format!("p99 {}, ", seconds(p99)));
        format!("{mean}{p99}handed over {} times on request", number(self.gil_handovers))
    }

    /// Where all failures of its tasks can be read.
    fn all_failures(&self) -> String {
        match self.outputs {
            _ if self.reduces => String::new(),
            v1::Outputs::Keep if self.total_s.is_none() => format!(": muster job results {}", self.job),
            v1::Outputs::Checksum => "; with --out FILE each has a line there".to_owned(),
            v1::Outputs::Unspecified | v1::Outputs::Keep | v1::Outputs::Stream => {
                "; each has its place in the outputs".to_owned()
            }
        }
    }

    /// Where it ran: nowhere yet, or workers of one size or several.
    fn shape(&self) -> String {
        let even = u64::from(self.workers) * u64::from(self.processes) * u64::from(self.threads);
        if self.workers == 0 {
            self.no_worker().to_owned()
        } else if even == u64::from(self.slots) {
            shape(self.workers, self.processes, self.threads)
        } else {
            format!(
                "{}, {}",
                counted(self.workers, "worker", "workers"),
                counted(self.slots, "thread in all", "threads in all")
            )
        }
    }

    /// Workers are known to the coordinator that gave them tasks, and it may have been restarted since.
    const fn no_worker(&self) -> &'static str {
        match (self.ok + self.failed > 0, self.ended) {
            (true, _) => "workers from before the coordinator's restart",
            (false, true) => "no worker",
            (false, false) => "no worker yet",
        }
    }

    fn tasks_row(&self) -> String {
        let mut text = format!("{} ok", number(self.ok));
        for (count, what) in [(self.failed, "failed"), (self.retried, "tried again")] {
            if count > 0 {
                text.push_str(&format!(", {} {what}", number(count)));
            }
        }
        if self.quarantined > 0 {
            text.push_str(&format!(" ({} of the failed in quarantine)", number(self.quarantined)));
        }
        let missing = self.tasks.saturating_sub(self.ok + self.failed);
        if missing > 0 {
            text.push_str(&format!(", {} {}", number(missing), if self.ended { "not run" } else { "to go" }));
        }
        if self.in_progress > 0.0 {
            text.push_str(&format!(" ({} done in running tasks)", short(self.in_progress)));
        }
        text
    }

    fn run_row(&self, mean: f64) -> String {
        let named = [("p50", self.run_s.p50), ("p99", self.run_s.p99)];
        let shown =
            named.iter().filter_map(|(name, time)| time.map(|time| format!(", {name} {}", seconds(time))));
        format!("{} mean{} ({} timed)", seconds(mean), shown.collect::<String>(), number(self.run_s.samples))
    }
}

impl Failed {
    /// The class is told where the message does not.
    fn line(&self) -> String {
        let Self { index, class, message } = self;
        let told = message.starts_with(class) || message.starts_with("panic: ");
        if told || *class == class_name(v1::FailureClass::Failed) {
            return format!("task {index}: {message}");
        }
        format!("task {index} ({class}): {message}")
    }
}

/// Workers x processes x threads.
pub fn shape(workers: u32, processes: u32, threads: u32) -> String {
    let counted = [
        counted(workers, "worker", "workers"),
        counted(processes, "process", "processes"),
        counted(threads, "thread", "threads"),
    ];
    counted.join(" x ")
}

/// A number with its noun.
pub fn counted(count: u32, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// How large a cluster is, whose workers have so many slots each.
pub fn workers_of_slots(workers: u32, slots: u32) -> String {
    format!("{} of {}", counted(workers, "worker", "workers"), counted(slots, "slot", "slots"))
}

/// The share of the slots' time that tasks ran; where a thread keeps several tasks going, of their places.
pub fn busy_share(status: &v1::JobStatus) -> Option<f64> {
    let places = match &status.spec {
        Some(spec) if status.stand_ins == 0 => in_flight(spec),
        Some(_) | None => 1,
    };
    let time_ns = status.slot_ns as f64 * f64::from(places);
    (status.slot_ns > 0).then(|| (status.busy_ns as f64 / time_ns).min(1.0))
}

/// Why threads stand in for tasks in flight, where they do.
pub const fn why_stand_ins(reduces: bool) -> &'static str {
    if reduces { "results are combined (--reduce)" } else { "the plugin has no async form" }
}

/// Tasks that a thread keeps going.
fn in_flight(spec: &v1::JobSpec) -> u32 {
    shape_request(spec.shape).map_or(1, ShapeRequest::in_flight)
}

/// The mean time of a task, from the slots' busy time: exact where single times are sampled.
fn mean_run(status: &v1::JobStatus) -> Option<f64> {
    let done = status.ok + status.failed;
    (done > 0 && status.busy_ns > 0).then(|| status.busy_ns as f64 / done as f64 / 1e9)
}

/// The histogram of a message; buckets that do not exist are left out.
pub fn sketch(message: Option<&v1::Sketch>) -> Sketch {
    let mut sketch = Sketch::new();
    if let Some(message) = message {
        for (&bucket, &count) in message.buckets.iter().zip(&message.counts) {
            sketch.add_bucket(bucket as usize, count);
        }
        sketch.add_exact(Span(message.sum_ns), Span(message.max_ns));
    }
    sketch
}

fn times(message: Option<&v1::Sketch>) -> Times {
    let sketch = sketch(message);
    Times { p50: at(&sketch, 0.5), p99: at(&sketch, 0.99), mean: sketch.mean().map(secs) }
}

fn at(sketch: &Sketch, q: f64) -> Option<f64> {
    sketch.supported_quantile(q).map(secs)
}

fn secs(span: Span) -> f64 {
    span.0 as f64 / 1e9
}

fn failed(failure: &v1::TaskFailure) -> Failed {
    Failed { index: failure.index, class: class_name(failure.class()), message: failure.message.clone() }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How lists and JSON call a job's state.
pub const fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Unspecified => "unknown",
        JobState::Waiting => "waiting",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Paused => "paused",
    }
}

const fn model_name(model: v1::Model) -> &'static str {
    match model {
        v1::Model::Unspecified | v1::Model::Thread => "thread",
        v1::Model::Process => "process",
        v1::Model::Hybrid => "hybrid",
        v1::Model::Spawn => "spawn",
        v1::Model::Async => "async",
    }
}

const fn class_name(class: v1::FailureClass) -> &'static str {
    match class {
        v1::FailureClass::Unspecified | v1::FailureClass::Failed => "failed",
        v1::FailureClass::Transient => "transient",
        v1::FailureClass::Crashed => "crashed",
        v1::FailureClass::Cancelled => "cancelled",
        v1::FailureClass::Panicked => "panicked",
        v1::FailureClass::Limit => "limit",
        v1::FailureClass::Timeout => "timeout",
        v1::FailureClass::Memory => "memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> v1::JobStatus {
        let run = v1::Sketch { buckets: vec![100], counts: vec![30], sum_ns: 30_000, max_ns: 1200 };
        v1::JobStatus {
            job: 3,
            state: JobState::Done.into(),
            tasks: 1_000_000,
            ok: 999_999,
            failed: 1,
            wall_s: 2.0,
            busy_ns: 3_000_000_000,
            slot_ns: 4_000_000_000,
            workers: 2,
            processes: 1,
            threads: 1,
            slots: 2,
            run: Some(run),
            ..Default::default()
        }
    }

    fn report() -> Report {
        Report::new(
            &status(),
            Facts { cluster: "private".into(), total_s: None, output: None, interrupted: false },
        )
    }

    #[test]
    fn percentiles_without_support_are_null() {
        let json = serde_json::to_value(report()).unwrap();
        assert!(json["run_s"]["p50"].is_f64());
        assert!(json["run_s"]["p99"].is_null());
        assert!(json["queue_s"]["p50"].is_null());
        assert_eq!(json["tasks_per_s"], 500_000.0);
        assert_eq!(json["busy_share"], 0.75);
    }

    #[test]
    fn the_summary_fits_in_80_columns() {
        let text = report().table();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("999,999 ok, 1 failed"), "{text}");
        assert!(text.contains("2 workers x 1 process x 1 thread"), "{text}");
        let uneven = Report { slots: 3, ..report() };
        assert!(uneven.table().contains("2 workers, 3 threads in all"), "{}", uneven.table());
    }

    #[test]
    fn failures_are_told_once_and_the_rest_is_counted() {
        let failure = |index, class: v1::FailureClass, message: &str| v1::TaskFailure {
            index,
            class: class.into(),
            message: message.to_owned(),
            ..Default::default()
        };
        let first_failures = vec![
            failure(1, v1::FailureClass::Failed, "exit code 3"),
            failure(2, v1::FailureClass::Panicked, "panicked at src/lib.rs:5: no"),
            failure(3, v1::FailureClass::Crashed, "SIGSEGV ended the executor (signal 11)"),
        ];
        let shown = |outputs: v1::Outputs, reduce, total_s| {
            let spec = Some(v1::JobSpec { outputs: outputs.into(), reduce, ..Default::default() });
            let status =
                v1::JobStatus { failed: 1003, spec, first_failures: first_failures.clone(), ..status() };
            let facts = Facts { cluster: "default".into(), total_s, output: None, interrupted: false };
            let table = Report::new(&status, facts).table();
            table
                .lines()
                .filter_map(|line| line.strip_prefix("failed"))
                .map(|line| line.trim_start().to_owned())
                .collect::<Vec<_>>()
        };
        let lines = shown(v1::Outputs::Keep, false, None);
        assert_eq!(
            lines,
            [
                "task 1: exit code 3",
                "task 2: panicked at src/lib.rs:5: no",
                "task 3 (crashed): SIGSEGV ended the executor (signal 11)",
                "and 1,000 more: muster job results 3",
            ]
        );
        for (outputs, reduce, words) in [
            (v1::Outputs::Checksum, false, "and 1,000 more; with --out FILE each has a line there"),
            (v1::Outputs::Stream, false, "and 1,000 more; each has its place in the outputs"),
            (v1::Outputs::Keep, false, "and 1,000 more; each has its place in the outputs"),
            (v1::Outputs::Stream, true, "and 1,000 more"),
        ] {
            assert_eq!(shown(outputs, reduce, Some(1.0)).last().unwrap(), words);
        }
    }

    #[test]
    fn a_job_that_goes_on_is_not_told_as_one_that_ended() {
        let row = |report: &Report, name: &str| {
            let table = report.table();
            table.lines().find(|line| line.starts_with(name)).unwrap().to_owned()
        };
        let running = Report { ok: 10, failed: 0, tasks: 100, ended: false, ..report() };
        assert!(row(&running, "tasks").ends_with("10 ok, 90 to go"), "{}", running.table());
        let halfway = Report { in_progress: 1.5, ..running };
        assert!(row(&halfway, "tasks").ends_with("10 ok, 90 to go (1.50 done in running tasks)"));
        let cancelled = Report { ended: true, in_progress: 0.0, ..halfway };
        assert!(row(&cancelled, "tasks").ends_with("10 ok, 90 not run"), "{}", cancelled.table());
        for (ok, ended, words) in [
            (0, false, "no worker yet"),
            (0, true, "no worker"),
            (5, true, "workers from before the coordinator's restart"),
        ] {
            let report = Report { workers: 0, ok, failed: 0, ended, wall_s: 0.0, ..report() };
            assert!(!report.table().contains("\ntime"), "{}", report.table());
            let timed = Report { wall_s: 0.5, ..report };
            assert_eq!(row(&timed, "time").contains("tasks/s"), ok > 0, "{}", timed.table());
            assert!(row(&timed, "ran on").contains(&format!(" {words} (")), "{}", timed.table());
        }
    }
}
