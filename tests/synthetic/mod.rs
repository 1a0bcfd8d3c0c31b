//! A machine whose speed drifts and that is made up of random numbers: what is true of its configurations is known.

use muster::statistics::{Analysis, Blocks, Next, Stopping, Twin};
use muster_core::random::Stream;

/// How much a value differs from its block by chance: 3 %, log-normal.
const WITHIN: f64 = 0.03;
/// How much the machine's speed changes from block to block: 15 %, log-normal.
const BETWEEN: f64 = 0.15;
/// The twin's baseline.
const BASELINE: usize = 0;
/// What a comparison may cost at the most.
const MOST_BLOCKS: usize = 60;

#[derive(Clone, Copy, Debug)]
pub enum Drift {
    /// Each block has a speed of its own.
    Independent,
    /// Each block's speed is that of the one before, changed.
    Walk,
}

/// Runs blocks of configurations whose true seconds are `truth`; the twin is the last column.
pub struct Machine<'a> {
    truth: &'a [f64],
    drift: Drift,
    stream: Stream,
    drawn: u64,
    speed: f64,
}

impl<'a> Machine<'a> {
    pub fn new(seed: u64, trial: u64, truth: &'a [f64], drift: Drift) -> Self {
        let stream = Stream::new(seed).split(1 + drift as u64).split(trial);
        Self { truth, drift, stream, drawn: 0, speed: 0.0 }
    }

    /// No block yet.
    pub fn blocks(&self) -> Blocks {
        let twin = Twin { column: self.truth.len(), baseline: BASELINE };
        Blocks::new(self.truth.len() + 1, twin).unwrap()
    }

    pub fn run(&mut self, blocks: &mut Blocks) {
        let change = BETWEEN * self.normal();
        self.speed = match self.drift {
            Drift::Independent => change,
            Drift::Walk => self.speed + change,
        };
        let twin = self.truth[BASELINE];
        let block: Vec<f64> = self
            .truth
            .iter()
            .chain([&twin])
            .map(|seconds| seconds * (self.speed + WITHIN * self.normal()).exp())
            .collect();
        blocks.push(&block).unwrap();
    }

    /// Source: Box and Muller, "A note on the generation of random normal deviates", 1958.
    fn normal(&mut self) -> f64 {
        let (first, second) = self.stream.units(self.drawn);
        self.drawn += 1;
        (-2.0 * (1.0 - first).ln()).sqrt() * (std::f64::consts::TAU * second).cos()
    }
}

/// One comparison from the first block to the verdict.
pub fn compare(seed: u64, trial: u64, truth: &[f64], drift: Drift) -> (Blocks, Analysis) {
    let stopping = Stopping::new(truth.len(), muster::statistics::TARGET, MOST_BLOCKS);
    let mut machine = Machine::new(seed, trial, truth, drift);
    let mut blocks = machine.blocks();
    while stopping.next(&blocks) == Next::Go {
        machine.run(&mut blocks);
    }
    let analysis = Analysis::new(&blocks);
    (blocks, analysis)
}
