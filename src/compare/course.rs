//! The measurement: block after block, each with every configuration once, in random order, on fresh processes.

use super::calibrate::{self, failed};
use super::group::{Case, Group};
use super::measure::Measure;
use super::probe::{self, Probed, probe};
use super::sample::Sample;
use super::subject::Subject;
use super::tasks;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::statistics::{BLOCKS_MAX, Blocks, Next, Reason, Stopping, Twin, block_order};
use std::time::{Duration, Instant};

/// The case that runs twice in each block.
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
    pub groups: Vec<GroupMeasured>,
    /// Of `null`, one for each block; none where it was not found.
    pub overhead: Vec<Sample>,
    /// Processor time of a cluster that starts and ends without a job.
    pub idle: Duration,
    /// Complete blocks.
    pub blocks: usize,
    pub end: End,
}

impl Measured {
    /// Before anything is.
    pub const fn nothing() -> Self {
        Self { groups: Vec::new(), overhead: Vec::new(), idle: Duration::ZERO, blocks: 0, end: End::Blocks }
    }
}

/// What was measured of a group.
#[derive(Debug)]
pub struct GroupMeasured {
    pub tasks: u64,
    /// Tasks of the next run that are kept one by one,
    pub lines: usize,
    /// and of each, where that is not seen in its time.
    lines_wanted: usize,
    /// What is compared.
    pub measure: Measure,
    /// Seconds, by block and column; the last column is the twin.
    pub blocks: Blocks,
    /// By case, without the twin.
    pub samples: Vec<Vec<Sample>>,
    /// What came of the twin.
    pub twin: Vec<Sample>,
    /// By case; none where there was no time for it, or it was not asked for.
    pub probed: Vec<Option<Probed>>,
}

impl GroupMeasured {
    fn new(group: &Group, tasks: u64, lines_wanted: usize) -> Outcome<Self> {
        let cases = group.cases.len();
        let blocks = Blocks::new(cases + 1, Twin { column: cases, baseline: BASELINE });
        Ok(Self {
            tasks,
            lines: match group.measure() {
                // It is known after the first block.
                Measure::Time => 0,
                // Each task is claimed by itself and looked at in any case.
                Measure::LatencyP95 => lines_wanted,
            },
            lines_wanted,
            measure: group.measure(),
            blocks: blocks.map_err(Failure::usage)?,
            samples: vec![Vec::new(); cases],
            twin: Vec::new(),
            probed: vec![None; cases],
        })
    }

    /// Takes a block: a sample for each case, and one for the twin.
    fn push(&mut self, group: &Group, samples: Vec<Sample>) -> Outcome<()> {
        let cases = group.cases.iter().chain([group.baseline()]);
        let values = cases.zip(&samples).map(|(case, sample)| self.measure.value(case.name(), sample));
        let values = values.collect::<Outcome<Vec<f64>>>()?;
        self.blocks.push(&values).map_err(|refused| Failure::new(Exit::Job, refused))?;
        if self.measure == Measure::Time && self.blocks.len() == 1 {
            let is_seen = values.iter().any(|&time_s| tasks::is_seen(time_s, self.tasks));
            self.lines = if is_seen { 0 } else { self.lines_wanted };
        }
        for (column, sample) in samples.into_iter().enumerate() {
            self.samples.get_mut(column).unwrap_or(&mut self.twin).push(sample);
        }
        Ok(())
    }
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
    /// It is known how many tasks each run has.
    fn calibrated(&mut self, measured: &Measured);
    /// A run begins, in this block of at least so many; and which of the block's runs it is, counted from 1.
    fn run(&mut self, name: &str, block_of: (usize, usize), run_of: (usize, usize));
    /// A block is complete: the last one.
    fn block(&mut self, measured: &Measured);
    /// The blocks are done, and a case is looked at in other ways.
    fn probes(&mut self, name: &str);
}

