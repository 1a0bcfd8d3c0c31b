//! The measurement: block after block, each with every configuration once, in random order, on fresh processes.

use super::calibrate::{self, failed};
use super::configuration::Configuration;
use super::probe::{self, Probed, probe};
use super::subject::{Sample, Subject};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::statistics::{BLOCKS_MAX, Blocks, Next, Reason, Stopping, Twin, block_order};
use std::time::{Duration, Instant};

/// The configuration that runs twice in each block.
const BASELINE: usize = 0;
/// Of the budget, what the probes may take.
const PROBES_SHARE: f64 = 0.25;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub budget: Duration,
    /// Exactly so many blocks, whatever the budget.
    pub blocks: Option<usize>,
    /// The relative half-width of ratios that is enough.
    pub target: f64,
}

/// Everything that was measured.
#[derive(Debug)]
pub struct Measured {
    pub tasks: u64,
    /// Seconds, by block and column; the last column is the twin.
    pub blocks: Blocks,
    /// By configuration, without the twin.
    pub samples: Vec<Vec<Sample>>,
    /// What came of the twin.
    pub twin: Vec<Sample>,
    /// By configuration; none where there was no time for it.
    pub probed: Vec<Option<Probed>>,
    pub end: End,
}

/// Why there are no more blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Target,
    Blocks,
    Budget,
    /// By this signal.
    Interrupted(&'static str),
}

impl End {
    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Blocks => "blocks",
            Self::Budget => "budget",
            Self::Interrupted(_) => "interrupted",
        }
    }
}

/// What people are told meanwhile.
pub trait Tell {
    /// So many tasks are a run.
    fn calibrated(&mut self, tasks: u64);
    /// A block is complete: the last one. At least so many come.
    fn block(&mut self, measured: &Measured, least: usize);
    /// The blocks are done, and a configuration is looked at in other ways.
    fn probes(&mut self, name: &str);
}

/// Measures. `tasks`: of each run; without it, it is found out.
pub async fn measure(
    subject: &Subject,
    configurations: &[Configuration],
    tasks: Option<u64>,
    limits: Limits,
    interrupt: &mut Interrupt,
    tell: &mut impl Tell,
) -> Outcome<Measured> {
    let began = Instant::now();
    let columns = configurations.len() + 1;
    let twin = Twin { column: columns - 1, baseline: BASELINE };
    let blocks = Blocks::new(columns, twin).map_err(Failure::usage)?;
    let baseline = &configurations[BASELINE];
    let end = limits.blocks.is_none().then(|| began + limits.budget);
    let slots = configurations.iter().map(Configuration::slots).max().unwrap_or(1);
    let tasks = match tasks {
        Some(tasks) => tasks,
        None => tokio::select! {
            found = interrupt.or(calibrate::tasks(subject, baseline, slots)) => found?,
            () = until(end) => return Err(too_small(&baseline.name, None)),
        },
    };
    tell.calibrated(tasks);
    let samples = vec![Vec::new(); configurations.len()];
    let mut measured =
        Measured { tasks, blocks, samples, twin: Vec::new(), probed: Vec::new(), end: End::Blocks };
    let most = limits.blocks.unwrap_or(BLOCKS_MAX);
    let mut stopping = Stopping::new(configurations.len(), limits.target, most);
    if limits.blocks.is_some() {
        stopping.least_blocks = most;
    }
    // What blocks may use; the rest is for the probes.
    let for_blocks = limits.budget.mul_f64(1.0 - PROBES_SHARE);
    let mut longest = Duration::ZERO;
    measured.end = loop {
        let block_began = Instant::now();
        if let Some(ended) = block(subject, configurations, &mut measured, end, interrupt).await? {
            break ended;
        }
        longest = longest.max(block_began.elapsed());
        tell.block(&measured, stopping.least_blocks);
        match stopping.next(&measured.blocks) {
            Next::Stop(Reason::Target) => break End::Target,
            Next::Stop(Reason::Blocks) => break End::Blocks,
            Next::Go if limits.blocks.is_none() && began.elapsed() + longest > for_blocks => {
                break End::Budget;
            }
            Next::Go => {}
        }
    };
    look_closer(subject, configurations, &mut measured, end, interrupt, tell).await?;
    Ok(measured)
}

