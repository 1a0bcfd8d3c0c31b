//! What a seed draws besides its parameters: the cluster, the scheduler's settings, the jobs and what clients do.

use super::dice::Dice;
use super::fault::Fault;
use super::params::Params;
use muster_core::random::Stream;
use muster_core::scheduler::{
    Chunking, Config, FailureClass, JobSpec, Order, PolicySpec, RetryPolicy, Speculation,
};
use muster_core::shape::ShapeRequest;
use muster_core::time::{Span, Time};

/// The most slots of a worker; no shape needs more, unless its job may oversubscribe.
pub(super) const SLOTS_MAX: u32 = 4;

/// A drawn cluster with its jobs.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub config: Config,
    pub slots: Vec<u32>,
    pub latency: Span,
    pub jitter: Span,
    /// From an append to the log until it is durable.
    pub commit: Span,
    pub executor_start: Span,
    /// From one fault to the next, on average twice this.
    pub strike: Span,
    /// One in so many messages is harmed.
    pub harmed: u64,
    pub jobs: Vec<Plan>,
}

/// A job, and what its client does with it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub spec: JobSpec,
    /// The most that one task takes.
    pub task: Span,
    pub script: Vec<(Time, Step)>,
    natures: Stream,
    /// By machine, whether it must not run the job, when some must not.
    unfit: Option<Stream>,
    poisoned: bool,
    failing: bool,
    /// One task in so many ends its executor.
    poison_share: u64,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Submit,
    Extend(u64),
    Seal,
    Hold(bool),
    /// All that failed is tried again.
    Retry,
    Cancel,
}

/// What a task does when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Good,
    Fails(FailureClass),
    /// It ends its executor; whether the page says that it was the one.
    Poison {
        seen: bool,
    },
    /// It writes all over the page.
    Harm,
}

impl Setting {
    pub(super) fn draw(seed: u64, params: &Params) -> Self {
        let mut dice = Dice::new(seed, 2);
        let target = dice.pick(&[5, 20, 100]);
        let chunking = match dice.below(3) {
            0 => Chunking::Fixed(dice.between(1, 24)),
            _ => Chunking::Adaptive { target: Span::from_millis(target) },
        };
        let config = Config {
            lease: Span::from_millis(dice.pick(&[200, 500, 1_000, 3_000])),
            policy: policy(seed, chunking),
            seed,
            credit_tasks: dice.between(1, 4),
            credit: Span::from_millis(target * dice.between(1, 6)),
            recall_gain: Span::from_millis(dice.below(4)),
            leaves_max: dice.pick(&[1, 3, 8, 20, 1 << 16]),
            combine_bytes_max: dice.pick(&[30, 100, 60 << 20]),
            pause_crashes: Dice::new(seed, 7).pick(&[0, 1, 2, 4, 20]),
            ..Config::default()
        };
        let until = Span::from_millis(params.until_ms);
        // Slow disks have more to lose when the coordinator ends.
        let slowest = dice.pick(&[1_000, 20_000, 200_000]);
        Self {
            config,
            latency: dice.micros(20, 10_000),
            jitter: dice.micros(0, 5_000),
            commit: dice.micros(50, slowest),
            executor_start: dice.micros(100, 20_000),
            strike: dice.micros(2_000, 60_000),
            harmed: dice.between(4, 200),
            slots: (0..params.workers).map(|_| dice.between(1, SLOTS_MAX.into()) as u32).collect(),
            jobs: (0..params.jobs).map(|job| Plan::draw(seed, job, params, until)).collect(),
        }
    }
}

impl Plan {
    fn draw(seed: u64, job: u32, params: &Params, until: Span) -> Self {
        let mut dice = Dice::new(seed, 100 + u64::from(job));
        let open = dice.once_in(4);
        let spec = JobSpec {
            tasks: dice.between(0, params.tasks),
            open,
            weight: dice.between(1, 4) as u32,
            priority: dice.below(3) as i32 - 1,
            max_attempts: dice.between(1, 5) as u32,
            retry: retry(seed, job),
            shape: shape(&mut dice),
            oversubscribe: dice.once_in(2),
            reduce: dice.once_in(3),
            paced: false,
        };
        let spec = JobSpec { paced: Dice::new(seed, 900 + u64::from(job)).once_in(8), ..spec };
        let task = dice.pick(&[
            Span::from_micros(100),
            Span::from_millis(2),
            Span::from_millis(20),
            Span::from_millis(100),
        ]);
        let mut script = Vec::new();
        let mut at = Time(dice.below(until.0 / 4 + 1));
        script.push((at, Step::Submit));
        let mut later = |dice: &mut Dice| {
            at = at + Span(dice.below(until.0 / 6 + 1));
            at
        };
        if open {
            for _ in 0..dice.below(4) {
                script.push((later(&mut dice), Step::Extend(dice.between(0, params.tasks))));
            }
        }
        if dice.once_in(5) {
            script.push((later(&mut dice), Step::Hold(true)));
            script.push((later(&mut dice), Step::Hold(false)));
        }
        if open {
            script.push((later(&mut dice), Step::Seal));
        }
        if dice.once_in(6) {
            script.push((later(&mut dice), Step::Cancel));
        }
        let (poisoned, failing) = (dice.once_in(2), dice.once_in(2));
        let mut dice = Dice::new(seed, 300 + u64::from(job));
        if dice.once_in(4) {
            script.push((script[0].0 + Span(dice.below(until.0 / 2 + 1)), Step::Retry));
            script.sort_by_key(|&(at, _)| at);
        }
        // In some jobs most tasks are bad.
        let poison_share = if dice.once_in(6) { 2 } else { 97 };
        Self {
            spec,
            task,
            script,
            natures: Stream::new(seed).split(1_000 + u64::from(job)),
            unfit: unfit(seed, job),
            poisoned: poisoned && params.faults.has(Fault::Poison),
            failing: failing && params.faults.has(Fault::FailTask),
            poison_share,
        }
    }

