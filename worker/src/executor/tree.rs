//! Combining results inside an executor, along the fixed tree of [`muster_core::reduce`]: a leaf is folded in
//! index order, and two halves of a block become the block as soon as both are there. What is left at the end
//! of a claim are maximal aligned blocks.

use super::runner::{Runner, class_of};
use muster_core::range::IndexRange;
use muster_core::reduce::{Block, blocks};
use muster_plugin_host::{Accumulator, ErrorKind, Take, TaskError};

/// How often a task of a wider leaf is tried here: its leaf is folded in one go, so another worker cannot
/// try it later.
const LEAF_ATTEMPTS: u32 = 3;

/// A partial result as it is sent.
#[derive(Debug)]
pub(super) struct Partial {
    pub block: Block,
    pub bytes: Vec<u8>,
    /// Failed tasks that it leaves out.
    pub skipped: Vec<u64>,
}

/// The results of a claim, combined as far as they go.
#[derive(Debug)]
pub(super) struct Tree {
    /// The parts of the claim that are folded task by task, in reverse order.
    folds: Vec<Block>,
    leaf: u64,
    open: Option<Node>,
    done: Vec<Node>,
    failures: Vec<(u64, TaskError)>,
    /// How often the task that is to come has failed.
    attempts: u32,
}

#[derive(Debug)]
struct Node {
    block: Block,
    sum: Accumulator,
    skipped: Vec<u64>,
}

impl Tree {
    pub fn new(claim: IndexRange, leaf: u64) -> Self {
        let leaf = leaf.max(1);
        let mut folds: Vec<Block> = blocks(claim)
            .flat_map(|block| {
                let size = block.size.min(leaf);
                (0..block.size / size).map(move |at| Block { start: block.start + at * size, size })
            })
            .collect();
        folds.reverse();
        Self { folds, leaf, open: None, done: Vec::new(), failures: Vec::new(), attempts: 0 }
    }

    /// Adds the results of tasks from `first` on.
    pub fn add(&mut self, runner: &mut Runner<'_>, first: u64, lens: &[u32], data: &[u8]) {
        let mut rest = data;
        for (index, &len) in (first..).zip(lens) {
            let (result, behind) = rest.split_at(len as usize);
            rest = behind;
            self.attempts = 0;
            if let Err(error) = self.add_one(runner, index, result) {
                self.lose_open(index, &error);
            }
            self.close_folds(runner, index + 1);
        }
    }

    /// A task failed; `false`: it should be tried again.
    pub fn fail(&mut self, index: u64, error: &TaskError) -> bool {
        self.attempts += 1;
        if self.leaf > 1 && class_of(error.kind).retryable() && self.attempts < LEAF_ATTEMPTS {
            return false;
        }
        self.attempts = 0;
        self.failures.push((index, error.clone()));
        true
    }

    /// The partial results of maximal blocks, and the tasks that failed.
    pub fn finish(mut self, runner: &mut Runner<'_>) -> (Vec<Partial>, Vec<(u64, TaskError)>) {
        self.close_folds(runner, u64::MAX);
        let mut partials = Vec::new();
        for node in self.done {
            let (block, skipped) = (node.block, node.skipped);
            match node.sum.take(&mut runner.slot, Take::Partial).and_then(|bytes| within(runner, bytes)) {
                Ok(bytes) => partials.push(Partial { block, bytes, skipped }),
                Err(error) => fail_all(&mut self.failures, block.range(), &skipped, &error),
            }
        }
        (partials, self.failures)
    }

    fn add_one(&mut self, runner: &mut Runner<'_>, index: u64, result: &[u8]) -> Result<(), TaskError> {
        self.close_folds(runner, index);
        let node = match &mut self.open {
            Some(node) => node,
            None => {
                let Some(&block) = self.folds.last() else { return Ok(()) };
                let sum = runner.shared.plugin.accumulator(&mut runner.slot)?;
                self.open.insert(Node { block, sum, skipped: Vec::new() })
            }
        };
        node.sum.add(&mut runner.slot, index, result)
    }

    /// Finishes the leaves that end at or before `index`.
    fn close_folds(&mut self, runner: &mut Runner<'_>, index: u64) {
        while let Some(block) = self.folds.pop_if(|block| block.range().end <= index) {
            let Some(mut node) = self.open.take() else { continue };
            if self.leaf == 1 {
                self.join_halves(runner, node);
                continue;
            }
            node.skipped.extend(
                self.failures.iter().map(|(index, _)| *index).filter(|&index| block.range().contains(index)),
            );
            self.join_halves(runner, node);
        }
    }

    /// Joins blocks as long as the last two are halves of one.
    fn join_halves(&mut self, runner: &mut Runner<'_>, mut right: Node) {
        while let Some(mut left) =
            self.done.pop_if(|left| left.block.parent().halves() == (left.block, right.block))
        {
            if let Err(error) = left.sum.join(&mut runner.slot, right.sum) {
                let (range, skipped) = (left.block.parent().range(), [left.skipped, right.skipped].concat());
                fail_all(&mut self.failures, range, &skipped, &error);
                return;
            }
            left.block = left.block.parent();
            left.skipped.append(&mut right.skipped);
            right = left;
        }
        self.done.push(right);
    }

    /// The open leaf cannot be combined: every task of it so far fails.
    fn lose_open(&mut self, index: u64, error: &TaskError) {
        self.open = None;
        let Some(block) = self.folds.last() else { return };
        let known: Vec<u64> = self.failures.iter().map(|(index, _)| *index).collect();
        let lost = IndexRange::new(block.start, index + 1);
        fail_all(&mut self.failures, lost, &known, error);
    }
}

fn fail_all(failures: &mut Vec<(u64, TaskError)>, range: IndexRange, except: &[u64], error: &TaskError) {
    let lost = (range.start..range.end).filter(|index| !except.contains(index));
    failures.extend(lost.map(|index| (index, error.clone())));
}

/// Partial results must fit into a message.
pub(super) fn within(runner: &Runner<'_>, bytes: Vec<u8>) -> Result<Vec<u8>, TaskError> {
    let max = super::job::RESULT_BYTES_MAX as usize;
    if bytes.len() <= max {
        return Ok(bytes);
    }
    let message = format!(
        "the combined result of job {} has {} bytes, at most {max} are possible",
        runner.shared.open.job,
        bytes.len()
    );
    Err(TaskError { kind: ErrorKind::Limit, code: 0, message })
}