/// One block, unless something ends it before; then nothing of it counts, and without one before there is nothing at all.
async fn block(
    subject: &Subject,
    configurations: &[Configuration],
    measured: &mut Measured,
    end: Option<Instant>,
    interrupt: &mut Interrupt,
) -> Outcome<Option<End>> {
    let began = Instant::now();
    let is_first = measured.blocks.is_empty();
    let columns = configurations.len() + 1;
    let mut samples: Vec<Option<Sample>> = vec![None; columns];
    let order = block_order(subject.seed, measured.blocks.len() as u64, columns);
    for (done, column) in order.into_iter().enumerate() {
        let configuration = configurations.get(column).unwrap_or(&configurations[BASELINE]);
        let sample = tokio::select! {
            sample = subject.run(configuration, measured.tasks) => sample?,
            signal = interrupt.next() => {
                let said = format_args!("cancelled by {signal} before the first block was complete");
                return if is_first { Err(Failure::new(Exit::Interrupted, said)) } else { Ok(Some(End::Interrupted(signal))) };
            }
            () = until(end) => {
                let needs = (done > 0).then(|| began.elapsed().mul_f64(columns as f64 / done as f64));
                return if is_first { Err(too_small(&configuration.name, needs)) } else { Ok(Some(End::Budget)) };
            }
        };
        if sample.failed > 0 {
            let first = sample.first_failure.as_deref();
            return Err(failed(&configuration.name, sample.failed, measured.tasks, first));
        }
        samples[column] = Some(sample);
    }
    let samples: Vec<Sample> = samples.into_iter().flatten().collect();
    let times: Vec<f64> = samples.iter().map(|sample| sample.time.as_secs_f64()).collect();
    measured.blocks.push(&times).map_err(|refused| Failure::new(Exit::Job, refused))?;
    for (column, sample) in samples.into_iter().enumerate() {
        measured.samples.get_mut(column).unwrap_or(&mut measured.twin).push(sample);
    }
    Ok(None)
}

/// Comes back at that time; `None`: never.
async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}

/// The budget was over while a configuration ran. `block`: what a block takes, about, where that is known.
fn too_small(name: &str, block: Option<Duration>) -> Failure {
    let needs =
        block.map(|block| format!(", which takes about {}", crate::summary::seconds(block.as_secs_f64())));
    let (needs, running) = (needs.unwrap_or_default(), format_args!("{name} was still running"));
    Failure::new(Exit::Limit, format_args!("the budget is too small for one block{needs}: {running}"))
        .hint("give a larger --budget, a smaller -n, or fewer models")
}

/// Runs the probes of each configuration, while there is time.
async fn look_closer(
    subject: &Subject,
    configurations: &[Configuration],
    measured: &mut Measured,
    end: Option<Instant>,
    interrupt: &mut Interrupt,
    tell: &mut impl Tell,
) -> Outcome<()> {
    measured.probed = vec![None; configurations.len()];
    if matches!(measured.end, End::Interrupted(_)) {
        return Ok(());
    }
    for (place, configuration) in configurations.iter().enumerate() {
        let times = measured.blocks.values(place);
        let time = Duration::from_secs_f64(crate::statistics::median(times).unwrap_or_default());
        if end.is_some_and(|end| Instant::now() + probe::takes(time) > end) {
            continue;
        }
        tell.probes(&configuration.name);
        tokio::select! {
            probed = probe(subject, configuration, measured.tasks, time) => measured.probed[place] = Some(probed?),
            signal = interrupt.next() => {
                measured.end = End::Interrupted(signal);
                return Ok(());
            }
            () = until(end) => return Ok(()),
        }
    }
    Ok(())
}
