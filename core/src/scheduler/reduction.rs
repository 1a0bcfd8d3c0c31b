//! Which partial results of a job are there, and what is to be combined next.

use super::config::Config;
use crate::range::IndexRange;
use crate::reduce::{Block, leaf_size};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Partial results that one combine lease takes at the most.
const FAN_IN_MAX: usize = 16;

/// The partial results of a job with reduction.
#[derive(Debug)]
pub(super) struct Reduction {
    /// Tasks per leaf of the tree.
    pub(super) leaf: u64,
    /// start -> the block whose partial result is kept.
    blocks: BTreeMap<u64, Kept>,
    /// Bytes that one combine lease may carry, unless two partial results alone have more.
    bytes_max: u64,
    /// Combinations to lease out.
    planned: Vec<Combination>,
    /// Combinations leased out.
    pub(super) leased: usize,
    /// Failed attempts to combine.
    pub(super) failures: u32,
    /// The job's output is there.
    pub(super) finished: bool,
}

/// A partial result that is kept.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Tasks of its block.
    size: u64,
    bytes: u64,
}

/// Partial results to combine to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Combination {
    pub(super) block: Block,
    pub(super) finish: bool,
}

impl Reduction {
    pub(super) fn new(tasks: u64, open: bool, config: &Config) -> Self {
        let leaf = leaf_size(if open { 0 } else { tasks }, config.leaves_max);
        Self {
            leaf,
            blocks: BTreeMap::new(),
            bytes_max: config.combine_bytes_max,
            planned: Vec::new(),
            leased: 0,
            failures: 0,
            finished: false,
        }
    }

    /// Keeps the partial result of a block that holds none yet.
    pub(super) fn insert(&mut self, block: Block, bytes: u64) {
        let replaced = self.blocks.insert(block.start, Kept { size: block.size, bytes });
        debug_assert!(replaced.is_none(), "a block is committed once");
    }

    /// The partial results inside `block`, in order.
    pub(super) fn inside(&self, block: Block) -> Vec<Block> {
        let range = block.range();
        self.blocks
            .range(range.start..range.end)
            .map(|(&start, kept)| Block { start, size: kept.size })
            .collect()
    }

    /// One partial result stands for all inside `block` now.
    pub(super) fn combined(&mut self, combination: &Combination, bytes: u64) {
        for inner in self.inside(combination.block) {
            self.blocks.remove(&inner.start);
        }
        self.insert(combination.block, bytes);
        self.finished = combination.finish;
    }

    /// The next combination to lease out. `tasks`: all tasks of the job; called when all of them have ended.
    pub(super) fn next(&mut self, tasks: u64) -> Option<Combination> {
        if self.planned.is_empty() && self.leased == 0 && !self.finished && !self.blocks.is_empty() {
            self.plan(tasks);
        }
        self.planned.pop()
    }

    /// Whether `next` has something, once all tasks have ended.
    pub(super) fn has_work(&self) -> bool {
        !self.planned.is_empty() || (self.leased == 0 && !self.finished && !self.blocks.is_empty())
    }

    /// Whether nothing is left to do once all tasks have ended.
    pub(super) fn is_over(&self) -> bool {
        self.finished || (self.blocks.is_empty() && self.leased == 0)
    }

    /// A combination that was leased out has to be done again.
    pub(super) fn put_back(&mut self, combination: Combination) {
        self.planned.push(combination);
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        self.blocks.iter().map(|(&start, kept)| Block { start, size: kept.size })
    }

    fn plan(&mut self, tasks: u64) {
        let root = Block::root(tasks);
        if self.fit(root) {
            self.planned.push(Combination { block: root, finish: true });
            return;
        }
        let mut open = Vec::from([root]);
        while let Some(block) = open.pop() {
            if !self.fit(block) {
                let (left, right) = block.halves();
                open.extend([left, right]);
            } else if self.within(block).nth(1).is_some() {
                self.planned.push(Combination { block: self.around(block), finish: false });
            }
        }
    }

    /// Whether one lease can carry the partial results inside `block`. Two always can: workers do not send larger
    /// ones.
    fn fit(&self, block: Block) -> bool {
        let (mut count, mut bytes) = (0, 0u64);
        self.within(block).all(|kept| {
            count += 1;
            bytes = bytes.saturating_add(kept.bytes);
            count <= 2 || (count <= FAN_IN_MAX && bytes <= self.bytes_max)
        })
    }

    fn within(&self, block: Block) -> impl Iterator<Item = &Kept> {
        let range = block.range();
        self.blocks.range(range.start..range.end).map(|(_, kept)| kept)
    }

    /// The smallest block that holds the partial results inside `block`: the executor that combines them sees
    /// by that alone whether it makes a sum or a list of results, see [`crate::reduce`].
    fn around(&self, block: Block) -> Block {
        let range = block.range();
        let mut inside = self.blocks.range(range.start..range.end);
        match (inside.next(), inside.next_back()) {
            (Some((&first, _)), Some((&last, kept))) => {
                Block::around(IndexRange::new(first, last + kept.size))
            }
            (Some(_) | None, _) => block,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combines_in_rounds_until_one_is_left() {
        let tasks = 1_000;
        let mut reduction = Reduction::new(tasks, false, &Config::default());
        (0..tasks).for_each(|start| reduction.insert(Block { start, size: 1 }, 1));
        let mut rounds = 0;
        while !reduction.is_over() {
            rounds += 1;
            let mut round = Vec::new();
            while let Some(combination) = reduction.next(tasks) {
                assert!((1..=FAN_IN_MAX).contains(&reduction.inside(combination.block).len()));
                reduction.leased += 1;
                round.push(combination);
            }
            assert!(!round.is_empty());
            for combination in round {
                reduction.leased -= 1;
                reduction.combined(&combination, 1);
            }
        }
        assert_eq!(rounds, 3);
        assert_eq!(reduction.blocks().collect::<Vec<_>>(), [Block::root(tasks)]);
    }

    #[test]
    fn a_combination_stands_for_the_smallest_block_around_its_parts() {
        let mut reduction = Reduction::new(64, false, &Config::default());
        (0..20).for_each(|start| reduction.insert(Block { start, size: 1 }, 1));
        reduction.plan(64);
        let mut planned: Vec<Block> = reduction.planned.iter().map(|combination| combination.block).collect();
        planned.sort();
        assert_eq!(planned, [Block { start: 0, size: 16 }, Block { start: 16, size: 4 }]);
    }

    #[test]
    fn a_lease_carries_no_more_bytes_than_it_may() {
        let tasks = 100;
        let config = Config { combine_bytes_max: 60, ..Config::default() };
        let mut reduction = Reduction::new(tasks, false, &config);
        (0..tasks).for_each(|start| reduction.insert(Block { start, size: 1 }, 1 + start % 30));
        let mut leases = 0;
        while let Some(combination) = reduction.next(tasks) {
            leases += 1;
            let inside: Vec<&Kept> = reduction.within(combination.block).collect();
            let bytes: u64 = inside.iter().map(|kept| kept.bytes).sum();
            assert!(bytes <= 60 || inside.len() == 2, "{combination:?} has {bytes} bytes");
            reduction.combined(&combination, bytes.min(30));
        }
        assert!(reduction.finished && leases > 30, "{leases}");
    }
}
