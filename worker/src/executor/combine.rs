//! The combine lease: partial results of a job become one, along the fixed tree of [`muster_core::reduce`].

use super::runner::{Runner, transient};
use super::tree::{sum_of, within};
use super::unfolded::Results;
use crate::arena::CombineInputs;
use crate::page::KIND_FINISH;
use muster_core::range::IndexRange;
use muster_core::reduce::{Block, fold_size};
use muster_plugin_host::{Accumulator, Take, TaskError};

/// No tree is larger.
const BLOCK_END_MAX: u64 = 1 << 62;

/// Combines the partial results of a combine lease.
pub(super) fn combine(runner: &mut Runner<'_>, inputs: &[u8], kind: u32) -> Result<Vec<u8>, TaskError> {
    let inputs = CombineInputs::parse(inputs)
        .ok_or_else(|| transient("the arena does not hold the partial results".to_owned()))?;
    let parts: Vec<(Block, &[u8])> = inputs.iter().collect();
    let (Some(&(first, _)), Some(&(last, _))) = (parts.first(), parts.last()) else {
        return Err(transient("a combine lease without partial results".to_owned()));
    };
    let whole = IndexRange::new(first.start, last.start.saturating_add(last.size));
    if whole.is_empty() || whole.end > BLOCK_END_MAX {
        return Err(not_of_one_tree());
    }
    let (root, finish) = (Block::around(whole), kind == KIND_FINISH);
    if root.size < fold_size(runner.shared.open.reduce_leaf) && !finish {
        // The fold is still not whole.
        let list: Vec<&[u8]> = parts.iter().map(|(_, list)| *list).collect();
        return within(Take::Partial, list.concat());
    }
    let sum = merge(runner, &parts, root)?;
    let (take, step) = if finish {
        (Take::Output, "making the output")
    } else {
        (Take::Partial, "writing a partial result")
    };
    sum.take(&mut runner.slot, take).and_then(|bytes| within(take, bytes)).map_err(during(step))
}

/// Says in which step something failed: no task stands beside it.
fn during(step: &str) -> impl Fn(TaskError) -> TaskError {
    move |error| TaskError { message: format!("{step}: {}", error.message), ..error }
}

/// The sum of all `parts`, which lie inside `block`; there is at least one.
fn merge(runner: &mut Runner<'_>, parts: &[(Block, &[u8])], block: Block) -> Result<Accumulator, TaskError> {
    let fold = fold_size(runner.shared.open.reduce_leaf);
    if let &[(part, partial)] = parts
        && part.size >= fold
    {
        let sum = runner.shared.plugin.accumulator(&mut runner.slot);
        let merged = sum.and_then(|mut sum| sum.merge(&mut runner.slot, partial).map(|()| sum));
        return merged.map_err(during("reading a partial result"));
    }
    if block.size <= fold {
        return add_up(runner, parts);
    }
    let (left, right) = block.halves();
    let (first, second) = parts.split_at(parts.partition_point(|(part, _)| part.start < right.start));
    if first.is_empty() {
        return merge(runner, second, right);
    }
    let mut sum = merge(runner, first, left)?;
    if !second.is_empty() {
        let other = merge(runner, second, right)?;
        sum.join(&mut runner.slot, other).map_err(during("joining partial results"))?;
    }
    Ok(sum)
}

/// The sum of one fold whose results came in several lists.
fn add_up(runner: &mut Runner<'_>, parts: &[(Block, &[u8])]) -> Result<Accumulator, TaskError> {
    let lists = parts.iter().map(|(_, list)| Results::parse(list));
    let lists: Vec<Results<'_>> = lists.collect::<Option<_>>().ok_or_else(not_of_one_tree)?;
    let sum = sum_of(runner, lists.into_iter().flatten())
        .map_err(|(index, error)| during(&format!("adding the result of task {index}"))(error))?;
    sum.ok_or_else(not_of_one_tree)
}

fn not_of_one_tree() -> TaskError {
    transient("partial results that are not blocks of one tree".to_owned())
}
