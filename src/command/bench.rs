//! `muster bench overhead`: what muster itself costs, measured on a private cluster.

use super::push::push;
use crate::bench::{Bench, metg, one_task};
use crate::cli::OverheadArgs;
use crate::cluster::Private;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::job::worker_slots;
use crate::plugin::{PluginFile, bundled};
use crate::summary::{bytes, number, pairs, seconds, shape};
use crate::terminal::{self, note};
use muster_core::scheduler::PolicySpec;
use muster_worker::os::proc_file::pss_bytes;
use serde::Serialize;
use std::time::Instant;

/// What was measured.
#[derive(Debug, Serialize)]
struct Overhead {
    workers: u32,
    threads: u32,
    empty_tasks_per_s: f64,
    with_output_tasks_per_s: f64,
    one_task_s: Percentiles,
    start_s: f64,
    idle_pss_bytes: u64,
    metg50_s: Option<f64>,
    metg: Vec<metg::Point>,
}

/// Seconds; `null` without ten samples above the percentile.
#[derive(Debug, Serialize)]
struct Percentiles {
    p50: Option<f64>,
    p99: Option<f64>,
    samples: u64,
}

/// Measures and reports.
pub async fn overhead(args: &OverheadArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let null = bundled(&args.plugins, "null", &mut interrupt).await?;
    let spin = bundled(&args.plugins, "loop", &mut interrupt).await?;
    let usable = muster_worker::usable_cpus();
    let slots = worker_slots(Some(1), Some(args.threads), args.threads, usable, args.oversubscribe)?;
    tokio::select! {
        measured = measure(args, slots, &null, &spin) => show(args, &measured?),
        _ = interrupt.next() => Err(Failure::new(Exit::Interrupted, "stopped; nothing was measured to the end")),
    }
}

async fn measure(
    args: &OverheadArgs,
    slots: u32,
    null: &PluginFile,
    spin: &PluginFile,
) -> Result<Overhead, Failure> {
    note("start: from nothing to the first result");
    let began = Instant::now();
    let cluster = Private::start(args.workers, slots, None, PolicySpec::default()).await?;
    let measured = measure_on(&cluster, args, began, null, spin).await;
    cluster.stop().await;
    measured
}

async fn measure_on(
    cluster: &Private,
    args: &OverheadArgs,
    began: Instant,
    null: &PluginFile,
    spin: &PluginFile,
) -> Result<Overhead, Failure> {
    let bench = Bench::new(cluster);
    push(bench.link(), null).await?;
    bench.run(null, serde_json::json!({}), 1).await?;
    let start_s = began.elapsed().as_secs_f64();
    bench.all_workers_up(args.workers).await?;
    let idle_pss_bytes = idle_memory(cluster);
    note("empty tasks");
    let empty = bench.best_rate(3, null, serde_json::json!({}), args.tasks).await?;
    note("tasks with 8 bytes of output");
    let with_output = serde_json::json!({"bytes_out": 8});
    let with_output = bench.best_rate(3, null, with_output, (args.tasks / 4).max(1)).await?;
    note("one task at a time");
    let one = one_task::times(bench.link(), null).await?;
    note("METG(50 %): the smallest task at which half of the machine does useful work");
    push(bench.link(), spin).await?;
    let metg = metg::find(&bench, spin).await?;
    Ok(Overhead {
        workers: args.workers,
        threads: args.threads,
        empty_tasks_per_s: empty,
        with_output_tasks_per_s: with_output,
        one_task_s: Percentiles {
            p50: one.supported_quantile(0.5).map(|time| time.0 as f64 / 1e9),
            p99: one.supported_quantile(0.99).map(|time| time.0 as f64 / 1e9),
            samples: one.count(),
        },
        start_s,
        idle_pss_bytes,
        metg50_s: metg.metg50_s,
        metg: metg.points,
    })
}

/// Memory of this process, which holds the coordinator, and of the workers, before they ran anything big.
fn idle_memory(cluster: &Private) -> u64 {
    cluster.worker_ids().chain([std::process::id()]).filter_map(|pid| pss_bytes(&pid.to_string())).sum()
}

fn show(args: &OverheadArgs, measured: &Overhead) -> Outcome {
    if args.json {
        return super::printed(terminal::print_json(measured));
    }
    let time = |time: Option<f64>| time.map_or_else(|| "not reached".to_owned(), seconds);
    let one = &measured.one_task_s;
    super::printed(terminal::print(pairs(&[
        ("cluster", shape(measured.workers, 1, measured.threads)),
        ("empty tasks", format!("{}/s", number(measured.empty_tasks_per_s as u64))),
        ("8-byte outputs", format!("{}/s", number(measured.with_output_tasks_per_s as u64))),
        ("one task", format!("p50 {}, p99 {} ({} times)", time(one.p50), time(one.p99), number(one.samples))),
        ("start", seconds(measured.start_s)),
        ("idle memory", bytes(measured.idle_pss_bytes)),
        ("METG(50 %)", time(measured.metg50_s)),
    ])))
}
