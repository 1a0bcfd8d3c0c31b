//! Builds the state of a view from what the driver tells.

use super::Source;
use super::history::{History, ended};
use super::reports;
use super::view::{PAGE_JOBS, View, state_name};
use crate::driver::{Block, BlocksAsk, BrowseAsk, Command, JobRow, Refusal};
use crate::store::PluginRecord;
use crate::store::blobs::hex;
use muster_core::id::JobId;
use muster_core::sketch::Sketch;
use muster_core::time::Span;
use muster_proto::convert::{level_shown, sketch};
use muster_proto::v1::{self, JobState, WorkerState};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

/// Blocks of a task stream that are shown.
const BLOCKS_SHOWN: usize = 500;
/// Bytes of parameters and manifests that are shown.
const TEXT_SHOWN_BYTES: usize = 2_000;

/// Looks at one view again and again.
pub struct Eye {
    view: View,
    stream: TaskStream,
}

/// The blocks that came last, as far as they are known.
#[derive(Default)]
struct TaskStream {
    job: JobId,
    next: u64,
    blocks: VecDeque<Block>,
    workers: BTreeMap<u64, String>,
}

impl Eye {
    pub fn new(view: View) -> Self {
        Self { view, stream: TaskStream::default() }
    }

    /// What there is to see now: an object without nulls.
    ///
    /// # Errors
    /// Why the driver refuses.
    pub async fn look(&mut self, source: &Source, history: &History) -> Result<Value, Refusal> {
        match self.view.clone() {
            View::Cluster => cluster(source, history).await,
            View::Jobs { state, text, page } => jobs(source, history, state, text, page).await,
            View::Job(id) => self.job(source, history, id).await,
            View::Plugins => plugins(source).await,
            View::Reports => Ok(reports(source).await),
        }
    }

    async fn job(&mut self, source: &Source, history: &History, id: JobId) -> Result<Value, Refusal> {
        let status = source.driver.ask(|reply| Command::Status(id, reply)).await?.status;
        let id = JobId(status.job);
        if self.stream.job != id {
            self.stream = TaskStream { job: id, ..TaskStream::default() };
        }
        self.stream.look(source).await?;
        let mut state = job(&status, history.rate(Some(id)));
        state.insert("history".into(), history.show(Some(id)));
        state.insert("blocks".into(), self.stream.show());
        state.insert("workers".into(), json!(self.stream.workers));
        Ok(Value::Object(state))
    }
}

impl TaskStream {
    async fn look(&mut self, source: &Source) -> Result<(), Refusal> {
        let ask = BlocksAsk { job: self.job, from: self.next, limit: BLOCKS_SHOWN };
        let last = source.driver.ask(|reply| Command::Blocks(ask, reply)).await?;
        self.next = last.next;
        self.blocks.extend(last.blocks);
        while self.blocks.len() > BLOCKS_SHOWN {
            self.blocks.pop_front();
        }
        self.workers.extend(last.workers.into_iter().map(|(id, name)| (id.0, name)));
        let shown = |id: &u64| self.blocks.iter().any(|block| block.worker.0 == *id);
        self.workers.retain(|id, _| shown(id));
        Ok(())
    }

    /// By number: worker, when it ended (Unix time), thread time, first task, tasks, whether it failed, and, when that is known, the
    /// executor and its thread.
    fn show(&self) -> Value {
        let shown = self.blocks.iter().map(|block| {
            let ended_s = rounded(block.ended_ns as f64 / 1e9, 1e4);
            let (start, count) = (block.range.start, block.range.len());
            let (worker, busy_s, failed) = (block.worker.0, secs(block.busy), u8::from(block.failed));
            let value = match block.thread {
                Some((executor, thread)) => {
                    json!([worker, ended_s, busy_s, start, count, failed, executor, thread])
                }
                None => json!([worker, ended_s, busy_s, start, count, failed]),
            };
            (block.sequence.to_string(), value)
        });
        Value::Object(shown.collect())
    }
}

/// Folders are read beside the runtime.
async fn reports(source: &Source) -> Value {
    let kept = source.reports.clone();
    let read = tokio::task::spawn_blocking(move || reports::state(kept.as_deref())).await;
    read.unwrap_or_else(|error| json!({ "error": format!("the reports cannot be listed: {error}") }))
}

