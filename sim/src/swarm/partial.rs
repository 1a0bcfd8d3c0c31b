//! What the tasks of a reduction come to, in numbers that show the order in which they were combined: neither
//! adding nor joining is associative or commutative here.

use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::{Block, blocks, fold_size};

/// A partial result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partial {
    /// The sum of a block of whole folds.
    Sum(u64),
    /// The tasks of a block that is smaller than a fold.
    List(Vec<u64>),
}

/// How large the partial result of a block is said to be.
pub const fn bytes_of(range: IndexRange) -> u64 {
    1 + range.start % 13
}

const fn mix(left: u64, right: u64) -> u64 {
    (left ^ right.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn add_up(tasks: impl IntoIterator<Item = u64>) -> Option<u64> {
    tasks.into_iter().map(|index| index + 1).reduce(mix)
}

fn join(left: Option<u64>, right: Option<u64>) -> Option<u64> {
    match (left, right) {
        (Some(left), Some(right)) => Some(mix(left, !right)),
        (one, None) | (None, one) => one,
    }
}

/// What a block must come to when these of its tasks have a result.
pub fn expected(block: Block, leaf: u64, good: &RangeSet) -> Option<u64> {
    if block.size <= fold_size(leaf) {
        return add_up((block.start..block.range().end).filter(|&index| good.contains(index)));
    }
    let (left, right) = block.halves();
    join(expected(left, leaf, good), expected(right, leaf, good))
}

/// The partial results of a claim, as an executor makes them.
pub fn of_claim(claim: IndexRange, leaf: u64, good: &RangeSet) -> Vec<(Block, Partial)> {
    let of_block = |block: Block| {
        if block.size >= fold_size(leaf) {
            return expected(block, leaf, good).map(Partial::Sum);
        }
        let tasks: Vec<u64> =
            (block.start..block.range().end).filter(|&index| good.contains(index)).collect();
        (!tasks.is_empty()).then_some(Partial::List(tasks))
    };
    blocks(claim).filter_map(|block| Some((block, of_block(block)?))).collect()
}

/// What a combine lease makes of its parts.
pub fn of_parts(parts: &[(Block, Partial)], leaf: u64, finish: bool) -> Partial {
    let (first, last) = (parts.first().expect("never empty").0, parts.last().expect("never empty").0);
    let root = Block::around(IndexRange::new(first.start, last.range().end));
    if root.size < fold_size(leaf) && !finish {
        return Partial::List(parts.iter().flat_map(|(_, part)| list(part)).collect());
    }
    Partial::Sum(merge(parts, root, leaf).expect("parts are not empty"))
}

fn merge(parts: &[(Block, Partial)], block: Block, leaf: u64) -> Option<u64> {
    match parts {
        [] => None,
        // Which of the two a partial result is follows from the size of its block.
        [(part, partial)] if part.size >= fold_size(leaf) => Some(sum(partial)),
        parts if block.size <= fold_size(leaf) => add_up(parts.iter().flat_map(|(_, part)| list(part))),
        parts => {
            let (left, right) = block.halves();
            let (first, second) = parts.split_at(parts.partition_point(|(part, _)| part.start < right.start));
            join(merge(first, left, leaf), merge(second, right, leaf))
        }
    }
}

fn list(part: &Partial) -> Vec<u64> {
    match part {
        Partial::List(tasks) => tasks.clone(),
        Partial::Sum(_) => panic!("a sum where a list of results belongs"),
    }
}

fn sum(part: &Partial) -> u64 {
    match part {
        Partial::Sum(sum) => *sum,
        Partial::List(_) => panic!("a list of results where a sum belongs"),
    }
}
