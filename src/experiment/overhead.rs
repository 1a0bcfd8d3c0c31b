//! `overhead`: what muster itself costs each model, by the size of a task, by the method of Task Bench (Slaughter et al., SC
//! 2020): useful work per second as a share of what the machine does with large tasks.

use super::rounds::{Rounds, said};
use super::shape::Shape;
use super::{Cell, Findings, Setting, Table};
use crate::bench::Bench;
use crate::cluster::Private;
use crate::command::push;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::plugin::{PluginFile, bundled};
use crate::statistics::{block_order, median};
use crate::summary::seconds;
use muster_core::scheduler::PolicySpec;
use muster_proto::v1::{JobSpec, JobState, Outputs};
use serde_json::{Value, json};
use std::time::Instant;

const NAME: &str = "overhead";
const ROUNDS: usize = 15;
/// Computing of a task, in seconds, from large to small.
const SIZES: [f64; 9] = [1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8];
/// How long one measurement should take, in seconds.
const POINT_S: f64 = 0.15;
const TASKS_MAX: f64 = 50e6;
/// The useful share that is looked for.
const SHARE: f64 = 0.5;
/// After two sizes with a smaller share, smaller tasks are not tried.
const HOPELESS: f64 = 0.05;
/// Additions of the task whose time says how many fit into a second.
const ADDITIONS: u64 = 50_000_000;

/// What a round found about a model.
#[derive(Clone, Debug, Default)]
struct Sweep {
    /// Additions per second, by size; fewer than there are when the rest is hopeless.
    work: Vec<f64>,
    /// Empty tasks per second.
    empty: f64,
}

/// The cluster, with both plugins.
struct Bed<'a> {
    bench: Bench<'a>,
    spin: &'a PluginFile,
    null: &'a PluginFile,
    slots: f64,
    /// Additions per second of a slot.
    per_second: f64,
}

/// Measures.
pub async fn run(setting: &Setting, interrupt: &mut Interrupt, findings: &mut Findings) -> Outcome<()> {
    let spin = bundled(&setting.plugins, "loop", interrupt).await?;
    let null = bundled(&setting.plugins, "null", interrupt).await?;
    // More slots than processors would share them: that is no overhead of muster.
    let slots = setting.slots.min(muster_worker::usable_cpus());
    let start = Private::start(1, slots, None, PolicySpec::default());
    let cluster = Rounds::new(NAME, setting, ROUNDS).prepared(interrupt, Box::pin(start)).await?;
    let measured = measure(setting, &cluster, &spin, &null, interrupt, findings).await;
    cluster.stop().await;
    measured
}

