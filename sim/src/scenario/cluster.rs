//! `[[workers]]` and `[[links]]`.

use super::error::ScenarioError;
use super::field::Table;
use super::keys;
use super::{Link, Unreliable, WorkerGroup};
use muster_core::time::Span;

/// Workers in all groups together.
pub(super) const WORKERS_MAX: u32 = 10_000_000;
/// Slots of all workers together.
const SLOTS_TOTAL_MAX: u64 = 100_000_000;
/// Slots and cores of one worker, as of a real one.
pub(super) const SLOTS_MAX: u32 = 4_096;
const SPEED: std::ops::RangeInclusive<f64> = 1e-6..=1e6;
/// Measured for real workers: spawning an executor and loading its plugin takes 0.84 ms.
const DEFAULT_EXECUTOR_START: Span = Span::from_millis(1);
/// Part of the start unless it is said apart.
const DEFAULT_PLUGIN_LOAD: Span = Span::ZERO;

/// The names of the entries of a list: those they were given, or those of their places. No two are the same.
pub(super) fn names(tables: &[Table<'_>]) -> Result<Vec<String>, ScenarioError> {
    let mut names = Vec::with_capacity(tables.len());
    for (index, table) in tables.iter().enumerate() {
        let name = match table.get("name") {
            Some(field) => field.name()?,
            None => table.section.default_name(index),
        };
        names.push(name);
    }
    let mut seen = std::collections::BTreeMap::new();
    for (index, name) in names.iter().enumerate() {
        if let Some(first) = seen.insert(name.as_str(), index) {
            let place_of =
                |table: &Table<'_>| table.get("name").map_or(table.place, |field| &field.node.place).clone();
            let (first, table) = (place_of(&tables[first]), &tables[index]);
            return Err(ScenarioError::Structure {
                place: place_of(table),
                subject: table.section.title.to_owned(),
                problem: format!(
                    "has the name {name:?} a second time (first: {first}): give each its own name"
                ),
            });
        }
    }
    Ok(names)
}

pub(super) fn links(top: &Table<'_>) -> Result<Vec<Link>, ScenarioError> {
    let tables = top.tables("links", &keys::LINKS)?;
    let names = names(&tables)?;
    tables.iter().zip(names).map(|(table, name)| link(table, name)).collect()
}

fn link(table: &Table<'_>, name: String) -> Result<Link, ScenarioError> {
    Ok(Link {
        name,
        latency: table.duration("latency", Span::ZERO)?,
        jitter: table.duration("jitter", Span::ZERO)?,
        bandwidth: table.rate("bandwidth")?,
        worker_bandwidth: table.rate("worker_bandwidth")?,
        unreliable: Unreliable {
            drop: table.share("drop")?,
            duplicate: table.share("duplicate")?,
            reorder: table.share("reorder")?,
        },
    })
}

pub(super) fn workers(top: &Table<'_>, links: &[Link]) -> Result<Vec<WorkerGroup>, ScenarioError> {
    let tables = top.tables("workers", &keys::WORKERS)?;
    if tables.is_empty() {
        return Err(nothing(top, "[[workers]]", "[[workers]] with count = 100"));
    }
    let names = names(&tables)?;
    let mut groups = Vec::with_capacity(tables.len());
    let (mut workers, mut slots) = (0u64, 0u64);
    for (table, name) in tables.iter().zip(names) {
        let group = group(table, name, links)?;
        workers += u64::from(group.count);
        slots += u64::from(group.count) * u64::from(group.slots);
        let too_many = |what: &str, number: u64, max: u64| ScenarioError::Structure {
            place: table.get("count").map_or(table.place, |field| &field.node.place).clone(),
            subject: "[[workers]]".to_owned(),
            problem: format!("makes {number} {what} in all groups together: at most {max}"),
        };
        if workers > u64::from(WORKERS_MAX) {
            return Err(too_many("workers", workers, u64::from(WORKERS_MAX)));
        }
        if slots > SLOTS_TOTAL_MAX {
            return Err(too_many("slots", slots, SLOTS_TOTAL_MAX));
        }
        groups.push(group);
    }
    Ok(groups)
}

/// A list that must not be empty.
pub(super) fn nothing(top: &Table<'_>, subject: &str, example: &str) -> ScenarioError {
    ScenarioError::Structure {
        place: top.place.clone(),
        subject: subject.to_owned(),
        problem: format!("is not there: add {example}"),
    }
}

fn group(table: &Table<'_>, name: String, links: &[Link]) -> Result<WorkerGroup, ScenarioError> {
    let count = table.need("count", "count = 100")?.whole(1..=WORKERS_MAX)?;
    let slots = table.whole("slots", 1..=SLOTS_MAX, 1)?;
    Ok(WorkerGroup {
        name,
        count,
        slots,
        cores: table.whole("cores", 1..=SLOTS_MAX, slots)?,
        speed: table.get("speed").map_or(Ok(1.0), |field| field.number(SPEED))?,
        executor_start: table.duration("executor_start", DEFAULT_EXECUTOR_START)?,
        plugin_load: table.duration("plugin_load", DEFAULT_PLUGIN_LOAD)?,
        link: link_of(table, links)?,
    })
}

/// The link that a group names; the only one when it names none; with several it has to say which.
fn link_of(table: &Table<'_>, links: &[Link]) -> Result<Option<usize>, ScenarioError> {
    let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
    match (table.get("link"), links) {
        (Some(field), _) if field.text()? == "none" => Ok(None),
        (Some(field), _) => field.reference("link", &names).map(Some),
        (None, []) => Ok(None),
        (None, [_]) => Ok(Some(0)),
        (None, _) => Err(ScenarioError::Structure {
            place: table.place.clone(),
            subject: "[[workers]]".to_owned(),
            problem: format!(
                "does not say which link it uses: add link = \"...\" (there are {}, and none)",
                super::nearest::listed(&names)
            ),
        }),
    }
}
