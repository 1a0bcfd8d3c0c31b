//! `memory`: what one more thread or process costs, and what a table costs that all of them read.

use super::bare::{How, Sharing, ask};
use super::rounds::{Rounds, said};
use super::shape::Shape;
use super::versus::times;
use super::{Cell, Findings, Setting, Table};
use crate::bench::Bench;
use crate::cluster::{Private, family};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::plugin::{PluginFile, bundled};
use crate::statistics::{block_order, median};
use crate::summary::bytes;
use crate::trial::Trial;
use muster_core::scheduler::PolicySpec;
use muster_worker::os::proc_file::{pss_bytes, size};
use serde_json::json;
use std::time::{Duration, Instant};

const NAME: &str = "memory";
/// Threads, processes or tasks under way.
const UNITS: [u32; 5] = [1, 2, 4, 8, 16];
const ROUNDS: usize = 6;
/// Of the time, what the models may take; the rest is for the table.
const MODELS_SHARE: f64 = 0.75;
/// Bytes of the table that all read.
const TABLE: u64 = 64 << 20;
const READERS: [u32; 2] = [1, 4];
const TABLE_ROUNDS: usize = 8;
/// A task sleeps longer than anybody looks.
const SLEEP_MS: u64 = 600_000;
/// Memory is still when it has not changed for so many looks.
const STILL: u32 = 3;
const LOOK: Duration = Duration::from_millis(20);
/// Less is no change.
const CHANGE: u64 = 32 << 10;
/// How long executors may take to start.
const START_MAX: Duration = Duration::from_secs(20);

/// A model with a number of its units.
struct Model {
    name: &'static str,
    of: fn(u32) -> Option<Shape>,
}

const MODELS: [Model; 5] = [
    Model { name: "thread", of: |units| Some(Shape::thread(units)) },
    Model { name: "process", of: |units| Some(Shape::process(units)) },
    // Two threads in each process.
    Model { name: "hybrid (2 threads)", of: |units| (units > 1).then(|| Shape::hybrid(units / 2, 2)) },
    Model { name: "spawn", of: |units| Some(Shape::spawn(units)) },
    Model { name: "async", of: |units| Some(Shape::in_flight(units)) },
];

/// Measures.
pub async fn run(setting: &Setting, interrupt: &mut Interrupt, findings: &mut Findings) -> Outcome<()> {
    models(setting, interrupt, findings).await?;
    table(setting, interrupt, findings).await
}

