//! A reduction takes the result of every task that did not fail once, in the order that follows from the tasks alone.

use super::{Checker, Fact, Verdict, hold};
use crate::swarm::partial::{self, Partial};
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::{Block, leaf_size};
use muster_core::scheduler::{Config, GrantKind, Input, JobSpec, Outcome, Output};
use muster_core::time::Time;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct Tree {
    leaf: u64,
    tasks: u64,
    /// start -> size of the blocks that are kept.
    kept: BTreeMap<u64, u64>,
    committed: RangeSet,
    failed: RangeSet,
    finished: bool,
}

#[derive(Debug)]
pub(super) struct Reduction {
    leaves_max: u64,
    combine_bytes_max: u64,
    trees: BTreeMap<JobId, Tree>,
}

impl Reduction {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            leaves_max: config.leaves_max,
            combine_bytes_max: config.combine_bytes_max,
            trees: BTreeMap::new(),
        }
    }

    fn tree(&self, spec: &JobSpec) -> Tree {
        let leaf = leaf_size(if spec.open || spec.paced { 0 } else { spec.tasks }, self.leaves_max);
        Tree { leaf, tasks: spec.tasks, ..Tree::default() }
    }
}

impl Tree {
    fn inside(&self, range: IndexRange) -> Vec<Block> {
        let kept = self.kept.range(range.start..range.end);
        kept.map(|(&start, &size)| Block { start, size }).collect()
    }

    fn keep(&mut self, block: Block) -> Verdict {
        let before = self.kept.range(..block.range().end).next_back();
        let free = before.is_none_or(|(&start, &size)| start + size <= block.start);
        hold!(free, "the block {} is kept twice in part", block.range());
        self.kept.insert(block.start, block.size);
        Ok(())
    }

    fn committed(&mut self, range: IndexRange) -> Verdict {
        let Some(block) = Block::from_range(range) else { return Err(format!("{range} is not a block")) };
        let mut good = RangeSet::from(range);
        let failed: Vec<IndexRange> = self.failed.overlap(range).collect();
        for gone in failed {
            good.remove(gone);
        }
        hold!(!good.is_empty(), "the block {range} holds nothing");
        good.iter().for_each(|piece| self.committed.insert(piece));
        self.keep(block)
    }

    fn combined(&mut self, block: Block, finished: bool, subject: Option<&Partial>) -> Verdict {
        hold!(!self.finished, "there is an output already");
        let inside = self.inside(block.range());
        hold!(!inside.is_empty(), "{} is combined out of nothing", block.range());
        for part in inside {
            hold!(part.range().end <= block.range().end, "{} is cut", part.range());
            self.kept.remove(&part.start);
        }
        self.keep(block)?;
        if finished {
            self.finished = true;
            hold!(self.kept.len() == 1, "the output leaves blocks out: {:?}", self.kept);
            let expected = partial::expected(Block::root(self.tasks), self.leaf, &self.committed);
            hold!(
                subject == expected.map(Partial::Sum).as_ref(),
                "the output is {subject:?} and the tasks come to {expected:?} (leaf {})",
                self.leaf
            );
        }
        Ok(())
    }
}

impl Checker for Reduction {
    fn name(&self) -> &'static str {
        "reduction"
    }

    fn look(&mut self, _now: Time, fact: &Fact<'_>) -> Verdict {
        match fact {
            Fact::Told(Input::Submit { job, spec }) if spec.reduce => {
                let tree = self.tree(spec);
                self.trees.insert(*job, tree);
            }
            Fact::Said { output, subject, .. } => return self.said(output, *subject),
            Fact::Restarted { jobs, .. } => {
                let trees = jobs.iter().filter(|job| job.spec.reduce).map(|job| {
                    let kept = job.blocks.iter().map(|(block, _)| (block.start, block.size)).collect();
                    let (committed, failed) = (job.committed.clone(), job.failed.clone());
                    (job.job, Tree { tasks: job.tasks, kept, committed, failed, ..self.tree(&job.spec) })
                });
                self.trees = trees.collect();
            }
            _ => {}
        }
        Ok(())
    }
}

impl Reduction {
    fn said(&mut self, output: &Output, subject: Option<&Partial>) -> Verdict {
        let bytes_max = self.combine_bytes_max;
        let job = match output {
            Output::Extended { job, .. }
            | Output::Commit { job, .. }
            | Output::Combined { job, .. }
            | Output::Fail { job, .. }
            | Output::Ended { job, .. } => *job,
            Output::Grant { grant, .. } => grant.job,
            _ => return Ok(()),
        };
        let Some(tree) = self.trees.get_mut(&job) else { return Ok(()) };
        match output {
            Output::Extended { range, .. } => tree.tasks = range.end,
            Output::Commit { range, .. } => tree.committed(*range)?,
            Output::Combined { block, finished, .. } => tree.combined(*block, *finished, subject)?,
            Output::Fail { index, .. } => tree.failed.insert(IndexRange::from_count(*index, 1)),
            Output::Grant { grant, .. } => {
                if let GrantKind::Combine { blocks, finish } = &grant.kind {
                    hold!(*blocks == tree.inside(grant.range), "{} combines {blocks:?}", grant.lease);
                    let ended = tree.committed.len() + tree.failed.len();
                    hold!(ended == tree.tasks, "{} combines before all tasks have ended", grant.lease);
                    hold!(!finish || blocks.len() == tree.kept.len(), "{} leaves blocks out", grant.lease);
                    let bytes: u64 = blocks.iter().map(|block| partial::bytes_of(block.range())).sum();
                    hold!(blocks.len() <= 2 || bytes <= bytes_max, "{} has {bytes} bytes", grant.lease);
                }
            }
            Output::Ended { outcome, .. } => {
                let some = !tree.committed.is_empty();
                let whole = *outcome != Outcome::Done || tree.finished == some;
                hold!(whole, "the reduction is done: tasks succeeded: {some}, output: {}", tree.finished);
                self.trees.remove(&job);
            }
            _ => {}
        }
        Ok(())
    }
}
