//! Two tasks of muster that pass the turn through a channel: threads of one executor, and two executors.

use super::pinned::pinned;
use super::rounds::{Rounds, said};
use super::shape::Shape;
use super::{Cell, Findings, Setting, Table};
use crate::bench::Bench;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::plugin::bundled;
use crate::statistics::{block_order, median};
use crate::trial::Trial;
use serde::Deserialize;
use serde_json::{Value, json};

const ROUNDS: usize = 8;
const TRIPS: u64 = 2_000;
const KINDS: [&str; 4] = ["queue", "shared", "pipe", "socket"];

/// Of a round, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct RoundTrip {
    p50: f64,
    p95: f64,
    p99: f64,
}

/// Measures; it may take this share of the time that is left.
pub async fn run(
    name: &str,
    share: f64,
    setting: &Setting,
    interrupt: &mut Interrupt,
    findings: &mut Findings,
) -> Outcome<()> {
    let exchange = bundled(&setting.plugins, "exchange", interrupt).await?;
    let part = Rounds::part(name, setting, share, ROUNDS);
    let shapes = [("threads", Shape::thread(2)), ("processes", Shape::process(2))];
    let cases: Vec<(&str, &str, &Shape)> = KINDS
        .iter()
        .flat_map(|&kind| shapes.iter().map(move |(between, shape)| (kind, *between, shape)))
        // A queue is in the memory of one process.
        .filter(|&(kind, between, _)| kind != "queue" || between == "threads")
        .collect();
    let cpus = muster_worker::usable_cpus().min(2);
    let start = async |cpus| {
        let cluster = pinned(2, cpus).await?;
        Bench::new(&cluster).all_workers_up(1).await?;
        Trial::on(cluster, &exchange).await
    };
    let mut trials = Vec::new();
    for cpus in 1..=cpus {
        trials.push(part.prepared(interrupt, Box::pin(start(cpus))).await?);
    }
    let rounds = part
        .run(interrupt, async |round| {
            let mut trips = vec![vec![RoundTrip::default(); trials.len()]; cases.len()];
            for place in block_order(setting.seed, round, cases.len() * trials.len()) {
                let (case, cpus) = (place / trials.len(), place % trials.len());
                let (kind, _, shape) = cases[case];
                trips[case][cpus] = Box::pin(one(&trials[cpus], kind, shape)).await?;
            }
            Ok(trips)
        })
        .await;
    for trial in trials {
        trial.stop(false).await;
    }
    let rounds = rounds?;
    let columns =
        [("p50, 1 CPU", "s"), ("p95", "s"), ("p99", "s"), ("p50, 2 CPUs", "s"), ("p95 ", "s"), ("p99 ", "s")];
    let mut table = Table::new("One switch between two tasks of muster", "channel", &columns);
    for (case, (kind, between, _)) in cases.iter().enumerate() {
        let cells = (0..2).flat_map(|at| {
            let of = |value: fn(&RoundTrip) -> f64| -> Vec<f64> {
                // Half of a round trip is one switch.
                rounds.iter().filter_map(|round| Some(value(round[case].get(at)?) / 2e9)).collect()
            };
            let [p95, p99] = [of(|it| it.p95), of(|it| it.p99)].map(|of| Cell::number(median(&of)));
            [Cell::of(&of(|it| it.p50)), p95, p99]
        });
        table.row(format!("{kind}, {between}"), cells.collect::<Vec<_>>());
    }
    findings.tables.push(table);
    findings.notes.push(format!(
        "Tasks of muster: two of plugin exchange send 8 bytes there and back through a channel of the host, {}; threads of one executor, \
         or two executors. With 2 CPUs the system chooses where the two run. Percentiles are medians of those of the rounds.",
        said(rounds.len(), &format!("{TRIPS} round trips"))
    ));
    Ok(())
}

async fn one(trial: &Trial, kind: &str, shape: &Shape) -> Outcome<RoundTrip> {
    let params = json!({"kind": kind, "bytes": 8, "capacity": 1, "messages": TRIPS, "reply": true});
    let ran = trial.run(shape.job(&params, 2), None).await?;
    let results = ran.results.iter().filter_map(|(_, result)| serde_json::from_slice::<Value>(result).ok());
    let trips = results.filter_map(|result| RoundTrip::deserialize(&result["round_trip_ns"]).ok()).next();
    trips.ok_or_else(|| {
        let why = ran.status.first_failures.first().map_or(&ran.status.reason, |first| &first.message);
        Failure::new(
            Exit::Job,
            format_args!("{kind} under {}: messages did not come back: {why}", shape.name),
        )
    })
}