/// Measures all groups side by side: a block has a run of every case of every group, and of the twin of each group.
/// `null`: the plugin that does nothing, which shows what muster itself takes.
pub async fn measure(
    groups: &[Group],
    null: Option<&Subject>,
    seed: u64,
    limits: Limits,
    interrupt: &mut Interrupt,
    tell: &mut impl Tell,
) -> Outcome<Measured> {
    let began = Instant::now();
    let end = limits.blocks.is_none().then(|| began + limits.budget);
    for case in groups.iter().flat_map(|group| &group.cases) {
        interrupt.or(case.subject.push()).await?;
    }
    let idle = interrupt.or(groups[0].baseline().idle()).await?;
    let mut measured = Measured { idle, ..Measured::nothing() };
    for group in groups {
        let tasks = match group.tasks {
            Some(tasks) => tasks,
            None => Box::pin(calibrated(group, end, interrupt)).await?,
        };
        let lines = tasks::lines(groups, limits.blocks);
        measured.groups.push(GroupMeasured::new(group, tasks, lines)?);
    }
    tell.calibrated(&measured);
    let most = limits.blocks.unwrap_or(BLOCKS_MAX);
    let mut rules: Vec<Stopping> =
        groups.iter().map(|group| Stopping::new(group.cases.len(), limits.target, most)).collect();
    if limits.blocks.is_some() {
        rules.iter_mut().for_each(|rule| rule.least_blocks = most);
    }
    let least = rules.iter().map(|rule| rule.least_blocks).max().unwrap_or(0);
    // What blocks may use; the rest is for the probes.
    let probes = if groups.iter().any(|group| group.cancels.is_some()) { PROBES_SHARE } else { 0.0 };
    let for_blocks = limits.budget.mul_f64(1.0 - probes);
    let mut longest = Duration::ZERO;
    let mut course = Course { groups, null, seed, end, least, interrupt };
    measured.end = loop {
        let block_began = Instant::now();
        if let Some(ended) = course.block(&mut measured, tell).await? {
            break ended;
        }
        longest = longest.max(block_began.elapsed());
        tell.block(&measured);
        match next(&rules, &measured.groups) {
            Next::Stop(Reason::Target) => break End::Target,
            Next::Stop(Reason::Blocks) => break End::Blocks,
            Next::Go if limits.blocks.is_none() && began.elapsed() + longest > for_blocks => {
                break End::Budget;
            }
            Next::Go => {}
        }
    };
    course.look_closer(&mut measured, tell).await?;
    Ok(measured)
}

/// The number of tasks that makes a run long enough.
async fn calibrated(group: &Group, end: Option<Instant>, interrupt: &mut Interrupt) -> Outcome<u64> {
    let slots = group.cases.iter().map(Case::slots).max().unwrap_or(1);
    let baseline = group.baseline();
    let found = tokio::select! {
        found = interrupt.or(calibrate::tasks(baseline, slots)) => found,
        () = until(end) => Err(too_small(baseline.name(), None)),
    };
    if found.is_err() {
        baseline.abandon().await;
    }
    found
}

/// It goes on as long as any group needs it.
fn next(rules: &[Stopping], groups: &[GroupMeasured]) -> Next {
    let mut stop = Next::Stop(Reason::Target);
    for (rule, group) in rules.iter().zip(groups) {
        match rule.next(&group.blocks) {
            Next::Go => return Next::Go,
            Next::Stop(Reason::Blocks) => stop = Next::Stop(Reason::Blocks),
            Next::Stop(Reason::Target) => {}
        }
    }
    stop
}

/// What every block needs.
struct Course<'a> {
    groups: &'a [Group],
    null: Option<&'a Subject>,
    seed: u64,
    end: Option<Instant>,
    /// So many blocks at least.
    least: usize,
    interrupt: &'a mut Interrupt,
}

