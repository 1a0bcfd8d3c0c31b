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
    let slots = configurations.iter().map(Configuration::slots).max().unwrap_or(1);
    let tasks = match tasks {
        Some(tasks) => tasks,
        None => interrupt.or(calibrate::tasks(subject, baseline, slots)).await?,
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
        let number = measured.blocks.len();
        let block_began = Instant::now();
        let left =
            (limits.blocks.is_none() && number == 0).then(|| limits.budget.saturating_sub(began.elapsed()));
        match block(subject, configurations, &mut measured, left, interrupt).await? {
            Some(signal) if number == 0 => {
                return Err(Failure::new(
                    Exit::Interrupted,
                    format_args!("cancelled by {signal} before the first block was complete"),
                ));
            }
            Some(signal) => break End::Interrupted(signal),
            None => {}
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
    let end = if limits.blocks.is_some() { None } else { Some(began + limits.budget) };
    look_closer(subject, configurations, &mut measured, end, interrupt, tell).await?;
    Ok(measured)
}

/// One block; gives the signal that broke it off. Nothing of a block that is not complete counts. `left`: the first one
/// may not take longer.
async fn block(
    subject: &Subject,
    configurations: &[Configuration],
    measured: &mut Measured,
    left: Option<Duration>,
    interrupt: &mut Interrupt,
) -> Outcome<Option<&'static str>> {
    let began = Instant::now();
    let columns = configurations.len() + 1;
    let mut samples: Vec<Option<Sample>> = vec![None; columns];
    let order = block_order(subject.seed, measured.blocks.len() as u64, columns);
    for (done, column) in order.into_iter().enumerate() {
        let configuration = configurations.get(column).unwrap_or(&configurations[BASELINE]);
        let sample = tokio::select! {
            sample = subject.run(configuration, measured.tasks) => sample?,
            signal = interrupt.next() => return Ok(Some(signal)),
        };
        if sample.failed > 0 {
            let first = sample.first_failure.as_deref();
            return Err(failed(&configuration.name, sample.failed, measured.tasks, first));
        }
        samples[column] = Some(sample);
        let took = began.elapsed();
        if left.is_some_and(|left| took > left) && done + 1 < columns {
            return Err(too_small(took.mul_f64(columns as f64 / (done + 1) as f64)));
        }
    }
    let samples: Vec<Sample> = samples.into_iter().flatten().collect();
    let times: Vec<f64> = samples.iter().map(|sample| sample.time.as_secs_f64()).collect();
    measured.blocks.push(&times).map_err(|refused| Failure::new(Exit::Job, refused))?;
    for (column, sample) in samples.into_iter().enumerate() {
        measured.samples.get_mut(column).unwrap_or(&mut measured.twin).push(sample);
    }
    Ok(None)
}

fn too_small(block: Duration) -> Failure {
    let needs = crate::summary::seconds(block.as_secs_f64());
    Failure::new(
        Exit::Limit,
        format_args!("the budget is too small for one block, which takes about {needs}"),
    )
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
        }
    }
    Ok(())
}
