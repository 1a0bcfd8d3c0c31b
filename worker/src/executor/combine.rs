//! The combine lease: partial results of a job become one, along the fixed tree of [`muster_core::reduce`].

use super::runner::{Runner, transient};
use super::tree::within;
use crate::arena::CombineInputs;
use crate::page::KIND_FINISH;
use muster_core::reduce::Block;
use muster_plugin_host::{Accumulator, Take, TaskError};

/// No tree is larger.
const BLOCK_SIZE_MAX: u64 = 1 << 62;

/// Combines the partial results of a combine lease along the tree.
pub(super) fn combine(runner: &mut Runner<'_>, inputs: &[u8], kind: u32) -> Result<Vec<u8>, TaskError> {
    let inputs = CombineInputs::parse(inputs)
        .ok_or_else(|| transient("the arena does not hold the partial results".to_owned()))?;
    let parts: Vec<(Block, &[u8])> = inputs.iter().collect();
    let take = if kind == KIND_FINISH { Take::Output } else { Take::Partial };
    let (Some(&(first, _)), Some(&(last, _))) = (parts.first(), parts.last()) else {
        return Err(transient("a combine lease without partial results".to_owned()));
    };
    let mut root = first;
    while !root.range().contains(last.start) && root.size < BLOCK_SIZE_MAX {
        root = root.parent();
    }
    let sum = merge(runner, &parts, root)?;
    sum.take(&mut runner.slot, take).and_then(|bytes| within(runner, bytes))
}

/// The sum of all `parts`, which lie inside `block`; there is at least one.
fn merge(runner: &mut Runner<'_>, parts: &[(Block, &[u8])], block: Block) -> Result<Accumulator, TaskError> {
    if let [(_, partial)] = parts {
        let mut sum = runner.shared.plugin.accumulator(&mut runner.slot)?;
        sum.merge(&mut runner.slot, partial)?;
        return Ok(sum);
    }
    if block.size < 2 || parts.is_empty() {
        return Err(transient("partial results that are not blocks of one tree".to_owned()));
    }
    let (left, right) = block.halves();
    let (first, second) = parts.split_at(parts.partition_point(|(part, _)| part.start < right.start));
    if first.is_empty() {
        return merge(runner, second, right);
    }
    let mut sum = merge(runner, first, left)?;
    if !second.is_empty() {
        let other = merge(runner, second, right)?;
        sum.join(&mut runner.slot, other)?;
    }
    Ok(sum)
}
