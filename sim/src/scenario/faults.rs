//! `[[faults]]`.

use super::error::ScenarioError;
use super::field::{Field, Table};
use super::keys::{FAULT_KINDS, FAULTS, Kind};
use super::tree::Value;
use super::{Direction, Fault, FaultKind, Job, Target, When, WorkerGroup, cluster};
use muster_core::time::Span;

const FACTOR: std::ops::RangeInclusive<f64> = 1.0..=1e6;
/// Clocks that are off by half are broken.
const PPM_MAX: i64 = 500_000;

/// What faults speak of.
struct Known<'a> {
    workers: &'a [WorkerGroup],
    jobs: &'a [Job],
    /// Later more workers than at the start may be there.
    joins: bool,
}

/// The faults that hit somebody, and notes about those that only seem to.
pub(super) fn faults(
    top: &Table<'_>,
    workers: &[WorkerGroup],
    jobs: &[Job],
    until: Span,
) -> Result<(Vec<Fault>, Vec<String>), ScenarioError> {
    top.get("faults").map_or(Ok(()), |field| known_kinds(&field))?;
    let tables = top.tables("faults", &FAULTS)?;
    let is_join = |table: &Table<'_>| {
        table.get("kind").is_some_and(|field| field.node.scalar().as_deref() == Some("join"))
    };
    let known = Known { workers, jobs, joins: tables.iter().any(is_join) };
    let mut faults = Vec::new();
    let mut workers_later: f64 = workers.iter().map(|group| f64::from(group.count)).sum();
    for table in &tables {
        let Some(fault) = fault(table, &known)? else { continue };
        workers_later += joining(&fault, until);
        if workers_later > f64::from(cluster::WORKERS_MAX) {
            let place = table.get("count").map_or(table.place, |field| &field.node.place).clone();
            let problem = format!(
                "makes about {workers_later:.0} workers with those from the start: at most {}; make joins rarer, or set until",
                cluster::WORKERS_MAX
            );
            return Err(ScenarioError::Structure {
                place,
                subject: "join in [[faults]]".to_owned(),
                problem,
            });
        }
        faults.push(fault);
    }
    let notes = tables.iter().map(|table| nobody(table, &known));
    Ok((faults, notes.filter_map(Result::transpose).collect::<Result<_, _>>()?))
}

/// How many workers a fault lets join until the end.
fn joining(fault: &Fault, until: Span) -> f64 {
    let FaultKind::Join { count, .. } = fault.kind else { return 0.0 };
    let times = match fault.when {
        When::At(_) => 1.0,
        When::Every(mean) => until.as_secs_f64() / mean.as_secs_f64(),
    };
    times * f64::from(count)
}

/// Says that a share is rounded to no worker. Who wants nobody writes 0.
fn nobody(table: &Table<'_>, known: &Known<'_>) -> Result<Option<String>, ScenarioError> {
    let Some(field) = table.get("share") else { return Ok(None) };
    let kind = table.get("kind").and_then(|kind| kind.node.scalar()).unwrap_or_default();
    // Its share is one of tasks.
    if kind == "poison" {
        return Ok(None);
    }
    let (share, (_, size)) = (field.share()?, members(table, known)?);
    let is_nobody = share > 0.0 && part(share, size) == 0;
    let said = || format!("{kind}: share {share} of {size} workers is nobody: write count = 1");
    Ok(is_nobody.then(said))
}

/// The kind decides which keys there may be, so it is looked at first.
fn known_kinds(faults: &Field<'_>) -> Result<(), ScenarioError> {
    let Value::List(items) = &faults.node.value else { return Ok(()) };
    for node in items.iter().filter_map(|item| item.get("kind")) {
        Field { section: &FAULTS, key: "kind", kind: Kind::Text, node }.choice(&words())?;
    }
    Ok(())
}

fn words() -> Vec<&'static str> {
    FAULT_KINDS.iter().map(|(kind, _)| *kind).collect()
}

/// None: a fault that hits nobody.
fn fault(table: &Table<'_>, known: &Known<'_>) -> Result<Option<Fault>, ScenarioError> {
    let word = table.need("kind", "kind = \"worker_crash\"")?.choice(&words())?;
    refuse_other_keys(table, word)?;
    let target = || target(table, known);
    let kind = match word {
        "coordinator_crash" => {
            FaultKind::CoordinatorCrash { restart: needed_span(table, "restart", "restart = \"5s\"")? }
        }
        "poison" => FaultKind::Poison {
            job: job(table, known)?,
            share: table.need("share", "share = 0.001")?.share()?,
        },
        "join" => join(table, known)?,
        word => {
            let Some(target) = target()? else { return Ok(None) };
            on_workers(word, table, target)?
        }
    };
    let is_lasting = matches!(word, "straggler" | "poison" | "clock_drift");
    Ok(Some(Fault { kind, when: when(table, is_lasting)? }))
}

