//! `isolate`: what a fault costs under each model. Every fault strikes one of forty tasks.

use super::rounds::{Rounds, said};
use super::shape::Shape;
use super::strike::{Fault, Site, Struck, TASKS};
use super::{Cell, Findings, Setting, Table};
use crate::exit::Outcome;
use crate::interrupt::Interrupt;
use crate::plugin::bundled;
use crate::statistics::block_order;
use muster_proto::v1::Limits;
use serde_json::json;

const NAME: &str = "isolate";
const ROUNDS: usize = 5;
const MEMORY_BYTES: u64 = 64 << 20;

const OOM: Fault = Fault { memory_bytes: MEMORY_BYTES, ..Fault::new("oom") };
const FAULTS: [Fault; 17] = [
    Fault::new("error"),
    Fault::new("transient"),
    Fault::new("panic"),
    Fault::new("panic-in-drop"),
    Fault::new("abort"),
    Fault::new("segv"),
    Fault::new("stack"),
    Fault::new("exit"),
    Fault::new("kill"),
    OOM,
    Fault::endless("hang"),
    Fault::endless("deadlock"),
    Fault { params: &[("bytes", 16 << 20)], ..Fault::new("leak") },
    Fault::new("fd-leak"),
    Fault::new("fork-children"),
    Fault::new("corrupt-output"),
    Fault::new("slow"),
];

/// Measures.
pub async fn run(setting: &Setting, interrupt: &mut Interrupt, findings: &mut Findings) -> Outcome<()> {
    let chaos = bundled(&setting.plugins, "chaos", interrupt).await?;
    let shapes = Shape::all(setting.slots);
    let slots = shapes.iter().map(Shape::slots).max().unwrap_or(1);
    let part = Rounds::new(NAME, setting, ROUNDS);
    let site = part.prepared(interrupt, Box::pin(Site::start(&chaos, slots))).await?;
    let can_limit = part.prepared(interrupt, Box::pin(has_memory_groups(&site))).await?;
    let faults: Vec<Fault> =
        FAULTS.into_iter().filter(|fault| fault.memory_bytes == 0 || can_limit).collect();
    let cases: Vec<(&Fault, &Shape)> =
        faults.iter().flat_map(|fault| shapes.iter().map(move |shape| (fault, shape))).collect();
    let rounds = part
        .run(interrupt, async |round| {
            let mut found: Vec<Option<Struck>> = vec![None; cases.len()];
            for place in block_order(setting.seed, round, cases.len()) {
                let (fault, shape) = cases[place];
                found[place] = Some(site.strike(fault, shape).await?);
            }
            Ok(found.into_iter().flatten().collect::<Vec<Struck>>())
        })
        .await;
    let is_whole = site.is_whole();
    site.stop().await;
    let rounds = rounds?;
    let all = |place: usize| -> Vec<&Struck> { rounds.iter().map(|round| &round[place]).collect() };
    let place = |fault: &Fault, shape: &Shape| {
        cases.iter().position(|case| case.0.name == fault.name && case.1.name == shape.name)
    };
    let columns: Vec<(&str, &'static str)> = shapes.iter().map(|shape| (shape.name.as_str(), "")).collect();
    for (title, unit, cell) in TABLES {
        let mut table = Table::new(title, "fault", &columns);
        table.columns.iter_mut().for_each(|column| column.unit = unit);
        for fault in &FAULTS {
            let cells = shapes.iter().map(|shape| match place(fault, shape) {
                Some(place) => cell(&all(place)),
                None => Cell::text("no cgroups"),
            });
            table.row(fault.name, cells.collect::<Vec<_>>());
        }
        findings.tables.push(table);
    }
    let deadly = |place: &usize| rounds.iter().any(|round| round[*place].exits > 0);
    let innocents = |shape: &Shape| {
        let places = (0..cases.len()).filter(|&place| cases[place].1.name == shape.name).filter(deadly);
        places.flat_map(all).map(|one| one.rerun).max().unwrap_or(0)
    };
    let each: Vec<String> =
        shapes.iter().map(|shape| format!("{} under {}", innocents(shape), shape.name)).collect();
    findings.verdict.push(format!(
        "Of tasks beside one that ended its process, so many at the most ran again: {}.",
        each.join(", ")
    ));
    let jobs = rounds.len() * cases.len();
    let wrong = rounds.iter().flatten().filter(|one| one.wrong > 0 || one.job != "done").count();
    let lived =
        if is_whole { "the worker lived through all of it" } else { "the worker did not live through it" };
    findings.verdict.push(match wrong {
        0 => format!("All {jobs} jobs gave the right results of all tasks that were not struck; {lived}."),
        wrong => {
            format!("{wrong} of {jobs} jobs did not give all results of tasks that were not struck; {lived}.")
        }
    });
    findings.notes.push(format!(
        "Faults: modes of plugin chaos, each strikes one of {TASKS} tasks in its first attempt, on one cluster, {}; counts are the most of \
         them. Others ran again when their process ended. Noticed: from the strike until the worker said that the executor \
         had ended, with what it took to find out why. Works again: until a task began in its place.",
        said(rounds.len(), &format!("{} jobs", cases.len()))
    ));
    Ok(())
}

/// What comes of the jobs of a fault under a model.
type Gist = fn(&[&Struck]) -> Cell;

/// A table for each: its title, the unit, and how a cell comes about.
const TABLES: [(&str, &str, Gist); 6] = [
    ("Other tasks that ran again", "tasks", |all| most(all, |one| one.rerun)),
    ("Tasks that failed for good", "tasks", |all| most(all, |one| one.failed)),
    ("Attempts of the task that was struck", "attempts", |all| most(all, |one| one.attempts)),
    ("Executors that ended", "executors", |all| most(all, |one| one.exits)),
    ("From the fault until the worker had noticed", "s", |all| times(all, |one| one.noticed)),
    ("From the fault until a task began in its place", "s", |all| times(all, |one| one.again)),
];

fn most(all: &[&Struck], of: fn(&Struck) -> u64) -> Cell {
    Cell::number(all.iter().map(|one| of(one)).max().map(|most| most as f64))
}

fn times(all: &[&Struck], of: fn(&Struck) -> Option<f64>) -> Cell {
    Cell::of(&all.iter().filter_map(|one| of(one)).collect::<Vec<f64>>())
}

/// Whether memory limits are kept by control groups here, as the kernel must say who was over them.
async fn has_memory_groups(site: &Site) -> Outcome<bool> {
    let mut job = Shape::thread(1).job(&json!({"mode": "slow", "ms": 0, "after": 1}), 1);
    job.limits = Some(Limits { memory_bytes: MEMORY_BYTES, ..Default::default() });
    let ran = site.trial.run(job, None).await?;
    Ok(ran.status.notices.iter().any(|notice| notice.contains("by cgroup")))
}
