//! `[[jobs]]`.

use super::error::ScenarioError;
use super::field::{Field, Table};
use super::tree::Value;
use super::{Job, Plugin, WorkerGroup, cluster, keys, times};
use muster_core::scheduler::{JobSpec, RetryPolicy};
use muster_core::shape::ShapeRequest;
use muster_core::time::Span;
use std::ops::RangeInclusive;
use std::path::Path;

/// Tasks of one job: beyond it a count no longer fits beside others into 64 bits.
const TASKS_MAX: u64 = 100_000_000_000;
const WEIGHT_MAX: u32 = 1_000_000;
const ATTEMPTS_MAX: u32 = 1_000;
const MODELS: &[&str] = &["thread", "process", "hybrid"];
/// Models of `muster run` that neither a simulation nor an emulation has.
const REAL_MODELS: [&str; 3] = ["spawn", "async", "gil"];
/// What commands and messages can say of a wait is in whole milliseconds, up to a day.
const BACKOFF: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_millis(86_400_000);

pub(super) fn jobs(top: &Table<'_>, workers: &[WorkerGroup], base: &Path) -> Result<Vec<Job>, ScenarioError> {
    let tables = top.tables("jobs", &keys::JOBS)?;
    if tables.is_empty() {
        return Err(cluster::nothing(
            top,
            "[[jobs]]",
            "[[jobs]] with tasks = 1000 and time = { exp = \"1s\" }",
        ));
    }
    let names = cluster::names(&tables)?;
    tables.iter().zip(names).map(|(table, name)| job(table, name, workers, base)).collect()
}

fn job(table: &Table<'_>, name: String, workers: &[WorkerGroup], base: &Path) -> Result<Job, ScenarioError> {
    let usual = JobSpec::default();
    let spec = JobSpec {
        tasks: table.need("tasks", "tasks = 1000")?.whole(1..=TASKS_MAX)?,
        weight: table.whole("weight", 1..=WEIGHT_MAX, usual.weight)?,
        priority: table.whole("priority", i32::MIN..=i32::MAX, usual.priority)?,
        max_attempts: table.whole("max_attempts", 1..=ATTEMPTS_MAX, usual.max_attempts)?,
        retry: retry(table)?,
        shape: shape(table)?,
        oversubscribe: table.get("oversubscribe").map_or(Ok(usual.oversubscribe), |field| field.flag())?,
        ..usual
    };
    check_slots(table, &spec, workers)?;
    Ok(Job {
        name,
        submit_at: table.duration("submit_at", Span::ZERO)?,
        spec,
        time: times::time(table.need("time", "time = { exp = \"1s\" }")?, base)?,
        io: table.share("io")?,
        plugin_bytes: table.size("plugin_bytes")?,
        input_bytes: table.size("input_bytes")?,
        result_bytes: table.size("result_bytes")?,
        plugin: plugin(table)?,
    })
}

fn retry(table: &Table<'_>) -> Result<RetryPolicy, ScenarioError> {
    let usual = RetryPolicy::default();
    let Some(field) = table.get("backoff") else { return Ok(usual) };
    let backoff = field.duration()?;
    if !BACKOFF.contains(&backoff) {
        return Err(field.wrong("is no wait that can be kept: write \"1ms\" to \"1d\""));
    }
    Ok(RetryPolicy { backoff, backoff_max: usual.backoff_max.max(backoff), ..usual })
}

/// One of the models that are simulated and emulated.
fn model(field: &Field<'_>) -> Result<&'static str, ScenarioError> {
    match REAL_MODELS.into_iter().find(|real| field.text().is_ok_and(|text| text == *real)) {
        None => field.choice(MODELS),
        Some(real) => Err(field.wrong(format!(
            "is neither simulated nor emulated: measure it with muster run --model {real}, or write one of thread, process, \
             hybrid"
        ))),
    }
}

fn shape(table: &Table<'_>) -> Result<ShapeRequest, ScenarioError> {
    let part = |key| table.get(key).map(|field| field.whole(1..=cluster::SLOTS_MAX)).transpose();
    let (processes, threads) = (part("processes")?, part("threads")?);
    let model = table.get("model").map(|field| model(&field)).transpose()?;
    let refused = |key: &'static str, model: &str, other: &str| {
        let fix = format!("does not fit to model = {model:?}: leave it out, or write model = {other}");
        table.get(key).map_or(Ok(()), |field| Err(field.wrong(fix)))
    };
    match model.unwrap_or("thread") {
        "process" => {
            refused("threads", "process", "\"hybrid\"")?;
            Ok(ShapeRequest::Process { processes })
        }
        "hybrid" => Ok(ShapeRequest::Hybrid { processes, threads }),
        _ => {
            refused("processes", "thread", "\"process\" or \"hybrid\"")?;
            Ok(ShapeRequest::Thread { threads })
        }
    }
}

/// A shape without room on any worker would wait for ever.
fn check_slots(table: &Table<'_>, spec: &JobSpec, workers: &[WorkerGroup]) -> Result<(), ScenarioError> {
    let fits = |group: &WorkerGroup| spec.shape.resolve(group.slots).slots() <= group.slots;
    if spec.oversubscribe || workers.iter().any(fits) {
        return Ok(());
    }
    let most = workers.iter().map(|group| group.slots).max().unwrap_or(1);
    let key = ["threads", "processes"].into_iter().find_map(|key| table.get(key));
    let place = key.map_or(table.place, |field| &field.node.place).clone();
    let problem = format!(
        "wants {} ({} slots), and no worker has more than {most}: make it smaller, or set oversubscribe = true",
        spec.shape.resolve(most),
        spec.shape.resolve(most).slots()
    );
    Err(ScenarioError::Structure { place, subject: "the shape in [[jobs]]".to_owned(), problem })
}

fn plugin(table: &Table<'_>) -> Result<Option<Plugin>, ScenarioError> {
    match (table.get("plugin"), table.get("params")) {
        (None, None) => Ok(None),
        (None, Some(params)) => Err(params.wrong("belongs to a plugin: add plugin = \"...\"")),
        (Some(plugin), params) => Ok(Some(Plugin {
            name: plugin.text()?,
            params: params.map_or_else(|| Ok(Vec::new()), |field| parameters(&field))?,
        })),
    }
}

fn parameters(field: &Field<'_>) -> Result<Vec<(String, String)>, ScenarioError> {
    let Value::Table(entries) = &field.node.value else {
        return Err(field.wrong("is not a table: write it as in { ms = 10 }"));
    };
    let parameter = |entry: &super::tree::Entry| {
        let value = Field { key: &entry.key, node: &entry.node, ..*field };
        let text = entry.node.scalar().ok_or_else(|| value.wrong("is not a single value"))?;
        if entry.key.is_empty() || entry.key.contains('=') {
            return Err(value.wrong("has a key that cannot be written as key=value"));
        }
        Ok((entry.key.clone(), text))
    };
    entries.iter().map(parameter).collect()
}
