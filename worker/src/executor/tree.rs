//! Combining the results of a claim, along the fixed tree of [`muster_core::reduce`]: folds are added up in index
//! order, and two halves of a block become the block as soon as both are there. What is left at the end of a
//! claim are maximal aligned blocks.

use super::runner::{Runner, class_of};
use super::unfolded::Unfolded;
use muster_core::range::IndexRange;
use muster_core::reduce::{Block, fold_size, parts};
use muster_core::scheduler::FailureClass;
use muster_plugin_host::{Accumulator, ErrorKind, Take, TaskError};
use muster_proto::PARTIAL_MAX_BYTES;

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
    /// The folds and parts of folds that are to come, in reverse order.
    parts: Vec<Block>,
    /// Tasks per fold.
    fold: u64,
    /// Whether blocks leave failed tasks out. In a leaf of one task they have no place: another worker may try
    /// the task again.
    leaves_out: bool,
    /// Results of the next part, which is not complete.
    open: Unfolded,
    done: Vec<Node>,
    /// Lists of results of parts of folds.
    lists: Vec<Partial>,
    failures: Vec<(u64, TaskError)>,
    /// How often the task that is to come has failed.
    attempts: u32,
    /// How often a task of a wider leaf is tried here: were every such task tried elsewhere, there would be as
    /// many partial results as the leaf was to save.
    max_attempts: u32,
}

/// A block of whole folds.
#[derive(Debug)]
struct Node {
    block: Block,
    /// `None`: all of its tasks failed.
    sum: Option<Accumulator>,
    skipped: Vec<u64>,
}

impl Tree {
    pub fn new(claim: IndexRange, leaf: u64, max_attempts: u32) -> Self {
        let fold = fold_size(leaf);
        let mut parts: Vec<Block> = parts(claim, fold).collect();
        parts.reverse();
        Self {
            parts,
            fold,
            leaves_out: leaf > 1,
            open: Unfolded::default(),
            done: Vec::new(),
            lists: Vec::new(),
            failures: Vec::new(),
            attempts: 0,
            max_attempts,
        }
    }

    /// How often the task that is to come has failed here.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Adds the results of tasks from `first` on.
    pub fn add(&mut self, runner: &mut Runner<'_>, first: u64, lens: &[u32], data: &[u8]) {
        if lens.is_empty() {
            return;
        }
        self.attempts = 0;
        self.close_before(runner, first);
        let mut rest = Results { next: first, lens, data };
        while !rest.lens.is_empty() {
            let Some(&part) = self.parts.last() else { return };
            let end = part.range().end;
            let results = rest.split_before(end);
            if rest.next == end && self.open.is_empty() {
                self.parts.pop();
                self.close(runner, part, results);
            } else {
                results.for_each(|(index, result)| self.open.push(index, result));
                self.close_before(runner, rest.next);
            }
        }
    }

    /// A task failed; `false`: it should be tried again.
    pub fn fail(&mut self, runner: &mut Runner<'_>, index: u64, error: &TaskError) -> bool {
        self.attempts += 1;
        let passes = class_of(error.kind) == FailureClass::Transient;
        if self.leaves_out && passes && self.attempts < self.max_attempts {
            return false;
        }
        self.attempts = 0;
        self.close_before(runner, index);
        self.failures.push((index, error.clone()));
        true
    }

    /// The partial results of maximal blocks, and the tasks that failed.
    pub fn finish(mut self, runner: &mut Runner<'_>) -> (Vec<Partial>, Vec<(u64, TaskError)>) {
        self.close_before(runner, u64::MAX);
        let mut partials = self.lists;
        for Node { block, sum, skipped } in self.done {
            let Some(sum) = sum else { continue };
            match sum.take(&mut runner.slot, Take::Partial).and_then(|bytes| within(Take::Partial, bytes)) {
                Ok(bytes) => partials.push(Partial { block, bytes, skipped }),
                Err(error) => fail_all(&mut self.failures, block.range(), &skipped, &error),
            }
        }
        (partials, self.failures)
    }

    /// Closes the parts that end at or before `index`.
    fn close_before(&mut self, runner: &mut Runner<'_>, index: u64) {
        while let Some(part) = self.parts.pop_if(|part| part.range().end <= index) {
            let mut open = std::mem::take(&mut self.open);
            self.close(runner, part, open.iter());
            open.clear();
            self.open = open;
        }
    }