async fn cluster(source: &Source, history: &History) -> Result<Value, Refusal> {
    let numbers = source.driver.ask(Command::Numbers).await?;
    let workers = source.driver.ask(|reply| Command::Workers(true, reply)).await?;
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let workers: Map<String, Value> =
        workers.iter().map(|it| (it.worker.to_string(), worker(it, now_s))).collect();
    let (ok, failed) = ended(&numbers);
    let about = &source.about;
    let totals = json!({
        "up": numbers.workers_up, "draining": numbers.workers_draining,
        "lost": numbers.workers_lost, "left": numbers.workers_left,
        "slots": numbers.slots, "busy": numbers.slots_busy, "executors": numbers.executors,
        "queued": numbers.queued_tasks(), "jobs": numbers.jobs_live, "paused": numbers.jobs_paused,
        "ok": ok, "failed": failed,
    });
    let mut state = object(json!({
        "about": {
            "version": env!("CARGO_PKG_VERSION"), "epoch": about.epoch, "durable": about.durable,
            "policy": about.policy, "heartbeat_s": about.heartbeat.as_secs_f64(),
        },
        "totals": totals,
        "workers": workers,
        "history": history.show(None),
    }));
    insert(&mut state, "rate", history.rate(None).map(|rate| rounded(rate, 10.0)));
    Ok(Value::Object(state))
}

fn worker(info: &v1::WorkerInfo, now_s: f64) -> Value {
    let state = match info.state() {
        WorkerState::Up => "up",
        WorkerState::Draining => "draining",
        WorkerState::Lost => "lost",
        WorkerState::Left => "left",
        WorkerState::Unspecified => "unknown",
    };
    json!({
        "name": info.name, "host": info.host, "state": state, "slots": info.slots, "busy": info.busy_slots,
        "executors": info.executors, "memory": info.pss_bytes, "leased": info.leased, "done": info.committed,
        "heard_s": rounded(now_s - info.heartbeat_age_s, 10.0), "sandbox": level_shown(info.sandbox()).name(),
    })
}

async fn jobs(
    source: &Source,
    history: &History,
    state: Option<JobState>,
    text: String,
    page: usize,
) -> Result<Value, Refusal> {
    let ask = BrowseAsk { live: false, state, text, skip: page * PAGE_JOBS, limit: PAGE_JOBS };
    let found = source.driver.ask(|reply| Command::Browse(ask, reply)).await?;
    let rows = found.rows.iter().map(|row| (row.job.0.to_string(), self::row(row, history)));
    Ok(json!({
        "jobs": rows.collect::<Map<String, Value>>(),
        "found": found.found, "all": found.all, "page": page + 1, "page_jobs": PAGE_JOBS,
    }))
}

fn row(row: &JobRow, history: &History) -> Value {
    let mut shown = object(json!({
        "plugin": row.plugin, "label": row.label, "state": state_name(row.state), "tasks": row.tasks,
        "sealed": row.sealed, "ok": row.ok, "failed": row.failed, "leased": row.leased,
        "submitted_s": rounded(row.submitted_s, 10.0),
    }));
    if row.state == JobState::Running {
        let left = row.tasks.saturating_sub(row.ok + row.failed);
        speed(&mut shown, history.rate(Some(row.job)), left, row.sealed);
    }
    Value::Object(shown)
}

/// Tasks a second, and seconds until the end at this rate.
fn speed(shown: &mut Map<String, Value>, rate: Option<f64>, left: u64, sealed: bool) {
    insert(shown, "rate", rate.map(|rate| rounded(rate, 10.0)));
    let rate = rate.filter(|rate| *rate > 0.0 && sealed && left > 0);
    insert(shown, "eta_s", rate.map(|rate| (left as f64 / rate).round()));
}

