//! `lifecycle`: what it takes to start and to end a thread, a process, an executor of muster, and whether the memory of
//! whoever starts them matters.

use super::bare::{Started, Starts, ask};
use super::rounds::{Rounds, said};
use super::shape::Shape;
use super::versus::times;
use super::{Cell, Findings, Setting, Table};
use crate::bench::Bench;
use crate::cluster::Private;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::plugin::{PluginFile, bundled};
use crate::statistics::{block_order, median};
use crate::summary::{bytes, sketch};
use crate::trial::Trial;
use muster_core::scheduler::PolicySpec;
use muster_proto::v1::{JobSpec, JobState, JobStatus};
use muster_worker::os::proc_file::size;
use serde_json::json;
use std::time::Instant;

const NAME: &str = "lifecycle";
/// Memory of whoever starts the others, in bytes.
const HELD: [u64; 2] = [0, 512 << 20];
/// A copy of it may have to be kept as well, and there are others.
const ROOM: u64 = 3;
/// Starts of each kind in a round.
const STARTS: u32 = 40;
const ROUNDS: usize = 5;
const CLUSTER_ROUNDS: usize = 10;
/// Of the time, what the part without muster may take.
const BARE_SHARE: f64 = 0.5;
/// Jobs on an executor that is there.
const WARM_JOBS: usize = 5;
/// Tasks with a process each.
const SPAWNED: u64 = 20;

/// Measures.
pub async fn run(setting: &Setting, interrupt: &mut Interrupt, findings: &mut Findings) -> Outcome<()> {
    let null = bundled(&setting.plugins, "null", interrupt).await?;
    let free = size("meminfo", "MemAvailable").unwrap_or(u64::MAX);
    let held: Vec<u64> = HELD.into_iter().filter(|bytes| bytes * ROOM < free).collect();
    if held.len() < HELD.len() {
        let (wanted, free) = (bytes(HELD[1] * ROOM), bytes(free));
        findings
            .notes
            .push(format!("A parent with {} needs {wanted}, and there are {free}.", bytes(HELD[1])));
    }
    bare(setting, &held, interrupt, findings).await?;
    clusters(setting, &null, &held, interrupt, findings).await
}

fn columns(held: &[u64], second: &str) -> Vec<(String, &'static str)> {
    let of =
        |&held: &u64| [(format!("parent {}", bytes(held)), "s"), (format!("{second} {}", bytes(held)), "s")];
    held.iter().flat_map(of).collect()
}