fn on_workers(word: &str, table: &Table<'_>, target: Target) -> Result<FaultKind, ScenarioError> {
    Ok(match word {
        "worker_crash" => FaultKind::WorkerCrash {
            target,
            restart: table.get("restart").map(|field| field.duration()).transpose()?,
        },
        "executor_crash" => FaultKind::ExecutorCrash { target },
        "pause" => FaultKind::Pause { target, length: length(table)? },
        "partition" => FaultKind::Partition { target, direction: direction(table)?, length: length(table)? },
        "straggler" => {
            FaultKind::Straggler { target, factor: table.need("factor", "factor = 3.0")?.number(FACTOR)? }
        }
        "leave" => FaultKind::Leave { target },
        _ => {
            FaultKind::ClockDrift { target, ppm: table.need("ppm", "ppm = 100")?.whole(-PPM_MAX..=PPM_MAX)? }
        }
    })
}

fn refuse_other_keys(table: &Table<'_>, word: &str) -> Result<(), ScenarioError> {
    let taken = FAULT_KINDS.iter().find(|(kind, _)| *kind == word).map_or(&[][..], |found| found.1);
    for (key, _) in FAULTS.keys {
        let Some(field) = table.get(key).filter(|_| *key != "kind" && !taken.contains(key)) else { continue };
        let reason = match (*key, word) {
            ("every", "poison" | "clock_drift") => ", which lasts: use at".to_owned(),
            _ => format!(": it takes {}", taken.join(", ")),
        };
        return Err(field.wrong(format!("does not belong to kind = {word:?}{reason}")));
    }
    Ok(())
}

fn when(table: &Table<'_>, is_lasting: bool) -> Result<When, ScenarioError> {
    match (table.get("at"), table.get("every")) {
        (Some(at), None) => Ok(When::At(at.duration()?)),
        (None, Some(every)) => Ok(When::Every(every.duration_above_zero()?)),
        (Some(_), Some(every)) => Err(every.wrong("stands beside at: keep one of them")),
        (None, None) if is_lasting => Ok(When::At(Span::ZERO)),
        (None, None) => Err(ScenarioError::Missing {
            place: table.place.clone(),
            key: "at or every",
            section: FAULTS.title,
            example: "at = \"5s\" or every = \"1h\"",
        }),
    }
}

fn needed_span(table: &Table<'_>, key: &'static str, example: &'static str) -> Result<Span, ScenarioError> {
    table.need(key, example)?.duration()
}

fn length(table: &Table<'_>) -> Result<Span, ScenarioError> {
    table.need("length", "length = \"10s\"")?.duration_above_zero()
}

fn direction(table: &Table<'_>) -> Result<Direction, ScenarioError> {
    let Some(field) = table.get("direction") else { return Ok(Direction::Both) };
    Ok(match field.choice(&["both", "to_workers", "to_coordinator"])? {
        "to_workers" => Direction::ToWorkers,
        "to_coordinator" => Direction::ToCoordinator,
        _ => Direction::Both,
    })
}

/// Which workers; none when the share or the count is zero. A share is of the workers from the start, rounded.
fn target(table: &Table<'_>, known: &Known<'_>) -> Result<Option<Target>, ScenarioError> {
    let (group, size) = members(table, known)?;
    let count = match (table.get("count"), table.get("share")) {
        (Some(_), Some(share)) => return Err(share.wrong("stands beside count: keep one of them")),
        (Some(field), None) => {
            let count = field.whole(0..=cluster::WORKERS_MAX)?;
            if u64::from(count) > size && !known.joins {
                return Err(field.wrong(format!("is more than there are: {size} workers")));
            }
            Some(count)
        }
        (None, Some(field)) => Some(part(field.share()?, size)),
        (None, None) => None,
    };
    Ok(if count == Some(0) { None } else { Some(Target { group, count }) })
}

/// The group that is meant, if it is one, and how many workers there are in it or in all from the start.
fn members(table: &Table<'_>, known: &Known<'_>) -> Result<(Option<usize>, u64), ScenarioError> {
    let group = table.get("workers").map(|field| group(&field, known)).transpose()?;
    let size = match group {
        Some(index) => u64::from(known.workers[index].count),
        None => known.workers.iter().map(|group| u64::from(group.count)).sum(),
    };
    Ok((group, size))
}

fn part(share: f64, size: u64) -> u32 {
    (share * size as f64).round() as u32
}

fn group(field: &Field<'_>, known: &Known<'_>) -> Result<usize, ScenarioError> {
    let names: Vec<&str> = known.workers.iter().map(|group| group.name.as_str()).collect();
    field.reference("group of workers", &names)
}

fn join(table: &Table<'_>, known: &Known<'_>) -> Result<FaultKind, ScenarioError> {
    let group = match (table.get("workers"), known.workers) {
        (Some(field), _) => group(&field, known)?,
        (None, [_]) => 0,
        (None, _) => table.need("workers", "workers = \"...\", the group that grows").map(|_| 0)?,
    };
    Ok(FaultKind::Join { group, count: table.whole("count", 1..=cluster::WORKERS_MAX, 1)? })
}

fn job(table: &Table<'_>, known: &Known<'_>) -> Result<usize, ScenarioError> {
    let names: Vec<&str> = known.jobs.iter().map(|job| job.name.as_str()).collect();
    match (table.get("job"), known.jobs) {
        (Some(field), _) => field.reference("job", &names),
        (None, [_]) => Ok(0),
        (None, _) => table.need("job", "job = \"...\"").map(|_| 0),
    }
}