    /// What a task does, when this is the `run`-th of all runs.
    pub(super) fn nature(&self, index: u64, run: u64) -> Nature {
        let bits = self.natures.bits(index);
        if self.poisoned && bits.is_multiple_of(self.poison_share) {
            return match (bits >> 32) % 4 {
                0 | 1 => Nature::Poison { seen: true },
                2 => Nature::Poison { seen: false },
                _ => Nature::Harm,
            };
        }
        if self.failing && bits % 23 == 1 {
            return Nature::Fails(FailureClass::Failed);
        }
        // Neighbouring runs of the same task end differently.
        if self.failing && bits % 7 == 2 && self.natures.bits(index ^ run << 20).is_multiple_of(2) {
            let class = match self.natures.bits(index ^ run << 30) % 8 {
                0 => FailureClass::Panicked,
                1 => FailureClass::Timeout,
                // It ends its executor; here that goes on, which only tasks without blocks around them can stand.
                2 if !self.spec.reduce => FailureClass::Memory,
                _ => FailureClass::Transient,
            };
            return Nature::Fails(class);
        }
        Nature::Good
    }

    /// Whether a machine must not run it.
    pub(super) fn is_unfit(&self, machine: usize) -> bool {
        self.unfit.is_some_and(|stream| stream.bits(machine as u64).is_multiple_of(2))
    }

    /// How long a task runs.
    pub(super) fn time(&self, index: u64) -> Span {
        Span(1_000 + self.natures.bits(index | 1 << 60) % self.task.0)
    }

    /// Tasks that are poison, of the first so many.
    pub(super) fn poison(&self, tasks: u64) -> u64 {
        let is_poison = |&index: &u64| matches!(self.nature(index, 0), Nature::Poison { .. } | Nature::Harm);
        if self.poisoned { (0..tasks).filter(is_poison).count() as u64 } else { 0 }
    }
}

/// A policy. Half of the seeds have guided or factoring leases instead of `chunking`, and half have speculation, with so
/// little patience that it happens.
fn policy(seed: u64, chunking: Chunking) -> PolicySpec {
    let mut dice = Dice::new(seed, 6);
    let order = dice.pick(&[Order::Fifo, Order::Fair, Order::Priority, Order::Random]);
    let chunking = dice.pick(&[chunking, chunking, Chunking::Guided, Chunking::Factoring]);
    let factor = dice.between(0, 3) as u32;
    let wait_min = Span::from_millis(dice.between(5, 100));
    let speculation = dice.once_in(2).then_some(Speculation { factor, wait_min });
    PolicySpec { order, chunking, speculation }
}

/// Budgets by class, and waits that are short beside the time of a run.
fn retry(seed: u64, job: u32) -> RetryPolicy {
    let mut dice = Dice::new(seed, 200 + u64::from(job));
    let some = |dice: &mut Dice| dice.once_in(3).then(|| dice.between(1, 4) as u32);
    RetryPolicy {
        transient: some(&mut dice),
        crashed: some(&mut dice),
        panicked: dice.between(1, 3) as u32,
        timeout: dice.between(1, 3) as u32,
        memory: dice.between(1, 3) as u32,
        backoff: dice.pick(&[Span::ZERO, Span::from_millis(2), Span::from_millis(50)]),
        backoff_max: dice.pick(&[Span::from_millis(1), Span::from_millis(100), Span::from_millis(10_000)]),
    }
}

/// In one of three jobs half of the machines must not run it.
fn unfit(seed: u64, job: u32) -> Option<Stream> {
    let mut dice = Dice::new(seed, 700 + u64::from(job));
    dice.once_in(3).then(|| Stream::new(dice.bits()))
}

fn shape(dice: &mut Dice) -> ShapeRequest {
    let some = |dice: &mut Dice| (!dice.once_in(3)).then(|| dice.between(1, SLOTS_MAX.into()) as u32);
    match dice.below(3) {
        0 => ShapeRequest::Thread { threads: some(dice) },
        1 => ShapeRequest::Process { processes: some(dice) },
        _ => ShapeRequest::Hybrid { processes: Some(dice.between(1, 2) as u32), threads: Some(2) },
    }
}