fn table(title: &str, columns: &[(String, &'static str)]) -> Table {
    let columns: Vec<(&str, &'static str)> =
        columns.iter().map(|(name, unit)| (name.as_str(), *unit)).collect();
    Table::new(title, "what", &columns)
}

/// The times of a kind of start.
type Starting = fn(&Started) -> &Vec<f64>;

/// What the operating system takes.
async fn bare(
    setting: &Setting,
    held: &[u64],
    interrupt: &mut Interrupt,
    findings: &mut Findings,
) -> Outcome<()> {
    let part = Rounds::part(NAME, setting, BARE_SHARE, ROUNDS);
    let limit = part.end.saturating_duration_since(Instant::now()) / (ROUNDS * held.len()) as u32;
    let rounds = part
        .run(interrupt, async |round| {
            let mut started = vec![Started::default(); held.len()];
            for place in block_order(setting.seed, round, held.len()) {
                let question =
                    Starts { held_bytes: held[place], rounds: STARTS, seed: setting.seed ^ round, limit };
                started[place] = ask(question, part.end).await?.ok_or_else(|| part.too_small())?;
            }
            Ok(started)
        })
        .await?;
    let of = |place: usize, times: fn(&Started) -> &Vec<f64>| -> Vec<f64> {
        rounds.iter().flat_map(|round| times(&round[place]).iter().copied()).collect()
    };
    let kinds: [(&str, Starting); 4] = [
        ("thread", |it| &it.thread),
        ("process, copied (fork)", |it| &it.fork),
        ("program, by fork and exec", |it| &it.fork_exec),
        ("program, by posix_spawn", |it| &it.spawn),
    ];
    let columns = columns(held, "p95");
    let mut table = table("Start and end, without muster", &columns);
    for (name, times) in kinds {
        let cells = (0..held.len()).flat_map(|place| {
            let times = of(place, times);
            [Cell::of(&times), Cell::quantile(&times, 0.95)]
        });
        table.row(name, cells.collect::<Vec<_>>());
    }
    findings.tables.push(table);
    // The median of a round is one value: its starts are alike.
    let medians = |place: usize, kind: usize| -> Vec<f64> {
        rounds.iter().filter_map(|round| median(kinds[kind].1(&round[place]))).collect()
    };
    // The times are in the table, over all starts.
    let program = times(&medians(0, 3), &medians(0, 0));
    findings
        .verdict
        .push(format!("Beside a thread, a program of its own takes {program} time to start and end."));
    if held.len() > 1 {
        let [thread, fork, spawn] = [0, 1, 3].map(|kind| times(&medians(1, kind), &medians(0, kind)));
        findings.verdict.push(format!(
            "With a parent that holds {} the time of fork is {fork}, that of posix_spawn {spawn}, and that of a thread {thread}.",
            bytes(held[1])
        ));
    }
    findings.notes.push(format!(
        "Without muster: a process of one thread starts each and waits for its end, {}; the program is `true`.",
        said(rounds.len(), &format!("{STARTS} starts of each"))
    ));
    Ok(())
}

/// The time of a kind of start.
type Living = fn(&Lives) -> Option<f64>;

/// What a job of muster took, in seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Lives {
    cold: f64,
    warm: f64,
    spawned: f64,
    /// The start of the executor, as its worker saw it.
    start: Option<f64>,
}

async fn clusters(
    setting: &Setting,
    null: &PluginFile,
    held: &[u64],
    interrupt: &mut Interrupt,
    findings: &mut Findings,
) -> Outcome<()> {
    let part = Rounds::new(NAME, setting, CLUSTER_ROUNDS);
    let rounds = part
        .run(interrupt, async |round| {
            let mut lives = vec![Lives::default(); held.len()];
            for place in block_order(setting.seed, round, held.len()) {
                lives[place] = Box::pin(one_cluster(null, held[place])).await?;
            }
            Ok(lives)
        })
        .await?;
    let of = |place: usize, time: fn(&Lives) -> Option<f64>| -> Vec<f64> {
        rounds.iter().filter_map(|round| time(&round[place])).collect()
    };
    let kinds: [(&str, Living); 4] = [
        ("executor, cold", |it| Some(it.cold - it.warm)),
        ("of it, its process", |it| it.start),
        ("job, executor warm", |it| Some(it.warm)),
        ("spawned task", |it| Some(it.spawned)),
    ];
    let columns: Vec<(String, &'static str)> =
        held.iter().map(|&held| (format!("worker {}", bytes(held)), "s")).collect();
    let mut table = table("muster: starts for an empty task", &columns);
    for (name, time) in kinds {
        table.row(name, (0..held.len()).map(|place| Cell::of(&of(place, time))));
    }
    findings.tables.push(table);
    if held.len() > 1 {
        let spawned = kinds[3].1;
        findings.verdict.push(format!(
            "With a worker that holds {} the time of a spawned task is {}.",
            bytes(held[1]),
            times(&of(1, spawned), &of(0, spawned))
        ));
    }
    findings.notes.push(format!(
        "muster: {}, each with a fresh worker. Cold: the first job of one empty task, from submitting it to its result, with \
         the plugin sent to the worker and loaded, without the time of a warm job. Spawned: a job of {SPAWNED} tasks, by \
         their number, without the time of a warm job. Executors are started by one thread of the worker, which does not \
         copy its memory (vfork).",
        said(rounds.len(), "")
    ));
    Ok(())
}

async fn one_cluster(null: &PluginFile, held: u64) -> Outcome<Lives> {
    let cluster = match held {
        0 => Private::start(1, 1, None, PolicySpec::default()).await?,
        held => Private::start_heavy(1, held).await?,
    };
    Bench::new(&cluster).all_workers_up(1).await?;
    let trial = Trial::on(cluster, null).await?;
    let lives = lives(&trial).await;
    trial.stop(false).await;
    lives
}

async fn lives(trial: &Trial) -> Outcome<Lives> {
    let params = json!({});
    let thread = Shape::thread(1).job(&params, 1);
    let (cold, status) = timed(trial, thread.clone()).await?;
    let mut warm = Vec::new();
    for _ in 0..WARM_JOBS {
        warm.push(timed(trial, thread.clone()).await?.0);
    }
    let warm = median(&warm).unwrap_or_default();
    let (all, _) = timed(trial, Shape::spawn(1).job(&params, SPAWNED)).await?;
    let start = sketch(status.start.as_ref()).mean().map(|mean| mean.0 as f64 / 1e9);
    Ok(Lives { cold, warm, spawned: (all - warm) / SPAWNED as f64, start })
}

/// How long a job took until all of its results were there.
async fn timed(trial: &Trial, job: JobSpec) -> Outcome<(f64, JobStatus)> {
    let (began, wanted) = (Instant::now(), job.tasks);
    let ran = trial.run(job, None).await?;
    let took = began.elapsed().as_secs_f64();
    if ran.status.state() == JobState::Done && ran.results.len() as u64 == wanted {
        return Ok((took, ran.status));
    }
    let (results, why) = (ran.results.len(), &ran.status.reason);
    Err(Failure::new(Exit::Job, format_args!("a job of {wanted} empty tasks gave {results} results: {why}")))
}