async fn models(setting: &Setting, interrupt: &mut Interrupt, findings: &mut Findings) -> Outcome<()> {
    let sleep = bundled(&setting.plugins, "sleep", interrupt).await?;
    let cases: Vec<(usize, usize, Shape)> = (0..MODELS.len())
        .flat_map(|model| (0..UNITS.len()).map(move |at| (model, at)))
        .filter_map(|(model, at)| Some((model, at, (MODELS[model].of)(UNITS[at])?)))
        .collect();
    let part = Rounds::part(NAME, setting, MODELS_SHARE, ROUNDS);
    let rounds = part
        .run(interrupt, async |round| {
            let mut seen = vec![[None; UNITS.len()]; MODELS.len()];
            for place in block_order(setting.seed, round, cases.len()) {
                let (model, at, shape) = &cases[place];
                seen[*model][*at] = Some(idle(&sleep, shape, UNITS[*at]).await?);
            }
            Ok(seen)
        })
        .await?;
    let mut columns = vec![("one more".to_owned(), "B")];
    columns.extend(UNITS.map(|units| (units.to_string(), "B")));
    let columns: Vec<(&str, &'static str)> =
        columns.iter().map(|(name, unit)| (name.as_str(), *unit)).collect();
    let mut table = Table::new("Memory (PSS) of all of muster, by how many there are", "model", &columns);
    let mut added = Vec::new();
    for (place, model) in MODELS.iter().enumerate() {
        let slopes: Vec<f64> = rounds.iter().filter_map(|round| slope(&round[place])).collect();
        let sizes = (0..UNITS.len()).map(|at| {
            let of: Vec<f64> = rounds.iter().filter_map(|round| round[place][at].map(|it| it.all)).collect();
            Cell::number(median(&of))
        });
        table.row(model.name, std::iter::once(Cell::of(&slopes)).chain(sizes));
        added.push(slopes);
    }
    findings.tables.push(table);
    let of = |model: usize| bytes(median(&added[model]).unwrap_or_default().max(0.0) as u64);
    findings.verdict.push(format!(
        "Memory of one more thread: {}; of one more process: {}, which is {}.",
        of(0),
        of(1),
        times(&added[1], &added[0])
    ));
    findings.notes.push(format!(
        "Memory: the sum of what smaps_rollup says (PSS) of the coordinator, which is in this process, the worker and its \
         executors, while each has a sleeping task and nothing changes any more; {}. One more: the slope of the line of \
         least squares through the sizes of a round, without what the coordinator has for itself, which is not still. A \
         unit of hybrid is a thread, of which each process has two; of async a task under way.",
        said(rounds.len(), "")
    ));
    Ok(())
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Of all processes.
    all: f64,
    /// Without what this process has for itself: it grows and shrinks with what it did before.
    beside: f64,
}

/// Memory of everything when so many tasks are asleep.
async fn idle(sleep: &PluginFile, shape: &Shape, units: u32) -> Outcome<Seen> {
    let cluster = Private::start(1, shape.slots(), None, PolicySpec::default()).await?;
    Bench::new(&cluster).all_workers_up(1).await?;
    let trial = Trial::on(cluster, sleep).await?;
    let seen = async {
        trial.submit(shape.job(&json!({"ms": SLEEP_MS}), units.into()), None).await?;
        still(&trial, shape).await
    }
    .await;
    trial.stop(true).await;
    seen
}

/// The memory when all executors are there with all of their threads, and it has not changed for a while.
async fn still(trial: &Trial, shape: &Shape) -> Outcome<Seen> {
    let (began, mut last, mut same) = (Instant::now(), 0_u64, 0);
    while began.elapsed() < START_MAX {
        let workers: Vec<u32> = trial.cluster().worker_ids().collect();
        let executors: Vec<u32> = workers.iter().flat_map(|&worker| family::descendants(worker)).collect();
        let threads: usize = executors.iter().map(|&pid| threads(pid)).sum();
        let all = executors.iter().chain(&workers).copied().chain([std::process::id()]);
        let now: u64 = all.filter_map(|pid| pss_bytes(&pid.to_string())).sum();
        let is_whole = executors.len() == shape.processes as usize && threads >= shape.slots() as usize;
        same = if is_whole && now > 0 && now.abs_diff(last) < CHANGE { same + 1 } else { 0 };
        if same >= STILL {
            let own = size("self/smaps_rollup", "Pss_Anon").unwrap_or(0);
            return Ok(Seen { all: now as f64, beside: now.saturating_sub(own) as f64 });
        }
        last = now;
        tokio::time::sleep(LOOK).await;
    }
    let (name, wanted) = (&shape.name, shape.processes);
    Err(Failure::new(
        Exit::Limit,
        format_args!("{name}: its {wanted} executors did not come to rest in time"),
    ))
}

fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// The slope of the line of least squares through sizes by units.
fn slope(sizes: &[Option<Seen>; UNITS.len()]) -> Option<f64> {
    let points: Vec<(f64, f64)> = UNITS
        .iter()
        .zip(sizes)
        .filter_map(|(&units, size)| Some((f64::from(units), (*size)?.beside)))
        .collect();
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
    (points.len() > 1).then_some(slope)
}

async fn table(setting: &Setting, interrupt: &mut Interrupt, findings: &mut Findings) -> Outcome<()> {
    let part = Rounds::new(NAME, setting, TABLE_ROUNDS);
    let cases: Vec<(usize, u32)> =
        (0..How::ALL.len()).flat_map(|how| READERS.map(|readers| (how, readers))).collect();
    let rounds = part
        .run(interrupt, async |round| {
            let mut seen = vec![0.0; cases.len()];
            for place in block_order(setting.seed, round, cases.len()) {
                let (how, readers) = cases[place];
                let question = Sharing { how: How::ALL[how], bytes: TABLE, readers };
                seen[place] = ask(question, part.end).await?.ok_or_else(|| part.too_small())? as f64;
            }
            Ok(seen)
        })
        .await?;
    let title = format!("Memory (PSS) of a table of {} that is read by", bytes(TABLE));
    let mut table = Table::new(title, "readers", &[("1", "B"), ("4", "B"), ("one more", "B")]);
    let mut added = Vec::new();
    for (place, how) in How::ALL.iter().enumerate() {
        let of = |at: usize| -> Vec<f64> { rounds.iter().map(|round| round[place * 2 + at]).collect() };
        let more = f64::from(READERS[1] - READERS[0]);
        let each: Vec<f64> = of(1).iter().zip(of(0)).map(|(many, one)| (many - one) / more).collect();
        table.row(how.name(), [Cell::of(&of(0)), Cell::of(&of(1)), Cell::of(&each)]);
        added.push(median(&each).unwrap_or(f64::NAN).max(0.0) as u64);
    }
    findings.tables.push(table);
    findings.verdict.push(format!(
        "A table of {} costs one more process that copies it {}, one that maps it {}, and one that was forked with it {}.",
        bytes(TABLE),
        bytes(added[3]),
        bytes(added[1]),
        bytes(added[2])
    ));
    findings.notes.push(format!(
        "Table: without muster, {}; a process, and for copies its children only, read a number of each page. Executors of muster are \
         not forked from one that has data: they share a table by `job.shared` or a file that they map.",
        said(rounds.len(), "")
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_the_sizes_that_there_are() {
        let seen = |beside: f64| Some(Seen { all: 0.0, beside });
        let exact = UNITS.map(|units| seen(100.0 + 3.0 * f64::from(units)));
        assert!((slope(&exact).unwrap() - 3.0).abs() < 1e-9);
        assert!((slope(&[None, exact[1], None, exact[3], None]).unwrap() - 3.0).abs() < 1e-9);
        assert_eq!(slope(&[None, exact[1], None, None, None]), None);
    }
}
