//! The same work by more and more threads or processes: what sharing processors costs.

use super::pinned::pinned;
use super::rounds::{Rounds, said};
use super::shape::Shape;
use super::versus::longer;
use super::{Cell, Findings, Setting, Table};
use crate::bench::Bench;
use crate::cluster::family;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::plugin::{PluginFile, bundled};
use crate::statistics::{block_order, median};
use crate::summary::counted;
use crate::trial::Trial;
use muster_proto::v1::{JobSpec, JobState};
use serde_json::json;
use std::time::Instant;

/// Threads or processes for each processor.
const CROWDS: [u32; 5] = [1, 2, 4, 16, 64];
/// On larger machines only so many processors are used.
const CPUS_MAX: u32 = 4;
/// Computing of each processor in a run, in seconds.
const WORK_S: f64 = 0.25;
/// Tasks for each processor: so many that the largest crowd has one each.
const TASKS: u64 = 64;
const ROUNDS: usize = 8;
/// Additions of the task whose time says how many fit into a second.
const ADDITIONS: u64 = 50_000_000;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    seconds: f64,
    /// Context switches of the executors.
    switches: f64,
}

/// Measures.
pub async fn run(
    name: &str,
    setting: &Setting,
    interrupt: &mut Interrupt,
    findings: &mut Findings,
) -> Outcome<()> {
    let plugin = bundled(&setting.plugins, "loop", interrupt).await?;
    let part = Rounds::new(name, setting, ROUNDS);
    let cpus = muster_worker::usable_cpus().min(CPUS_MAX);
    let iters = part.prepared(interrupt, Box::pin(iterations(&plugin))).await?;
    let shapes: Vec<Shape> =
        CROWDS.iter().flat_map(|crowd| [Shape::thread(crowd * cpus), Shape::process(crowd * cpus)]).collect();
    let rounds = part
        .run(interrupt, async |round| {
            let mut runs = vec![Run::default(); shapes.len()];
            for place in block_order(setting.seed, round, shapes.len()) {
                runs[place] = Box::pin(one(&plugin, &shapes[place], cpus, iters)).await?;
            }
            Ok(runs)
        })
        .await?;
    let columns = [("time", "s"), ("times 1", ""), ("switches", ""), ("per task", "")];
    let mut table = Table::new(
        format!("The same work on {cpus} processors, by how many"),
        "for each processor",
        &columns,
    );
    let tasks = TASKS * u64::from(cpus);
    for (place, shape) in shapes.iter().enumerate() {
        // That of its own kind, in the same round.
        let first = place % 2;
        let of =
            |value: fn(&Run) -> f64| -> Vec<f64> { rounds.iter().map(|runs| value(&runs[place])).collect() };
        let ratio: Vec<f64> = rounds.iter().map(|runs| runs[place].seconds / runs[first].seconds).collect();
        let switches = median(&of(|run| run.switches));
        let cells = [
            Cell::of(&of(|run| run.seconds)),
            Cell::of(&ratio),
            Cell::number(switches),
            Cell::number(switches.map(|switches| switches / tasks as f64)),
        ];
        let kind = if first == 0 { ["thread", "threads"] } else { ["process", "processes"] };
        table.row(counted(shape.slots() / cpus, kind[0], kind[1]), cells);
    }
    findings.tables.push(table);
    let seconds = |place: usize| -> Vec<f64> { rounds.iter().map(|runs| runs[place].seconds).collect() };
    let (most, last) = (CROWDS[CROWDS.len() - 1], shapes.len() - 2);
    for (place, [one, many]) in [["thread", "threads"], ["process", "processes"]].into_iter().enumerate() {
        let (few, crowd) = (format!("1 {one} for each processor"), format!("{most} {many}"));
        let said = longer((&few, &seconds(place)), (&crowd, &seconds(last + place)));
        findings.verdict.push(format!("The same work by {said}."));
    }
    findings.notes.push(format!(
        "Crowds: jobs of {tasks} tasks of plugin loop, {:.0} ms of computing each, {}; their executors are there before, so \
         that their start is in no time. Switches: voluntary and not, of all threads of the executors.",
        WORK_S / TASKS as f64 * 1e3,
        said(rounds.len(), "")
    ));
    Ok(())
}

fn job(shape: &Shape, iters: u64, tasks: u64) -> JobSpec {
    shape.job(&json!({"iters": iters, "n": 1}), tasks)
}

/// Additions of a task.
async fn iterations(plugin: &PluginFile) -> Outcome<u64> {
    let trial = Trial::start(plugin, 1).await?;
    let mut best = f64::INFINITY;
    let measured = async {
        for _ in 0..2 {
            best = wall(&trial, job(&Shape::thread(1), ADDITIONS, 1)).await?.min(best);
        }
        Outcome::Ok(())
    }
    .await;
    trial.stop(false).await;
    measured?;
    let per_second = ADDITIONS as f64 / best.max(f64::MIN_POSITIVE);
    Ok(((per_second * WORK_S / TASKS as f64) as u64).max(1))
}

async fn one(plugin: &PluginFile, shape: &Shape, cpus: u32, iters: u64) -> Outcome<Run> {
    let cluster = pinned(shape.slots(), cpus).await?;
    Bench::new(&cluster).all_workers_up(1).await?;
    let trial = Trial::on(cluster, plugin).await?;
    let measured = async {
        let tasks = TASKS * u64::from(cpus);
        // The first one brings all executors up.
        wall(&trial, job(shape, iters, tasks)).await?;
        let before = switches(&trial);
        let seconds = wall(&trial, job(shape, iters, tasks)).await?;
        Outcome::Ok(Run { seconds, switches: switches(&trial).saturating_sub(before) as f64 })
    }
    .await;
    trial.stop(false).await;
    measured
}

async fn wall(trial: &Trial, job: JobSpec) -> Outcome<f64> {
    let began = Instant::now();
    let status = trial.run(job, None).await?.status;
    let took = began.elapsed().as_secs_f64();
    if status.state() == JobState::Done && status.failed == 0 {
        return Ok(took);
    }
    Err(Failure::new(Exit::Job, format_args!("a job of the measurement failed: {}", status.reason)))
}

/// Of all threads below the worker, since they began.
fn switches(trial: &Trial) -> u64 {
    let below = trial.cluster().worker_ids().flat_map(family::descendants);
    let threads =
        below.flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten());
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("status")).ok())
        .map(|text| switches_of(&text))
        .sum()
}

fn switches_of(status: &str) -> u64 {
    let of = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
    of("voluntary_ctxt_switches:").unwrap_or(0) + of("nonvoluntary_ctxt_switches:").unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_of_both_kinds_are_counted() {
        assert_eq!(
            switches_of("Name:\tx\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t7\n"),
            12
        );
        assert!(switches_of(&std::fs::read_to_string("/proc/self/status").unwrap()) > 0);
    }
}