fn job(status: &v1::JobStatus, rate: Option<f64>) -> Map<String, Value> {
    let spec = status.spec.clone().unwrap_or_default();
    let plugin = spec.plugin.as_ref().map(|it| format!("{}@{}", it.name, it.version)).unwrap_or_default();
    let exits: Map<String, Value> =
        status.exits.iter().map(|exit| (exit.cause.clone(), exit.count.into())).collect();
    let mut about = object(json!({
        "job": status.job, "plugin": plugin, "label": spec.label, "state": state_name(status.state()),
        "reason": status.reason, "tasks": status.tasks, "sealed": !spec.open, "ok": status.ok,
        "failed": status.failed, "retried": status.retried, "attempts": status.attempts,
        "quarantined": status.quarantined, "leased": status.leased,
        "in_progress": rounded(status.in_progress, 100.0), "workers": status.workers,
        "processes": status.processes, "threads": status.threads, "slots": status.slots,
        "submitted_s": rounded(status.submitted_s, 10.0), "wall_s": rounded(status.wall_s, 10.0),
        "output_bytes": status.output_bytes, "memory": status.peak_pss_bytes, "leases": status.leases,
        "executor_exits": status.executor_exits, "lost_workers": status.lost_workers,
        "lost_tasks": status.lost_tasks, "params": shown(&String::from_utf8_lossy(&spec.params)),
        "reduce": spec.reduce,
    }));
    if status.slot_ns > 0 {
        about.insert("busy_share".into(), rounded(status.busy_ns as f64 / status.slot_ns as f64, 1e3).into());
    }
    if status.state() == JobState::Running {
        let left = status.tasks.saturating_sub(status.ok + status.failed);
        speed(&mut about, rate, left, !spec.open);
    }
    object(json!({
        "job": about, "exits": exits, "notices": status.notices, "phases": phases(status),
    }))
}

/// Times of the phases of a task, those that are known.
fn phases(status: &v1::JobStatus) -> Map<String, Value> {
    let known = [
        ("queue", &status.queue),
        ("dispatch", &status.dispatch),
        ("run", &status.run),
        ("report", &status.report),
        ("gil_wait", &status.gil_wait),
        ("start", &status.start),
        ("latency", &status.latency),
        ("start_lag", &status.start_lag),
    ];
    let times = known.into_iter().filter_map(|(name, wire)| {
        let sketch = sketch(wire.clone()).ok().filter(|sketch| sketch.count() > 0)?;
        Some((name.to_owned(), times(&sketch)))
    });
    times.collect()
}

/// Percentiles without ten samples above them are left out.
fn times(sketch: &Sketch) -> Value {
    let mut shown = object(json!({ "samples": sketch.count(), "max_s": secs(sketch.max()) }));
    insert(&mut shown, "mean_s", sketch.mean().map(secs));
    for (name, q) in [("p50_s", 0.5), ("p95_s", 0.95), ("p99_s", 0.99)] {
        insert(&mut shown, name, sketch.supported_quantile(q).map(secs));
    }
    Value::Object(shown)
}

async fn plugins(source: &Source) -> Result<Value, Refusal> {
    let plugins = source.driver.ask(Command::ListPlugins).await?;
    let shown = plugins.iter().map(|it| (hex(&it.digest), plugin(it)));
    Ok(json!({ "plugins": shown.collect::<Map<String, Value>>() }))
}

fn plugin(record: &PluginRecord) -> Value {
    let manifest: Value = serde_json::from_str(&record.manifest).unwrap_or_default();
    let text = |key: &str| manifest[key].as_str().unwrap_or_default();
    json!({
        "name": record.name, "version": record.version, "target": record.target, "bytes": record.size,
        "added_s": record.added_unix_ns / 1_000_000_000, "description": text("description"),
        "input": text("input"), "output": text("output"),
        "reduce": manifest["reduce"].as_bool().unwrap_or_default(), "manifest": shown(&record.manifest),
    })
}

/// Text that may be long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(TEXT_SHOWN_BYTES) {
        Some((end, _)) => format!("{} ..", &text[..end]),
        None => text.to_owned(),
    }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn insert(map: &mut Map<String, Value>, key: &str, value: Option<f64>) {
    map.extend(value.map(|value| (key.to_owned(), value.into())));
}

fn secs(span: Span) -> f64 {
    rounded(span.0 as f64 / 1e9, 1e9)
}

fn rounded(value: f64, per_unit: f64) -> f64 {
    (value * per_unit).round() / per_unit
}
