//! `interrupt`: how fast running tasks stop when they look at their flag, when they must be terminated, and when they must be
//! killed; and what it costs others to end one task alone.

use super::rounds::{Rounds, said};
use super::shape::Shape;
use super::strike::{Fault, Site};
use super::versus::longer;
use super::{Cell, Findings, Setting, Table};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::job::{cancel, wait_until_stopped};
use crate::plugin::bundled;
use crate::statistics::{block_order, median};
use muster_proto::v1::{JobState, Limits};
use serde_json::json;
use std::time::Duration;

const NAME: &str = "interrupt";
const ROUNDS: usize = 40;
/// Of the time, what cancelled jobs may take.
const CANCEL_SHARE: f64 = 0.6;
const ALONE_ROUNDS: usize = 3;
/// From the flag to SIGKILL, SIGTERM at half of it.
const GRACE_MS: u64 = 200;
/// How often tasks that look at their flag do so.
const CHECK_MS: u64 = 1;
/// How long tasks may take to begin.
const BEGIN_MAX: Duration = Duration::from_secs(20);
/// A task never ends by itself.
const FOR_EVER_MS: u64 = 86_400_000;

/// A way to stop tasks.
struct Rung {
    name: &'static str,
    /// What tasks are like that stop so: the mode of `chaos`.
    mode: &'static str,
    /// After this time their turn comes.
    turn_ms: u64,
    /// Jobs of a round: cheap ones more often.
    jobs: usize,
}

const RUNGS: [Rung; 3] = [
    // No task is struck: they wait, and look.
    Rung { name: "asked", mode: "slow", turn_ms: 0, jobs: 10 },
    Rung { name: "SIGTERM", mode: "hang", turn_ms: GRACE_MS / 2, jobs: 1 },
    Rung { name: "SIGKILL", mode: "stubborn", turn_ms: GRACE_MS, jobs: 1 },
];

/// The same when one task alone must end, because its time is over.
const ALONE: [Fault; 3] = [
    Fault { params: &[("check_ms", CHECK_MS), ("factor", 1_000_000)], ..endless("slow") },
    endless("hang"),
    endless("stubborn"),
];

/// Others have work until even SIGKILL has come.
const fn endless(name: &'static str) -> Fault {
    Fault { ms: 50, timeout_ms: 200, grace_ms: 100, ..Fault::endless(name) }
}

/// Measures.
pub async fn run(setting: &Setting, interrupt: &mut Interrupt, findings: &mut Findings) -> Outcome<()> {
    let chaos = bundled(&setting.plugins, "chaos", interrupt).await?;
    let mut shapes = Shape::all(setting.slots);
    let slots = shapes.iter().map(Shape::slots).max().unwrap_or(1);
    let part = Rounds::new(NAME, setting, ROUNDS);
    let site = part.prepared(interrupt, Box::pin(Site::start(&chaos, slots))).await?;
    let measured = async {
        cancelled(&site, &shapes, setting, interrupt, findings).await?;
        shapes.retain(|shape| shape.slots() > 1);
        alone(&site, &shapes, setting, interrupt, findings).await
    }
    .await;
    site.stop().await;
    measured
}

async fn cancelled(
    site: &Site,
    shapes: &[Shape],
    setting: &Setting,
    interrupt: &mut Interrupt,
    findings: &mut Findings,
) -> Outcome<()> {
    let cases: Vec<(&Shape, &Rung)> =
        shapes.iter().flat_map(|shape| RUNGS.iter().map(move |rung| (shape, rung))).collect();
    let part = Rounds::part(NAME, setting, CANCEL_SHARE, ROUNDS);
    let rounds = part
        .run(interrupt, async |round| {
            let mut times = vec![Vec::new(); cases.len()];
            for place in block_order(setting.seed, round, cases.len()) {
                let (shape, rung) = cases[place];
                for _ in 0..rung.jobs {
                    times[place].push(stopped(site, shape, rung).await?);
                }
            }
            Ok(times)
        })
        .await?;
    let of =
        |place: usize| -> Vec<f64> { rounds.iter().flat_map(|round| round[place].iter().copied()).collect() };
    let columns = [("p50", "s"), ("p95", "s"), ("p99", "s"), ("after its turn", "s"), ("jobs", "")];
    let mut table = Table::new("From cancelling a job to the end of its last task", "model, way", &columns);
    for (place, (shape, rung)) in cases.iter().enumerate() {
        let times = of(place);
        let turn = rung.turn_ms as f64 / 1e3;
        let late: Vec<f64> = times.iter().map(|time| time - turn).collect();
        let count = Cell::number(Some(times.len() as f64));
        let cells = [
            Cell::of(&times),
            Cell::quantile(&times, 0.95),
            Cell::quantile(&times, 0.99),
            Cell::of(&late),
            count,
        ];
        table.row(format!("{}, {}", shape.name, rung.name), cells);
    }
    findings.tables.push(table);
    // Threads first, then processes, each by three ways. A round is one value.
    let medians =
        |place: usize| -> Vec<f64> { rounds.iter().filter_map(|round| median(&round[place])).collect() };
    let [thread, process] = [medians(0), medians(RUNGS.len())];
    let said_longer = longer((&shapes[0].name, &thread), (&shapes[1].name, &process));
    findings.verdict.push(format!("Until tasks that look at their flag have stopped: {said_longer}."));
    findings.notes.push(format!(
        "Cancelled: jobs of as many tasks as there are slots, {}, and {} jobs of each model for those that are asked. Tasks that \
         are asked look at their flag every {CHECK_MS} ms; SIGTERM comes {} ms after the flag, SIGKILL {GRACE_MS} ms. After its \
         turn: without that time.",
        said(rounds.len(), ""),
        RUNGS[0].jobs,
        GRACE_MS / 2,
    ));
    Ok(())
}