impl Course<'_> {
    /// One block, unless something ends it before; then nothing of it counts, and without one before there is nothing at
    /// all.
    async fn block(&mut self, measured: &mut Measured, tell: &mut impl Tell) -> Outcome<Option<End>> {
        let began = Instant::now();
        let places: Vec<(usize, usize)> = (0..self.groups.len())
            .flat_map(|group| (0..=self.groups[group].cases.len()).map(move |column| (group, column)))
            .collect();
        let mut samples: Vec<Option<Sample>> = vec![None; places.len()];
        let order = block_order(self.seed, measured.blocks as u64, places.len());
        for (done, place) in order.into_iter().enumerate() {
            let (group, column) = places[place];
            let case = self.groups[group].cases.get(column).unwrap_or(self.groups[group].baseline());
            let GroupMeasured { tasks, lines, .. } = measured.groups[group];
            tell.run(case.name(), (measured.blocks + 1, self.least), (done + 1, places.len()));
            let sample = tokio::select! {
                sample = case.run(tasks, lines) => sample?,
                signal = self.interrupt.next() => {
                    case.abandon().await;
                    return if measured.blocks == 0 { Err(nothing_yet(signal)) } else { Ok(Some(End::Interrupted(signal))) };
                }
                () = until(self.end) => {
                    case.abandon().await;
                    let needs = (done > 0).then(|| began.elapsed().mul_f64(places.len() as f64 / done as f64));
                    return if measured.blocks == 0 { Err(too_small(case.name(), needs)) } else { Ok(Some(End::Budget)) };
                }
            };
            if sample.failed > 0 {
                return Err(failed(case.name(), sample.failed, tasks, sample.first_failure.as_deref()));
            }
            samples[place] = Some(sample);
        }
        if let Some(null) = self.null {
            let run = null.run(&self.groups[0].baseline().configuration, measured.groups[0].tasks, 0);
            tokio::select! {
                sample = run => measured.overhead.push(sample?),
                signal = self.interrupt.next(), if measured.blocks > 0 => return Ok(Some(End::Interrupted(signal))),
                () = until(self.end), if measured.blocks > 0 => return Ok(Some(End::Budget)),
            }
        }
        let mut samples = samples.into_iter().flatten();
        for (group, measured) in self.groups.iter().zip(&mut measured.groups) {
            measured.push(group, samples.by_ref().take(group.cases.len() + 1).collect())?;
        }
        measured.blocks += 1;
        Ok(None)
    }

    /// Runs the probes of each case that wants them, while there is time.
    async fn look_closer(&mut self, measured: &mut Measured, tell: &mut impl Tell) -> Outcome<()> {
        if matches!(measured.end, End::Interrupted(_)) {
            return Ok(());
        }
        for (group, measured_group) in self.groups.iter().zip(&mut measured.groups) {
            let Some(cancels) = group.cancels else { continue };
            for (place, case) in group.cases.iter().enumerate() {
                let times = measured_group.samples[place].iter().map(|sample| sample.time.as_secs_f64());
                let time = crate::statistics::median(&times.collect::<Vec<f64>>());
                let time = Duration::from_secs_f64(time.unwrap_or_default());
                if self.end.is_some_and(|end| Instant::now() + probe::takes(time, cancels) > end) {
                    continue;
                }
                tell.probes(case.name());
                tokio::select! {
                    probed = probe(case, measured_group.tasks, time, cancels) => measured_group.probed[place] = Some(probed?),
                    signal = self.interrupt.next() => {
                        measured.end = End::Interrupted(signal);
                        return Ok(());
                    }
                    () = until(self.end) => return Ok(()),
                }
            }
        }
        Ok(())
    }
}

fn nothing_yet(signal: &str) -> Failure {
    Failure::new(Exit::Interrupted, format_args!("cancelled by {signal} before the first block was complete"))
}

/// Comes back at that time; `None`: never.
async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}

/// The budget was over while a configuration ran. `block`: what a block takes, about; `None`: no run had ended.
fn too_small(name: &str, block: Option<Duration>) -> Failure {
    let Some(block) = block else {
        return Failure::new(
            Exit::Limit,
            format_args!("the budget is too small for one block: {name} had not ended its first run"),
        )
        .hint("give a larger --budget; whether a task ends at all, muster run shows with -n 1");
    };
    let needs = crate::summary::seconds(block.as_secs_f64());
    Failure::new(
        Exit::Limit,
        format_args!(
            "the budget is too small for one block, which takes about {needs}: {name} was still running"
        ),
    )
    .hint("give a larger --budget; for a plugin also a smaller -n, or fewer models")
}