async fn measure(
    setting: &Setting,
    cluster: &Private,
    spin: &PluginFile,
    null: &PluginFile,
    interrupt: &mut Interrupt,
    findings: &mut Findings,
) -> Outcome<()> {
    let slots = cluster.slots();
    let mut bed = Bed { bench: Bench::new(cluster), spin, null, slots: slots.into(), per_second: 0.0 };
    let part = Rounds::new(NAME, setting, ROUNDS);
    part.prepared(interrupt, Box::pin(bed.prepare())).await?;
    let shapes = Shape::all(slots);
    let rounds = part
        .run(interrupt, async |round| {
            let mut sweeps = vec![Sweep::default(); shapes.len()];
            for place in block_order(setting.seed, round, shapes.len()) {
                sweeps[place] = bed.sweep(&shapes[place]).await?;
            }
            Ok(sweeps)
        })
        .await?;
    let peak = peak(&rounds);
    let columns: Vec<(&str, &'static str)> =
        shapes.iter().map(|shape| (shape.name.as_str(), "share")).collect();
    let mut table = Table::new("Useful work, as a share of the most that there was", "task", &columns);
    for (at, &size) in SIZES.iter().enumerate() {
        let cells = (0..shapes.len()).map(|place| {
            let shares = rounds.iter().filter_map(|round| Some(round[place].work.get(at)? / peak));
            Cell::of(&shares.collect::<Vec<f64>>())
        });
        table.row(seconds(size), cells.collect::<Vec<_>>());
    }
    findings.tables.push(table);
    let columns = [("METG(50 %)", "s"), ("empty tasks", "tasks/s")];
    let mut table = Table::new("The smallest task worth its overhead", "model", &columns);
    let mut least = Vec::new();
    for (place, shape) in shapes.iter().enumerate() {
        let found: Vec<f64> = rounds.iter().filter_map(|round| metg(&round[place].work, peak)).collect();
        let empty: Vec<f64> = rounds.iter().map(|round| round[place].empty).collect();
        // In a round without one, even the smallest tasks were worth it, or the largest were not.
        let metg = median(&found).filter(|_| found.len() * 2 > rounds.len());
        table.row(
            &shape.name,
            [metg.map_or(Cell::text("not reached"), |_| Cell::of(&found)), Cell::of(&empty)],
        );
        least.extend(metg.map(|metg| format!("{} under {}", seconds(metg), shape.name)));
    }
    findings.tables.push(table);
    findings.verdict.push(match least.is_empty() {
        true => "No size was found at which half of the work was useful.".to_owned(),
        false => format!("Half of the work is useful with tasks of {}.", least.join(", ")),
    });
    findings.notes.push(format!(
        "Tasks: plugin loop, its additions counted, {}. The share is that of the additions per second of the model and size that had \
         the most; METG(50 %) is read off between two sizes, as wall time x slots / tasks. {slots} slots: no more \
         than processors. Empty tasks: plugin null.",
        said(rounds.len(), "")
    ));
    Ok(())
}

/// The additions per second of the model and size that had the most, by medians: a single measurement may be lucky.
fn peak(rounds: &[Vec<Sweep>]) -> f64 {
    let places = rounds.first().map_or(0, Vec::len);
    let cells = (0..places).flat_map(|place| (0..SIZES.len()).map(move |at| (place, at)));
    let of = |(place, at): (usize, usize)| -> Vec<f64> {
        rounds.iter().filter_map(|round| round[place].work.get(at).copied()).collect()
    };
    cells.filter_map(|cell| median(&of(cell))).fold(f64::MIN_POSITIVE, f64::max)
}

/// The granularity at which the useful share falls below the half for good, between the two sizes around it: the share is
/// taken as a line over the logarithm of the size. `None`: it does not fall so far, or is never so high.
fn metg(work: &[f64], peak: f64) -> Option<f64> {
    let shares: Vec<f64> = work.iter().map(|work| work / peak).collect();
    let high = shares.iter().rposition(|&share| share >= SHARE)?;
    let (above, below) = (shares[high], *shares.get(high + 1)?);
    let part = (above - SHARE) / (above - below);
    let size = (SIZES[high].ln() * (1.0 - part) + SIZES[high + 1].ln() * part).exp();
    // The slot's time for such a task, of which half is useful.
    Some(size / SHARE)
}

impl Bed<'_> {
    async fn prepare(&mut self) -> Outcome<()> {
        self.bench.all_workers_up(1).await?;
        push(self.bench.link(), self.null).await?;
        push(self.bench.link(), self.spin).await?;
        let mut best = f64::INFINITY;
        for _ in 0..2 {
            best = best
                .min(self.spin(&Shape::thread(self.slots as u32), ADDITIONS, self.slots as u64 * 4).await?);
        }
        self.per_second = ADDITIONS as f64 * 4.0 / best.max(f64::MIN_POSITIVE);
        Ok(())
    }

    async fn sweep(&self, shape: &Shape) -> Outcome<Sweep> {
        let mut sweep = Sweep::default();
        // Time of a slot for a task beside its work, from the sizes so far.
        let (mut beside, mut hopeless) = (0.0, 0);
        for size in SIZES {
            let iters = (size * self.per_second).max(1.0) as u64;
            let wanted = POINT_S * self.slots / (size + beside);
            let tasks = wanted.clamp(self.slots * 2.0, TASKS_MAX) as u64;
            let took = self.spin(shape, iters, tasks).await?;
            let work = (iters * tasks) as f64 / took;
            sweep.work.push(work);
            beside = (took * self.slots / tasks as f64 - size).max(0.0);
            // One alone may be that of a moment in which the machine did something else.
            hopeless = if work < HOPELESS * self.per_second * self.slots { hopeless + 1 } else { 0 };
            if hopeless == 2 {
                break;
            }
        }
        let tasks = (POINT_S * self.slots / beside.max(1e-9)).clamp(self.slots, TASKS_MAX) as u64;
        sweep.empty = tasks as f64 / self.time(self.null, shape, &json!({}), tasks).await?;
        Ok(sweep)
    }

    async fn spin(&self, shape: &Shape, iters: u64, tasks: u64) -> Outcome<f64> {
        self.time(self.spin, shape, &json!({"iters": iters, "n": 1}), tasks).await
    }

    /// Seconds from submitting a job to its end.
    async fn time(&self, plugin: &PluginFile, shape: &Shape, params: &Value, tasks: u64) -> Outcome<f64> {
        let job = shape.job(params, tasks);
        let spec = JobSpec { plugin: Some(plugin.reference()), outputs: Outputs::Checksum.into(), ..job };
        let began = Instant::now();
        let status = self.bench.run_to_end(spec).await?;
        let took = began.elapsed().as_secs_f64();
        if status.state() == JobState::Done && status.failed == 0 {
            return Ok(took);
        }
        Err(Failure::new(Exit::Job, format_args!("{}: a job failed: {}", shape.name, status.reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_useful_size_lies_between_those_around_it() {
        let found = metg(&[1.0, 0.9, 0.8, 0.2], 1.0).unwrap();
        // Half way between 1 ms and 300 us on the scale of logarithms, twice because half of the time is useful.
        assert!((found - 2.0 * (1e-3_f64 * 3e-4).sqrt()).abs() < 1e-9, "{found}");
        assert_eq!(metg(&[1.0, 0.9], 1.0), None);
        assert_eq!(metg(&[0.4, 0.3], 1.0), None);
    }
}