/// How long the tasks of a job go on after it was cancelled, by the worker's clock, in seconds.
async fn stopped(site: &Site, shape: &Shape, rung: &Rung) -> Outcome<f64> {
    let (path, tasks) = (site.trace(), u64::from(shape.slots()));
    // Those that look wait for ever; the others are struck at once.
    let (ms, after, kind) = match rung.turn_ms {
        0 => (FOR_EVER_MS, u64::MAX, "begin"),
        _ => (0, 0, "strike"),
    };
    let params = json!({"mode": rung.mode, "ms": ms, "after": after, "check_ms": CHECK_MS, "trace": path});
    let mut job = shape.job(&params, tasks);
    job.limits = Some(Limits { grace_ms: GRACE_MS, ..Default::default() });
    let (link, number) = (site.trial.link(), site.trial.submit(job, None).await?);
    let case = format!("{}, {}", shape.name, rung.name);
    site.until(&path, kind, tasks, BEGIN_MAX).await.ok_or_else(|| {
        Failure::new(Exit::Job, format_args!("{case}: not all of {tasks} tasks began in time"))
    })?;
    let status = wait_until_stopped(link, cancel(link, number).await?).await?;
    let stopped = status.stopped.unwrap_or_default();
    let by = [stopped.asked, stopped.terminated, stopped.killed];
    let place = RUNGS.iter().position(|one| one.name == rung.name).unwrap_or(0);
    if status.state() != JobState::Cancelled || by[place] != tasks {
        let [asked, terminated, killed] = by;
        return Err(Failure::new(
            Exit::Invalid,
            format_args!(
                "{case}: of {tasks} tasks {asked} stopped when asked, {terminated} by SIGTERM and {killed} by SIGKILL"
            ),
        ));
    }
    Ok(stopped.longest_ns as f64 / 1e9)
}

async fn alone(
    site: &Site,
    shapes: &[Shape],
    setting: &Setting,
    interrupt: &mut Interrupt,
    findings: &mut Findings,
) -> Outcome<()> {
    let cases: Vec<(&Shape, &Fault)> =
        shapes.iter().flat_map(|shape| ALONE.iter().map(move |fault| (shape, fault))).collect();
    let part = Rounds::new(NAME, setting, ALONE_ROUNDS);
    let rounds = part
        .run(interrupt, async |round| {
            let mut found = vec![0; cases.len()];
            for place in block_order(setting.seed, round, cases.len()) {
                let (shape, fault) = cases[place];
                found[place] = site.strike(fault, shape).await?.rerun;
            }
            Ok(found)
        })
        .await?;
    let columns = [("asked", "tasks"), ("SIGTERM", "tasks"), ("SIGKILL", "tasks"), ("by a signal", "")];
    let mut table = Table::new("Others that ran again when one task had to end", "model", &columns);
    let most = |place: usize| rounds.iter().map(|round| round[place]).max().unwrap_or(0);
    for (at, shape) in shapes.iter().enumerate() {
        let counts = (0..ALONE.len()).map(|way| Cell::number(Some(most(at * ALONE.len() + way) as f64)));
        let can = match shape.threads {
            1 => "yes".to_owned(),
            threads => format!("cannot: {threads} threads"),
        };
        table.row(&shape.name, counts.chain([Cell::text(can)]));
    }
    findings.tables.push(table);
    let ways = |at: usize| [most(at * ALONE.len() + 1), most(at * ALONE.len() + 2)];
    let each = shapes.iter().enumerate().map(|(at, shape)| {
        let [terminated, killed] = ways(at);
        format!("{} under {}", terminated.max(killed), shape.name)
    });
    findings.verdict.push(format!(
        "To end one task by a signal made so many others run again, at the most: {}.",
        each.collect::<Vec<_>>().join(", ")
    ));
    findings.notes.push(format!(
        "One task: its time limit of {} ms is over, others go on; {}, the most of them. A signal ends a process: where threads share \
         it, a task cannot be terminated alone.",
        ALONE[0].timeout_ms,
        said(rounds.len(), "")
    ));
    Ok(())
}