    /// A part has all its results.
    fn close<'r, R>(&mut self, runner: &mut Runner<'_>, part: Block, results: R)
    where
        R: Iterator<Item = (u64, &'r [u8])> + Clone,
    {
        let sum = self.add_up(runner, results.clone());
        if sum.is_none() && !self.leaves_out {
            return;
        }
        let skipped = self.failed_in(part);
        if part.size == self.fold {
            self.join_halves(runner, Node { block: part, sum, skipped });
        } else if sum.is_some() {
            let good: Vec<_> = results.filter(|(index, _)| !skipped.contains(index)).collect();
            push_lists(&mut self.lists, part, &good, &skipped);
        }
    }

    /// Adds results up in index order. A result that the plugin cannot add fails its own task only, so that
    /// which tasks fail does not depend on how folds were cut; the sum is made again without it.
    fn add_up<'r, R>(&mut self, runner: &mut Runner<'_>, results: R) -> Option<Accumulator>
    where
        R: Iterator<Item = (u64, &'r [u8])> + Clone,
    {
        let mut refused = Vec::new();
        loop {
            let good = results.clone().filter(|(index, _)| !refused.contains(index));
            match sum_of(runner, good) {
                Ok(sum) => return sum,
                Err((index, error)) => {
                    refused.push(index);
                    self.failures.push((index, error));
                }
            }
        }
    }

    /// Tasks of the part just closed that failed. Failures come part by part.
    fn failed_in(&self, part: Block) -> Vec<u64> {
        let range = part.range();
        let indexes = self.failures.iter().rev().map(|(index, _)| *index);
        let mut failed: Vec<u64> = indexes.take_while(|&index| range.contains(index)).collect();
        failed.sort_unstable();
        failed
    }

    /// Joins blocks as long as the last two are halves of one.
    fn join_halves(&mut self, runner: &mut Runner<'_>, mut right: Node) {
        while let Some(left) =
            self.done.pop_if(|left| left.block.parent().halves() == (left.block, right.block))
        {
            let block = left.block.parent();
            let skipped = [left.skipped, right.skipped].concat();
            let sum = match (left.sum, right.sum) {
                (Some(mut sum), Some(other)) => match sum.join(&mut runner.slot, other) {
                    Ok(()) => Some(sum),
                    Err(error) => return fail_all(&mut self.failures, block.range(), &skipped, &error),
                },
                (sum, None) | (None, sum) => sum,
            };
            right = Node { block, sum, skipped };
        }
        self.done.push(right);
    }
}

/// The sum of results in index order, `None` of none; or the first that cannot be added, and why.
pub(super) fn sum_of<'r>(
    runner: &mut Runner<'_>,
    results: impl Iterator<Item = (u64, &'r [u8])>,
) -> Result<Option<Accumulator>, (u64, TaskError)> {
    let mut sum = None;
    for (index, result) in results {
        let of_task = |error| (index, error);
        let sum = match &mut sum {
            Some(sum) => sum,
            None => sum.insert(runner.shared.plugin.accumulator(&mut runner.slot).map_err(of_task)?),
        };
        sum.add(&mut runner.slot, index, result).map_err(of_task)?;
    }
    Ok(sum)
}

/// Adds the list of the results of a block; when they do not fit into a message, a list for each half.
fn push_lists(to: &mut Vec<Partial>, block: Block, results: &[(u64, &[u8])], skipped: &[u64]) {
    let mut list = Unfolded::default();
    results.iter().for_each(|&(index, result)| list.push(index, result));
    if list.is_empty() {
        return;
    }
    if list.len() > PARTIAL_MAX_BYTES && block.size > 1 {
        let (left, right) = block.halves();
        let (lower, upper) = results.split_at(results.partition_point(|(index, _)| *index < right.start));
        let (out_lower, out_upper) = skipped.split_at(skipped.partition_point(|index| *index < right.start));
        push_lists(to, left, lower, out_lower);
        push_lists(to, right, upper, out_upper);
        return;
    }
    to.push(Partial { block, bytes: list.into_bytes(), skipped: skipped.to_vec() });
}

/// Results of neighbouring tasks, as a range call gives them.
#[derive(Clone, Debug)]
struct Results<'a> {
    next: u64,
    lens: &'a [u32],
    data: &'a [u8],
}

impl<'a> Results<'a> {
    /// Cuts off the results of tasks below `end`.
    fn split_before(&mut self, end: u64) -> Results<'a> {
        let count = (end - self.next).min(self.lens.len() as u64) as usize;
        let (lens, rest) = self.lens.split_at(count);
        let bytes: usize = lens.iter().map(|&len| len as usize).sum();
        let (data, behind) = self.data.split_at(bytes);
        let first = self.next;
        (self.next, self.lens, self.data) = (first + count as u64, rest, behind);
        Results { next: first, lens, data }
    }
}

impl<'a> Iterator for Results<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&len, lens) = self.lens.split_first()?;
        let (result, data) = self.data.split_at(len as usize);
        let index = self.next;
        *self = Self { next: index + 1, lens, data };
        Some((index, result))
    }
}

fn fail_all(failures: &mut Vec<(u64, TaskError)>, range: IndexRange, except: &[u64], error: &TaskError) {
    let lost = (range.start..range.end).filter(|index| !except.contains(index));
    failures.extend(lost.map(|index| (index, error.clone())));
}

/// What is sent of a reduction must fit into a message, and partial results two at a time.
pub(super) fn within(take: Take, bytes: Vec<u8>) -> Result<Vec<u8>, TaskError> {
    let (what, max) = match take {
        Take::Partial => ("a partial result", PARTIAL_MAX_BYTES),
        Take::Output => ("the combined output", super::job::RESULT_BYTES_MAX as usize),
    };
    if bytes.len() <= max {
        return Ok(bytes);
    }
    let message = format!("{what} has {} bytes, and it may have {max}", bytes.len());
    Err(TaskError { kind: ErrorKind::Limit, code: 0, message })
}
