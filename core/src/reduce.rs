//! The fixed tree of a reduction: aligned power-of-two blocks of task indexes. A floating-point sum repeats
//! bit for bit because the order of every combination follows from the number of tasks, and from which of them
//! failed for good, alone: however leases were cut, and whoever ran them or died of them.
//!
//! At the bottom of the tree are folds: a few neighbouring tasks whose results are added up in index order, which
//! is much cheaper than combining two sums. A fold that was cut cannot be added up yet without another order; the
//! blocks inside it are lists of results until all of them are in one place.

use crate::page::LEASE_TASKS_MAX;
use crate::range::IndexRange;

/// An aligned block: `size` is a power of two and `start` a multiple of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The first index.
    pub start: u64,
    /// How many indexes it spans, a power of two.
    pub size: u64,
}

/// More leaves than this are not kept apart: longer jobs get wider leaves.
pub const LEAVES_MAX: u64 = 1 << 16;
/// The widest leaf: one must fit into a lease.
const LEAF_MAX: u64 = 1 << 23;
const _: () = assert!(LEAF_MAX <= LEASE_TASKS_MAX);
/// The longest fold. Combining two sums costs as much as adding some ten results, so that nothing is gained by longer
/// ones, and the results of a fold that was cut are kept side by side.
const FOLD_MAX: u64 = 256;

/// The number of tasks that one leaf of the tree spans, for a job of `tasks` tasks (0: an open job) and as a
/// rule at most `leaves_max` leaves. Partial results are kept per leaf, so threads claim whole leaves where
/// they can.
#[must_use]
pub const fn leaf_size(tasks: u64, leaves_max: u64) -> u64 {
    match tasks.div_ceil(if leaves_max == 0 { 1 } else { leaves_max }) {
        0 | 1 => 1,
        leaf if leaf > LEAF_MAX => LEAF_MAX,
        leaf => leaf.next_power_of_two(),
    }
}

/// The number of tasks that are added up in index order, in a tree with leaves of this size.
#[must_use]
pub const fn fold_size(leaf: u64) -> u64 {
    match leaf {
        0 | 1 => 1,
        leaf if leaf > FOLD_MAX => FOLD_MAX,
        leaf => leaf,
    }
}

impl Block {
    /// The block that `range` is, when it is one.
    #[must_use]
    pub const fn from_range(range: IndexRange) -> Option<Self> {
        let size = range.len();
        if size.is_power_of_two() && range.start.is_multiple_of(size) {
            Some(Self { start: range.start, size })
        } else {
            None
        }
    }

    /// The indexes it spans.
    #[must_use]
    pub const fn range(self) -> IndexRange {
        IndexRange::from_count(self.start, self.size)
    }

    /// The block that holds this one and its neighbour.
    #[must_use]
    pub const fn parent(self) -> Self {
        let size = self.size * 2;
        Self { start: self.start & !(size - 1), size }
    }

    /// Its two halves.
    #[must_use]
    pub const fn halves(self) -> (Self, Self) {
        let size = self.size / 2;
        (Self { start: self.start, size }, Self { start: self.start + size, size })
    }

    /// The smallest block that holds all of `range`, which is not empty.
    #[must_use]
    pub const fn around(range: IndexRange) -> Self {
        let (first, last) = (range.start, range.end - 1);
        match 64 - (first ^ last).leading_zeros() {
            64 => Self { start: 0, size: 1 << 63 },
            bits => Self { start: first >> bits << bits, size: 1 << bits },
        }
    }

    /// The smallest block from index 0 that spans `tasks` tasks.
    #[must_use]
    pub const fn root(tasks: u64) -> Self {
        Self { start: 0, size: if tasks < 2 { 1 } else { tasks.next_power_of_two() } }
    }
}

/// The fewest aligned blocks that make up `range`, in order. Blocks that reach beyond `tasks`, the last
/// index of the job, are cut by the job's end: the tree has no other leaf there.
pub fn blocks(range: IndexRange) -> impl Iterator<Item = Block> {
    let mut at = range.start;
    core::iter::from_fn(move || {
        if at >= range.end {
            return None;
        }
        let left = range.end - at;
        let aligned = if at == 0 { u64::MAX } else { 1 << at.trailing_zeros() };
        let fits = 1u64 << (63 - left.leading_zeros());
        let block = Block { start: at, size: fits.min(aligned) };
        at += block.size;
        Some(block)
    })
}

/// What the thread that claimed `range` makes of it first, in order: whole folds, and the blocks that are left of
/// folds at its ends.
pub fn parts(range: IndexRange, fold: u64) -> impl Iterator<Item = Block> {
    blocks(range).flat_map(move |block| {
        let size = block.size.min(fold);
        (0..block.size / size).map(move |at| Block { start: block.start + at * size, size })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn leaves_depend_on_the_number_of_tasks_alone() {
        assert_eq!(leaf_size(0, LEAVES_MAX), 1);
        assert_eq!(leaf_size(65_536, LEAVES_MAX), 1);
        assert_eq!(leaf_size(65_537, LEAVES_MAX), 2);
        assert_eq!(leaf_size(1_000_000_000, LEAVES_MAX), 16_384);
        assert!(leaf_size(1 << 40, LEAVES_MAX) <= LEASE_TASKS_MAX);
        assert_eq!(leaf_size(100, 7), 16);
        assert_eq!([0, 1, 2, 256, 512, 16_384].map(fold_size), [1, 1, 2, 256, 256, 256]);
    }

    proptest! {
        #[test]
        fn blocks_cover_a_range_once_and_are_maximal(start in 0..5_000u64, count in 0..5_000u64) {
            let range = IndexRange::from_count(start, count);
            let found: Vec<Block> = blocks(range).collect();
            let mut at = start;
            for block in &found {
                prop_assert_eq!(block.start, at);
                prop_assert_eq!(Block::from_range(block.range()), Some(*block));
                let parent = block.parent();
                prop_assert!(parent.start < range.start || parent.range().end > range.end, "not maximal");
                at = block.range().end;
            }
            prop_assert_eq!(at, range.end);
        }

        #[test]
        fn parts_cover_a_range_once_and_no_fold_is_missed(start in 0..5_000u64, count in 0..5_000u64, fold in 0..7u32) {
            let (range, fold) = (IndexRange::from_count(start, count), 1 << fold);
            let found: Vec<Block> = parts(range, fold).collect();
            let whole = found.iter().filter(|part| part.size == fold).count() as u64;
            prop_assert_eq!(whole, (range.end / fold).saturating_sub(range.start.div_ceil(fold)));
            prop_assert!(found.iter().all(|part| part.size <= fold));
            let mut at = start;
            for part in found {
                prop_assert_eq!(part.start, at);
                at = part.range().end;
            }
            prop_assert_eq!(at, range.end);
        }

        #[test]
        fn the_block_around_a_range_is_the_smallest(start in 0..5_000u64, count in 1..5_000u64) {
            let range = IndexRange::from_count(start, count);
            let block = Block::around(range);
            prop_assert_eq!(Block::from_range(block.range()), Some(block));
            prop_assert_eq!(block.range().intersect(range), range);
            if block.size > 1 {
                let middle = block.halves().1.start;
                prop_assert!(range.start < middle && middle < range.end);
            }
        }
    }
}
